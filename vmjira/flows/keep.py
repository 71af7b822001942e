"""How an outcome is kept: new parts first, then one transaction that records, points to them, plans and queues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from uuid import uuid4

import structlog

from vmjira.domain.plan import Title
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import TicketRow
from vmjira.flows.foresee import Outcome
from vmjira.flows.operations import commit, rows_of
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.rows import EventRow, OperationRow

#: Changes of which the plan has limits. Rules are judged before, and acceptances close nothing.
LIMITED = ("scan", "adopt", "gone", "withdraw", "restore")
log = structlog.get_logger(__name__)


def keep(
    outside: Outside,
    outcome: Outcome,
    rulebook: Rulebook,
    event: EventRow,
    *,
    record: Callable[[Unit], int | None],
    decided: TicketRow | None = None,
) -> list[OperationRow]:
    """Write the new parts, then commit everything at once: `event` tells the cause, and `record` adds it and gives the
    scan's id, if any. Raises Conflict if somebody else moved the ledger; the plan follows tickets by itself. `decided`:
    a row as `record` makes it, and as the plan knows it already.
    """
    version, plan = outcome.base.version, f"v{outcome.base.version}"
    earlier = dict(outcome.rewound.written) if outcome.rewound else {}
    paths = earlier.pop(version, None)
    if paths is None:
        paths = {name: f"ledger/{name}/{version}-{uuid4().hex[:8]}.parquet" for name in outcome.parts}
        for name, path in paths.items():
            outside.store.write(path, outcome.parts[name])
    while True:
        held = outcome.plan.exceeded(rulebook.policy) if event.kind in LIMITED else None
        rows = rows_of(outcome.plan.operations, plan=plan, now=outside.clock(), state="held" if held else "queued")
        with outside.store.begin() as unit:
            known = unit.tickets(ranges=None if outcome.renaming else outcome.ranges)
            fresh = {row.identifier: row for row in map(outcome.renaming.ticket, known)}
            if decided:
                fresh[decided.identifier] = decided
            tickets = {**outcome.before, **fresh}
            if _as_planned_from(outcome, fresh):
                event = replace(event, version=version, rules=rulebook.digest, enrichment=outcome.base.enrichment)
                unit.rename(outcome.renaming)
                unit.move_ledger(replace(event, scan=record(unit)), paths)
                unit.forget_cell_numbers(outcome.running)
                _change_past(unit, outcome, earlier)
                unit.put_cell_numbers(outcome.cells)
                unit.put_tickets(outcome.plan.tickets)
                unit.put_moved(outcome.plan.moved)
                stored = commit(outside, unit, rows)
                break
        outcome = outcome.again(tickets)
    if held:
        log.warning("plan held", plan=plan, why=held)
    return stored


def _change_past(unit: Unit, outcome: Outcome, earlier: Mapping[int, Mapping[str, str]]) -> None:
    """Earlier versions show what is known of their time now, and so do the lists of tickets that are frozen."""
    for version, paths in earlier.items():
        unit.mend_ledger(version, paths)
    if outcome.rewound:
        unit.drop_cell_numbers(outcome.rewound.lost)
        for row in outcome.plan.tickets:
            if (known := outcome.before.get(row.identifier)) and known.facts != row.facts:
                unit.update_ticket(row.identifier, sent_ledger=0)


def _as_planned_from(outcome: Outcome, tickets: Mapping[str, TicketRow]) -> bool:
    """Nobody closed, reopened or deleted a ticket that the plan looked at while it was made; also of those for which
    nothing followed. The rest of a row is delivery's."""

    def decided(row: TicketRow | None) -> object:
        return row and (row.closing, row.closed_at, row.reopened, row.noted, row.told, row.gone)

    return all(decided(outcome.before.get(name)) == decided(row) for name, row in tickets.items())


def titles(outside: Outside, rulebook: Rulebook) -> Title:
    """Words for a ticket's title, by the policy of these rules."""
    render, policy = outside.renderer.title, rulebook.policy
    return lambda category, range_, iteration, name: render(policy, category, range_, iteration, name)
