"""Comments that time brings: due dates, and acceptances that have ended. Nothing here decides about a finding.

Each is an ordinary operation whose id says what it is about, so that it is made once, however often the job runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import structlog

from vmjira.domain.acceptance import ends_at
from vmjira.domain.operation import count
from vmjira.domain.rulebook import Policy, Rulebook
from vmjira.domain.ticket import TicketRow
from vmjira.flows.operations import commit, new_operation
from vmjira.flows.ports import Outside
from vmjira.flows.rows import Mark, OperationRow

log = structlog.get_logger(__name__)

#: What was due longer ago is no news: it is not said any more, for instance when vmjira was away for a month.
LATE = timedelta(days=14)
#: An acceptance that ends so soon is mentioned.
SOON = timedelta(days=14)
ACCEPTANCES = "acceptances"  # the mark of the last look


def remind(outside: Outside, policy: Policy) -> str:
    """One comment before and one after the due date of each ticket that is open."""
    today = outside.clock().astimezone(policy.timezone).date()
    with outside.store.reading() as unit:
        rows = [row for row in unit.tickets() if _open(row)]
    planned = [
        _operation(
            outside, "remind", row, f"{side}-{due}",
            f"due on {due}, and {count(row.own.open, 'finding')} open", {"side": side, "due": due.isoformat()},
        )
        for row in rows
        for side, due in _sides(row, policy, today)
    ]  # fmt: skip
    late = _plan(outside, [_overdue(outside, row, today) for row in rows if _is_late(row, today)])
    return f"{len(rows)} open tickets have a due date, {_plan(outside, planned)} are reminded of it" + (
        f"; {count(late, 'description')} say that they are overdue" if late else ""
    )


def _is_late(row: TicketRow, today: date) -> bool:
    return row.due is not None and row.due < today <= row.due + LATE


def _overdue(outside: Outside, row: TicketRow, today: date) -> OperationRow:
    """Its description says by when to patch; from the day after, that it is overdue. Planned once. If the description
    says so already, because something else changed meanwhile, nothing is sent."""
    return _operation(outside, "update", row, f"overdue-{row.due}", f"overdue since {row.due}", {"due": str(row.due)})


def _open(row: TicketRow) -> bool:
    alive = row.key is not None and not row.gone and row.status_category != "done" and not row.closing
    return alive and row.due is not None and row.own.open > 0


def _sides(row: TicketRow, policy: Policy, today: date) -> Iterator[tuple[str, date]]:
    before, after, due = policy.reminders.before, policy.reminders.after, row.due
    if due and before is not None and due - before <= today <= due:
        yield "before", due
    if due and after is not None and due + after <= today <= due + after + LATE:
        yield "after", due


def acceptances(outside: Outside, rulebook: Rulebook) -> str:
    """Which end soon and which have ended; the ticket of one that has is told once. Its findings wait for a scan."""
    now, zone = outside.clock(), rulebook.policy.timezone
    with outside.store.reading() as unit:
        rows = [row for row in unit.acceptances() if row.ended_at is None and row.accepted_until > now - LATE]
        tickets = {row.identifier: row for row in unit.tickets()}
    ends = [(row.accepted_until, row.identifier, row.reason) for row in rows]
    ends += [(ends_at(each, zone), each.approver, each.reason) for each in rulebook.acceptances]
    soon = [each for each in ends if now < each[0] <= now + SOON]
    ended = [each for each in ends if each[0] <= now]
    planned = []
    for row in rows:
        ticket, until = tickets.get(row.identifier), row.accepted_until.astimezone(zone).date()
        if row.accepted_until <= now and ticket and ticket.key and not ticket.gone:
            about = {"reason": row.reason, "until": until.isoformat()}
            planned.append(_operation(outside, "lapsed", ticket, row.id, f"its acceptance ended on {until}", about))
    for until, whose, why in sorted(soon):
        log.warning("acceptance ends soon", until=until.isoformat(), whose=whose, reason=why)
    told = _plan(outside, planned)
    with outside.store.begin() as unit:
        unit.put_mark(Mark(ACCEPTANCES, now, {"soon": len(soon), "ended": len(ended)}))
    return f"{len(soon)} end within {SOON.days} days, {len(ended)} have ended; {told} tickets are told"


def _operation(
    outside: Outside, kind: str, row: TicketRow, occasion: str, reason: str, details: Mapping[str, Any]
) -> OperationRow:
    made = new_operation(kind, row.identifier, reason, plan=f"clock:{occasion}", now=outside.clock())
    return replace(made, details=details)


def _plan(outside: Outside, rows: list[OperationRow]) -> int:
    """Store and queue those that never were; how many."""
    with outside.store.begin() as unit:
        fresh = [row for row in rows if unit.operation(row.id) is None]
        return len(commit(outside, unit, fresh))
