"""Scans that are not believed, as people see them: one notice a range and scanner, not one a ticket or a scan.

A person releases the notice, or the next scan that has everything again settles it; then what was held back counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import polars as pl

from vmjira.domain.breaker import Trip, Vanished, vanished
from vmjira.domain.classify import newest
from vmjira.domain.knowledge import lost
from vmjira.domain.rulebook import Policy
from vmjira.flows.foresee import Outcome
from vmjira.flows.knowledge import BEFORE, Base
from vmjira.flows.operations import BREAKER, GONE
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


def note_missed(
    unit: Unit, missed: Iterable[Vanished], policy: Policy, plan: str, *, as_of: datetime, now: datetime
) -> None:
    """In the transaction of a ledger entry: one notice for each range of which too many hosts were missed `as_of`."""
    held = {row.identifier: row for row in unit.operations("held") if row.operation == GONE}
    for each in missed:
        details = {**each.as_json(), "as_of": as_of.isoformat()}
        known = held.pop(each.range, None)
        if known:
            unit.update_operation(known.id, reason=_missed(each, policy), details=details)
        else:
            id = f"{GONE}:{each.range}:{plan}"
            row = OperationRow(id, GONE, each.range, _missed(each, policy), details, "held", plan, planned_at=now)
            unit.add_operations([row])
    for row in held.values():
        if as_of >= datetime.fromisoformat(row.details["as_of"]):
            unit.update_operation(row.id, state="dropped", answer="most of the hosts were seen again", ended_at=now)


def missed_now(hosts: pl.DataFrame, policy: Policy, now: datetime) -> list[Vanished]:
    """Of which ranges too many hosts (KNOWN_HOSTS) were not seen for long."""
    return vanished(newest(hosts), lost(hosts, policy.forget_after, at=now), share=policy.breaker)


def gone_due(unit: Unit) -> list[OperationRow]:
    """Notices by which a person let hosts go, and whose findings are open yet."""
    return [row for row in unit.operations("waiting") if row.operation == GONE]


def renote(
    unit: Unit, base: Base, trips: Mapping[tuple[str, str], tuple[Trip, int]], policy: Policy, now: datetime
) -> None:
    """After the past was changed: a notice for each range and scanner that is in doubt, and for no other.

    `trips`: those that came of it, by range and scanner, each with the id of its scan.
    """
    doubted = {
        (str(range_), str(scanner))
        for range_, scanner in base.part(BEFORE)
        .filter(pl.col("pending").is_not_null())
        .select("range", "scanner")
        .unique()
        .iter_rows()
    }
    scans = {row.id: row for row in unit.scans("folded")}
    for row in [each for each in unit.operations("held", "waiting") if each.operation == BREAKER]:
        pair = row.identifier, str(row.details["scanner"])
        left = [id for id in row.details["scans"] if id in scans]
        if pair in doubted and left:
            doubted.discard(pair)
            unit.update_operation(row.id, details={**row.details, "scans": left})
        else:
            unit.update_operation(
                row.id, state="dropped", answer="a scan was withdrawn: there is no loss", ended_at=now
            )
    for pair in sorted(doubted & trips.keys()):
        trip, id = trips[pair]
        if scan := scans.get(id):
            note_id = f"{BREAKER}:{trip.range}:{trip.scanner}:scan{id}:v{base.version}"
            details = {**trip.as_json(), "scans": [id]}
            plan = f"v{base.version}"
            row = OperationRow(note_id, BREAKER, trip.range, _reason(trip, scan, policy), details, "held", plan, now)
            unit.add_operations([row])


def _missed(each: Vanished, policy: Policy) -> str:
    days = policy.forget_after.days if policy.forget_after else 0
    return (
        f"{each.words}: no scanner has seen them for {days} days (`forget_after`), and policy `breaker` allows "
        f"{policy.breaker:.0%} at once. Nothing in {each.range} ends as gone until most of them are scanned again, or "
        "a person releases this. Check that all networks of the range are still scanned"
    )


def _named(scan: ScanRow, policy: Policy) -> str:
    return f"{scan.scanner} scan of {scan.finished_at.astimezone(policy.timezone):%Y-%m-%d %H:%M} ({scan.name})"


def _reason(trip: Trip, scan: ScanRow, policy: Policy) -> str:
    return (
        f"{_named(scan, policy)}: {trip.words}; policy `breaker` allows {policy.breaker:.0%}. Until the next scan has "
        f"them again, or a person releases this, nothing in {trip.range} is called fixed or closed because of it"
    )
