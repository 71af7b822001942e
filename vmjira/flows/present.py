"""Tickets, operations and plans as plain values: the JSON that other programs rely on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from vmjira.domain.fields import LEFT
from vmjira.domain.plan import neighbours
from vmjira.domain.ticket import CellNumbers, HostNumbers, TicketRow
from vmjira.errors import VmjiraError
from vmjira.flows.moved import moved_json
from vmjira.flows.ports import Outside, Store, Unit
from vmjira.flows.rescanning import of_ticket
from vmjira.flows.rows import DeliveryRow, DeliveryState, OperationRow
from vmjira.flows.views import hosts_behind

_OWN = ("total", "fixed", "open", "unverified", "moved", "gone", "accepted")


def tickets_json(rows: Sequence[TicketRow], cells: Iterable[CellNumbers]) -> list[dict[str, Any]]:
    """One object a ticket, in the order category, range, iteration."""
    numbers = {(cell.category, cell.range, cell.ordinal): cell for cell in cells}
    by_cell: dict[tuple[str, str], list[TicketRow]] = {}
    for row in rows:
        by_cell.setdefault((row.category, row.range), []).append(row)
    return [
        ticket_json(row, numbers.get((row.category, row.range, row.ordinal)), by_cell[row.category, row.range])
        for row in sorted(rows, key=lambda row: (row.category, row.range, row.ordinal))
    ]


def ticket_json(row: TicketRow, cell: CellNumbers | None, cell_tickets: Iterable[TicketRow]) -> dict[str, Any]:
    previous, following = neighbours(row, cell_tickets)
    own = asdict(row.own)
    return {
        "identifier": row.identifier,
        "category": row.category,
        "range": row.range,
        "iteration": row.label,
        "title": row.title,
        "key": row.key,
        "status": "deleted" if row.gone else row.status,
        "previous": previous.identifier if previous else None,
        "next": following.identifier if following else None,
        "then": asdict(cell.numbers if cell else HostNumbers()),
        "own": {name: own[name] for name in _OWN},
        "settled": row.own.settled,
        "verified": row.own.verified,
        "top": [asdict(host) for host in cell.top] if cell else [],
    }


def one_ticket(outside: Outside, identifier: str) -> dict[str, Any]:
    """A ticket with the hosts behind its numbers, all that was done to it and why, the rescans that its last closing
    asked for, and the tickets that its findings came from or went to: by its identifier or its key."""
    with outside.store.reading() as unit:
        rows = unit.tickets()
        row = next((each for each in rows if identifier == each.identifier or identifier.upper() == each.key), None)
        if row is None:
            raise VmjiraError(f"ticket '{identifier}': there is none with this identifier or key; see `vmjira tickets`")
        cells = unit.cell_numbers(ranges=[row.range])
        done = [operation_json(each) for each in unit.operations(identifier=row.identifier)]
        rescans = [_told(each) for each in of_ticket(unit, row.identifier)]
        moved = moved_json(unit, row.identifier)
    cell = next((each for each in cells if (each.category, each.ordinal) == (row.category, row.ordinal)), None)
    rows = [each for each in rows if (each.category, each.range) == (row.category, row.range)]
    closing = {
        "closing": row.closing,
        "closed_at": row.closed_at.isoformat() if row.closed_at else None,
        "reopened": row.reopened,
        "left_as_set": left_as_set(row),
    }
    hosts = hosts_behind(outside.store, row)
    found = {**ticket_json(row, cell, rows), **closing, "hosts": hosts, "operations": done}
    return {**found, "rescans": rescans, **moved}


def left_as_set(row: TicketRow) -> dict[str, str]:
    """Field → value that a person set, where the rules give another one; empty text: they emptied it."""
    return dict(row.fields.get(LEFT, {}))


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each.isoformat() if isinstance(each, datetime) else each for name, each in values.items()}


def all_tickets(store: Store) -> list[dict[str, Any]]:
    with store.reading() as unit:
        return tickets_json(unit.tickets(), unit.cell_numbers())


def heard_json(unit: Unit, *states: DeliveryState, limit: int, offset: int = 0) -> list[dict[str, Any]]:
    """Webhooks as they came in, the newest first: what they were about, and what was decided and why."""
    return [
        _heard(row, unit.ticket_of_issue(row.issue) if row.issue else None)
        for row in unit.heard(*states, limit=limit, offset=offset)
    ]


def _heard(row: DeliveryRow, ticket: TicketRow | None) -> dict[str, Any]:
    kind = _KIND.search(row.body)
    return {
        "id": row.id,
        "received_at": row.received_at.isoformat(),
        "event": kind[1].decode("utf-8", "replace") if kind else "",
        "issue": row.issue,
        "ticket": ticket.identifier if ticket else None,
        "key": ticket.key if ticket else None,
        "state": row.state,
        "answer": row.answer,
        "decided_at": row.decided_at.isoformat() if row.decided_at else None,
    }


#: Jira writes it in front; a page of events reads no more of a body than that.
_KIND = re.compile(rb'"webhookEvent"\s*:\s*"([^"\\]{1,80})"')


def operation_json(row: OperationRow) -> dict[str, Any]:
    times = ("planned_at", "started_at", "ended_at")
    return {
        **{
            name: getattr(row, name)
            for name in ("id", "operation", "identifier", "reason", "state", "plan", "attempts")
        },
        **{name: value.isoformat() if (value := getattr(row, name)) else None for name in times},
        "details": dict(row.details),
        "answer": row.answer,
    }
