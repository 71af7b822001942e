"""A firing: said once whoever says it, done once, and never in the way of others."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from tests.clock.world import Desk
from vmjira.errors import ScannerRefused, ScannerUnavailable, StoreUnavailable, TrackerUnavailable
from vmjira.flows import queue
from vmjira.flows.deliver import FAULTS, LONGEST_PAUSE
from vmjira.flows.firings import fire, firing_id, ring

SIX = datetime(2026, 6, 24, 6, tzinfo=UTC)
SEVEN, EIGHT = SIX + timedelta(hours=1), SIX + timedelta(hours=2)


def nothing(job: str) -> str:
    return f"{job}: done"


def test_a_firing_is_queued_with_its_row_and_its_workflow_is_job_and_due_time(anywhere: Desk):
    assert ring(anywhere.outside, "fetch.hq", SIX)
    assert anywhere.queue.jobs == [
        ("fetch.hq.2026-06-24T06:00:00+0000", "job.fetch.hq.2026-06-24T06:00:00+0000", "fetch.hq")
    ]
    assert anywhere.firing("fetch.hq", SIX).state == "queued"


def test_many_who_say_it_at_once_queue_it_once(anywhere: Desk):
    barrier, said = threading.Barrier(8), list[bool]()

    def say() -> None:
        barrier.wait()
        said.append(ring(anywhere.outside, "doctor", SIX))

    threads = [threading.Thread(target=say) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == [False] * 7 + [True]
    assert len(anywhere.queue.jobs) == 1


def test_while_one_waits_the_next_are_coalesced_and_one_that_runs_stands_for_nobody(desk: Desk):
    ring(desk.outside, "doctor", SIX)
    ring(desk.outside, "doctor", SEVEN)
    ring(desk.outside, "reconcile", SEVEN)
    assert [desk.firing("doctor", due).state for due in (SIX, SEVEN)] == ["queued", "coalesced"]
    assert desk.firing("reconcile", SEVEN).state == "queued", "another job"

    def late(job: str) -> str:
        ring(desk.outside, "doctor", EIGHT)
        return "what there was at six"

    desk.fire("doctor", SIX, late)
    assert desk.firing("doctor", EIGHT).state == "queued", "what came while it ran is for the next"
    assert len(desk.queue.jobs) == 3


def test_what_was_done_is_recorded_and_it_is_not_done_again(anywhere: Desk):
    ran: list[str] = []
    ring(anywhere.outside, "doctor", SIX)
    for _ in range(2):
        assert anywhere.fire("doctor", SIX, lambda job: ran.append(job) or "3 checks") is None
    row = anywhere.firing("doctor", SIX)
    assert (ran, row.state, row.words, row.attempts) == (["doctor"], "done", "3 checks", 1)
    assert row.started_at and row.ended_at


@pytest.mark.parametrize(
    "fault", [ScannerUnavailable("hq: no answer"), TrackerUnavailable("no answer"), StoreUnavailable("database: away")]
)
def test_when_the_outside_is_away_it_waits_ever_longer_and_then_does_it(desk: Desk, fault: Exception):
    def away(job: str) -> str:
        raise fault

    ring(desk.outside, "doctor", SIX)
    pauses = [desk.fire("doctor", SIX, away) for _ in range(12)]
    assert pauses[:3] == [2.0, 4.0, 8.0] and pauses[-1] == LONGEST_PAUSE
    assert (desk.firing("doctor", SIX).state, desk.firing("doctor", SIX).words) == ("queued", str(fault))
    assert desk.fire("doctor", SIX, nothing) is None
    assert desk.firing("doctor", SIX).words == "doctor: done"


def test_it_waits_as_long_as_the_scanner_says(desk: Desk):
    def busy(job: str) -> str:
        raise ScannerUnavailable("hq: too many requests", retry_after=77)

    ring(desk.outside, "fetch.hq", SIX)
    assert desk.fire("fetch.hq", SIX, busy) == 77


def test_a_refusal_is_told_and_not_tried_again(desk: Desk):
    def refused(job: str) -> str:
        raise ScannerRefused("hq: 401, the keys are not valid")

    ring(desk.outside, "fetch.hq", SIX)
    assert desk.fire("fetch.hq", SIX, refused) is None
    assert (desk.firing("fetch.hq", SIX).state, desk.firing("fetch.hq", SIX).words) == (
        "failed", "hq: 401, the keys are not valid",
    )  # fmt: skip


def test_a_fault_of_ours_is_given_up_after_some_tries(desk: Desk):
    def broken(job: str) -> str:
        raise KeyError("oops")

    ring(desk.outside, "doctor", SIX)
    pauses = [desk.fire("doctor", SIX, broken) for _ in range(FAULTS + 1)]
    assert all(pause is not None for pause in pauses[:-1]) and pauses[-1] is None
    row = desk.firing("doctor", SIX)
    assert row.state == "failed" and "please report it: KeyError" in row.words


@pytest.mark.parametrize("name", queue.QUEUES)
def test_no_error_ends_a_workflow_without_a_word(desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str):
    """Its row would wait for ever."""

    def gone(*_: object) -> None:
        raise StoreUnavailable("database: gone")

    ring(desk.outside, "doctor", SIX)
    id = firing_id("doctor", SIX)
    monkeypatch.setitem(queue._handlers, name, lambda id: fire(desk.outside, nothing, id))
    with monkeypatch.context() as patch:
        patch.setattr(desk.world.store, "begin", gone)
        assert queue._attempt(name, id) == queue.AWAY
    assert queue._attempt(name, "nonsense") == queue.AWAY
    assert queue._attempt(name, id) is None
    assert desk.firing("doctor", SIX).state == "done"


def test_old_firings_are_forgotten_but_the_newest_of_each_job(anywhere: Desk):
    for due in (SIX, SEVEN, EIGHT):
        ring(anywhere.outside, "doctor", due)
        anywhere.fire("doctor", due, nothing)
    ring(anywhere.outside, "reconcile", SIX)
    with anywhere.world.store.begin() as unit:
        assert unit.forget_firings(EIGHT + timedelta(days=1)) == 2
        assert {(row.job, row.due) for row in unit.firings()} == {("doctor", EIGHT), ("reconcile", SIX)}
        assert unit.last_firings()["doctor"].due == EIGHT
        assert unit.waiting_since()["job"] == SIX
        assert unit.tally().firings == {("doctor", "done"): 1, ("reconcile", "queued"): 1}
