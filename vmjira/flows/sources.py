"""Where scans come from: what flows ask of a scanner's API, whatever it is.

A source says which result sets are whole, brings them to disk as files that `vmjira.scanners.read_scan` reads, and, if
it can, scans single hosts again. What of it was taken before is remembered by `flows.fetch`, not by the source.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from vmjira.domain.rulebook import Scanner

#: Hears how many bytes have come, and how many there will be (0: not known).
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RemoteScan:
    """A whole, finished result set that a source offers."""

    id: str  # unique in its source, one for each run: `<scan>/<history>`; the same run always has the same
    name: str  # as people know it
    finished_at: datetime | None = None  # None: only its file tells
    rescan: bool = False  # run with other targets than its own: a verification, no round of scanning


@dataclass(frozen=True)
class Listing:
    """What a source has; `passed_over` says, for people, what is not taken and why (running, aborted, …)."""

    scans: tuple[RemoteScan, ...]
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One thing that `vmjira scanners test` looked at; `how` to mend it."""

    ok: bool
    what: str
    how: str = ""


class Source(Protocol):
    """One configured scanner. Nothing connects before a method is called; one thread at a time.

    Every method raises only `ScannerUnavailable` (a later try may help) or `ScannerRefused` (a person has to act), in
    words without secrets; `download` also `ScanUnreadable`: what came is no scan, and will not be one later either.
    """

    #: Empty if `launch` works; else why this kind of scanner cannot scan single hosts, for people.
    cannot_rescan: str

    def listing(self) -> Listing:
        """Whole runs that match the patterns of the rules, oldest first; never partial, running or aborted ones."""

    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        """Stream it into the folder `into`; the file, whole. Nothing is left behind on failure."""

    def settle(self, scan: RemoteScan, refused: str) -> None:
        """It was taken; `refused`: why its content was not, else empty. The source may tidy up (type folder)."""

    def check(self) -> Sequence[Check]:
        """Connection, version, rights, and which scans match; for people."""

    def launch(self, addresses: Sequence[str], name: str) -> str:
        """Scan just these addresses with the checks of the latest round that covered them; an id for `launched`."""

    def launched_by_name(self, name: str, since: datetime, others: Collection[str] = ()) -> str | None:
        """The id of the run that `launch` began under this name, not long before `since` or later; None: there is none.

        Asked after a crash or a lost answer, before anything is launched again. Where the scanner keeps no names of
        runs, the newest run with other targets than its own that was not over by then is the one, if it is not one of
        `others`: ids that other launches had for an answer.
        """

    def launched(self, id: str) -> RemoteScan | None:
        """What `launch` has become; None while it runs. ScannerRefused if it ended without a whole result."""

    def stop(self, id: str) -> None:
        """Stop what was launched; ended already is done."""


#: A source as the rules name it; `environ` holds what its `${NAMES}` stand for.
Connect = Callable[[Scanner, Mapping[str, str]], Source]
