"""Who is dead: nobody's work is taken over who lives, and that of the dead is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from tests.clock.world import Desk
from vmjira import slots
from vmjira.errors import StoreUnavailable
from vmjira.flows.ports import Store
from vmjira.flows.rows import SlotRow
from vmjira.slots import MISSED, Place, claimed, executor


class Worker(Place):
    """Remembers from whom it took over."""

    def __init__(self, store: Store, row: SlotRow) -> None:
        super().__init__(store, row, self._take)
        self.took: list[str] = []

    def _take(self, executors: list[str]) -> None:  # type: ignore[override]
        self.took += executors


def claim(desk: Desk, host: str, pid: int) -> SlotRow:
    with desk.world.store.begin() as unit:
        return unit.claim_slot(host, pid, datetime.now(UTC))


@pytest.fixture
def worker(desk: Desk) -> Worker:
    return Worker(desk.world.store, claim(desk, slots.machine(), os.getpid()))


def test_one_of_this_machine_is_dead_as_soon_as_its_process_is_gone(desk: Desk, worker: Worker):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    dead = claim(desk, worker.me.host, process.pid)
    alive = claim(desk, worker.me.host, os.getppid())
    for _ in range(MISSED + 2):
        assert worker.beat()
    assert worker.took == [executor(dead)]
    with desk.world.store.reading() as unit:
        assert [row.pid for row in unit.slots()] == [os.getpid(), alive.pid], "its slot is free again, the other's not"


def test_a_predecessor_with_our_own_number_is_dead(desk: Desk):
    """As in a container that was started again: there every worker is process 1."""
    dead = claim(desk, "box", 1)
    worker = Worker(desk.world.store, claim(desk, "box", 1))
    assert worker.beat() and worker.took == [executor(dead)]


def test_one_of_another_container_with_the_same_name_is_not_looked_for_here(desk: Desk, worker: Worker):
    claim(desk, worker.me.host.partition("/")[0] + "/1", 999_999_999)
    assert worker.beat() and worker.took == []


def test_one_of_another_machine_is_dead_when_its_beat_stands_still_during_many_of_ours(desk: Desk, worker: Worker):
    silent, beating = claim(desk, "elsewhere", 1), claim(desk, "elsewhere", 2)
    for _ in range(MISSED + 2):
        with desk.world.store.begin() as unit:
            unit.beat(beating.slot, datetime.now(UTC))
        assert worker.took == []
        if not worker.beat() or worker.took:
            break
    assert worker.took == [executor(silent)]


def test_an_outage_of_the_database_makes_nobody_dead_and_ends_no_beat(
    desk: Desk, worker: Worker, monkeypatch: pytest.MonkeyPatch
):
    claim(desk, "elsewhere", 1)
    kept, failures, beats = type(desk.world.store).begin, [0], slots.threading.Event()

    @contextmanager
    def begin(store: object) -> Iterator[object]:
        if failures[0] < 3 * MISSED:
            failures[0] += 1
            raise StoreUnavailable("database: sorry, too many clients already")
        with kept(store) as unit:  # type: ignore[arg-type]
            yield unit
        beats.set()
        monkeypatch.setattr(slots, "BEAT", 60)

    monkeypatch.setattr(slots, "BEAT", 0.01)
    monkeypatch.setattr(type(desk.world.store), "begin", begin)
    with worker.beating():
        assert beats.wait(5), "it beats again"
    assert worker.took == []


def test_two_that_see_the_same_dead_one_do_not_both_take_over(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """Else the second would queue again what somebody has begun to do meanwhile."""
    monkeypatch.setattr(slots, "_alive", lambda pid: pid != 99)
    host = slots.machine()
    workers = [Worker(desk.world.store, claim(desk, host, pid)) for pid in (1, 2)]
    dead = claim(desk, host, 99)

    def meanwhile(executors: list[str]) -> None:
        workers[0].took += executors
        assert workers[1].beat()

    workers[0].take_over = meanwhile  # type: ignore[assignment]
    assert workers[0].beat() and workers[1].beat()
    assert (workers[0].took, workers[1].took) == ([executor(dead)], [])


def test_one_that_was_taken_for_dead_knows_it(desk: Desk):
    with claimed(desk.world.store) as place:
        assert place.beat()
        with desk.world.store.begin() as unit:
            unit.release_slot(place.me)
        claim(desk, "elsewhere", 7)  # has its slot now
        assert not place.beat()
