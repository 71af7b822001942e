"""Numbers of tickets, and the rows behind them."""

from __future__ import annotations

from typing import Any

import polars as pl

from tests.domain.samples import RULES, WINDOWS, day, finding, fold_all, host, scan
from vmjira.domain.classify import newest
from vmjira.domain.frames import LEDGER, check
from vmjira.domain.iterations import running_ordinals
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.report import all_rows, diff_rows, own_rows
from vmjira.domain.statistics import host_lists, host_numbers, own_numbers, top_hosts, uncategorised
from vmjira.domain.ticket import REPORT, HostNumbers

NEW, REMAINING, SAFE, UNVERIFIED, UNTOUCHED = (f"10.1.0.{number}" for number in range(1, 6))


def campaign() -> Knowledge:
    """Two weeks of Boston: each host behaves as it is called."""
    old = [finding(ref, "a") for ref in (REMAINING, SAFE, UNVERIFIED, UNTOUCHED)]
    first = scan(day(0), [NEW, REMAINING, SAFE, UNVERIFIED, UNTOUCHED], [*old, finding(SAFE, "b")])
    hosts = [host(NEW), host(REMAINING), host(SAFE), host(UNVERIFIED, authenticated=False)]
    return fold_all(first, scan(day(7), hosts, [finding(NEW, "a", "critical"), finding(REMAINING, "a")]))


def now(knowledge: Knowledge) -> int:
    return running_ordinals(knowledge.iterations)["boston"]


def numbers(knowledge: Knowledge) -> HostNumbers:
    (row,) = host_numbers(knowledge.lives, now(knowledge)).drop("category").to_dicts()
    return HostNumbers(**row)


def test_hosts_are_new_remaining_safe_or_unverified() -> None:
    knowledge = campaign()
    assert numbers(knowledge) == HostNumbers(vulnerable=2, last=4, new=1, remaining=1, safe=1, unverified=2)
    assert host_lists(knowledge.lives, now(knowledge)).rows() == [
        ("windows", "ip:10.1.0.1", "new"),
        ("windows", "ip:10.1.0.2", "remaining"),
        ("windows", "ip:10.1.0.3", "safe"),
        ("windows", "ip:10.1.0.4", "unverified"),
        ("windows", "ip:10.1.0.5", "unverified"),
    ]


def test_a_host_that_lost_its_old_finding_and_got_a_new_one_remains() -> None:
    first = scan(day(0), [SAFE], [finding(SAFE, "a")])
    knowledge = fold_all(first, scan(day(7), [SAFE], [finding(SAFE, "b")]))
    assert numbers(knowledge) == HostNumbers(vulnerable=1, last=1, remaining=1)


def test_what_was_fixed_in_an_earlier_iteration_counts_no_more() -> None:
    third = scan(day(14), [SAFE, NEW], [finding(NEW, "a")])
    assert numbers(fold_all(third, start=campaign())) == HostNumbers(
        vulnerable=1, last=4, remaining=1, unverified=3, safe=0
    )


def test_own_findings_count_for_ever_in_the_ticket_of_their_first_iteration() -> None:
    knowledge = campaign()
    labels = knowledge.iterations.select("range", "label", first_iteration="ordinal")
    rows = own_numbers(knowledge.lives, {"boston": now(knowledge)}).join(labels, on=["range", "first_iteration"])
    by_label = {row.pop("label"): row for row in rows.drop("category", "range", "first_iteration").to_dicts()}
    nothing = {"moved": 0, "gone": 0, "accepted": 0}
    assert by_label == {
        "2026-W23": {"total": 5, "fixed": 2, "open": 3, "unverified": 2, "hosts": 4, "open_hosts": 3} | nothing,
        "2026-W24": {"total": 1, "fixed": 0, "open": 1, "unverified": 0, "hosts": 1, "open_hosts": 1} | nothing,
    }


def test_within_one_ticket_a_finding_counts_once_as_its_latest_life() -> None:
    one, none = [finding(NEW, "a")], list[dict[str, Any]]()
    steps = [scan(day(at / 10), [NEW], found) for at, found in enumerate([one, none, one, none, one])]
    for count, expected in ((1, "open"), (2, "fixed"), (3, "open"), (4, "fixed"), (5, "open")):
        knowledge = fold_all(*steps[:count])
        (row,) = own_numbers(knowledge.lives, running_ordinals(knowledge.iterations)).to_dicts()
        assert (row["total"], row[expected]) == (1, 1)


