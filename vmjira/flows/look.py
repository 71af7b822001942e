"""One look at a ticket: what the tracker and the ledger say of it, the decision, and how it is kept.

Nothing is locked while we look. What was decided is kept only if our row is still as it was then, and the ledger too if
it was asked, else `Conflict`: look again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Literal
from uuid import uuid4

import polars as pl

from vmjira.domain.decide import Decision, Seen, decide, newly_closed
from vmjira.domain.plan import neighbours
from vmjira.domain.rulebook import Policy, Rulebook
from vmjira.domain.statistics import refuted
from vmjira.domain.ticket import TicketRow, labels
from vmjira.errors import TicketGone, VmjiraError
from vmjira.flows import course, rescan
from vmjira.flows.foresee import Outcome, acceptance_change, closings, foresee_acceptance
from vmjira.flows.keep import keep, titles
from vmjira.flows.knowledge import ITERATION_NAMES, Base, load, part_name, running_of
from vmjira.flows.moved import partners
from vmjira.flows.operations import commit, new_operation, rows_of
from vmjira.flows.ports import Conflict, Outside, Unit
from vmjira.flows.rewind import rewind
from vmjira.flows.rows import AcceptanceRow, EventRow, OperationRow
from vmjira.flows.show import fingerprint
from vmjira.flows.tracking import Issue, StatusChange

Record = Callable[[Unit], None]
#: How far the tracker's clock may be from ours to count as the same.
CLOCKS = timedelta(minutes=5)


@dataclass(frozen=True)
class Look:
    """A decision, and what it was made from."""

    row: TicketRow  # as it was
    seen: Seen | None
    decision: Decision
    version: int | None = None  # of the ledger that was asked what newer data say of the closing


# --- looking ----------------------------------------------------------------------------------------------------------


def look_at(outside: Outside, row: TicketRow, issue: Issue | None, policy: Policy) -> Look:
    seen = _seen(outside, row, issue) if issue else None
    found, version = 0, None
    if seen and newly_closed(row, seen):  # perhaps long ago: newer data may be here already
        seen = replace(seen, open_then=_open_then(outside, row, seen))
        if row.own.open:
            found, version = _refuted(outside, replace(row, closed_at=seen.since))
    return Look(row, seen, decide(row, seen, found, policy), version)


def _seen(outside: Outside, row: TicketRow, issue: Issue) -> Seen:
    done = issue.status_category == "done"
    change = _last_change(outside, issue) if done != bool(row.closing) or row.closing in _UNSETTLED else None
    ours = change is not None and change.actor == outside.tracker().myself()
    at = change.at if change else issue.created or outside.clock()
    return Seen(
        key=issue.key,
        status=issue.status,
        status_category=issue.status_category,
        resolution=issue.resolution,
        since=at.astimezone(UTC),
        by=change.actor if change else "",
        ours=ours,
        busy=ours and _moving(outside, row),
        same_clock=change is not None and _same_clock(outside, row, issue, at),
        labels_missing=tuple(label for label in labels(row.identifier) if label not in issue.labels),
        intact=_intact(outside, row, issue),
    )


def _intact(outside: Outside, row: TicketRow, issue: Issue) -> bool:
    """Whether our part is as it was written, or as the tracker itself put it: only a person's edit is undone."""
    standing = fingerprint(outside.renderer.part(issue.description))
    if not row.description or row.described in ("", standing):  # it is being written, or nobody knows
        return True
    return outside.tracker().changed_by(issue.key, "description") in (None, outside.tracker().myself())


#: Closings that a later one, or another resolution, may change.
_UNSETTLED = ("waiting", "trusted", "escalated")


def _last_change(outside: Outside, issue: Issue) -> StatusChange | None:
    try:
        change = outside.tracker().last_status_change(issue.key)
    except TicketGone as error:
        raise Conflict(f"{issue.key} was deleted meanwhile") from error
    if change and change.done != (issue.status_category == "done"):
        raise Conflict(f"{issue.key} was closed or reopened meanwhile")
    return change


def _moving(outside: Outside, row: TicketRow) -> bool:
    with outside.store.reading() as unit:
        waiting = unit.operations("queued", identifier=row.identifier)
    return any(each.operation in ("close", "reopen") and each.attempts for each in waiting)


