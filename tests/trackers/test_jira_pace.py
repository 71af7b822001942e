"""Limits of Jira's are obeyed: who waits, how long, and who does not."""

from __future__ import annotations

import threading

import pytest

from tests.trackers.scripted import Answer
from vmjira.errors import TrackerUnavailable
from vmjira.trackers.jira import connect
from vmjira.trackers.jira.pace import EVERYTHING, Pace


class Time:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def pace(time: Time) -> Pace:
    return Pace(lambda: 10.0, patience=10.0, clock=time, sleep=time.sleep)


def test_a_hundred_calls_take_ten_seconds_at_ten_a_second_apart_from_the_first_burst(pace, time):
    for _ in range(110):
        pace.wait([])
    assert time.now - 100 == pytest.approx(10, abs=1.1)


def test_after_a_rest_one_second_of_calls_may_come_at_once_and_no_more(pace, time):
    time.now += 3600
    before = time.now
    for _ in range(10):
        pace.wait([])
    assert time.now == before
    for _ in range(10):
        pace.wait([])
    assert time.now - before == pytest.approx(1.0)


def test_a_short_pause_is_waited_for_and_a_long_one_is_an_error_that_says_how_long(pace, time):
    pace.pause("GET /a", 5, "burst")
    pace.wait(["GET /a"])
    assert time.now >= 105
    pace.pause("GET /a", 60, "quota")
    with pytest.raises(TrackerUnavailable, match="quota") as caught:
        pace.wait(["GET /a"])
    assert caught.value.retry_after == pytest.approx(60)
    assert not caught.value.outcome_unknown


def test_a_pause_holds_only_for_its_scope(pace, time):
    pace.pause("VM-1", 60, "per issue")
    pace.wait(["PUT /issue", "VM-2"])
    assert time.now == 100.0
    pace.pause(EVERYTHING, 60, "quota")
    with pytest.raises(TrackerUnavailable):
        pace.wait(["PUT /issue", "VM-2"])


def test_a_shorter_pause_does_not_end_a_longer_one(pace):
    pace.pause(EVERYTHING, 60, "quota")
    pace.pause(EVERYTHING, 1, "burst")
    with pytest.raises(TrackerUnavailable, match="quota"):
        pace.wait([])


def test_a_new_rate_of_the_rules_holds_from_the_next_call_on(time):
    rate = [1000.0]
    pace = Pace(lambda: rate[0], patience=10.0, clock=time, sleep=time.sleep)
    pace.wait([])
    rate[0] = 1.0
    for _ in range(5):
        pace.wait([])
    assert time.now - 100 >= 3


@pytest.mark.parametrize(
    ("reason", "waits", "goes_on"),
    [
        ("jira-quota-tenant-based", ["comment other", "read", "comment"], []),
        ("jira-quota-global-based", ["comment other", "read", "comment"], []),
        ("jira-burst-based", ["comment other", "comment"], ["read"]),
        ("jira-per-issue-on-write", ["comment"], ["comment other"]),
        ("", ["comment other", "read", "comment"], []),
    ],
)
def test_a_429_pauses_just_what_would_run_into_it_again(script, tracker, reason, waits, goes_on):
    calls = {
        "comment": lambda: tracker.comment("VM-1", "x"),
        "comment other": lambda: tracker.comment("VM-2", "x"),
        "read": lambda: tracker.read(["VM-3"]),
    }
    script.say(".*VM-1/comment", Answer(429, headers={"Retry-After": "30", "RateLimit-Reason": reason}))
    script.say(".*/VM-[23].*", Answer(404), times=2)
    with pytest.raises(TrackerUnavailable) as caught:
        calls["comment"]()
    assert caught.value.retry_after == 30
    for name in waits:
        sent = len(script.seen)
        with pytest.raises(TrackerUnavailable, match="HTTP 429") as caught:
            calls[name]()
        assert len(script.seen) == sent, name
        assert caught.value.retry_after == pytest.approx(30, abs=10)
    for name in goes_on:
        sent = len(script.seen)
        with pytest.raises(Exception, match="404") if name != "read" else pytest.MonkeyPatch.context():
            calls[name]()
        assert len(script.seen) > sent, name


def test_all_threads_share_the_pause_and_none_shares_a_connection(script, settings):
    here = connect(settings)
    script.say(".*", Answer(429, headers={"Retry-After": "30", "RateLimit-Reason": "jira-quota-tenant-based"}))
    with pytest.raises(TrackerUnavailable):
        here().comment("VM-1", "x")
    found: list[object] = []

    def elsewhere() -> None:
        try:
            here().comment("VM-9", "x")
        except TrackerUnavailable as error:
            found.append(error)
        found.append(here())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(10)
    assert "HTTP 429" in str(found[0])
    assert found[1] is not here() and here() is here()
    assert len(script.seen) == 1


def test_a_503_that_names_a_time_pauses_everything(script, tracker):
    script.say(".*", Answer(503, headers={"Retry-After": "20"}))
    for key in ("VM-1", "VM-2"):
        with pytest.raises(TrackerUnavailable) as caught:
            tracker.comment(key, "x")
    assert caught.value.retry_after == pytest.approx(20, abs=10)
    assert len(script.seen) == 1
