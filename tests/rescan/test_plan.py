"""What the policy lets begin: limits, batches, cooldown, hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from vmjira.domain.rescan import GATHER, RescanPlan, RescanRequest, RescanRow, plan_rescans
from vmjira.domain.rulebook import Hours, Policy, RescanRules

NOW = datetime(2026, 6, 2, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def requests(*addresses: str, ticket: str = "t1", at: datetime = LONG_AGO, part: str = "7") -> list[RescanRequest]:
    made = [RescanRequest(0, ticket, f"ip:{each}", "nessus", each, "hq", part, at) for each in addresses]
    return [replace(each, id=hash((ticket, each.address)) & 0xFFFF_FFFF) for each in made]


def run(*hosts: str, ago: timedelta, state: str = "done", remote: str = "x") -> RescanRow:
    return RescanRow(1, "hq", hosts, ("t0",), state, NOW - ago, NOW - ago, remote)  # type: ignore[arg-type]


def plan(waiting: list[RescanRequest], *runs: RescanRow, now: datetime = NOW, zone: str = "UTC", **rules) -> RescanPlan:
    return plan_rescans(waiting, runs, Policy(timezone=ZoneInfo(zone), rescan=RescanRules(**rules)), now)


def hosts(planned: RescanPlan) -> list[list[str]]:
    return [sorted({each.address for each in batch}) for batch in planned.launches]


def test_several_tickets_share_one_run():
    waiting = requests("a", "b") + requests("b", "c", ticket="t2") + requests("c", ticket="t3")
    planned = plan(waiting)
    assert hosts(planned) == [["a", "b", "c"]]
    assert {each.identifier for each in planned.launches[0]} == {"t1", "t2", "t3"}
    assert planned.words == {} and planned.again is None


def test_what_is_asked_just_now_waits_for_others_but_not_for_ever():
    young = requests("a", at=NOW - timedelta(seconds=1))
    assert plan(young) == RescanPlan(again=young[0].asked_at + GATHER)
    kept_waiting = requests("b", ticket="t2", at=NOW - 6 * GATHER)
    assert hosts(plan(kept_waiting + young)) == [["a", "b"]]


def test_a_run_holds_at_most_so_many_hosts_and_at_most_so_many_run():
    planned = plan(requests("a", "b", "c", "d", "e"), hosts=2, at_most=2)
    assert hosts(planned) == [["a", "b"], ["c", "d"]]
    ((words, left),) = planned.words.items()
    assert [each.address for each in left] == ["e"] and "at most 2 run at a time" in words


def test_those_that_run_already_count():
    busy = [run("x", ago=timedelta(days=1), state=state) for state in ("running", "launching")]
    assert hosts(plan(requests("a"), *busy)) == []
    assert hosts(plan(requests("a"), *busy, at_most=3)) == [["a"]]


def test_hosts_of_different_parts_of_a_scanner_share_no_run():
    waiting = requests("a", part="7") + requests("b", part="8") + requests("c", part="7")
    assert hosts(plan(waiting)) == [["a", "c"], ["b"]]


def test_a_host_is_left_alone_for_the_cooldown():
    planned = plan(requests("a", "b"), run("a", ago=timedelta(hours=11)))
    assert hosts(planned) == [["b"]]
    assert planned.again == NOW + timedelta(hours=1)
    assert [(words, each.address) for words, some in planned.words.items() for each in some] == [
        ("scanned again a short time ago; the next rescan begins after 2026-06-02 13:00", "a")
    ]
    assert hosts(plan(requests("a"), run("a", ago=timedelta(hours=12)))) == [["a"]]


def test_a_run_that_never_began_does_not_count_for_the_cooldown():
    assert hosts(plan(requests("a"), run("a", ago=timedelta(hours=1), state="failed", remote=""))) == [["a"]]


def test_a_host_that_is_being_scanned_again_is_not_scanned_twice_at_a_time():
    planned = plan(requests("a"), run("a", ago=timedelta(days=1), state="running"), at_most=5)
    assert planned.launches == () and "for another ticket" in next(iter(planned.words))


@pytest.mark.parametrize(
    ("zone", "at", "begins"),
    [
        ("UTC", "2026-06-02T19:59", "2026-06-02T20:00+00:00"),
        ("UTC", "2026-06-02T20:00", ""),
        ("UTC", "2026-06-03T05:59", ""),
        ("UTC", "2026-06-03T06:00", "2026-06-03T20:00+00:00"),
        ("America/New_York", "2026-06-02T20:00", "2026-06-02T20:00-04:00"),
        ("America/New_York", "2026-06-03T00:30", ""),
        ("Europe/Berlin", "2026-10-25T08:00", "2026-10-25T20:00+01:00"),  # the clocks went back that night
    ],
)
def test_rescans_begin_in_the_hours_of_the_policy(zone: str, at: str, begins: str):
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    waiting = requests("a", at=now - timedelta(hours=1))
    planned = plan(waiting, now=now, zone=zone, hours=Hours(time(20), time(6)))
    if begins:
        assert planned.launches == () and planned.again == datetime.fromisoformat(begins)
        assert list(planned.words) == [f"a rescan by hq waits for its hours, 20:00 to 06:00 ({zone})"]
    else:
        assert hosts(planned) == [["a"]]


def test_nothing_waits_for_nothing():
    assert plan([]) == RescanPlan()
