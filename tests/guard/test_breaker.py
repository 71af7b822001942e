"""When a scan is not believed, and what that does to the ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from tests.domain.samples import BOSTON, LAB, RULES, day, finding, fold_all, host, network, scan
from vmjira.domain.breaker import Trip
from vmjira.domain.frames import Scan
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.ledger import Folded, believe, fold
from vmjira.domain.rule_change import apply_rules
from vmjira.domain.rulebook import Policy, Range, RescanRules

HOSTS = [f"10.1.0.{number}" for number in range(20)]
CHECKS = [f"c{number}" for number in range(10)]


def sweep(at: float, hosts: list[str] = HOSTS, checks: list[str] = CHECKS, **facts: Any) -> Scan:
    """A scan that finds each of the checks on each of the hosts."""
    return scan(day(at), hosts, [finding(host, check) for host in hosts for check in checks], **facts)


def folded(start: Knowledge, one: Scan, share: float = 0.2) -> Folded:
    return fold(start, one, replace(RULES, policy=replace(RULES.policy, breaker=share)))


def endings(knowledge: Knowledge) -> dict[str | None, int]:
    return dict(Counter(knowledge.lives["ended_as"]))


def test_a_scan_that_loses_a_third_of_the_findings_fixes_nothing_in_that_range() -> None:
    after = folded(fold_all(sweep(0)), sweep(7, checks=CHECKS[:6]))
    assert after.trips == (Trip("boston", "nessus", hosts=20, hosts_lost=0, findings=200, findings_lost=80),)
    assert endings(after.knowledge) == {None: 200}


def test_what_such_a_scan_did_see_counts() -> None:
    after = folded(fold_all(sweep(0)), sweep(7, checks=[*CHECKS[:6], "new"])).knowledge
    seen = after.lives.filter(pl.col("last_seen") == day(7))
    assert Counter(seen["vulnerability_id"]) == dict.fromkeys([*CHECKS[:6], "new"], 20)


def test_a_scan_that_loses_hosts_fixes_nothing_on_the_others() -> None:
    before = fold_all(sweep(0))
    after = folded(before, sweep(7, hosts=HOSTS[:15], checks=CHECKS[:9]))
    assert [(trip.hosts_lost, trip.findings_lost) for trip in after.trips] == [(5, 15)]
    assert endings(after.knowledge) == {None: 200}


def test_other_ranges_and_other_scanners_are_not_held_up() -> None:
    other = [f"10.1.5.{number}" for number in range(20)]
    start = fold_all(sweep(0, hosts=HOSTS + other), sweep(1, scanner="gvm"))
    both = scan(
        day(7),
        HOSTS + other,
        [finding(host, check) for host in HOSTS for check in CHECKS[:5]]
        + [finding(host, check) for host in other for check in CHECKS[:9]],
    )
    after = folded(start, both)
    assert [trip.range for trip in after.trips] == ["boston"]
    assert dict(Counter(after.knowledge.lives.filter(pl.col("ended_as") == "fixed")["range"])) == {"lab": 20}
    gvm = folded(after.knowledge, sweep(8, checks=CHECKS[:9], scanner="gvm"))
    assert gvm.trips == ()
    assert dict(Counter(gvm.knowledge.lives.filter(pl.col("ended_as") == "fixed")["scanner"])) == {
        "nessus": 20,
        "gvm": 20,
    }


@pytest.mark.parametrize(("share", "trips"), [(0.19, True), (0.2, False), (1.0, False)])
def test_losing_exactly_the_share_of_the_policy_is_allowed(share: float, trips: bool) -> None:
    after = folded(fold_all(sweep(0)), sweep(7, checks=CHECKS[:8]), share)
    assert bool(after.trips) == trips


@pytest.mark.parametrize(("left", "trips"), [(16, False), (15, True)])
def test_losing_exactly_that_share_of_the_hosts_is_allowed_too(left: int, trips: bool) -> None:
    assert bool(folded(fold_all(sweep(0)), sweep(7, hosts=HOSTS[:left])).trips) == trips


def test_a_share_of_one_believes_everything() -> None:
    after = folded(fold_all(sweep(0)), sweep(7, hosts=HOSTS[:1], checks=[]), 1.0)
    assert after.trips == ()
    assert endings(after.knowledge) == {None: 190, "fixed": 10}


@pytest.mark.parametrize(
    ("hosts", "checks", "left", "rest", "trips"),
    [
        (9, 2, 2, 1, False),  # 9 hosts, 18 findings: noise
        (10, 1, 7, 1, True),  # 3 of 10 hosts missing
        (1, 19, 1, 0, False),
        (1, 20, 1, 15, True),
        (1, 20, 1, 16, False),
    ],
)
def test_small_numbers_trip_nothing(hosts: int, checks: int, left: int, rest: int, trips: bool) -> None:
    names = [f"c{number}" for number in range(checks)]
    after = folded(fold_all(sweep(0, HOSTS[:hosts], names)), sweep(7, HOSTS[:left], names[:rest]))
    assert bool(after.trips) == trips


def test_informational_findings_count_so_that_patching_alone_trips_nothing() -> None:
    """Most of what a scanner says of a host is informational, and stays when everything is patched."""

    def patched(at: float, checks: list[str]) -> Scan:
        info = [finding(host, f"i{number}", "info") for host in HOSTS for number in range(40)]
        rules = {f"i{number}": {"family": "Service detection"} for number in range(40)}
        bad = [finding(host, check) for host in HOSTS for check in checks]
        return scan(day(at), HOSTS, [*info, *bad], texts=rules)

    after = folded(fold_all(patched(0, CHECKS)), patched(7, []))
    assert after.trips == ()
    assert endings(after.knowledge) == {"fixed": 200}


def test_losses_of_some_hosts_are_not_made_up_for_by_others() -> None:
    half = [finding(host, check) for host in HOSTS[:10] for check in [*CHECKS, "n1", "n2", "n3", "n4", "n5"]]
    rest = [finding(host, check) for host in HOSTS[10:] for check in CHECKS[:5]]
    after = folded(fold_all(sweep(0)), scan(day(7), HOSTS, [*half, *rest]))
    assert [trip.findings_lost for trip in after.trips] == [50]


def test_a_range_that_is_held_is_compared_with_what_was_believed_however_often_the_loss_repeats() -> None:
    knowledge = fold_all(sweep(0))
    for week in (1, 2, 3):
        after = folded(knowledge, sweep(7 * week, hosts=HOSTS[:12], checks=CHECKS[:5]))
        assert [(trip.hosts_lost, trip.findings_lost) for trip in after.trips] == [(8, 60)]
        knowledge = after.knowledge
    assert endings(knowledge) == {None: 200}


def test_the_next_scan_that_has_them_again_is_believed_and_what_it_lacks_is_fixed() -> None:
    held = folded(fold_all(sweep(0)), sweep(7, checks=CHECKS[:5])).knowledge
    after = folded(held, sweep(14, checks=CHECKS[:9]))
    assert (after.trips, after.healed) == ((), {"boston"})
    assert endings(after.knowledge) == {None: 180, "fixed": 20}
    assert folded(after.knowledge, sweep(21, checks=CHECKS[:9])).healed == frozenset()


def test_when_a_person_believes_the_scan_all_is_as_if_it_had_never_been_held() -> None:
    start, loss = fold_all(sweep(0)), sweep(7, hosts=HOSTS[:15], checks=CHECKS[:5])
    never = folded(start, loss, 1.0).knowledge
    after = believe(folded(start, loss).knowledge, loss, RULES, ["boston"])
    assert same(after.knowledge.lives, never.lives)
    assert same(after.knowledge.baseline, never.baseline)
    assert after.changed == {"boston"}
    again = believe(after.knowledge, loss, RULES, ["boston"])
    assert (again.changed, again.rounds) == (frozenset(), {})


def same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    keys = ["host", "scanner", *(["vulnerability_id"] if "vulnerability_id" in one.columns else [])]
    return one.sort(keys).equals(other.sort(keys))


def test_a_scan_is_not_believed_any_more_where_a_newer_one_speaks() -> None:
    loss, newer = sweep(7, checks=CHECKS[:5]), sweep(14, hosts=HOSTS[:16], checks=CHECKS[:5])
    held = folded(folded(fold_all(sweep(0)), loss).knowledge, newer).knowledge
    after = believe(held, loss, RULES, ["boston"]).knowledge
    fixed = after.lives.filter(pl.col("ended_as") == "fixed")
    assert set(fixed["host"]) == {f"ip:{host}" for host in HOSTS[16:]}
    assert believe(after, newer, RULES, ["lab"]).knowledge.lives.equals(after.lives)


def test_a_round_that_is_scanned_in_parts_is_believed_when_most_of_it_is_there() -> None:
    first, second = sweep(7, hosts=HOSTS[:10], checks=CHECKS[:9]), sweep(8, hosts=HOSTS[10:], checks=CHECKS[:9])
    after_first = folded(fold_all(sweep(0)), first)
    assert [trip.hosts_lost for trip in after_first.trips] == [10]
    after = folded(after_first.knowledge, second)
    assert (after.trips, after.healed) == ((), {"boston"})
    assert endings(believe(after.knowledge, first, RULES, ["boston"]).knowledge) == {None: 180, "fixed": 20}


def test_a_few_hosts_once_more_in_the_same_round_lose_none() -> None:
    after = folded(fold_all(sweep(0)), sweep(1, hosts=HOSTS[:2], checks=[]))
    assert after.trips == ()
    assert endings(after.knowledge) == {None: 180, "fixed": 20}


def test_a_rescan_of_a_few_hosts_begins_no_round_and_loses_none() -> None:
    after = folded(fold_all(sweep(0)), sweep(9, hosts=HOSTS[:2], checks=[], rescan=True))
    assert after.trips == ()


def looked_again(at: float, authenticated: bool | None, number: int = 8) -> Scan:
    """A rescan of some hosts that finds nothing there."""
    return scan(day(at), [host(each, authenticated=authenticated) for each in HOSTS[:number]], rescan=True)


def test_a_rescan_is_believed_by_its_evidence_however_much_of_the_range_it_finds_mended() -> None:
    after = folded(fold_all(sweep(0)), looked_again(2, authenticated=True))
    assert (after.trips, endings(after.knowledge)) == ((), {None: 120, "fixed": 80})
    assert folded(after.knowledge, sweep(7, hosts=HOSTS[8:])).trips  # a whole scan is judged as ever


def test_a_whole_office_that_a_person_scans_with_other_targets_is_no_rescan_of_a_few() -> None:
    rules = replace(RULES, policy=Policy(rescan=RescanRules(hosts=7)))
    after = fold(fold_all(sweep(0)), looked_again(2, authenticated=True), rules)
    assert [trip.findings_lost for trip in after.trips] == [80] and endings(after.knowledge) == {None: 200}


def test_a_rescan_whose_logins_failed_fixes_nothing_and_does_not_become_normal() -> None:
    start = fold_all(sweep(0))
    after = folded(start, looked_again(2, authenticated=False))
    assert (after.trips, endings(after.knowledge)) == ((), {None: 200})
    assert same(after.knowledge.baseline, start.baseline)


def test_a_rescan_that_does_not_say_whether_it_got_in_is_judged_like_any_scan() -> None:
    silent = scan(day(0), [host(each, authenticated=None) for each in HOSTS], _everything())
    after = folded(fold_all(silent), looked_again(2, authenticated=None))
    assert [trip.findings_lost for trip in after.trips] == [80] and endings(after.knowledge) == {None: 200}


def test_a_rescan_is_in_doubt_with_an_earlier_scan_of_its_scanner() -> None:
    held = folded(fold_all(sweep(0)), sweep(7, checks=CHECKS[:5]))
    after = folded(held.knowledge, looked_again(8, authenticated=True))
    assert ([trip.range for trip in after.trips], after.healed) == (["boston"], frozenset())
    assert endings(after.knowledge) == {None: 200}
    mended = believe(after.knowledge, looked_again(8, authenticated=True), RULES, ["boston"]).knowledge
    assert endings(mended) == {None: 120, "fixed": 80}


def _everything() -> list[dict[str, Any]]:
    return [finding(each, check) for each in HOSTS for check in CHECKS]


@pytest.mark.parametrize("rescan", [True, False])
def test_a_few_hosts_that_are_well_do_not_bring_the_others_back(rescan: bool) -> None:
    few = sweep(8, hosts=HOSTS[:2], rescan=rescan)
    for loss in (sweep(7, checks=CHECKS[:5]), sweep(7, hosts=HOSTS[:12])):
        after = folded(folded(fold_all(sweep(0)), loss).knowledge, few)
        assert [trip.range for trip in after.trips] == ["boston"]
        assert after.healed == frozenset()


def test_a_host_that_comes_back_after_rounds_is_not_compared_with_long_ago() -> None:
    knowledge = fold_all(sweep(0))
    for week in (1, 2):
        knowledge = folded(knowledge, sweep(7 * week, hosts=HOSTS[:17])).knowledge
    back = scan(day(21), HOSTS, [finding(host, check) for host in HOSTS[:17] for check in CHECKS[:9]])
    assert folded(knowledge, back).trips == ()


def test_a_finding_of_a_range_in_doubt_is_not_fixed_on_a_host_that_has_just_left_it() -> None:
    rules = replace(RULES, ranges=tuple(replace(one, identity=("hostname",)) for one in (BOSTON, LAB)))
    names = [{"host": ip, "ip": ip, "hostname": f"pc{number}"} for number, ip in enumerate(HOSTS)]
    start = fold(Knowledge(), scan(day(0), names, [finding(ip, check) for ip in HOSTS for check in CHECKS]), rules)
    left = [*names[:19], {"host": "x", "ip": "10.1.5.1", "hostname": "pc19"}]
    after = fold(start.knowledge, scan(day(7), left), rules)
    assert [trip.range for trip in after.trips] == ["boston"]
    assert endings(after.knowledge) == {None: 200, "moved": 10}


def test_hosts_that_move_elsewhere_are_not_missing_and_bring_no_past_along() -> None:
    away = [f"10.1.5.{number}" for number in range(20)]
    names = [{"host": ip, "ip": ip, "hostname": f"pc{number}"} for number, ip in enumerate([*HOSTS, *away])]
    ranges = tuple(replace(one, identity=("hostname",)) for one in (BOSTON, LAB))
    rules = replace(RULES, ranges=ranges)
    moved = [{**one, "host": ip, "ip": ip} for one, ip in zip(names[:20], away, strict=True)]
    start = fold(Knowledge(), scan(day(0), names[:20], [finding(ip, check) for ip in HOSTS for check in CHECKS]), rules)
    after = fold(start.knowledge, scan(day(7), moved, []), rules)
    assert after.trips == ()
    assert set(after.knowledge.baseline["range"]) == {"lab"}


def test_new_rules_that_move_hosts_elsewhere_make_none_missing() -> None:
    office = Range("office", "Office", (network("10.1.0.0", "10.1.0.9"),))
    rules = replace(RULES, ranges=(*RULES.ranges, office))
    moved = apply_rules(fold_all(sweep(0)), rules, at=day(3)).knowledge
    after = fold(moved, sweep(7, checks=CHECKS[:9]), rules)
    assert after.trips == ()
    assert fold(moved, sweep(7, hosts=HOSTS[:1] + HOSTS[10:], checks=CHECKS[:9]), rules).trips == ()


def test_hosts_of_a_range_in_doubt_are_not_given_up() -> None:
    rules = replace(RULES, policy=Policy(forget_after=timedelta(days=30)))
    start = fold(Knowledge(), sweep(0), rules).knowledge
    held = fold(start, sweep(35, hosts=HOSTS[:10]), rules)
    assert held.trips
    assert endings(held.knowledge) == {None: 200}
    healed = fold(held.knowledge, sweep(42, hosts=HOSTS[:17]), rules)
    assert endings(healed.knowledge) == {None: 170, "gone": 30}


def test_a_ledger_from_before_there_was_a_breaker_trips_nothing_at_first() -> None:
    old = replace(fold_all(sweep(0)), baseline=Knowledge().baseline)
    first = folded(old, sweep(7, checks=CHECKS[:5]))
    assert first.trips == ()
    assert folded(first.knowledge, sweep(14, checks=[])).trips


def test_a_trip_says_in_words_what_is_missing() -> None:
    assert Trip("boston", "nessus", 60, 8, 608, 220).words == (
        "8 of 60 hosts (13%) and 220 of 608 findings (36%) that nessus had in boston before are missing"
    )