def _refuted(outside: Outside, closed: TicketRow) -> tuple[int, int]:
    """How many of its open findings the ledger shows after the closing; and the version of the ledger."""
    with outside.store.reading() as unit:
        version = unit.ledger_version()
        parts = unit.ledger_parts(version)
    lives = outside.store.scan(parts[part_name(closed.range)]).filter(pl.col("category") == closed.category)
    return int(refuted(lives.collect(), closings([closed]))["refuted"].sum()), version


def _same_clock(outside: Outside, row: TicketRow, issue: Issue, at: datetime) -> bool:
    """Whether the tracker's clock agrees with ours, as far as the making of the ticket shows; nothing happened to it
    `at` a time before that."""
    if issue.created is None or at < issue.created:
        return False
    with outside.store.reading() as unit:
        made = [each for each in unit.operations("done", identifier=row.identifier) if each.operation == "create"]
    return any(
        each.started_at - CLOCKS <= issue.created <= each.ended_at + CLOCKS
        for each in made
        if each.started_at and each.ended_at
    )


def _open_then(outside: Outside, row: TicketRow, seen: Seen) -> int | None:
    """How many of its findings were open when it was closed; None if nothing came in since, so that it is those of now.

    Where the ledger of that time is pruned, what ended since counts as open then.
    """
    version, closed = _overtaken(outside, row, seen), seen.since
    if version is None:
        return None
    with outside.store.reading() as unit:
        kept = version - 1 in unit.kept_versions()
        path = unit.ledger_parts(version - 1 if kept else None).get(part_name(row.range))
    if path is None:
        return 0
    own = (pl.col("category") == row.category) & (pl.col("first_iteration") == row.ordinal)
    lives = outside.store.scan(path).filter(own)
    open_then = pl.col("ended_as").is_null() if kept else pl.col("ended_at").is_null() | (pl.col("ended_at") > closed)
    return int(lives.filter(open_then).select(pl.len()).collect().item())


def _overtaken(outside: Outside, row: TicketRow, seen: Seen, *, ending: bool = False) -> int | None:
    """The first version of the ledger before which the last change of the ticket should have come, and did not.

    None if nothing came in since, or nothing that changed anything in its range; at the `ending` of an acceptance that
    tells nothing, for what is accepted changes by no scan. Before an id of the rules was renamed,
    its cell had another name: it cannot come before that.
    """
    with outside.store.reading() as unit:
        events, scans = unit.events(), {each.id: each for each in unit.scans()}
        renamed = max((each.version for each in events if each.kind == "rules"), default=0) if row.former else 0
        later = [each for each in events if each.version > renamed]
        version = course.overtaken(later, scans, seen.since, same_clock=seen.same_clock)
        if version is None or ending or version - 1 not in unit.kept_versions():
            return version
        then, now = unit.ledger_parts(version - 1), unit.ledger_parts()
    same = then.get(part_name(row.range)) == now.get(part_name(row.range))
    return None if same and _running(outside, then, row) == _running(outside, now, row) else version


def _running(outside: Outside, parts: Mapping[str, str], row: TicketRow) -> int | None:
    return running_of(outside.store.scan(parts[ITERATION_NAMES]).collect()).get(row.range)


# --- keeping ----------------------------------------------------------------------------------------------------------


def keep_decision(outside: Outside, look: Look, rulebook: Rulebook, record: Record) -> list[str]:
    """In one transaction: row, operations, and what `record` adds; ids of the operations. Raises Conflict."""
    if look.decision.acceptance:
        return _keep_with_ledger(outside, look, rulebook, record)
    requests = rescan.wanted(outside, look.row, look.decision.row, rulebook)
    with outside.store.begin() as unit:
        ids = _put(outside, unit, look, record)
        rescan.ask(outside, unit, look.row.identifier, requests)
        return ids


def _put(outside: Outside, unit: Unit, look: Look, record: Record) -> list[str]:
    before, after = look.row, look.decision.row
    if unit.ticket(before.identifier) != before:
        raise Conflict(f"{before.identifier} changed meanwhile")
    if look.version not in (None, unit.ledger_version()):  # a scan that saw the same again leaves the row as it is
        raise Conflict("new data came in meanwhile")
    changes = {name: value for name, value in vars(after).items() if value != getattr(before, name)}
    unit.update_ticket(before.identifier, **changes)
    plan = f"look.{uuid4().hex[:12]}"
    waiting = {each.operation for each in unit.operations("queued", identifier=before.identifier) if not each.attempts}
    wanted = [each for each in look.decision.operations if each.operation != "relabel" or "relabel" not in waiting]
    rows = rows_of(wanted, plan=plan, now=outside.clock()) + _neighbours_follow(outside, unit, look, plan)
    commit(outside, unit, rows)
    record(unit)
    return [row.id for row in rows]


