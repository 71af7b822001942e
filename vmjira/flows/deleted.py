"""Tickets that people deleted in the tracker: their open findings wait until a person decides, and this is how.

`again`: a new ticket is made for the same findings. `forget`: they are accepted as a risk, with a reason, by whoever
said so, for as long as the policy lets an acceptance hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import structlog

from vmjira.domain.operation import count
from vmjira.domain.ticket import TicketRow
from vmjira.errors import Unknown, VmjiraError
from vmjira.flows.foresee import foresee_acceptance
from vmjira.flows.identity import known_tracker, remember
from vmjira.flows.keep import keep, titles
from vmjira.flows.knowledge import load
from vmjira.flows.look import acceptance_event
from vmjira.flows.looking import Act, Page
from vmjira.flows.operations import MISSING, Person, commit, new_operation
from vmjira.flows.ports import Conflict, Outside, Unit
from vmjira.flows.react import look_again
from vmjira.flows.rows import AcceptanceRow, OperationRow
from vmjira.flows.rules import rules_in_force

log = structlog.get_logger(__name__)

#: A ticket as it is before it was ever sent.
UNSENT: dict[str, Any] = {
    "key": None, "issue_id": None, "gone": False, "status": None, "status_category": None,
    "closed_at": None, "closing": "", "reopened": 0, "noted": 0, "answer": "",
    "description": "", "described": "", "shown": "", "sent_ledger": 0, "told": "", "fields": {},
}  # fmt: skip
EVERYTHING = Page(limit=10_000)


def waiting(unit: Unit) -> list[TicketRow]:
    """The tickets that a person has to decide upon: deleted, or not found by the last rebind."""
    known = known_tracker(unit)
    lost = [unit.ticket(name) for name in known.missing] if known else []
    return [*unit.look.deleted(EVERYTHING)[0], *(row for row in lost if row and not row.gone and row.own.open)]


def deleted_json(unit: Unit) -> list[dict[str, Any]]:
    return [
        {"identifier": row.identifier, "key": row.key, "title": row.title, "open": row.own.open,
         "hosts": row.own.open_hosts, "status": "deleted" if row.gone else "not found"}
        for row in waiting(unit)
    ]  # fmt: skip


def again(outside: Outside, identifiers: Sequence[str], *, by: Person) -> list[str]:
    """Make new tickets for these; ids of the operations. All of them, or none: VmjiraError names those that do not
    wait for a decision."""
    with outside.store.begin() as unit:
        rows = [decidable(unit, name) for name in dict.fromkeys(identifiers)]
        _find(outside, unit, rows)
        planned = []
        for row in rows:
            sent = [each.attachment_id for each in unit.attachments(row.identifier)]
            unit.put_attachments(row.identifier, [], removed=sent)
            unit.update_ticket(row.identifier, **UNSENT)
            reason = f"{row.key} was deleted; {by.name} wants it again"
            plan = f"again.{uuid4().hex[:12]}"
            planned.append(new_operation("create", row.identifier, reason, plan=plan, now=outside.clock()))
        unit.add_acts(Act(outside.clock(), by.name, by.via, "again", f"ticket:{row.identifier}") for row in rows)
        stored = commit(outside, unit, planned)
    return [row.id for row in stored]


def forget(outside: Outside, identifier: str, reason: str, *, by: Person) -> AcceptanceRow:
    """End its open own findings as accepted, like a closing with a resolution that accepts the risk."""
    if not reason.strip():
        raise VmjiraError("forget: a reason is needed; it is kept with the accepted findings")
    while True:
        rulebook, base, now = rules_in_force(outside), load(outside.store), outside.clock()
        with outside.store.reading() as unit:
            row = decidable(unit, identifier)
        until = now + rulebook.policy.accept_for
        acceptance = AcceptanceRow(
            f"{identifier}:{now.isoformat()}", row.identifier, reason.strip(), by.name, now, until
        )
        event = acceptance_event("accept", row, acceptance, now)
        outcome = foresee_acceptance(base, event, rulebook, titles(outside, rulebook))

        def record(unit: Unit, row: TicketRow = row, acceptance: AcceptanceRow = acceptance) -> None:
            unit.put_acceptance(acceptance)
            act = Act(acceptance.accepted_at, by.name, by.via, "forget", f"ticket:{row.identifier}")
            unit.add_acts([act])

        try:
            keep(outside, outcome, rulebook, event, record=record)
        except Conflict:
            continue
        log.info("forgotten", ticket=row.identifier, findings=row.own.open, by=by.name, until=str(until))
        return acceptance


def settle(outside: Outside) -> list[str]:
    """Let tickets count as deleted whose notice a person released; ids of what follows."""
    planned: list[str] = []
    with outside.store.reading() as unit:
        notices = [row for row in unit.operations("waiting") if row.operation == MISSING]
    for notice in notices:
        for name in notice.details["tickets"]:
            planned += _deleted(outside, name, notice)
        with outside.store.begin() as unit:
            answer = f"released: {count(len(notice.details['tickets']), 'ticket')} counted as deleted"
            unit.update_operation(notice.id, state="done", answer=answer, ended_at=outside.clock())
    return planned


def _deleted(outside: Outside, name: str, notice: OperationRow) -> list[str]:
    with outside.store.reading() as unit:
        row = unit.ticket(name)
    if row is None or row.gone:
        return []
    return look_again(outside, row, None, because=f"a person released {notice.id}")


def decidable(unit: Unit, identifier: str) -> TicketRow:
    """A ticket by identifier or key; VmjiraError if nothing is to be decided about it."""
    row = unit.ticket(identifier) or unit.ticket_of_issue(identifier)
    if row is None:
        raise Unknown(f"ticket '{identifier}': there is none with this identifier or key; see `vmjira tickets`")
    known = known_tracker(unit)
    lost = known is not None and row.identifier in known.missing
    if not (row.key and (row.gone or lost)):
        raise VmjiraError(f"{row.identifier}: is not deleted in the tracker; see `vmjira tickets deleted`")
    if not row.own.open:
        raise VmjiraError(f"{row.identifier}: has no open findings, so there is nothing to decide")
    return row


def _find(outside: Outside, unit: Unit, rows: Sequence[TicketRow]) -> None:
    """What is made again is not missing any more."""
    known, names = known_tracker(unit), {row.identifier for row in rows}
    if known and names & set(known.missing):
        left = tuple(name for name in known.missing if name not in names)
        remember(outside, unit, replace(known, missing=left))
