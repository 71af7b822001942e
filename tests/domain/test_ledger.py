"""The rules of the ledger, one sentence each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from tests.domain.samples import BOSTON, HIGH, LAB, RULES, WINDOWS, day, finding, fold_all, host, network, scan
from vmjira.domain.acceptance import accept, reopen_accepted
from vmjira.domain.adoption import adopt
from vmjira.domain.frames import Scan
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.ledger import fold, touched
from vmjira.domain.rule_change import apply_rules
from vmjira.domain.rulebook import Acceptance, Adoption, Category, Policy, Rulebook

PC = "10.1.0.1"


def lives(knowledge: Knowledge, vulnerability: str = "a") -> list[dict[str, Any]]:
    """The lives of a finding, in order."""
    order = ["first_iteration", "reappeared", pl.col("superseded").not_()]
    return knowledge.lives.filter(pl.col("vulnerability_id") == vulnerability).sort(*order).to_dicts()


def only(knowledge: Knowledge, vulnerability: str = "a") -> dict[str, Any]:
    (life,) = lives(knowledge, vulnerability)
    return life


def label(knowledge: Knowledge, life: dict[str, Any], which: str) -> str:
    names = knowledge.iterations.filter(pl.col("range") == (life["range"] or ""), pl.col("ordinal") == life[which])
    return str(names["label"].item())


def seen(at: float, **facts: Any) -> Scan:
    return scan(day(at), [host(PC)], [finding(PC, "a", **facts)])


def clean(at: float, **facts: Any) -> Scan:
    """The host again, without the finding; facts of the host and of the scan."""
    of_scan = {key: facts.pop(key) for key in ("checks", "unmade", "unreadable", "scanner") if key in facts}
    return scan(day(at), [host(PC, **facts)], **of_scan)


# --- rules 1 and 2


def test_a_finding_seen_for_the_first_time_opens_in_the_iteration_in_which_the_scan_ended() -> None:
    knowledge = fold_all(seen(0, ports=["443/tcp"]))
    life = only(knowledge)
    assert (life["host"], life["category"], life["range"]) == ("ip:10.1.0.1", "windows", "boston")
    assert label(knowledge, life, "first_iteration") == label(knowledge, life, "last_iteration") == "2026-W23"
    assert (life["opened_as"], life["ended_as"], life["reappeared"], life["previous_ticket"]) == (
        "found",
        None,
        0,
        None,
    )
    assert (life["first_seen"], life["last_seen"], life["ports"]) == (day(0), day(0), ["443/tcp"])


def test_the_end_of_the_scan_counts_in_the_time_zone_of_the_policy() -> None:
    rules = replace(RULES, policy=Policy(timezone=ZoneInfo("America/New_York")))
    just_monday = scan(day(7.1) - timedelta(hours=12), [PC], [finding(PC, "a")])  # Monday 02:24 UTC
    assert fold_all(just_monday, rules=rules).iterations["label"].to_list() == ["2026-W23"]
    assert fold_all(just_monday).iterations["label"].to_list() == ["2026-W24"]


def test_a_time_with_another_offset_is_the_same_time() -> None:
    one = seen(0)
    other = replace(one, finished_at=one.finished_at.astimezone(ZoneInfo("Asia/Tokyo")))
    assert fold_all(other).lives.equals(fold_all(one).lives)


def test_a_finding_seen_again_keeps_its_first_iteration_and_takes_ports_and_severity() -> None:
    knowledge = fold_all(seen(0, ports=["443/tcp"]), seen(7, severity="low", ports=["8443/tcp"]))
    life = only(knowledge)
    assert (life["first_seen"], life["last_seen"]) == (day(0), day(7))
    assert label(knowledge, life, "first_iteration") == "2026-W23"
    assert label(knowledge, life, "last_iteration") == "2026-W24"
    assert (life["severity"], life["ports"]) == ("low", ["8443/tcp"])


def test_the_last_iteration_never_goes_back() -> None:
    """Two long scans in parallel: the one that ended first looked at the host last."""
    long = scan(day(7), [host(PC, scanned_at=day(5))], [finding(PC, "a")])
    short = scan(day(6), [host(PC, scanned_at=day(6))], [finding(PC, "a"), finding(PC, "b")])
    knowledge = fold_all(long, short)
    life = only(knowledge)
    assert (life["last_seen"], label(knowledge, life, "last_iteration")) == (day(6), "2026-W24")
    assert label(knowledge, only(knowledge, "b"), "last_iteration") == "2026-W23"


def test_the_same_scan_twice_changes_nothing() -> None:
    once = fold(fold_all(seen(0)), clean(7), RULES)
    again = fold(once.knowledge, clean(7), RULES)
    assert again.knowledge.lives.equals(once.knowledge.lives)
    assert again.knowledge.iterations.equals(once.knowledge.iterations)
    assert (again.changed, again.rounds, again.skipped) == (frozenset(), {}, {"ip:10.1.0.1"})


def test_an_older_observation_of_the_same_scanner_is_skipped_and_one_of_another_is_not() -> None:
    start = fold_all(seen(8))
    late = scan(day(1), [PC], [finding(PC, "b")])
    assert lives(fold_all(late, start=start), "b") == []
    other = fold_all(replace_scanner(late, "gvm"), start=start)
    assert label(other, only(other, "b"), "first_iteration") == "2026-W23"


def replace_scanner(one: Scan, scanner: str) -> Scan:
    named = pl.lit(scanner).alias("scanner")
    return replace(
        one,
        scanner=scanner,
        findings=one.findings.with_columns(named),
        vulnerabilities=one.vulnerabilities.with_columns(named),
    )


def test_a_scan_without_hosts_changes_nothing() -> None:
    start = fold_all(seen(0))
    folded = fold(start, scan(day(7), []), RULES)
    assert folded.knowledge.lives.equals(start.lives)
    assert folded.knowledge.iterations.equals(start.iterations)


def test_hosts_that_the_scan_did_not_observe_are_not_touched() -> None:
    start = fold_all(seen(0))
    assert only(fold_all(scan(day(7), ["10.1.0.2"]), start=start)) == only(start)


# --- rule 3


@pytest.mark.parametrize(
    ("before", "now", "ending"),
    [
        (True, True, "fixed"),
        (True, False, None),
        (True, None, None),
        (False, True, "fixed"),
        (False, False, "fixed"),
        (False, None, "fixed"),
        (None, True, "fixed"),
        (None, False, None),
        (None, None, "fixed"),
    ],
)
def test_an_absent_finding_is_fixed_only_if_credentials_suffice(
    before: bool | None, now: bool | None, ending: str | None
) -> None:
    first = scan(day(0), [host(PC, authenticated=before)], [finding(PC, "a")])
    assert only(fold_all(first, clean(7, authenticated=now)))["ended_as"] == ending


@pytest.mark.parametrize(
    ("evidence", "ending"),
    [
        ({}, "fixed"),
        ({"complete": True}, "fixed"),
        ({"complete": False}, None),
        ({"unreadable": 1}, None),
        ({"checks": frozenset({"a", "z"})}, "fixed"),
        ({"checks": frozenset({"z"})}, None),
        ({"unmade": [(PC, "a")]}, None),
        ({"unmade": [(PC, "z"), ("10.1.0.9", "a")]}, "fixed"),
        ({"scanner": "gvm"}, None),
    ],
)
def test_an_absent_finding_is_fixed_only_on_sufficient_evidence(evidence: dict[str, Any], ending: str | None) -> None:
    knowledge = fold_all(seen(0), clean(7, **evidence))
    life = only(knowledge)
    assert life["ended_as"] == ending
    assert (life["last_seen"], life["ended_at"]) == (day(0), day(7) if ending else None)
    if ending:
        assert label(knowledge, life, "ended_iteration") == "2026-W24"


def test_a_compliance_check_was_made_if_its_plugin_was_enabled() -> None:
    first = scan(day(0), [PC], [finding(PC, "21156/1.1"), finding(PC, "21157/1.1")])
    knowledge = fold_all(first, clean(7, checks=frozenset({"21156"})))
    assert only(knowledge, "21156/1.1")["ended_as"] == "fixed"
    assert only(knowledge, "21157/1.1")["ended_as"] is None


def test_fixed_comes_before_moved() -> None:
    absent_elsewhere = scan(day(7), [host(PC, ip="10.1.5.5", hostname="pc")])
    rules = replace(RULES, ranges=tuple(replace(one, identity=("hostname", "ip")) for one in RULES.ranges))
    first = scan(day(0), [host(PC, hostname="pc")], [finding(PC, "a")])
    life = only(fold_all(first, absent_elsewhere, rules=rules))
    assert (life["ended_as"], life["range"]) == ("fixed", "boston")


# --- what begins anew


def test_a_finding_that_comes_back_after_a_fix_begins_a_new_life() -> None:
    old, new = lives(fold_all(seen(0), clean(7), seen(14)))
    assert (old["ended_as"], old["superseded"]) == ("fixed", True)
    assert (new["opened_as"], new["reappeared"], new["first_seen"]) == ("reappeared", 1, day(14))
    assert (new["previous_ticket"], new["superseded"]) == ("windows.boston.2026-W23", False)


def test_a_finding_of_a_host_that_was_gone_begins_anew_without_having_reappeared() -> None:
    rules = replace(RULES, policy=Policy(forget_after=timedelta(days=10)))
    away = fold_all(seen(0), clean(1), seen(2), scan(day(13), ["10.1.0.2"]), rules=rules)
    gone = lives(away)[-1]
    assert (gone["ended_as"], gone["ended_at"], gone["reappeared"]) == ("gone", day(13), 1)
    back = lives(fold_all(seen(14), start=away, rules=rules))[-1]
    assert (back["opened_as"], back["reappeared"], back["first_seen"]) == ("found", 1, day(14))
    assert back["previous_ticket"] == "windows.boston.2026-W23"


def test_a_host_is_gone_only_after_the_whole_time_and_only_if_no_scanner_saw_it() -> None:
    rules = replace(RULES, policy=Policy(forget_after=timedelta(days=10)))
    other = scan(day(9.9), ["10.1.0.2"])
    assert only(fold_all(seen(0), other, rules=rules))["ended_as"] is None
    by_gvm = clean(5, scanner="gvm")
    assert only(fold_all(seen(0), by_gvm, scan(day(13), ["10.1.0.2"]), rules=rules))["ended_as"] is None


def test_a_host_is_gone_as_soon_as_the_time_is_over() -> None:
    rules = replace(RULES, policy=Policy(forget_after=timedelta(days=10)))
    assert only(fold_all(seen(0), scan(day(10), ["10.1.0.2"]), rules=rules))["ended_as"] == "gone"


def test_hosts_already_gone_touch_no_range_any_more() -> None:
    rules = replace(RULES, policy=Policy(forget_after=timedelta(days=10)))
    elsewhere = scan(day(30), ["10.1.5.1"])
    start = fold_all(seen(0), rules=rules)
    assert touched(start.hosts, elsewhere, rules) == {"boston", "lab"}
    after = fold(start, elsewhere, rules)
    assert after.changed == {"boston"}
    assert touched(after.knowledge.hosts, scan(day(31), ["10.1.5.1"]), rules) == {"lab"}


# --- rule 4


def test_a_host_in_another_range_takes_its_findings_along() -> None:
    rules = replace(RULES, ranges=tuple(replace(one, identity=("hostname", "ip")) for one in RULES.ranges))
    first = scan(day(0), [host("x", ip=PC, hostname="pc")], [finding("x", "a"), finding("x", "b")])
    then = scan(day(7), [host("x", ip="10.1.5.5", hostname="pc", authenticated=False)], [finding("x", "a")])
    knowledge = fold_all(first, then, rules=rules)
    old, new = lives(knowledge)
    assert (old["ended_as"], old["ended_at"], old["range"], old["superseded"]) == ("moved", day(7), "boston", True)
    assert label(knowledge, old, "ended_iteration") == "2026-W23"  # the running one of Boston
    assert (new["range"], new["opened_as"], new["first_seen"], new["last_seen"]) == ("lab", "moved", day(0), day(7))
    assert new["last_iteration"] == new["first_iteration"]
    assert new["previous_ticket"] == "windows.boston.2026-W23"
    unseen = lives(knowledge, "b")[-1]
    assert (unseen["range"], unseen["last_seen"], unseen["last_authenticated"]) == ("lab", day(0), True)
    assert unseen["last_iteration"] < unseen["first_iteration"]


def test_findings_of_other_scanners_move_with_the_host() -> None:
    rules = replace(RULES, ranges=tuple(replace(one, identity=("hostname", "ip")) for one in RULES.ranges))
    first = scan(day(0), [host("x", ip=PC, hostname="pc")], [finding("x", "a")])
    gvm = scan(day(7), [host("x", ip="10.1.5.5", hostname="pc")], scanner="gvm")
    knowledge = fold_all(first, gvm, rules=rules)
    assert [life["range"] for life in lives(knowledge)] == ["boston", "lab"]
    late = scan(day(3), [host("x", ip=PC, hostname="pc")], [finding("x", "z")], scanner="nexpose")
    after = fold_all(late, start=knowledge, rules=rules)
    assert only(after, "z")["range"] == "lab", "a late observation does not move the host back"
    assert lives(after) == lives(knowledge)


def test_a_finding_that_moves_by_the_word_of_another_scanner_keeps_its_category() -> None:
    """The other scanner may not know what the condition asks for."""
    linux = Category("linux", "Linux", "os LIKE 'Linux%'")
    named = tuple(replace(one, identity=("hostname", "ip")) for one in RULES.ranges)
    rules = replace(RULES, categories=(linux, WINDOWS), ranges=named)
    first = scan(day(0), [host("x", ip=PC, hostname="pc", os="Linux 6")], [finding("x", "a")])
    gvm = scan(day(7), [host("x", ip="10.1.5.5", hostname="pc")], scanner="gvm")
    knowledge = fold_all(first, gvm, rules=rules)
    assert [(life["category"], life["range"]) for life in lives(knowledge)] == [("linux", "boston"), ("linux", "lab")]
    assert apply_rules(knowledge, rules, at=day(8)).changed == frozenset()


def test_a_recast_severity_moves_a_finding_to_another_category() -> None:
    rules = replace(RULES, categories=(HIGH, WINDOWS))
    old, new = lives(fold_all(seen(0), seen(7, severity="low"), rules=rules))
    assert (old["category"], old["ended_as"], old["severity"], old["last_seen"]) == ("high", "moved", "high", day(0))
    assert (new["category"], new["severity"], new["last_seen"]) == ("windows", "low", day(7))


def test_new_text_of_a_vulnerability_moves_findings_of_the_observed_hosts_only() -> None:
    both = scan(day(0), [PC, "10.1.0.2"], [finding(PC, "a"), finding("10.1.0.2", "a")])
    changed = scan(day(7), [PC], [finding(PC, "a")], texts={"a": {"family": "Linux"}})
    knowledge = fold_all(both, changed)
    assert {(one["host"], one["category"], one["ended_as"]) for one in lives(knowledge)} == {
        ("ip:10.1.0.1", "windows", "moved"),
        ("ip:10.1.0.1", "high", None),
        ("ip:10.1.0.2", "windows", None),
    }


def test_a_late_scan_adds_unknown_texts_and_overwrites_none() -> None:
    late = scan(day(1), ["10.1.0.2"], [finding("10.1.0.2", "a"), finding("10.1.0.2", "b")], texts={
        "a": {"family": "Linux"}, "b": {"family": "Linux"},
    })  # fmt: skip
    for one in (late, replace(late, finished_at=day(7))):  # at the same time is not later
        catalogue = fold_all(seen(7), one).vulnerabilities
        assert dict(catalogue.select("vulnerability_id", "family").iter_rows()) == {"a": "Windows", "b": "Linux"}


def test_information_that_no_category_takes_has_no_row_and_anything_else_has() -> None:
    rules = replace(RULES, categories=(HIGH,))
    one = scan(day(0), [PC], [finding(PC, "a", "info"), finding(PC, "b", "low")])
    knowledge = fold_all(one, rules=rules)
    assert lives(knowledge) == []
    assert (only(knowledge, "b")["category"], only(knowledge, "b")["range"]) == (None, "boston")


def test_a_finding_that_becomes_uncategorised_information_moves_nowhere_and_comes_back_with_its_first_seen() -> None:
    rules = replace(RULES, categories=(HIGH,))
    away = fold_all(seen(0), seen(7, severity="info"), rules=rules)
    assert (only(away)["ended_as"], only(away)["superseded"]) == ("moved", False)
    new = lives(fold_all(seen(14), start=away, rules=rules))[-1]
    assert (new["opened_as"], new["first_seen"], new["previous_ticket"]) == ("moved", day(0), "high.boston.2026-W23")


def test_hosts_in_no_range_have_rows_without_a_cell() -> None:
    stray = scan(day(0), [host("x", ip="192.168.0.1"), host("y", ip=None, hostname="PC7")], [finding("y", "a")])
    folded = fold(Knowledge(), stray, RULES)
    life = only(folded.knowledge)
    assert (life["host"], life["range"], life["category"]) == ("hostname:pc7", None, "windows")
    assert folded.changed == {""}
    assert label(folded.knowledge, life, "first_iteration") == "2026-W23"


def test_a_host_with_nothing_to_know_it_by_is_counted_and_left_out() -> None:
    folded = fold(Knowledge(), scan(day(0), [host("x", ip=None)], [finding("x", "a")]), RULES)
    assert (folded.unidentified, folded.knowledge.lives.height) == (1, 0)


def test_the_same_host_twice_in_a_scan_is_one_with_the_union_of_its_findings() -> None:
    twice = scan(
        day(1),
        [host("x", ip=PC, scanned_at=day(0.5), authenticated=True), host("y", ip=PC, authenticated=False)],
        [finding("x", "a", "low", ["80/tcp"]), finding("y", "a", "high", ["443/tcp"]), finding("x", "b")],
    )
    knowledge = fold_all(twice)
    life = only(knowledge)
    assert (life["severity"], life["ports"]) == ("high", ["443/tcp", "80/tcp"])
    assert (life["last_seen"], life["last_authenticated"]) == (day(1), True)
    assert only(knowledge, "b")["last_seen"] == day(1)


# --- iterations of the ledger


def test_a_rescan_joins_the_running_iteration() -> None:
    knowledge = fold_all(seen(0), replace(seen(7), rescan=True))
    assert knowledge.iterations["label"].to_list() == ["2026-W23"]
    assert label(knowledge, only(knowledge), "last_iteration") == "2026-W23"


def test_an_iteration_begins_only_for_ranges_of_which_something_newer_is_told() -> None:
    folded = fold(fold_all(seen(0)), scan(day(0), [PC, "10.1.5.1"]), RULES)
    assert set(folded.rounds) == {"lab"}


# --- changed rules


def test_accepted_rules_move_everything_at_once_with_its_evidence() -> None:
    start = fold_all(seen(0))
    folded = apply_rules(start, replace(RULES, categories=(HIGH,)), at=day(3))
    old, new = lives(folded.knowledge)
    assert (old["ended_as"], old["ended_at"], old["ended_iteration"]) == ("moved", day(3), old["first_iteration"])
    assert (new["category"], new["first_iteration"]) == ("high", old["first_iteration"])
    assert (new["last_iteration"], new["last_seen"]) == (new["first_iteration"], day(0))
    assert folded.changed == {"boston"}


def test_the_same_rules_again_change_nothing() -> None:
    start = fold_all(seen(0))
    folded = apply_rules(start, RULES, at=day(3))
    assert folded.knowledge.lives.equals(start.lives)
    assert folded.changed == frozenset()


def test_a_new_range_gets_the_iteration_in_which_its_hosts_were_last_scanned() -> None:
    annex = replace(LAB, id="annex", networks=(network(PC),), iteration="month")
    knowledge = apply_rules(fold_all(seen(0)), replace(RULES, ranges=(*RULES.ranges, annex)), at=day(40)).knowledge
    new = lives(knowledge)[-1]
    assert (new["range"], label(knowledge, new, "first_iteration")) == ("annex", "2026-06")
    assert knowledge.hosts["ranges"].to_list() == [["annex", "boston"]]


def test_losing_its_category_is_a_move_too() -> None:
    new = lives(apply_rules(fold_all(seen(0)), replace(RULES, categories=()), at=day(3)).knowledge)[-1]
    assert (new["category"], new["ended_as"], new["opened_as"]) == (None, None, "moved")


# --- rule 6


def accepted(**scope: Any) -> Rulebook:
    return replace(RULES, acceptances=(Acceptance("old", "chief", date(2026, 6, 20), **scope),))  # till day 19.5


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        ({"category": "windows", "range": "boston"}, True),
        ({"category": "windows", "range": "lab"}, False),
        ({"host": "IP:10.1.0.1"}, True),
        ({"host": PC}, True),
        ({"host": "PC.example.com"}, True),
        ({"host": "pc"}, False),
        ({"network": network("10.1.0.0", "10.1.0.7")}, True),
        ({"network": network("10.1.0.2", "10.1.0.7")}, False),
        ({"network": network("::", "ffff::")}, False),
        ({"vulnerability": "a"}, True),
        ({"vulnerability": "cve-2026-1"}, True),
        ({"vulnerability": "CVE-2026-2"}, False),
    ],
)
def test_an_acceptance_names_what_matches_every_scope_that_it_gives(scope: dict[str, Any], holds: bool) -> None:
    one = scan(day(0), [host(PC, hostname="pc.Example.com")], [finding(PC, "a")], texts={"a": {"cves": ["CVE-2026-1"]}})
    assert (lives(fold_all(one, rules=accepted(**scope))) == []) is holds
    life = only(apply_rules(fold_all(one), accepted(**scope), at=day(1)).knowledge)
    assert (life["ended_as"] == "accepted") is holds


def test_while_an_acceptance_holds_sightings_open_nothing_and_then_they_do() -> None:
    rules = accepted(vulnerability="a")
    start = apply_rules(fold_all(seen(0)), rules, at=day(1)).knowledge
    assert only(start)["accepted_until"] == day(19.5)
    assert only(fold_all(seen(19.4), start=start, rules=rules))["ended_as"] == "accepted"
    old, new = lives(fold_all(seen(19.5), start=start, rules=rules))
    assert (old["ended_as"], old["superseded"]) == ("accepted", True)
    assert (new["opened_as"], new["first_seen"], new["reappeared"]) == ("acceptance ended", day(0), 0)


def test_the_last_day_of_an_acceptance_ends_in_the_time_zone_of_the_policy() -> None:
    rules = replace(accepted(vulnerability="a"), policy=Policy(timezone=ZoneInfo("America/New_York")))
    life = only(apply_rules(fold_all(seen(0)), rules, at=day(1)).knowledge)
    assert life["accepted_until"].astimezone(UTC).isoformat() == "2026-06-21T04:00:00+00:00"


def test_an_acceptance_that_is_withdrawn_ends_at_once() -> None:
    rules = accepted(vulnerability="a")
    start = apply_rules(fold_all(seen(0)), rules, at=day(1)).knowledge
    folded = apply_rules(start, RULES, at=day(3), before=rules)
    assert folded.changed == {"boston"}
    assert [life["opened_as"] for life in lives(fold_all(seen(4), start=folded.knowledge))] == [
        "found",
        "acceptance ended",
    ]


def test_a_finding_that_moves_to_where_it_is_accepted_ends_there() -> None:
    rules = replace(accepted(category="high"), categories=(HIGH, WINDOWS))
    old, new = lives(fold_all(seen(0, severity="low"), seen(7), rules=rules))
    assert (old["category"], old["ended_as"]) == ("windows", "moved")
    assert (new["category"], new["ended_as"], new["ended_at"]) == ("high", "accepted", day(7))


def test_a_ticket_may_be_accepted_and_reopened() -> None:
    start = fold_all(seen(0), scan(day(0.1), ["10.1.0.2"], [finding("10.1.0.2", "b")]))
    taken = accept(start, pl.col("vulnerability_id") == "a", at=day(1), until=day(100))
    assert (only(taken)["ended_as"], only(taken)["ended_at"], only(taken)["accepted_until"]) == (
        "accepted",
        day(1),
        day(100),
    )
    assert only(taken, "b") == only(start, "b")
    assert only(fold_all(seen(7), start=taken))["ended_as"] == "accepted"
    again = only(reopen_accepted(taken, pl.col("category") == "windows"))
    assert (again["ended_as"], again["ended_at"], again["accepted_until"]) == (None, None, None)
    assert again["last_iteration"] < again["first_iteration"], "unverified until seen"


def test_reopening_leaves_alone_what_began_anew_elsewhere() -> None:
    taken = accept(fold_all(seen(0)), pl.lit(value=True), at=day(1), until=day(5))
    anew = fold_all(seen(7), start=taken)
    assert lives(reopen_accepted(anew, pl.lit(value=True))) == lives(anew)


# --- what a fold says of itself


def test_touched_names_old_ranges_of_the_hosts_too() -> None:
    rules = replace(RULES, ranges=tuple(replace(one, identity=("hostname", "ip")) for one in RULES.ranges))
    start = fold_all(scan(day(0), [host("x", ip=PC, hostname="pc")], [finding("x", "a")]), rules=rules)
    moved = scan(day(7), [host("x", ip="10.1.5.5", hostname="pc")])
    assert touched(start.hosts, moved, rules) == {"boston", "lab"}
    assert touched(start.hosts, scan(day(7), ["10.1.0.9"]), rules) == {"boston"}


def test_conditions_on_the_host_and_on_ports_are_asked_per_finding() -> None:
    linux = Category("linux", "Linux", "os LIKE 'Linux%' AND array_contains(ports, '22/tcp')")
    rules = Rulebook(categories=(linux, HIGH), ranges=(BOSTON,))
    hosts = [host(PC, os="Linux 6"), host("10.1.0.2", os="Windows"), host("10.1.0.3")]
    one = scan(day(0), hosts, [finding(ref["host"], "a", "high", ["22/tcp"]) for ref in hosts])
    assert [life["category"] for life in sorted(lives(fold_all(one, rules=rules)), key=lambda one: one["host"])] == [
        "linux", "high", "high",
    ]  # fmt: skip


# --- adoption


def test_an_adoption_leaves_a_range_alone_whose_first_scan_was_its_first_round() -> None:
    """Its ordinal is that of iteration 0, its label is not: here a host of it answers in a scan of another range."""
    names = replace(RULES, policy=Policy(adoption=Adoption("silent")), ranges=(
        replace(BOSTON, identity=("hostname",)), replace(LAB, iteration="scan", identity=("hostname",)),
    ))  # fmt: skip
    start = fold_all(scan(day(5), [host("10.1.5.1", hostname="pc")], [finding("10.1.5.1", "a")]), rules=names)
    other = scan(day(3), [host(PC, hostname="pc")], [finding(PC, "b")], scanner="gvm")
    adopted = adopt(start, [other], names)
    assert label(adopted.folded.knowledge, only(adopted.folded.knowledge), "first_iteration") == "1"
    assert adopted.ranges == ()
