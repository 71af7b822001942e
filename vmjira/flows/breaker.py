"""Scans that are not believed, as people see them: one notice a range and scanner, not one a ticket or a scan.

A person releases the notice, or the next scan that has everything again settles it; then what was held back counts.
"""

from __future__ import annotations

from datetime import datetime

from vmjira.domain.breaker import Trip
from vmjira.domain.rulebook import Policy
from vmjira.flows.foresee import Outcome
from vmjira.flows.operations import BREAKER
from vmjira.flows.ports import Unit
from vmjira.flows.rows import OperationRow, ScanRow


def note(unit: Unit, outcome: Outcome, scan: ScanRow, policy: Policy, *, now: datetime) -> None:
    """In the transaction that adds the `scan`: put a notice up, renew it, or hand it over to be settled."""
    if not (outcome.trips or outcome.healed):
        return
    held = {
        row.identifier: row
        for row in unit.operations("held")
        if row.operation == BREAKER and row.details["scanner"] == scan.scanner
    }
    for trip in outcome.trips:
        known = held.get(trip.range)
        details = {**trip.as_json(), "scans": [*(known.details["scans"] if known else ()), scan.id]}
        reason = _reason(trip, scan, policy)
        if known:
            unit.update_operation(known.id, reason=reason, details=details)
        else:
            id = f"{BREAKER}:{trip.range}:{scan.scanner}:scan{scan.id}"
            plan = f"v{outcome.base.version}"
            row = OperationRow(id, BREAKER, trip.range, reason, details, "held", plan, planned_at=now)
            unit.add_operations([row])
    for name in outcome.healed & held.keys():
        answer = f"the {_named(scan, policy)} has again what was missing"
        unit.update_operation(held[name].id, state="waiting", answer=answer)


def due(unit: Unit) -> list[OperationRow]:
    """Notices that are settled, and whose scans do not count yet."""
    return [row for row in unit.operations("waiting") if row.operation == BREAKER]


def _named(scan: ScanRow, policy: Policy) -> str:
    return f"{scan.scanner} scan of {scan.finished_at.astimezone(policy.timezone):%Y-%m-%d %H:%M} ({scan.name})"


def _reason(trip: Trip, scan: ScanRow, policy: Policy) -> str:
    return (
        f"{_named(scan, policy)}: {trip.words}; policy `breaker` allows {policy.breaker:.0%}. Until the next scan has "
        f"them again, or a person releases this, nothing in {trip.range} is called fixed or closed because of it"
    )
