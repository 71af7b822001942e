"""Whether the schedule itself is well: scanners that have delivered nothing for too long, jobs that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import structlog

from vmjira.domain.rulebook import Rulebook, Scanner
from vmjira.flows.ports import Outside
from vmjira.flows.rows import FiringRow, Mark, TakenRow
from vmjira.flows.uploads import TYPE as UPLOAD

log = structlog.get_logger(__name__)

SCHEDULE = "schedule"  # the mark of the last look
#: Scans from which a scanner's habit is told, and what counts until there are enough of them.
HABIT, WEEK = range(3, 11), timedelta(weeks=1)
#: What counts as a delivery: a scan that is held may have been made by a wrong clock.
GOOD = ("folded", "known")
Gap = Callable[[str, Rulebook], timedelta]


@dataclass(frozen=True)
class Delivery:
    """How a scanner delivers."""

    scanner: str
    since: datetime  # the last scan, else when it was first waited for
    period: timedelta
    silent: bool
    delivered: bool  # ever

    def as_json(self) -> dict[str, Any]:
        return {
            "since": self.since.isoformat(),
            "period_seconds": self.period.total_seconds(),
            "silent": self.silent,
            "delivered": self.delivered,
        }


def look(outside: Outside, rulebook: Rulebook, gap: Gap) -> str:
    """Judge every scanner that is waited for, and keep the outcome as a mark; what is silent, in words."""
    now = outside.clock()
    with outside.store.reading() as unit:
        mark, taken, last = unit.mark(SCHEDULE), unit.taken(), unit.last_firings()
    waited = first_waited(mark, now)
    found = [
        judge(scanner, [row for row in taken if row.scanner == scanner.id], waited(scanner.id), gap_of, now)
        for scanner in rulebook.scanners
        if (gap_of := _gap(scanner, rulebook, gap)) is not None
    ]
    failed = {job: row.words for job, row in sorted(last.items()) if row.state == "failed"}
    details = {
        "scanners": {each.scanner: each.as_json() for each in found},
        "waited": {each.scanner: waited(each.scanner).isoformat() for each in found},
        "failed": failed,
    }
    with outside.store.begin() as unit:
        unit.put_mark(Mark(SCHEDULE, now, details))
    silent = [each for each in found if each.silent]
    for each in silent:
        log.warning("silent", scanner=each.scanner, since=each.since.isoformat(), period=str(each.period))
    return "; ".join([f"{len(found) - len(silent)} scanners deliver, {len(silent)} are silent", *map(_words, silent)])


def _words(each: Delivery) -> str:
    what = "no scan since" if each.delivered else "never a scan, waited for since"
    return f"{each.scanner}: {what} {each.since:%Y-%m-%d %H:%M} UTC"


def _gap(scanner: Scanner, rulebook: Rulebook, gap: Gap) -> timedelta | None:
    """None: nobody waits for it."""
    if scanner.fetch:
        return gap(scanner.fetch, rulebook)
    return timedelta() if scanner.expect or scanner.type == UPLOAD else None


def first_waited(mark: Mark | None, now: datetime) -> Callable[[str], datetime]:
    """When a scanner was first waited for, by the mark of the last look."""
    known: Mapping[str, str] = mark.details.get("waited", {}) if mark else {}
    return lambda scanner: datetime.fromisoformat(known[scanner]) if scanner in known else now


def judge(scanner: Scanner, taken: Sequence[TakenRow], waited: datetime, gap: timedelta, now: datetime) -> Delivery:
    """Silent: nothing came for twice the period that the rules expect, else for twice the longest pause so far.

    At least twice the time between two looks.
    """
    good = [row for row in taken if row.outcome in GOOD]
    usual = habit([row.finished_at or row.taken_at for row in good], unknown=WEEK)
    period = scanner.expect or max(usual, gap)
    since = max((row.taken_at for row in good), default=waited)
    return Delivery(scanner.id, since, period, now - since > 2 * period, bool(good))


def habit(ends: Iterable[datetime], *, unknown: timedelta) -> timedelta:
    """The longest pause between the newest scans of a scanner, at least a day; `unknown` until there are three."""
    newest = sorted(ends)[-HABIT.stop :]
    if len(newest) < HABIT.start:
        return unknown
    return max(timedelta(days=1), *(later - one for one, later in pairwise(newest)))


def last_of(job: str, last: Mapping[str, FiringRow]) -> dict[str, Any] | None:
    """The newest firing of a job, for people and programs."""
    row = last.get(job)
    return {"due": row.due.isoformat(), "state": row.state, "words": row.words} if row else None


def overview(
    outside: Outside, rulebook: Rulebook, gap: Gap, next_due: Callable[[str, Rulebook], datetime | None]
) -> list[dict[str, Any]]:
    """Every scanner of the rules: when it is looked at, what came of that, and whether it delivers."""
    now = outside.clock()
    with outside.store.reading() as unit:
        mark, taken, last = unit.mark(SCHEDULE), unit.taken(), unit.last_firings()
    waited = first_waited(mark, now)
    shown = []
    for scanner in rulebook.scanners:
        rows = [row for row in taken if row.scanner == scanner.id]
        gap_of = _gap(scanner, rulebook, gap)
        due = next_due(scanner.fetch, rulebook) if scanner.fetch else None
        good = [row for row in rows if row.outcome in GOOD]
        newest = max(good, key=lambda row: row.finished_at or row.taken_at, default=None)
        shown.append({
            "id": scanner.id,
            "type": scanner.type,
            "fetch": scanner.fetch,
            "last_run": last_of(f"fetch.{scanner.id}", last),
            "next_run": due.isoformat() if due else None,
            "last_scan": newest and {
                "id": newest.remote,
                "name": newest.name,
                "finished_at": newest.finished_at and newest.finished_at.isoformat(),
                "taken_at": newest.taken_at.isoformat(),
            },
            "scans": len(good),
            "refused": [
                {"id": row.remote, "name": row.name, "why": row.words} for row in rows if row.outcome == "refused"
            ],
            "silent": gap_of is not None and judge(scanner, rows, waited(scanner.id), gap_of, now).silent,
        })  # fmt: skip
    return shown
