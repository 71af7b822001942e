"""kill -9 in the middle of a delivery: the next worker brings everything to the same end, without a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.kill import OLD, TICKETS, Call, Outcome, When, differences, prepare, run
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


def one_of_each_kind(calls: list[Call]) -> dict[Call, When]:
    """For each kind of call a ticket to be killed before it, and one after it; never the same ticket twice.

    Reading changes nothing in Jira, so a kill after it is the kill before it.
    """
    kinds: dict[str, dict[str, Call]] = {}
    for call in calls:
        if call.ticket:
            kinds.setdefault(call.line, {}).setdefault(call.ticket, call)
    taken: dict[str, tuple[str, When]] = {}  # ticket → what it is for

    def place(line: str, when: When, tried: set[str]) -> bool:
        """Give it a ticket, if need be one whose present use finds another."""
        for ticket in sorted(set(kinds[line]) - tried):
            tried.add(ticket)
            if ticket not in taken or place(*taken[ticket], tried):
                taken[ticket] = (line, when)
                return True
        return False

    whens: dict[bool, tuple[When, ...]] = {True: ("before",), False: ("before", "after")}
    assert all(place(line, when, set()) for line in kinds for when in whens[line.startswith("GET ")])
    return {kinds[line][ticket]: when for ticket, (line, when) in taken.items()}


def test_an_undisturbed_delivery_makes_thirty_tickets(undisturbed: Outcome):
    assert len(undisturbed.tickets) == TICKETS + OLD and undisturbed.duplicates == 0
    assert set(undisturbed.states) == {"done"}
    assert len(undisturbed.calls) > 4 * TICKETS


def test_a_worker_killed_at_each_kind_of_call_leaves_nothing_undone_and_nothing_twice(
    base: Path, workers: Nursery, undisturbed: Outcome, tmp_path: Path
):
    points = one_of_each_kind(undisturbed.calls)
    lines = {call.line for call in points}
    assert {"POST search", "POST issue", "POST issue/*/attachments", "GET issue/*", "PUT issue/*"} <= lines
    assert {"DELETE attachment/*", "POST issue/*/comment", "POST issue/*/transitions"} <= lines
    outcome = run(base, tmp_path / "run", "datacenter", points, workers, search_lag=1.0, threads=8)
    missed = set(points) - {call for call, _ in outcome.kills}
    assert {call.line for call in missed} <= {"GET issue/*"}  # tickets may also be read several at once
    assert differences(undisturbed, outcome) == [], outcome.log[-3000:]
