"""What a change of rules would do, shown before it is done."""

from __future__ import annotations

import io
from ipaddress import ip_address
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.flows.scans import APACHE, NGINX, RDP, SMB, Flaw, week
from tests.flows.world import CATEGORIES, POLICY, RANGES, World
from vmjira import rulefiles
from vmjira.domain.classify import RangeFinder
from vmjira.domain.preview import condition, overlaps
from vmjira.domain.rulebook import Network, Range, Rulebook
from vmjira.flows.preview import preview_all
from vmjira.rulefiles.conditions import check
from vmjira.shownrules import show_rules_preview

HOSTS = {"10.1.0.1": [SMB], "10.1.5.1": [SMB, RDP], "10.1.0.2": [APACHE]}
LAB = "  - {id: lab, title: Laboratory, networks: [10.1.5.0/24], ticket: {project: LAB}}\n"
W23 = "windows.boston.2026-W23"


def look(world: World) -> dict[str, Any]:
    return preview_all(world.outside, [], world.read, lambda: rulefiles.load(world.rules))[1]


def shown(said: dict[str, Any]) -> str:
    text = io.StringIO()
    show_rules_preview(Console(file=text, width=200), said)
    return text.getvalue()


def test_a_new_range_shows_which_findings_move_from_which_ticket_and_team_to_which(world: World):
    world.fold(week(23), HOSTS)
    world.jira.calls()
    world.write_rules(ranges=RANGES + LAB)
    said = look(world)
    (move,) = said["moves"]["top"]
    key = world.known()[W23]["key"]
    assert move["from"] == {
        "category": "windows", "range": "boston", "team": "Boston Office", "project": "VM", "ticket": W23, "key": key,
    }  # fmt: skip
    assert (move["to"]["range"], move["to"]["team"], move["to"]["project"]) == ("lab", "Laboratory", "LAB")
    assert move["to"]["ticket"] == "windows.lab.2026-W23" and move["to"]["key"] is None
    assert (move["findings"], move["hosts"], move["examples"]) == (2, 1, ["ip:10.1.5.1"])
    assert (said["moves"]["findings"], said["moves"]["tickets"]) == (2, 1)
    assert {kind: each["total"] for kind, each in said["tickets"].items()} == {
        "create": 1, "update": 1, "close": 0, "lose findings": 1, "lose all findings": 0,
    }  # fmt: skip
    assert said["tickets"]["lose findings"]["top"] == [f"{W23} ({key})"]
    assert world.jira.calls() == [] and world.operations("queued") == []
    text = shown(said)
    assert "2 findings move, out of 1 tickets" in text and "Laboratory" in text and "windows.lab.2026-W23" in text


def test_what_the_preview_says_is_what_the_change_does(world: World):
    world.fold(week(23), HOSTS | {"10.2.0.1": [SMB, NGINX]})
    world.fold(week(24), {"10.1.0.9": [SMB], "10.1.0.2": [APACHE, NGINX]})
    world.write_rules(
        ranges=RANGES + LAB, categories=CATEGORIES.replace("= 'Windows'", "= 'Windows' AND severity < 'critical'")
    )
    said = look(world)
    before = {name: each["own"] for name, each in world.known().items()}
    world.ingest()
    after = {name: each["own"] for name, each in world.known().items()}
    moved = sum(each["moved"] - before.get(name, {"moved": 0})["moved"] for name, each in after.items())
    assert moved == said["moves"]["findings"] == 2
    assert set(after) - set(before) == set(said["tickets"]["create"]["top"])
    lost = {name for name in before if after[name]["open"] < before[name]["open"]}
    assert lost == {name.split(" ")[0] for name in said["tickets"]["lose findings"]["top"]}


def test_rules_that_did_not_change_still_tell_what_they_mean(world: World):
    world.fold(week(23), HOSTS)
    said = look(world)
    assert not said["changed"] and said["moves"]["total"] == 0 and said["exceeds"] is None
    assert [each["range"] for each in said["uncovered"]["top"]] == ["newyork"]
    assert "New York Office" in shown(said)


def test_hosts_that_no_range_owns_are_told_by_the_network_around_them(world: World):
    world.fold(week(23), HOSTS | {"192.168.7.1": [SMB], "192.168.7.9": [], "fd00::1": [SMB]})
    said = look(world)["unowned"]
    assert said["hosts"] == 3
    assert said["top"] == [
        {"network": "192.168.7.0/24", "hosts": 2, "examples": ["ip:192.168.7.1", "ip:192.168.7.9"]},
        {"network": "fd00::/64", "hosts": 1, "examples": ["ip:fd00::1"]},
    ]


