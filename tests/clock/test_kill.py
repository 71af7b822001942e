"""kill -9 of workers while clocks run: each firing is done once, each scan folded once, each reminder said once."""

from __future__ import annotations

from pathlib import Path

from tests.clock.effects import Plan, report
from tests.clock.killing import play

SMALL = Plan(workers=2, servers=0, scanners=4, period=4, rounds=2, kill=2, cuts=2, between=2, patience=60)


def test_with_workers_killed_again_and_again_each_firing_has_its_effect_once(tmp_path: Path, postgres_url: str):
    outcome = play(tmp_path, postgres_url, SMALL)
    said = report(outcome, SMALL)
    assert outcome.problems() == [], said
    assert said["due times"] == 24 and said["reminders in that ticket"] == {"1": 8}, said
    assert [cut.split()[0] for cut in outcome.cuts] == ["before", "after"]
    assert outcome.kills >= 5, said
