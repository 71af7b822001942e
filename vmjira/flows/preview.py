"""What would happen: the same computation as `ingest`, stopped before anything is stored or sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vmjira.domain.breaker import Trip
from vmjira.domain.frames import Scan
from vmjira.domain.rulebook import Rulebook
from vmjira.flows.foresee import foresee_rules, foresee_scan
from vmjira.flows.ingest import titles
from vmjira.flows.knowledge import load
from vmjira.flows.operations import BREAKER
from vmjira.flows.ports import Outside
from vmjira.flows.rules import read_rules


def preview(
    outside: Outside, files: Sequence[Path], read: Callable[[Path], list[Scan]], load_rules: Callable[[], Rulebook]
) -> list[dict[str, Any]]:
    """What waits already, what the rules in the folder would change, and what these scans would, as JSON values.

    Raises ScanUnreadable and RulesInvalid: a preview of half of it would mislead.
    """
    rulebook = load_rules()
    words, base = titles(outside, rulebook), load(outside.store)
    with outside.store.reading() as unit:
        in_force, waiting = unit.rules_in_force(), unit.operations("queued", "held")
        known = {row.digest for row in unit.scans()}
    planned = [
        {
            "operation": row.operation,
            "identifier": row.identifier,
            "key": base.tickets[row.identifier].key if row.identifier in base.tickets else None,
            "reason": row.reason,
            "details": {**row.details, "state": row.state},
        }
        for row in waiting
    ]
    plans, trips = [], []
    if base.version and in_force and in_force.digest != rulebook.digest:
        before = read_rules(outside.rulebook, in_force)
        outcome = foresee_rules(base, rulebook, words, at=outside.clock(), before=before)
        plans.append(outcome.plan)
        base = outcome.base
    scans = sorted((scan for file in files for scan in read(file)), key=lambda scan: scan.finished_at)
    for scan in scans:
        if scan.digest not in known:
            outcome = foresee_scan(base, scan, rulebook, words)
            plans.append(outcome.plan)
            trips += [_held(trip) for trip in outcome.trips]
            base = outcome.base
            known.add(scan.digest)
    return planned + trips + [operation.as_json() for plan in plans for operation in plan.operations]


def _held(trip: Trip) -> dict[str, Any]:
    """The notice of a scan that would not be believed, in the shape of an operation."""
    details = {**trip.as_json(), "state": "held"}
    return {"operation": BREAKER, "identifier": trip.range, "key": None, "reason": trip.words, "details": details}
