"""Scans from the future: a clock that was wrong closes nothing, and a scan that counts can be taken back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import World
from vmjira.flows.replay import differing, rebuild

OFFICE = {f"10.1.0.{number}": [SMB, RDP] for number in range(1, 13)}
OFFICES = {**OFFICE, "10.2.0.1": [APACHE]}
STRICT = """\
ticket: {project: VM, transition_fields: {resolution: {name: Done}}}
calls_per_second: 100
forget_after: 30d
auto_close: true
"""


def made_by_a_wrong_clock(world: World, **further: Any) -> Path:
    """A tiny scan of one host that claims to have ended 100 days from now."""
    now = world.ahead
    file = world.scan(world.outside.clock() + timedelta(days=100), {"10.1.0.1": [SMB]}, **further)
    world.ahead = now
    return file


def everything(world: World) -> Any:
    tickets = {
        name: (each.status, each.description, each.comments) for name, each in world.jira.by_identifier().items()
    }
    with world.store.reading() as unit:
        return tickets, world.known(), unit.ledger_version(), unit.last_scan()


def is_proven(world: World) -> bool:
    return differing(world.outside, rebuild(world.outside)) == []


def test_a_scan_that_ends_a_hundred_days_ahead_changes_nothing_but_a_notice(either: World):
    either.write_rules(policy=STRICT)
    for number in (23, 24, 25):
        either.fold(week(number), OFFICES)
    before = everything(either)
    report = either.ingest(made_by_a_wrong_clock(either))
    assert either.deliver() == []
    assert everything(either) == before
    (notice,) = either.operations("held")
    assert notice.operation == "suspect"
    assert str(report.scans[0]["outcome"]).startswith("held")
    assert is_proven(either)
