"""kill -9 in the middle of a delivery: the next worker brings everything to the same end, without a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.kill import OLD, TICKETS, Call, Outcome, When, differences, in_runs, prepare, run
from tests.e2e.nursery import Nursery, nursery


@pytest.fixture(scope="module")
def workers() -> Iterator[Nursery]:
    with nursery() as workers:
        yield workers


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "base"
    prepare(folder, "datacenter")
    return folder


@pytest.fixture(scope="module")
def undisturbed(base: Path, workers: Nursery) -> Outcome:
    return run(base, base.parent / "undisturbed", "datacenter", {}, workers, search_lag=1.0)


def one_of_each_kind(calls: list[Call]) -> list[tuple[Call, When]]:
    """For each kind of call two tickets, one to be killed before it and one after; never the same ticket twice."""
    points: list[tuple[Call, When]] = []
    taken: set[str] = set()
    kinds = list(dict.fromkeys(call.line for call in calls if call.ticket))
    rare_first = sorted(kinds, key=lambda line: sum(call.line == line for call in calls))
    for line in rare_first:
        for when in ("before", "after"):
            free = (call for call in calls if call.line == line and call.ticket not in taken)
            if call := next(free, None):
                points.append((call, when))  # type: ignore[arg-type]
                taken.add(call.ticket)
    return points


def test_an_undisturbed_delivery_makes_thirty_tickets(undisturbed: Outcome):
    assert len(undisturbed.tickets) == TICKETS + OLD and undisturbed.duplicates == 0
    assert set(undisturbed.states) == {"done"}
    assert len(undisturbed.calls) > 4 * TICKETS


def test_a_worker_killed_at_each_kind_of_call_leaves_nothing_undone_and_nothing_twice(
    base: Path, workers: Nursery, undisturbed: Outcome, tmp_path: Path
):
    points = one_of_each_kind(undisturbed.calls)
    lines = {call.line for call, _ in points}
    assert {"POST search", "POST issue", "POST issue/*/attachments", "GET issue/*", "PUT issue/*"} <= lines
    assert {"DELETE attachment/*", "POST issue/*/comment", "POST issue/*/transitions"} <= lines
    (chosen,) = in_runs(points)
    outcome = run(base, tmp_path / "run", "datacenter", chosen, workers, search_lag=1.0, threads=8)
    assert len(outcome.kills) == len(chosen), set(chosen.items()) - set(outcome.kills)
    assert differences(undisturbed, outcome) == [], outcome.log[-3000:]
