"""Tickets that are not in the tracker any more: a few count as deleted, many at once are a question for a person.

A lost permission, a half-restored Jira or an import gone wrong look like deletions, and each deletion costs a ticket
its place. So many at once, in one reconciliation or in the webhooks of an hour, are held in one notice, and nothing is
done: a person releases it (they were deleted), or drops it (leave them), or they are there again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from vmjira.domain.limits import too_many
from vmjira.domain.operation import count
from vmjira.domain.ticket import TicketRow
from vmjira.flows.looking import Page
from vmjira.flows.operations import MISSING
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.rows import Mark, OperationRow

log = structlog.get_logger(__name__)

#: When tickets were taken for deleted lately, by identifier.
LATELY = "deleted lately"
WINDOW = timedelta(hours=1)
#: Notices that people dropped: as far back as is looked.
DROPPED = Page(limit=20)


def counts_as_deleted(outside: Outside, rows: Sequence[TicketRow]) -> list[TicketRow]:
    """Those of `rows`, which the tracker does not have, that count as deleted now. The others are held, or were left
    alone by a person."""
    now = outside.clock()
    with outside.store.begin() as unit:
        notice = held_notice(unit)
        left = _left_alone(unit) | set(tickets_of(notice))
        fresh = [row for row in rows if not row.gone and row.identifier not in left]
        if not fresh:
            return []
        if notice:
            _renew(unit, notice, [*tickets_of(notice), *(row.identifier for row in fresh)])
            return []
        lately = _lately(unit, now)
        living = sum(bool(row.key) and not row.gone for row in unit.tickets()) + len(lately)
        if too_many(len(lately) + len(fresh), living):
            _hold(unit, [*lately, *(row.identifier for row in fresh)], living, now)
            return []
        known = {name: at.isoformat() for name, at in lately.items()}
        unit.put_mark(Mark(LATELY, now, known | {row.identifier: now.isoformat() for row in fresh}))
        return fresh


def there_again(outside: Outside, identifiers: Collection[str]) -> None:
    """Tickets that the tracker has: none of them is missing any more."""
    with outside.store.reading() as unit:
        if not set(tickets_of(held_notice(unit))) & set(identifiers):
            return
    with outside.store.begin() as unit:
        if notice := held_notice(unit):
            rest = [each for each in tickets_of(notice) if each not in identifiers]
            if rest:
                _renew(unit, notice, rest)
            else:
                answer = "all of them are in the tracker again"
                unit.update_operation(notice.id, state="dropped", answer=answer, ended_at=outside.clock())


def held_notice(unit: Unit) -> OperationRow | None:
    return next(iter(unit.look.operations(["held"], Page(limit=1), kinds=[MISSING])[0]), None)


def tickets_of(notice: OperationRow | None) -> list[str]:
    return list(notice.details["tickets"]) if notice else []


def _left_alone(unit: Unit) -> set[str]:
    """A person said that nothing is to be done about them."""
    dropped = unit.look.operations(["dropped"], DROPPED, kinds=[MISSING])[0]
    return {name for row in dropped if row.answer.startswith("dropped by") for name in tickets_of(row)}


def _lately(unit: Unit, now: datetime) -> Mapping[str, datetime]:
    """Those that still count as deleted, of the last hour."""
    mark = unit.mark(LATELY)
    times = {name: datetime.fromisoformat(at) for name, at in mark.details.items()} if mark else {}
    recent = {name: at for name, at in times.items() if now - at < WINDOW}
    return {name: at for name, at in recent.items() if (row := unit.ticket(name)) and row.gone}


def _hold(unit: Unit, tickets: Sequence[str], living: int, now: datetime) -> None:
    """All of them, also those that counted as deleted before there were too many."""
    for name in tickets:
        unit.update_ticket(name, gone=False)
    id = f"{MISSING}:{now:%Y%m%dT%H%M%S.%f}"
    details = {"tickets": list(tickets), "living": living}
    row = OperationRow(id, MISSING, "tracker", "", details, "held", id, planned_at=now)
    unit.add_operations([row])
    unit.put_mark(Mark(LATELY, now, {}))
    _renew(unit, row, tickets)
    log.error("many tickets are missing in the tracker", tickets=len(tickets), living=living)


def _renew(unit: Unit, notice: OperationRow, tickets: Sequence[str]) -> None:
    details = {**notice.details, "tickets": list(tickets)}
    unit.update_operation(notice.id, details=details, reason=_reason(len(tickets), notice.details["living"]))


def _reason(missing: int, living: int) -> str:
    return (
        f"{count(missing, 'ticket')} of {living} cannot be found in the tracker. So far nothing is done about that. "
        "Check the permissions of its account, and whether Jira was restored or moved (then run `vmjira rebind`). "
        "Release this only if people deleted these tickets"
    )
