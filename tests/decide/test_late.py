"""What is learned late ends as if it had been learned in time: numbers, tickets and comments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.decide.world import World, a_jira, a_world
from tests.domain.samples import day, finding, scan
from vmjira.domain.frames import Scan
from vmjira.flows.present import all_tickets
from vmjira.flows.reconcile import reconcile

TWO = ["10.1.0.1", "10.1.0.2"]
FIRST = scan(day(0), TWO, [finding(TWO[0], "c1"), finding(TWO[1], "c2")])
#: What the next scan says: of the same iteration, or of the next.
STILL_SEEN = scan(day(2), TWO, [finding(TWO[0], "c1"), finding(TWO[1], "c2")])
NEXT_WEEK = scan(day(8), TWO, [finding(TWO[0], "c1"), finding(TWO[1], "c2"), finding(TWO[1], "c3")])
NEW_ONE = scan(day(2), TWO, [finding(TWO[0], "c1"), finding(TWO[1], "c2"), finding(TWO[1], "c3")])
ONE_FIXED = scan(day(2), TWO, [finding(TWO[1], "c2")])
ALL_FIXED = scan(day(2), TWO)
LAST = scan(day(15), TWO, [finding(TWO[0], "c1")])


@pytest.fixture
def make(tmp_path: Path, flavour: str) -> Iterator[Callable[[str], World]]:
    with ExitStack() as stack:

        def make(name: str, policy: str = "") -> World:
            folder = tmp_path / name
            folder.mkdir()
            return stack.enter_context(a_world(folder / "world", stack.enter_context(a_jira(folder, flavour)), policy))

        yield make


def at(world: World, moment: datetime) -> None:
    """It is that time, here and at the tracker."""
    world.jira.at(moment)
    world.ahead = moment - datetime.now(UTC)


def story(world: World, second: Scan, *, late: bool, reopened: bool = False) -> tuple[Any, dict[str, tuple[str, int]]]:
    """Closed as an accepted risk (and perhaps reopened); the next scan comes in; what was missed is brought back."""
    at(world, day(0) + timedelta(hours=1))
    world.fold(FIRST)
    key = world.key()
    at(world, day(1))
    world.jira.close(key, "Risk Accepted")
    world.listen(forget=late and not reopened)
    world.settle()
    if reopened:
        at(world, day(1) + timedelta(hours=5))
        world.jira.do(key, "Reopen")
        world.listen(forget=late)
        world.settle()
    at(world, second.finished_at + timedelta(hours=1))
    world.fold(second)
    at(world, second.finished_at + timedelta(hours=2))
    reconcile(world.outside, everything=True)
    world.settle()
    assert world.is_proven()
    return told(world)


def told(world: World) -> tuple[Any, dict[str, tuple[str, int]]]:
    """All numbers; and of each ticket in the tracker its status, and how many comments it has."""
    known = {each["identifier"]: each for each in all_tickets(world.store)}
    numbers = {name: {part: each[part] for part in ("then", "own", "top")} for name, each in known.items()}
    tickets = {name: world.jira.ticket(each["key"]) for name, each in known.items()}
    return numbers, {name: (each.status, len(each.comments)) for name, each in tickets.items()}


@pytest.mark.parametrize("second", [STILL_SEEN, NEXT_WEEK, NEW_ONE, ONE_FIXED], ids=["same", "next", "new", "fixed"])
def test_an_acceptance_that_was_learned_late_ends_like_one_learned_in_time(
    make: Callable[[str], World], second: Scan
) -> None:
    in_time, late = make("in_time"), make("late")
    assert story(late, second, late=True) == story(in_time, second, late=False)
    for world in (in_time, late):
        at(world, day(15) + timedelta(hours=1))
        world.fold(LAST)
    assert told(late) == told(in_time)
    assert late.is_proven()


@pytest.mark.parametrize("policy", ["", "auto_close: true\n"])
def test_what_a_scan_called_fixed_before_its_acceptance_was_learned_counts_as_accepted(
    make: Callable[..., World], policy: str
) -> None:
    in_time, late = make("in_time", policy), make("late", policy)
    numbers, tickets = story(in_time, ALL_FIXED, late=False)
    found, shown = story(late, ALL_FIXED, late=True)
    assert found == numbers
    assert numbers["windows.boston.2026-W23"]["own"]["accepted"] == 2
    ((status, said),) = tickets.values()
    assert list(shown.values()) == [(status, said + 1)]  # the scan had them called ended: that cannot be unsaid


def test_a_reopening_that_was_learned_late_ends_the_acceptance_in_time(make: Callable[[str], World]) -> None:
    in_time, late = make("in_time"), make("late")
    found = story(late, ONE_FIXED, late=True, reopened=True)
    assert found == story(in_time, ONE_FIXED, late=False, reopened=True)
    own = found[0]["windows.boston.2026-W23"]["own"]
    assert (own["open"], own["fixed"], own["accepted"]) == (1, 1, 0)


def test_an_acceptance_learned_in_time_holds_although_the_clocks_of_tracker_and_server_are_days_apart(
    make: Callable[[str], World],
) -> None:
    """Nothing tells that the closing came before the first scan was folded, by a clock that runs months ahead."""
    world = make("apart")
    world.jira.at(day(0) + timedelta(hours=1))
    world.fold(FIRST)
    world.jira.at(day(1))
    world.jira.close(world.key(), "Risk Accepted")
    world.listen()
    world.settle()
    world.jira.at(day(8) + timedelta(hours=1))
    world.fold(NEXT_WEEK)
    own = all_tickets(world.store)[0]["own"]
    assert (own["accepted"], own["open"]) == (2, 0) and world.is_proven()
