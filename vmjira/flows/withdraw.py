"""Taking a scan back with all that followed from it, and counting it again: in the ledger, in tickets, in notices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal

import structlog

from vmjira.domain.frames import scan_id
from vmjira.domain.rulebook import Policy, Rulebook
from vmjira.errors import Unknown, VmjiraError
from vmjira.flows import breaker, course, suspect
from vmjira.flows.foresee import Change, Outcome
from vmjira.flows.keep import keep, titles
from vmjira.flows.knowledge import HOSTS, Base, load
from vmjira.flows.looking import Act
from vmjira.flows.operations import SUSPECT, Person
from vmjira.flows.ports import Conflict, Outside, Unit
from vmjira.flows.rewind import rewind
from vmjira.flows.rows import EventRow, OperationRow, ScanRow
from vmjira.flows.rules import rules_in_force

log = structlog.get_logger(__name__)

What = Literal["withdraw", "restore"]
#: Of a digest, at least so much names a scan.
SHORTEST = 6


@dataclass(frozen=True)
class Withdrawal:
    """What a withdrawal (or its opposite) does, or did."""

    scan: ScanRow
    operations: tuple[dict[str, Any], ...] = ()  # for the tracker, as `vmjira plan` shows them
    exceeds: str | None = None  # which limits of the policy, in words: then they are held

    def as_json(self) -> dict[str, Any]:
        operations = list(self.operations)
        return {"scan": self.scan.id, "state": self.scan.state, "exceeds": self.exceeds, "operations": operations}


def find(unit: Unit, wanted: str) -> ScanRow:
    """A scan by its number, its id in reports and tickets, or the beginning of that or of its digest.

    Unknown if there is none, or more than one.
    """
    rows = unit.scans()
    found = [row for row in rows if str(row.id) == wanted]
    if not found and len(wanted) >= SHORTEST:
        found = [
            row for row in rows if any(name.startswith(wanted.lower()) for name in (row.digest, scan_id(row.digest)))
        ]
    if len(found) == 1:
        return found[0]
    why = "several scans have" if found else "no scan has"
    raise Unknown(f"scan '{wanted}': {why} this number or id; `vmjira scans list` shows them all")


def preview(outside: Outside, wanted: str, what: What = "withdraw") -> Withdrawal:
    """What would follow; nothing is stored or sent."""
    row = _allowed(outside, wanted, what)
    if row.state in ("held", "dropped"):
        return Withdrawal(row)
    outcome, rulebook, _ = _foresee(outside, row, what, outside.clock(), writes=False)
    planned = tuple(each.as_json() for each in outcome.plan.operations)
    return Withdrawal(row, planned, outcome.plan.exceeded(rulebook.policy))


def withdraw(outside: Outside, wanted: str, *, by: Person, reason: str = "") -> Withdrawal:
    """The scan counts no more, from the beginning; what follows for the tracker is queued, or held by the limits."""
    row = _allowed(outside, wanted, "withdraw")
    if row.state in ("held", "dropped"):
        return _set_aside(outside, row, by, reason)
    return _change(outside, row, "withdraw", by, reason)


def restore(outside: Outside, wanted: str, *, by: Person, reason: str = "") -> Withdrawal:
    """A scan that was withdrawn counts again, as if it had never been withdrawn."""
    row = _allowed(outside, wanted, "restore")
    with outside.store.reading() as unit:
        folded = any(event.scan == row.id or row.digest in event.details.get("scans", ()) for event in unit.events())
    if not folded:
        raise VmjiraError(f"scan {row.id}: it never counted, so there is nothing to restore; ingest its file again")
    return _change(outside, row, "restore", by, reason)


def _allowed(outside: Outside, wanted: str, what: What) -> ScanRow:
    with outside.store.reading() as unit:
        row = find(unit, wanted)
    if what == "withdraw" and row.state == "withdrawn":
        raise VmjiraError(f"scan {row.id}: {row.note}")
    if what == "restore" and row.state != "withdrawn":
        raise VmjiraError(f"scan {row.id}: it was not withdrawn, so there is nothing to restore")
    return row


def _set_aside(outside: Outside, row: ScanRow, by: Person, reason: str) -> Withdrawal:
    """It counted for nothing yet."""
    now = outside.clock()
    with outside.store.begin() as unit:
        note = _note("withdraw", by, reason, now)
        for each in unit.operations("held", "waiting"):
            if each.operation == SUSPECT and each.details["scan"] == row.id:
                unit.update_operation(each.id, state="dropped", answer=note, ended_at=now)
        unit.update_scan(row.id, state="withdrawn", note=note)
        unit.add_acts([Act(now, by.name, by.via, "withdraw", f"scan.{row.id}")])
    return Withdrawal(replace(row, state="withdrawn", note=note))


def _change(outside: Outside, row: ScanRow, what: What, by: Person, reason: str) -> Withdrawal:
    while True:
        now = outside.clock()
        outcome, rulebook, event = _foresee(outside, row, what, now, writes=True)
        note = _note(what, by, reason, now) if what == "withdraw" else ""
        changed = replace(row, state="withdrawn" if what == "withdraw" else "folded", note=note)

        act = Act(now, by.name, by.via, what, f"scan.{row.id}")
        record = partial(_record, outcome, changed, rulebook.policy, act)
        details = {**event.details, "by": by.name, "reason": reason}
        try:
            rows = keep(outside, outcome, rulebook, replace(event, details=details), record=record)
        except Conflict:
            continue
        log.info(what, scan=row.id, name=row.name, by=by.name, version=outcome.base.version, operations=len(rows))
        planned = tuple(_json(each, outcome.base) for each in rows)
        return Withdrawal(changed, planned, outcome.plan.exceeded(rulebook.policy))


def _foresee(
    outside: Outside, row: ScanRow, what: What, now: datetime, *, writes: bool
) -> tuple[Outcome, Rulebook, EventRow]:
    rulebook, today = rules_in_force(outside), load(outside.store)
    event = EventRow(today.version + 1, what, None, rulebook.digest, now, {"scan": row.id})
    zone = rulebook.policy.timezone
    named = f"the {row.scanner} scan of {row.finished_at.astimezone(zone):%Y-%m-%d %H:%M} ({row.name})"
    because = f"{named} was withdrawn" if what == "withdraw" else f"{named} counts again"
    gone = named if what == "withdraw" else ""
    change = Change(rulebook, titles(outside, rulebook), now.astimezone(zone), because, gone)
    with outside.store.reading() as unit:
        at = course.first_place(unit.events(), row)
    return rewind(outside, today, event, change, at, writes=writes), rulebook, event


def _record(outcome: Outcome, row: ScanRow, policy: Policy, act: Act, unit: Unit) -> None:
    """In the transaction that changes the ledger: what became of the scan, and of what hangs on it."""
    unit.update_scan(row.id, state=row.state, note=row.note)
    unit.add_acts([act])
    suspect.retell(unit, row, "folded" if row.state == "folded" else "held", row.note)
    _follow(unit, outcome, policy, act.at)


def _follow(unit: Unit, outcome: Outcome, policy: Policy, now: datetime) -> None:
    """Notices, and creations that are held, as they should be now."""
    if outcome.rewound is None:
        return
    breaker.renote(unit, outcome.base, outcome.rewound.trips, policy, now)
    missed = breaker.missed_now(outcome.base.part(HOSTS), policy, now)
    breaker.note_missed(unit, missed, policy, f"v{outcome.base.version}", as_of=now, now=now)
    empty = {row.identifier for row in outcome.plan.tickets if row.key is None and not row.own.total}
    for each in unit.operations("held"):
        if each.operation == "create" and each.identifier in empty:
            unit.update_operation(each.id, state="dropped", ended_at=now, answer="the scan was withdrawn")


def _note(what: What, by: Person, reason: str, now: datetime) -> str:
    done = "withdrawn with `vmjira scans withdraw`" if by.via == "command" else f"withdrawn ({by.via})"
    return f"{done} by {by.name} on {now:%Y-%m-%d %H:%M} UTC" + (f": {reason}" if reason else "")


def _json(row: OperationRow, base: Base) -> dict[str, Any]:
    known = base.tickets.get(row.identifier)
    return {
        "operation": row.operation,
        "identifier": row.identifier,
        "key": known.key if known else None,
        "reason": row.reason,
        "details": {**row.details, "state": row.state},
    }
