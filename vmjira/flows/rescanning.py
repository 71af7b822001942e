"""How rescans stand, as plain values: of one ticket, and of every scanner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from vmjira.domain.rescan import RescanRequest, RescanRow
from vmjira.flows.looking import Page
from vmjira.flows.ports import Unit
from vmjira.flows.rows import Mark

#: The mark of the last look at a scanner's rescans is this and its id.
LOOKED = "rescans."
#: Ended runs that are shown of each scanner, of so many in all.
ENDED, LATELY = 5, Page(limit=100)


def of_ticket(unit: Unit, identifier: str) -> list[dict[str, Any]]:
    """What became of the hosts that its last closing asked for; those of which the same is to be said together."""
    groups: dict[tuple[object, ...], list[RescanRequest]] = {}
    for each in unit.rescans.requests(identifier=identifier):
        groups.setdefault((each.state, each.words, each.scanner, each.rescan), []).append(each)
    return [_of_hosts(some, unit.rescans.run(some[0].rescan) if some[0].rescan else None) for some in groups.values()]


def _of_hosts(requests: Sequence[RescanRequest], run: RescanRow | None) -> dict[str, Any]:
    return {
        "state": requests[0].state,
        "words": requests[0].words,
        "scanner": requests[0].scanner or None,
        "hosts": [each.host for each in requests],
        "asked_at": min(each.asked_at for each in requests),
        "run": run.name if run else None,
        "launched_at": run.launched_at if run else None,
        "ended_at": run.ended_at if run else None,
    }


def of_scanners(unit: Unit) -> list[dict[str, Any]]:
    """Of each scanner that had any lately: what waits, what runs, what ended last, and when it is looked at next."""
    waiting, ended = unit.rescans.requests("waiting"), unit.look.ended_rescans(LATELY)
    running = unit.rescans.runs("launching", "running")
    scanners = sorted({each.scanner for each in waiting} | {each.scanner for each in (*running, *ended)})
    return [
        {
            "scanner": scanner,
            **_looks(unit.mark(LOOKED + scanner)),
            "waiting": _waiting(each for each in waiting if each.scanner == scanner),
            "runs": [
                *(_run(each) for each in running if each.scanner == scanner),
                *[_run(each) for each in ended if each.scanner == scanner][:ENDED],
            ],
        }
        for scanner in scanners
    ]


def _looks(mark: Mark | None) -> dict[str, Any]:
    """`trouble`: why nothing could be done at the last look, in words; `next_look`: none if nothing is left to do."""
    again: str | None = mark.details["again"] if mark else None
    return {
        "looked_at": mark.at if mark else None,
        "next_look": datetime.fromisoformat(again) if again else None,
        "trouble": mark.details["trouble"] if mark else "",
    }


def _waiting(requests: Iterable[RescanRequest]) -> list[dict[str, Any]]:
    groups: dict[str, list[RescanRequest]] = {}
    for each in requests:
        groups.setdefault(each.words, []).append(each)
    return [
        {
            "words": words,
            "hosts": sorted({each.address for each in some}),
            "tickets": sorted({each.identifier for each in some}),
            "since": min(each.asked_at for each in some),
        }
        for words, some in groups.items()
    ]


#: What is to be said of a run that has no words of its own.
_UNTOLD: Mapping[str, str] = {
    "launching": "nobody knows yet whether it was launched: it is looked for",
    "running": "under way",
}


def _run(row: RescanRow) -> dict[str, Any]:
    faulty = f"its result could not be read yet ({row.words}); it is tried again" if not row.ended and row.words else ""
    return {
        "name": row.name,
        "state": row.state,
        "words": faulty or row.words or _UNTOLD.get(row.state, ""),
        "hosts": list(row.hosts),
        "tickets": list(row.tickets),
        "since": row.launched_at,
        "ended_at": row.ended_at,
    }
