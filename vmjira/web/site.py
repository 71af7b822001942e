"""What pages and API need, in one value; and small things that both share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import cast
from zoneinfo import ZoneInfo

from flask import g

from vmjira.domain.rulebook import Rulebook
from vmjira.errors import Problem, VmjiraError
from vmjira.flows.overview import titles
from vmjira.flows.ports import Outside, Store
from vmjira.flows.rows import DeliveryState, OperationState
from vmjira.web.users import User

STATES: tuple[OperationState, ...] = ("held", "waiting", "queued", "refused", "done", "dropped")
EVENT_STATES: tuple[DeliveryState, ...] = ("queued", "done", "ignored", "failed")
#: Beyond this no page is asked for in earnest.
LAST = 1_000_000


def no_outside() -> Outside:
    raise VmjiraError("this server only shows: it was started without what acting needs")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What acting needs beside looking; each has a default that does nothing."""

    outside: Callable[[], Outside] = no_outside
    problems: Callable[[], Sequence[Problem]] = tuple  # of the rule files as they lie in the folder
    settled: Callable[[], None] = lambda: None  # called after a release: what was held back counts
    clock: Callable[[], datetime] = _now
    next_due: Callable[[str, ZoneInfo, datetime], datetime | None] = lambda cron, zone, now: None


@dataclass(frozen=True, kw_only=True)
class Site(Parts):
    """All of it. `store` and `rulebook` (in force) are asked for at each request that needs them."""

    store: Callable[[], Store]
    rulebook: Callable[[], Rulebook | None]
    browse_url: str

    def rules(self) -> Rulebook:
        """The rules in force, read once a request."""
        if "rules" not in g:
            g.rules = self.rulebook() or Rulebook()
        return cast(Rulebook, g.rules)

    def titles(self) -> Mapping[str, str]:
        if "titles" not in g:
            g.titles = titles(self.rules())
        return cast(Mapping[str, str], g.titles)

    def due(self, cron: str) -> datetime | None:
        """When a cron expression of the rules is due next."""
        return self.next_due(cron, self.rules().policy.timezone, self.clock())

    def today(self) -> date:
        return self.clock().astimezone(self.rules().policy.timezone).date()


def asking() -> User:
    """Who asks; the gate has let him in."""
    return cast(User, g.user)
