"""Every error a user may meet, in our words.

An `VmjiraError` is the user's or the outside's: it is shown without a traceback and exits with 1. Anything else that
escapes is our own fault. Each class says whether trying again can help.
"""

from __future__ import annotations

from dataclasses import dataclass


class VmjiraError(Exception):
    """A problem of the user's or the outside's. The text says where, what, what is allowed and what to do."""


class Unknown(VmjiraError):
    """What was asked for does not exist here: a ticket, a host, a cell."""


class SettingsInvalid(VmjiraError):
    """Settings are missing or wrong; the text lists all of them."""


class StoreUnavailable(VmjiraError):
    """The database cannot be reached, or is busy for too long. Nothing was changed; a later try may find it again."""


class ScanUnreadable(VmjiraError):
    """A file is no scan that we can read. Nothing was changed; the text is the reason for a person."""


class CatalogueUnreadable(VmjiraError):
    """A catalogue of exploitation cannot be had, or is not what it should be. The last good one stays in use."""


class ScannerError(VmjiraError):
    """A scanner's API did not do what we asked; the text names the scanner and says it in its own words."""


class ScannerUnavailable(ScannerError):
    """No answer, or one that a later try may change (429, 5xx, connection lost, truncated download). Try again.

    `retry_after` is in seconds, None if the scanner did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ScannerRefused(ScannerError):
    """The scanner said no (credentials, rights, unknown scan); trying the same again is of no use."""


@dataclass(frozen=True, order=True)
class Problem:
    """One problem of one rule file: `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class RulesInvalid(VmjiraError):
    """The rule files cannot be used; `problems` are all of them, sorted."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class TrackerError(VmjiraError):
    """The tracker did not do what we asked."""


class TrackerUnavailable(TrackerError):
    """No answer, or one that a later try may change (429, 5xx, connection lost). Try again.

    `retry_after` is in seconds, None if the tracker did not say. `outcome_unknown`: the call may have taken effect.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.outcome_unknown = outcome_unknown


class TrackerRefused(TrackerError):
    """The tracker said no, in its own words; trying the same again is of no use. A person has to act."""


class TicketGone(TrackerError):
    """The ticket does not exist any more, or is no longer visible to us."""


class TransitionImpossible(TrackerError):
    """The workflow has no way to the wanted status; `possible` names the transitions that exist."""

    def __init__(self, message: str, possible: tuple[str, ...]) -> None:
        super().__init__(message)
        self.possible = possible