def test_overlapping_networks_tell_which_wins_and_how_many_hosts_that_concerns(world: World):
    world.fold(week(23), HOSTS)
    world.write_rules(ranges=RANGES + LAB)
    (overlap,) = look(world)["overlaps"]["top"]
    assert overlap == {
        "network": "10.1.0.0/16", "range": "boston", "winner": "10.1.5.0/24", "winner_range": "lab", "hosts": 1,
    }  # fmt: skip


QUOTES = Flaw("300", "O'Reilly flaw", 'O\'Reilly: "quoted"', severity=2)


def test_findings_that_no_category_takes_come_with_a_condition_that_takes_just_them(world: World):
    world.fold(week(23), {"10.1.0.1": [SMB, QUOTES, Flaw("301", "Low flaw", "Misc.", severity=1)]})
    said = look(world)["untaken"]
    assert said["findings"] == 2
    first, second = said["top"]
    assert first["severities"] == {"medium": 1} and second["severities"] == {"low": 1}
    assert first["where"] == "family = 'O''Reilly: \"quoted\"' AND severity >= 'medium'"
    entries = "".join(
        f"  - id: new-{number}\n    title: New {number}\n    where: >-\n      {each['where']}\n"
        for number, each in enumerate(said["top"])
    )
    world.write_rules(categories=CATEGORIES + entries)
    assert look(world)["untaken"]["findings"] == 0
    assert look(world)["moves"]["findings"] == 2
    world.ingest()
    world.deliver()
    assert len(world.jira.by_identifier()) == 3


@given(st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)))
def test_the_condition_is_valid_whatever_the_scanner_calls_the_family(family: str | None):
    where = check(condition(family, "low"))
    findings = pl.DataFrame(
        {"family": [family, "another one"], "severity": ["high", "high"]},
        schema={"family": pl.String(), "severity": pl.Enum(["info", "low", "medium", "high", "critical"])},
    )
    assert findings.filter(pl.sql_expr(where))["family"].to_list() == (
        [family] if family != "another one" else [family] * 2
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 12), st.sampled_from(["a", "b", "c"])), max_size=8, unique=True
    )
)
def test_the_winner_of_an_overlap_of_two_is_the_one_that_classification_takes(spans):
    for one in spans:
        for other in spans:
            pair = [one, other] if one != other else [one]
            ranges = tuple(
                Range(f"{owner}{number}", "", (Network(ip_address(first), ip_address(first + size)),))
                for number, (first, size, owner) in enumerate(pair)
            )
            rulebook = Rulebook(ranges=ranges)
            everything = [str(ip_address(number)) for number in range(60)]
            find = RangeFinder(rulebook)
            both = [
                address
                for address in everything
                if all(each.networks[0].first <= ip_address(address) <= each.networks[0].last for each in ranges)
            ]
            found = overlaps(rulebook, everything)
            if len(pair) == 1 or not both:
                assert found == []
            else:
                (overlap,) = found
                assert overlap.hosts == len(both)
                assert {find(address) for address in both} == {overlap.winner_range}


def test_an_id_that_was_changed_is_called_by_its_name(world: World):
    world.fold(week(23), HOSTS)
    world.write_rules(
        categories=CATEGORIES.replace("id: windows", "id: win"),
        ranges=RANGES.replace("networks: [10.2.0.0/16]", "networks: [10.2.0.0/16], identity: [hostname, ip]"),
        policy=POLICY + "limits: {create: 100000}\n",
    )
    notes = "\n".join(look(world)["notes"])
    assert "category 'windows' is now called 'win'" in notes and "add `aliases: [windows]` to category 'win'" in notes
    assert "range 'newyork': identity changes from ip to hostname, ip" in notes
    assert "limits.create rises from 100 to 100000; this change itself is judged by 100" in notes


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("10.0.0.0", "10.0.255.255", "10.0.0.0/16"),
        ("10.0.0.1", "10.0.0.9", "10.0.0.1-10.0.0.9"),
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("fd00::", "fd00::ffff", "fd00::/112"),
    ],
)
def test_a_network_is_written_as_people_write_it(first: str, last: str, text: str):
    assert str(Network(ip_address(first), ip_address(last))) == text
