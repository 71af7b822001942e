"""The order in which ledger entries count, which is not always the one in which they were recorded.

A scan that was withdrawn counts for nothing, from the beginning. An acceptance that was learned late counts from where
it would stand if it had been learned in time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from vmjira.flows.rows import EventRow, ScanRow

#: A place in the order: the version that an entry made, or comes before; at the same one, late news comes first.
Place = tuple[int, int]
#: Entries that tell what was observed, or how it is to be read: news that is older than them is late.
_DATA = ("scan", "adopt", "rules", "gone")


def place(event: EventRow) -> Place:
    """Where the entry stands."""
    before = event.details.get("before")
    return (event.version, 1) if before is None else (int(before), 0)


def after(version: int) -> Place:
    """The place from which on nothing is in that version of the ledger."""
    return (version + 1, 1)


def ordered(events: Sequence[EventRow]) -> list[EventRow]:
    """The entries in the order in which they count. Those of withdrawn scans are in it, too."""

    def key(event: EventRow) -> tuple[Place, float, int]:
        late = "before" in event.details
        return place(event), event.at.timestamp() if late and event.at else 0.0, event.version

    return sorted(events, key=key)


def snapshot(events: Collection[EventRow], scans: Mapping[int, ScanRow], kept: Iterable[int], at: Place) -> int:
    """The newest of the `kept` versions that nothing touches which changes from that place on; 0: none."""
    versions = sorted(kept, reverse=True)
    while True:
        found = next((version for version in versions if after(version) <= at), 0)
        begun = [
            first
            for event in events
            if event.kind in ("withdraw", "restore") and event.version > found
            if (first := first_place(events, scans[int(event.details["scan"])])) < min(after(found), at)
        ]
        if not begun:  # else numbers of rounds hang on a scan that was withdrawn only later
            return found
        at = min(begun)


def withdrawn(events: Collection[EventRow]) -> frozenset[int]:
    """Ids of the scans that do not count any more."""
    last = {int(event.details["scan"]): event.kind for event in events if event.kind in ("withdraw", "restore")}
    return frozenset(id for id, kind in last.items() if kind == "withdraw")


def first_place(events: Collection[EventRow], scan: ScanRow) -> Place:
    """Where a scan first did something to the ledger."""
    mine = [each for each in events if each.scan == scan.id or scan.digest in each.details.get("scans", ())]
    return min(map(place, mine), default=(max((each.version for each in events), default=0) + 1, 1))


def overtaken(
    events: Sequence[EventRow], scans: Mapping[int, ScanRow], at: datetime, *, same_clock: bool
) -> int | None:
    """The first version that should have come after what happened `at`, by the tracker's clock: its scan ended later.

    Or it was made later, by our clock; that counts only if the two are the `same_clock`. None if there is none.
    Of scans folded by older programs, it is known when they came in.
    """
    for event in events:
        if event.kind in _DATA and any(moment > at for moment in _moments(event, scans, made=same_clock)):
            return event.version
    return None


def _moments(event: EventRow, scans: Mapping[int, ScanRow], *, made: bool) -> Iterator[datetime]:
    """When the scans of an entry ended, and when it was `made`."""
    digests = event.details.get("scans", ())
    for row in [scans[event.scan]] if event.scan else [row for row in scans.values() if row.digest in digests]:
        yield row.finished_at
        if made and not event.at and row.folded_at and "believed" not in event.details:
            yield row.folded_at
    if made and event.at:
        yield event.at
