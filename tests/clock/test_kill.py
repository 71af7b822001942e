"""kill -9 of workers while clocks run: each firing is done once, and each scan is folded once."""

from __future__ import annotations

from pathlib import Path

from tests.clock.killing import Plan, play, report

SMALL = Plan(workers=2, servers=0, scanners=3, every=1, rounds=7, scans=3, kill=1.5, patience=60)


def test_with_workers_killed_again_and_again_each_firing_and_each_scan_counts_once(tmp_path: Path, postgres_url: str):
    outcome = play(tmp_path, postgres_url, SMALL)
    assert outcome.problems() == [], report(outcome, SMALL)
    assert outcome.kills >= 2
    assert len(outcome.firings) >= SMALL.scanners * SMALL.rounds / 2
