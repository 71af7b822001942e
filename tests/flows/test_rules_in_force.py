"""Rules that change, that are broken, that would do too much; plans that are held."""

from __future__ import annotations

import pytest

from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import CATEGORIES, POLICY, RANGES, World
from vmjira.errors import RulesInvalid, VmjiraError
from vmjira.flows.operations import drop, release

HOSTS = {"10.1.0.1": [SMB], "10.1.5.1": [SMB, RDP], "10.1.0.2": [APACHE]}
LAB = RANGES + "  - {id: lab, title: Laboratory, networks: [10.1.5.0/24]}\n"
W23 = "windows.boston.2026-W23"
LIMITS = POLICY + "limits: {create: 1}\n"


def test_without_any_valid_rules_nothing_is_folded(world: World):
    world.write_rules(categories="categories: []\n")
    with pytest.raises(RulesInvalid):
        world.ingest(world.scan(week(23), HOSTS))
    with world.store.reading() as unit:
        assert unit.scans() == [] and unit.rules_in_force() is None


def test_broken_rules_leave_the_previous_ones_in_force_and_every_problem_is_named(world: World):
    world.fold(week(23), HOSTS)
    world.write_rules(
        categories=CATEGORIES.replace("family = 'Windows'", "famly = 'Windows'"),
        ranges=RANGES.replace("10.1.", "300.1."),
    )
    report = world.ingest(world.scan(week(24), {"10.1.0.9": [SMB]}))
    assert "categories.yaml:2:" in report.rules and "ranges.yaml:2:" in report.rules and "stay" in report.rules
    world.deliver()
    assert "windows.boston.2026-W24" in world.jira.by_identifier()


def test_changed_rules_move_findings_and_both_tickets_show_it(world: World):
    world.fold(week(23), HOSTS)
    world.write_rules(ranges=LAB)
    report = world.ingest()
    assert report.rules == "changed rules are in force now"
    world.deliver()
    known = world.known()
    assert known[W23]["own"] | {"fixed": 0} == known[W23]["own"]
    assert (known[W23]["own"]["total"], known[W23]["own"]["open"], known[W23]["own"]["moved"]) == (3, 1, 2)
    tickets = world.jira.by_identifier()
    (new,) = set(tickets) - {W23, "web.boston.2026-W23"}
    assert new.startswith("windows.lab.") and known[new]["own"]["open"] == 2
    assert "* *2* moved to another category or range" in tickets[W23].description


def test_the_same_rules_again_change_nothing(world: World):
    world.fold(week(23), HOSTS)
    world.write_rules(ranges=RANGES)
    assert world.ingest().rules == ""
    with world.store.reading() as unit:
        assert unit.ledger_version() == 1


def test_a_new_condition_moves_what_it_takes_and_the_words_of_the_reason_say_so(world: World):
    world.fold(week(23), HOSTS)
    first = "categories:\n  - {id: remote-desktop, title: Remote desktop, where: \"title LIKE 'RDP%'\"}\n"
    world.write_rules(categories=first + CATEGORIES.removeprefix("categories:\n"))
    report = world.ingest()
    rows = {row.identifier.partition(".")[0]: row for row in map(world.operation, report.operations)}
    assert set(rows) == {"remote-desktop", "windows"}
    assert all(row.reason.startswith("change of rules of ") for row in rows.values())
    assert "1 finding on 1 host" in rows["remote-desktop"].reason
    assert world.deliver() and len(world.jira.by_identifier()) == 3


def test_rules_that_would_do_more_than_the_limits_allow_wait_for_a_person(world: World):
    world.fold(week(23), HOSTS)
    split = CATEGORIES.replace("id: windows", "id: win").replace("id: web", "id: www")
    world.write_rules(categories=split, policy=LIMITS)
    report = world.ingest()
    assert "held" in report.rules and "2 tickets to create, limits.create is 1" in report.rules
    (held,) = world.operations("held")
    assert held.id in report.rules
    assert world.deliver() == [] and len(world.jira.by_identifier()) == 2
    world.fold(week(23, hours=1), {"10.1.0.3": [SMB]})  # goes by the previous rules
    assert world.known()[W23]["own"]["total"] == 4
    assert release(world.outside, [held.id]) == [held.id]
    assert world.ingest().rules == "released rules are in force now"
    world.deliver()
    assert len(world.jira.by_identifier()) == 4 and world.operations("held", "refused", "queued") == []


def test_a_plan_over_the_limits_is_held_and_nothing_reaches_jira_until_it_is_released(world: World):
    world.write_rules(policy=LIMITS)
    report = world.ingest(world.scan(week(23), HOSTS))
    assert {row.state for row in map(world.operation, report.operations)} == {"held"}
    assert world.deliver() == [] and world.jira.calls() == [] and world.jira.tickets() == []
    assert len(release(world.outside, ["v1"])) == 2
    assert world.deliver() == ["create web.boston.2026-W23: done", f"create {W23}: done"]
    assert len(world.jira.by_identifier()) == 2


def test_a_held_ticket_is_made_as_it_is_when_it_is_released(world: World):
    world.write_rules(policy=LIMITS)
    world.ingest(world.scan(week(23), HOSTS))
    world.fold(week(23, hours=1), {"10.1.5.1": [SMB]})
    assert world.jira.tickets() == []
    release(world.outside, [])
    world.deliver()
    assert "* *1* fixed" in world.jira.by_identifier()[W23].description


def test_a_dropped_ticket_is_not_planned_again_in_its_iteration(world: World):
    world.write_rules(policy=LIMITS)
    world.ingest(world.scan(week(23), HOSTS))
    assert len(drop(world.outside, [W23])) == 1
    world.write_rules(policy=POLICY)
    release(world.outside, [])
    world.deliver()
    world.fold(week(23, hours=1), {"10.1.0.7": [RDP]})
    assert set(world.jira.by_identifier()) == {"web.boston.2026-W23"}
    world.fold(week(24), {"10.1.0.8": [RDP]})
    assert set(world.jira.by_identifier()) == {"web.boston.2026-W23", "windows.boston.2026-W24"}


def test_an_operation_that_does_not_exist_is_named(world: World):
    with pytest.raises(VmjiraError, match="operation 'nonsense': there is none"):
        release(world.outside, ["nonsense"])
