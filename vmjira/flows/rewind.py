"""Changing the past: what is known if a ledger entry never was, or came earlier, and what follows for the tickets.

Entries are done again from the newest stored version on that the change does not touch. Earlier versions that are still
kept are written anew, too: each shows what is known of its time today. So the lists of a ticket whose iteration is over
stay true, and the next change can begin from any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

import polars as pl

from vmjira.domain.breaker import Trip
from vmjira.domain.knowledge import PARTS
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import CellNumbers
from vmjira.flows import course
from vmjira.flows.foresee import Change, Outcome, Rewound, foresee_past, running_cells
from vmjira.flows.knowledge import HOSTS, ITERATION_NAMES, Base, lives_of, load, nothing, range_name, running_of
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.replay import Replay, same, start
from vmjira.flows.rows import EventRow
from vmjira.flows.rules import read_rules


@dataclass
class _Part:
    """A frame of the ledger, and where it lies."""

    frame: Callable[[], pl.DataFrame]
    path: str = ""


@dataclass
class _Course:
    """What is known after each of the entries that are done again."""

    outside: Outside
    replay: Replay
    base: Base
    parts: dict[str, _Part]
    writes: bool
    kept: frozenset[int]  # versions that are to show it
    written: dict[int, dict[str, str]] = field(default_factory=dict)
    frozen: dict[tuple[str, int], int] = field(default_factory=dict)
    trips: dict[tuple[str, str], tuple[Trip, int]] = field(default_factory=dict)

    def go(self, events: Sequence[EventRow], since: int, until: int) -> None:
        """Do the entries again that are in no version up to `since`; the last is version `until`."""
        shown = since
        for event in events:
            version, late = course.place(event)
            self._show(range(shown + 1, version + late - 1))  # late news is in the version before
            shown = max(shown, version + late - 2)
            before, parts, number = self.base, self.parts, shown
            if outcome := self.replay.step(self.base, event):
                self._take(outcome, event)
                self._freeze(before, parts, number)
        self._show(range(shown + 1, until))

    def _take(self, outcome: Outcome, event: EventRow) -> None:
        fresh = {name: _Part(lambda frame=frame: frame) for name, frame in outcome.parts.items()}  # type: ignore[misc]
        parts = self.parts = self.parts | fresh  # not the outcome's own, which holds on to all that was before
        self.base = replace(
            outcome.base, part=lambda name: parts[name].frame() if name in parts else nothing().part(name)
        )
        if names := outcome.renaming:  # what was learned before goes on under the new ids
            self.frozen = {(names.range(name), ordinal): version for (name, ordinal), version in self.frozen.items()}
            self.trips = {(names.range(name), scanner): told for (name, scanner), told in self.trips.items()}
        for trip in outcome.trips:
            self.trips[trip.range, trip.scanner] = (trip, event.scan or 0)

    def _freeze(self, before: Base, parts: Mapping[str, _Part], version: int) -> None:
        """Where a later iteration runs now, the earlier one stays as it was in that version."""
        old, new = running_of(before.part(ITERATION_NAMES)), running_of(self.base.part(ITERATION_NAMES))
        over = {(name, ordinal) for name, ordinal in old.items() if new.get(name, ordinal) != ordinal}
        self.frozen |= dict.fromkeys(over, version)
        if over and version not in self.written and version > 0:
            self._write(version, parts)

    def _show(self, versions: Collection[int]) -> None:
        for version in versions:
            if version in self.kept:
                self._write(version, self.parts)

    def _write(self, version: int, parts: Mapping[str, _Part]) -> None:
        if not self.writes:
            return
        for name, part in parts.items():
            if not part.path:
                part.path = f"ledger/{name}/{version}-{uuid4().hex[:8]}.parquet"
                self.outside.store.write(part.path, part.frame())
        self.written[version] = {name: part.path for name, part in parts.items()}


def rewind(
    outside: Outside, today: Base, event: EventRow, change: Change, at: course.Place, *, writes: bool = True
) -> Outcome:
    """What is known, and what follows for the tickets, if `event` changes the past from that place on.

    `event` has the version after `today`'s. Without `writes` nothing is written: the outcome can only be looked at.
    """
    with outside.store.reading() as unit:
        events = [each for each in unit.events() if each.version <= today.version] + [event]
        scans, kept = {row.id: row for row in unit.scans()}, unit.kept_versions()
        since = course.snapshot(events, scans, kept, at)
        if any(each.kind == "rules" and each.version > since and _renames(outside, unit, each) for each in events):
            since = 0  # the numbers of that time have other ids today
        paths, now = unit.ledger_parts(since) if since else {}, unit.ledger_parts(today.version)
    if since and not _whole(outside, paths):
        since, paths = 0, {}
    base = replace(load(outside.store, since), tickets={}) if since else nothing()
    replay = start(outside, events)
    if since:
        replay.before = replay.rules(events[since - 1])
        base = replace(base, cells=_cells(today, base, replay))
    parts = {name: _Part(lambda name=name: base.part(name), paths.get(name, "")) for name in today.names}  # type: ignore[misc]
    done = _Course(outside, replay, base, parts, writes, frozenset(kept))
    ahead = [each for each in course.ordered(events) if course.place(each) >= course.after(since)]
    done.go(ahead, since, event.version)
    return _outcome(today, done, change, now, event.version)


def _whole(outside: Outside, paths: Mapping[str, str]) -> bool:
    """Whether that version says which scan saw what: those of older programs did not."""
    columns = {paths.get(HOSTS, ""): "scan"} | dict.fromkeys(lives_of(paths), "last_scan")
    return not any(
        outside.store.scan(path).select(pl.col(column).is_null().any()).collect().item()
        for path, column in columns.items()
        if path
    )


def _renames(outside: Outside, unit: Unit, event: EventRow) -> bool:
    row = unit.rules(event.rules)
    rulebook = read_rules(outside.rulebook, row) if row else Rulebook()
    return any(each.aliases for each in rulebook.categories) or any(each.aliases for each in rulebook.ranges)


def _cells(today: Base, then: Base, replay: Replay) -> dict[tuple[str, str, int], CellNumbers]:
    """The numbers of all cells as of `then`: those that were frozen by then stay, those of running iterations follow
    from the ledger."""
    running = running_of(then.part(ITERATION_NAMES))
    frozen = {key: cell for key, cell in today.cells.items() if key[2] < running.get(key[1], 0)}
    cells = running_cells(then, replay.before)
    return frozen | {(cell.category, cell.range, cell.ordinal): cell for cell in cells}


def _outcome(today: Base, done: _Course, change: Change, now: Mapping[str, str], version: int) -> Outcome:
    base = done.base
    parts = {
        name: part.frame()
        for name, part in done.parts.items()
        if part.path != now.get(name) and not same(part.frame(), today.part(name))
    }
    cells = tuple(cell for key, cell in base.cells.items() if today.cells.get(key) != cell)
    lost = frozenset(today.cells.keys() - base.cells.keys())
    ranges = {range_name(name) for name in parts if name not in PARTS}
    ranges |= {cell.range for cell in cells} | {key[1] for key in lost}
    old, new = running_of(today.part(ITERATION_NAMES)), running_of(base.part(ITERATION_NAMES))
    ranges |= {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    written = dict(done.written)
    if done.writes:
        written[version] = {name: done.parts[name].path for name in parts}
    rewound = Rewound(parts, cells, lost, done.frozen, written, done.trips)
    return foresee_past(today, base.knowledge(ranges), ranges, change, rewound)