def _neighbours_follow(outside: Outside, unit: Unit, look: Look, plan: str) -> list[OperationRow]:
    """Tickets before and after, and those between which findings moved, name this one by its key."""
    before, after = look.row, look.decision.row
    if (before.key, before.gone) == (after.key, after.gone):
        return []
    reason = f"{before.key} {'was deleted' if after.gone else f'is now {after.key}'}"
    cell = unit.tickets(ranges=[before.range])
    moved = [each.row for each in chain(*partners(unit, before.identifier))]
    return [
        new_operation("update", other.identifier, reason, plan=plan, now=outside.clock(), after=before.identifier)
        for other in dict.fromkeys([*neighbours(before, cell), *moved])
        if other and other.key
    ]


def _keep_with_ledger(outside: Outside, look: Look, rulebook: Rulebook, record: Record) -> list[str]:
    """An acceptance moves the ledger, so it is kept like new data: with the plan of what follows for all tickets."""
    row = look.decision.row
    base = load(outside.store)
    if base.tickets.get(row.identifier) != look.row:
        raise Conflict(f"{row.identifier} changed meanwhile")
    base = replace(base, tickets={**base.tickets, row.identifier: row})
    acceptance, event = _begun(look, rulebook.policy) if row.closing else _ended(outside, look)
    outcome, event = _foresee(outside, base, event, look, rulebook)
    ids: list[str] = []

    def note(unit: Unit) -> None:
        ids.extend(_put(outside, unit, look, record))
        unit.put_acceptance(acceptance)

    rows = keep(outside, outcome, rulebook, event, record=note, decided=row)
    return [*ids, *(each.id for each in rows)]


def _foresee(outside: Outside, base: Base, event: EventRow, look: Look, rulebook: Rulebook) -> tuple[Outcome, EventRow]:
    """What follows from an acceptance, or its end, by the tracker's own time of it; and how it is recorded.

    If newer data came in before it was learned, the ledger is rebuilt as if it had been learned in time.
    """
    words = titles(outside, rulebook)
    version = _overtaken(outside, look.row, look.seen, ending=event.kind == "unaccept") if look.seen else None
    if version is None:
        return foresee_acceptance(base, event, rulebook, words), event
    event = replace(
        event, version=base.version + 1, rules=rulebook.digest, details={**event.details, "before": version}
    )
    change = acceptance_change(event, rulebook, words)
    return rewind(outside, base, event, change, course.place(event)), event


def _begun(look: Look, policy: Policy) -> tuple[AcceptanceRow, EventRow]:
    row, seen = look.decision.row, look.seen
    if seen is None:
        raise ValueError(f"{row.identifier}: a deleted ticket accepts nothing")
    acceptance = AcceptanceRow(
        id=f"{row.identifier}:{seen.since.isoformat()}",
        identifier=row.identifier,
        reason=seen.resolution or "",
        accepted_by=seen.by,
        accepted_at=seen.since,
        accepted_until=seen.since + policy.accept_for,
    )
    return acceptance, acceptance_event("accept", row, acceptance, seen.since)


def _ended(outside: Outside, look: Look) -> tuple[AcceptanceRow, EventRow]:
    row, seen = look.decision.row, look.seen
    with outside.store.reading() as unit:
        holding = [each for each in unit.acceptances(identifier=row.identifier) if each.ended_at is None]
    if seen is None or not holding:
        raise VmjiraError(f"{row.identifier}: it counts as accepted, but no acceptance of it is known")
    acceptance = replace(holding[-1], ended_at=seen.since)
    return acceptance, acceptance_event("unaccept", row, acceptance, seen.since)


def acceptance_event(
    kind: Literal["accept", "unaccept"], row: TicketRow, acceptance: AcceptanceRow, at: datetime
) -> EventRow:
    """What is repeated by a replay."""
    details = {
        "identifier": row.identifier,
        "category": row.category,
        "range": row.range,
        "ordinal": row.ordinal,
        "accepted_at": acceptance.accepted_at.isoformat(),
        "until": acceptance.accepted_until.isoformat(),
    }
    return EventRow(0, kind, None, "", at, details)
