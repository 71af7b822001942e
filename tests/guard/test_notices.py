"""A scan that is not believed: the notice, the release, the proof."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.guard.test_breaker import CHECKS, HOSTS, sweep
from tests.guard.world import World
from vmjira.errors import VmjiraError
from vmjira.flows import ingest as ingesting
from vmjira.flows.operations import drop, release
from vmjira.flows.replay import differing, rebuild

FIRST = "windows.boston.2026-W23"


def proven(world: World) -> bool:
    return differing(world.outside, rebuild(world.outside)) == []


def closings(world: World) -> int:
    return Counter(row.operation for row in world.operations())["close"]


def test_a_loss_puts_up_one_notice_that_says_what_is_missing_and_what_to_do(world: World):
    world.ingest(sweep(0))
    report = world.ingest(sweep(7, checks=[]))
    (notice,) = world.notices()
    assert (notice.state, notice.identifier) == ("held", "boston")
    assert notice.reason == (
        "nessus scan of 2026-06-08 12:00 (0.nessus): 200 of 200 findings (100%) that nessus had in boston before are "
        "missing; policy `breaker` allows 20%. Until the next scan has them again, or a person releases this, nothing "
        "in boston is called fixed or closed because of it"
    )
    assert notice.details == {
        "range": "boston", "scanner": "nessus", "hosts": 20, "hosts_lost": 0, "findings": 200, "findings_lost": 200,
        "scans": [2],
    }  # fmt: skip
    assert report.scans[0]["warnings"] == [
        "not believed in boston: 200 of 200 findings (100%) that nessus had in boston before are missing"
    ]
    assert world.own(FIRST) | {"open": 200, "unverified": 200, "fixed": 0} == world.own(FIRST)
    assert not [row for row in world.operations() if row.operation in ("verified", "close")]


def test_a_loss_that_repeats_renews_its_notice(world: World):
    world.ingest(sweep(0))
    for week in (1, 2, 3):
        world.ingest(sweep(7 * week, checks=CHECKS[: 4 - week]))
    (notice,) = world.notices()
    assert (notice.details["scans"], notice.details["findings_lost"]) == ([2, 3, 4], 180)
    assert "2026-06-22" in notice.reason


def test_each_range_and_scanner_has_a_notice_of_its_own(world: World):
    laboratory = [f"10.1.5.{number}" for number in range(20)]
    world.ingest(sweep(0, hosts=HOSTS + laboratory), sweep(0.5, scanner="gvm"))
    world.ingest(sweep(7, hosts=HOSTS + laboratory, checks=[]), sweep(7.5, checks=[], scanner="gvm"))
    assert Counter((row.identifier, row.details["scanner"]) for row in world.notices()) == {
        ("boston", "nessus"): 1, ("lab", "nessus"): 1, ("boston", "gvm"): 1,
    }  # fmt: skip


def test_released_the_scan_counts_at_once_as_if_it_had_been_believed(anywhere: World):
    anywhere.ingest(sweep(0))
    anywhere.ingest(sweep(7, checks=[]))
    release(anywhere.outside, ["boston"])
    planned = ingesting.settle(anywhere.outside)
    assert anywhere.own(FIRST) | {"open": 0, "fixed": 200} == anywhere.own(FIRST)
    assert anywhere.hosts(FIRST)["vulnerable"] == 20
    assert any(":verified:" in id for id in planned)
    (notice,) = anywhere.notices()
    assert (notice.state, notice.answer) == ("done", "released: the scan counts now")
    assert proven(anywhere)
    assert ingesting.settle(anywhere.outside) == []


def test_a_release_is_not_lost_when_nobody_gets_to_settle_it_at_once(world: World):
    world.ingest(sweep(0))
    world.ingest(sweep(7, checks=[]))
    release(world.outside, [])
    report = world.ingest()
    assert world.own(FIRST)["fixed"] == 200
    assert report.operations


def test_all_scans_of_a_notice_count_when_it_is_released_each_for_its_own_hosts(world: World):
    world.ingest(sweep(0))
    world.ingest(sweep(7, checks=[]))
    world.ingest(sweep(8, hosts=HOSTS[:3], checks=CHECKS[:5]))
    release(world.outside, [])
    ingesting.settle(world.outside)
    assert world.own(FIRST) | {"open": 15, "fixed": 185} == world.own(FIRST)
    assert proven(world)


def test_the_next_scan_that_has_all_again_takes_the_notice_down(anywhere: World):
    anywhere.ingest(sweep(0))
    anywhere.ingest(sweep(7, checks=[]))
    anywhere.ingest(sweep(14, checks=CHECKS[:9]))
    (notice,) = anywhere.notices()
    assert (notice.state, notice.answer) == (
        "dropped",
        "the nessus scan of 2026-06-15 12:00 (0.nessus) has again what was missing",
    )
    assert anywhere.own(FIRST) | {"open": 180, "fixed": 20} == anywhere.own(FIRST)
    assert proven(anywhere)


def test_parts_of_a_round_count_as_soon_as_the_round_is_whole(world: World):
    world.ingest(sweep(0))
    world.ingest(sweep(7, hosts=HOSTS[:10], checks=CHECKS[:9]))
    assert world.own(FIRST)["fixed"] == 0
    world.ingest(sweep(8, hosts=HOSTS[10:], checks=CHECKS[:9]))
    assert world.own(FIRST) | {"open": 180, "fixed": 20, "unverified": 0} == world.own(FIRST)
    assert [row.state for row in world.notices()] == ["dropped"]
    assert proven(world)


def test_a_notice_that_a_person_drops_leaves_the_scan_unbelieved(world: World):
    world.ingest(sweep(0))
    world.ingest(sweep(7, checks=[]))
    drop(world.outside, ["boston"])
    assert ingesting.settle(world.outside) == []
    assert world.own(FIRST)["open"] == 200
    world.ingest(sweep(14, checks=[]))
    assert [row.state for row in world.notices()] == ["dropped", "held"]
    assert proven(world)


def test_a_release_after_new_rules_follows_the_rules_in_force(world: World):
    world.ingest(sweep(0))
    world.ingest(sweep(7, checks=[]))
    world.rules["policy.yaml"] += "timezone: Europe/Berlin\n"
    world.ingest()
    release(world.outside, ["boston"])
    ingesting.settle(world.outside)
    assert world.own(FIRST)["fixed"] == 200
    assert proven(world)


def test_with_auto_close_nothing_is_closed_before_the_release(world: World):
    world.rules["policy.yaml"] += "auto_close: true\n"
    world.ingest(sweep(0))
    world.ingest(sweep(7, checks=[]))
    assert closings(world) == 0
    release(world.outside, [])
    ingesting.settle(world.outside)
    assert closings(world) == 1


def test_a_preview_shows_the_notice_and_puts_up_none(world: World):
    world.ingest(sweep(0))
    shown = world.preview(sweep(7, checks=[]))
    assert [
        (each["identifier"], each["details"]["findings_lost"]) for each in shown if each["operation"] == "breaker"
    ] == [("boston", 200)]
    assert world.notices() == []


def test_the_same_scan_once_more_changes_nothing(world: World):
    world.ingest(sweep(0))
    loss = sweep(7, checks=[])
    world.ingest(loss)
    before = world.operations()
    world.ingest(loss)
    assert world.operations() == before


def test_a_policy_that_allows_more_holds_nothing(world: World):
    world.rules["policy.yaml"] += "breaker: 1\n"
    world.ingest(sweep(0))
    world.ingest(sweep(7, checks=[]))
    assert world.notices() == []
    assert world.own(FIRST)["fixed"] == 200
    assert proven(world)


def test_what_is_not_held_cannot_be_released(world: World):
    world.ingest(sweep(0))
    with pytest.raises(VmjiraError, match="operation 'boston': there is none"):
        release(world.outside, ["boston"])


def test_a_scan_with_more_on_top_is_held_for_what_it_lost_and_its_news_have_a_ticket(world: World):
    world.ingest(sweep(0))
    world.ingest(sweep(7, checks=[*CHECKS[:5], "fresh"]))
    assert len(world.notices()) == 1
    assert world.own("windows.boston.2026-W24")["open"] == 20