def test_the_most_vulnerable_hosts_come_first_and_ties_have_an_order() -> None:
    found = {
        "10.1.0.1": ["critical"],
        "10.1.0.2": ["high", "high"],
        "10.1.0.3": ["high", "medium", "medium", "low"],
        "10.1.0.4": ["critical"],
        "10.1.0.5": ["critical"],
    }
    hosts = [host(ref, hostname={"10.1.0.4": "alpha", "10.1.0.5": "beta"}.get(ref)) for ref in found]
    findings = [finding(ref, f"{n}", severity) for ref, all_ in found.items() for n, severity in enumerate(all_)]
    knowledge = fold_all(
        scan(day(0), hosts, [*findings, finding("10.1.0.1", "x", "info")], texts={"x": {"family": "X"}})
    )
    top = top_hosts(knowledge.lives, now(knowledge), newest(knowledge.hosts), 4)
    assert top.drop("category").rows() == [
        ("ip:10.1.0.3", "10.1.0.3", None, 10, 4),
        ("ip:10.1.0.2", "10.1.0.2", None, 10, 2),
        ("ip:10.1.0.1", "10.1.0.1", None, 10, 1),
        ("ip:10.1.0.4", "10.1.0.4", "alpha", 10, 1),
    ]


def test_only_findings_seen_in_the_running_iteration_make_a_host_vulnerable() -> None:
    knowledge = campaign()
    assert top_hosts(knowledge.lives, now(knowledge), newest(knowledge.hosts), 9)["host"].to_list() == [
        "ip:10.1.0.1", "ip:10.1.0.2",
    ]  # fmt: skip


def test_findings_without_a_cell_are_counted_by_family_and_severity() -> None:
    one = scan(day(0), [NEW, "192.168.0.1"], [finding(NEW, "b", "low"), finding("192.168.0.1", "a")], texts={
        "b": {"family": "Odd"},
    })  # fmt: skip
    knowledge = fold_all(one)
    assert uncategorised(knowledge.lives, knowledge.vulnerabilities).rows() == [
        (None, "Windows", "high", 1, 1),
        ("boston", "Odd", "low", 1, 1),
    ]


def test_no_lives_make_no_numbers() -> None:
    nothing = pl.DataFrame(schema=LEDGER)
    assert host_numbers(nothing, 1).is_empty()
    assert own_numbers(nothing, {}).is_empty()
    assert top_hosts(nothing, 1, newest(Knowledge().hosts), 5).is_empty()


def states(rows: pl.DataFrame) -> list[tuple[str, str, str]]:
    check(rows, REPORT, "report")
    return rows.select("ip", "vulnerability_id", "state").rows()


def test_own_rows_tell_the_state_now() -> None:
    knowledge = campaign()
    first = knowledge.iterations["ordinal"].min()
    assert isinstance(first, int)
    rows = own_rows(knowledge, WINDOWS, "boston", first)
    assert states(rows) == [
        (REMAINING, "a", "remaining"),
        (SAFE, "a", "fixed"),
        (SAFE, "b", "fixed"),
        (UNVERIFIED, "a", "unverified"),
        (UNTOUCHED, "a", "unverified"),
    ]
    assert rows["fixed_at"].to_list() == [None, day(7), day(7), None, None]
    assert rows["ticket"].unique().to_list() == ["windows.boston.2026-W23"]
    assert rows["category"].unique().to_list() == ["Windows"]
    assert states(own_rows(knowledge, WINDOWS, "boston", now(knowledge))) == [(NEW, "a", "new")]


def test_all_rows_are_what_is_open_and_diff_rows_what_became_of_it() -> None:
    knowledge = campaign()
    everything = all_rows(knowledge, WINDOWS, "boston", now(knowledge))
    assert states(everything) == [
        (NEW, "a", "new"),
        (REMAINING, "a", "remaining"),
        (UNVERIFIED, "a", "unverified"),
        (UNTOUCHED, "a", "unverified"),
    ]
    assert everything["ticket"].to_list() == ["windows.boston.2026-W24", *["windows.boston.2026-W23"] * 3]
    difference = diff_rows(knowledge, WINDOWS, "boston", now(knowledge))
    assert states(difference.filter(pl.col("state") == "fixed")) == [(SAFE, "a", "fixed"), (SAFE, "b", "fixed")]
    assert difference.height == 6


def test_rows_take_their_text_from_the_catalogue_and_cvss_3_before_2() -> None:
    one = scan(day(0), [NEW], [finding(NEW, "a"), finding(NEW, "b", "low")], texts={
        "a": {"title": "A", "description": "why", "solution": "patch", "cvss2": 5.0, "cvss3": 7.5, "cves": ["CVE-1"]},
        "b": {"cvss2": 4.0},
    })  # fmt: skip
    knowledge = fold_all(one, rules=RULES)
    first, second = all_rows(knowledge, WINDOWS, "boston", now(knowledge)).to_dicts()
    assert (first["title"], first["description"], first["solution"]) == ("A", "why", "patch")
    assert (first["cvss"], first["cves"], second["cvss"], second["severity"]) == (7.5, ["CVE-1"], 4.0, "low")
