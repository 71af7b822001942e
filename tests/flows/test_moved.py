"""Findings that leave a ticket for another one: both tickets tell of it, and are linked."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from sqlalchemy import text

from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import CATEGORIES, RANGES, World
from vmjira.flows.deliver import attempt
from vmjira.flows.evidence import ticket
from vmjira.flows.explain import explain
from vmjira.flows.present import one_ticket
from vmjira.flows.reconcile import reconcile
from vmjira.flows.replay import differing, rebuild
from vmjira.rulefiles import load

HOSTS = {"10.1.0.1": [SMB], "10.1.5.1": [SMB, RDP], "10.1.0.2": [APACHE]}
LAB = RANGES + "  - {id: lab, title: Laboratory, networks: [10.1.5.0/24], ticket: {project: VM}}\n"
REMOTE = (
    "categories:\n  - {id: remote, title: Remote desktop, where: \"title LIKE 'RDP%'\"}\n"
    + CATEGORIES.removeprefix("categories:\n")
)
OLD, NEW, SPLIT = "windows.boston.2026-W23", "windows.lab.2026-W23", "remote.boston.2026-W23"


def test_another_team_keeps_first_seen_and_both_tickets_are_linked_in_the_tracker_and_in_the_text(either: World):
    either.fold(week(23), HOSTS)
    first_seen = {
        each["vulnerability_id"]: each["first seen"] for each in explain(either.outside, "10.1.5.1")["findings"]
    }
    either.write_rules(ranges=LAB)
    either.ingest()
    either.jira.calls()
    assert not any("web.boston" in each for each in either.deliver())  # nothing of it moved
    tickets = either.jira.by_identifier()
    old, new = tickets[OLD], tickets[NEW]
    assert old.links == (new.key,) and new.links == (old.key,)
    assert f"* Moved to: {new.key}, Windows updates – Laboratory – Scan 23: 2 findings" in old.description
    assert f"* Moved from: {old.key}, Windows updates – Boston Office – Scan 23: 2 findings" in new.description
    found = {
        each["vulnerability_id"]: each
        for each in explain(either.outside, "10.1.5.1")["findings"]
        if each["ticket"] == NEW
    }
    assert {name: each["first seen"] for name, each in found.items()} == first_seen
    assert {each["previous ticket"] for each in found.values()} == {OLD}
    told = ticket(either.store, OLD, load(either.rules), date(2026, 6, 24))
    assert one_ticket(either.outside, OLD)["moved_to"] == told["moved_to"]
    assert told["moved_to"] == [{"identifier": NEW, "key": new.key, "findings": 2}] and told["moved_from"] == []
    assert "POST issueLink" not in either.jira.calls()  # linked as it was made
    either.ingest(either.folder / "2026-06-01-2000.nessus")
    assert either.deliver() == [] and either.jira.calls() == []


def test_findings_that_move_into_a_ticket_that_is_there_are_linked_by_an_operation_of_their_own(world: World):
    world.fold(week(23), {"10.1.0.1": [SMB, RDP]})
    world.write_rules(categories=REMOTE)
    world.ingest()
    world.deliver()
    assert SPLIT in world.known()
    world.fold(week(23, hours=1), {"10.1.0.9": [SMB]})  # the old ticket lives on
    world.write_rules(categories=CATEGORIES)
    operations = [world.operation(id) for id in world.ingest().operations]
    assert [each.operation for each in operations if each.operation in ("create", "link")] == []  # they have met before
    world.deliver()
    old, split = (world.jira.by_identifier()[name] for name in (OLD, SPLIT))
    assert f"* Moved to: {split.key}, Remote desktop – Boston Office – Scan 23: 1 finding" in old.description
    assert f"* Moved from: {split.key}, Remote desktop – Boston Office – Scan 23: 1 finding" in old.description


def test_a_host_that_a_scan_finds_in_another_range_links_both_tickets(world: World):
    world.write_rules(
        ranges=RANGES.replace("10.1.0.0/16]", "10.1.0.0/16], identity: [hostname]").replace(
            "10.2.0.0/16]", "10.2.0.0/16], identity: [hostname]"
        )
    )
    world.fold(week(23), {"10.1.0.1": [SMB], "10.2.0.9": [SMB]}, names={"10.1.0.1": "pc1", "10.2.0.9": "pc9"})
    said = world.fold(week(23, hours=2), {"10.2.0.1": [SMB]}, names={"10.2.0.1": "pc1"})
    there = "windows.newyork.2026-W23"
    assert f"link {there}: done" in said
    old, new = (world.jira.by_identifier()[name] for name in (OLD, there))
    assert old.links == (new.key,) and new.links == (old.key,)
    assert f"* Moved to: {new.key}" in old.description and f"* Moved from: {old.key}" in new.description
    world.jira.calls()
    world.fold(week(23, hours=4), {"10.2.0.1": [SMB]}, names={"10.2.0.1": "pc1"})
    assert "POST issueLink" not in world.jira.calls()
    assert differing(world.outside, rebuild(world.outside)) == []


def test_a_lost_link_between_them_is_found_and_mended(world: World):
    world.fold(week(23), HOSTS)
    world.write_rules(ranges=LAB)
    world.ingest()
    world.deliver()
    key = world.jira.by_identifier()[NEW].key
    (link,) = world.jira.rest("GET", f"issue/{key}?fields=issuelinks")["fields"]["issuelinks"]
    world.jira.rest("DELETE", f"issueLink/{link['id']}")
    reconcile(world.outside, everything=True)
    assert world.deliver() == [f"link {NEW}: done"]
    assert world.jira.by_identifier()[OLD].links == (world.jira.by_identifier()[NEW].key,)


def test_tickets_that_are_made_at_the_same_time_are_linked_afterwards(world: World):
    world.ingest(world.scan(week(23), HOSTS))
    world.write_rules(ranges=LAB)
    world.ingest()  # both wait now
    said = world.deliver()
    tickets = world.jira.by_identifier()
    assert tickets[OLD].links == (tickets[NEW].key,) and said
    assert f"Moved to: {tickets[NEW].key}" in tickets[OLD].description
    assert f"Moved from: {tickets[OLD].key}" in tickets[NEW].description


def test_a_deleted_ticket_is_not_linked_and_not_named(world: World):
    world.fold(week(23), HOSTS)
    world.jira.delete(world.jira.by_identifier()[OLD].key)
    world.write_rules(ranges=LAB)
    world.ingest()
    world.deliver()  # this finds it deleted
    world.fold(week(26), {"10.1.5.1": [SMB]})
    assert "Moved from" not in world.jira.by_identifier()[NEW].description


def test_tickets_of_which_neither_knew_the_key_of_the_other_are_linked_by_the_one_that_comes_last(world: World):
    """As two workers do: one ticket is made, and its answer lost, before the other one is there."""
    world.ingest(world.scan(week(23), HOSTS))
    world.write_rules(ranges=LAB)
    world.ingest()
    (new,) = (row.id for row in world.operations("queued") if (row.operation, row.identifier) == ("create", NEW))
    world.jira.fault(path="/issue$", method="POST", when="after", status=504)
    assert attempt(world.outside, new) is not None
    said = world.deliver()
    assert f"link {NEW}: done" in said
    tickets = world.jira.by_identifier()
    assert tickets[OLD].links == (tickets[NEW].key,) and tickets[NEW].links == (tickets[OLD].key,)
    assert f"Moved to: {tickets[NEW].key}" in tickets[OLD].description
    assert f"Moved from: {tickets[OLD].key}" in tickets[NEW].description


def test_tickets_of_a_database_from_before_are_linked_by_the_next_scan_and_a_link_that_is_there_stays_the_only_one(
    world: World,
):
    world.fold(week(23), HOSTS)
    world.write_rules(ranges=LAB)
    world.ingest()
    world.deliver()
    with world.store.begin() as unit:
        unit.connection.execute(text("DELETE FROM moved"))
    world.jira.calls()
    assert f"link {NEW}: done" in world.fold(week(26), {"10.1.5.1": [SMB, RDP]})
    assert "POST issueLink" not in world.jira.calls()


def test_what_leaves_a_ticket_for_nowhere_and_comes_back_into_it_has_not_moved(world: World):
    world.write_rules(categories=CATEGORIES.replace("family = 'Windows'", "family = 'Windows' AND severity > 'info'"))
    for hours, severity in ((0, 3), (1, 0), (2, 3)):
        world.fold(week(23, hours=hours), {"10.1.0.1": [replace(SMB, severity=severity)]})
    (ticket_,) = world.jira.tickets()
    assert "Moved" not in ticket_.description and ticket_.links == ()
