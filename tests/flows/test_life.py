"""The end of a ticket's findings, and what comes after it."""

from __future__ import annotations

from tests.flows.scans import RDP, SMB, week
from tests.flows.world import World

POLICY = """\
ticket: {project: VM, transition_fields: {resolution: {name: Done}}}
auto_close: true
"""
W23 = "windows.boston.2026-W23"


def test_that_all_findings_have_ended_is_said_once(world: World):
    world.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [RDP]})
    world.fold(week(23, hours=1), {"10.1.0.1": []})
    assert world.jira.by_identifier()[W23].comments == ()
    for hours in (2, 3):
        world.fold(week(23, hours=hours), {"10.1.0.1": [], "10.1.0.2": []})
    world.fold(week(24), {"10.1.0.1": [], "10.1.0.2": []})
    (comment,) = world.jira.by_identifier()[W23].comments
    assert "*Verified*: all 2 findings of this ticket are fixed, as of Scan 23" in comment
    assert comment.count("1 finding fixed on 1 host, with credentials") == 2
    assert world.jira.by_identifier()[W23].status == "To Do"


def test_a_scan_without_credentials_verifies_nothing_that_was_found_with_them(world: World):
    world.fold(week(23), {"10.1.0.1": [SMB]})
    world.fold(week(24), {"10.1.0.1": []}, credentials=False)
    assert world.known()[W23]["own"]["open"] == 1
    assert world.jira.by_identifier()[W23].comments == ()


def test_by_policy_a_verified_ticket_is_closed_and_reopened_when_findings_come_into_it(either: World):
    either.write_rules(policy=POLICY)
    either.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [RDP]})
    said = either.fold(week(23, hours=1), {"10.1.0.1": [], "10.1.0.2": []})
    assert said == [f"update {W23}: done", f"verified {W23}: done", f"close {W23}: done"]
    ticket = either.jira.by_identifier()[W23]
    assert (ticket.status, ticket.fields["resolution"]["name"]) == ("Done", "Done")
    said = either.fold(week(23, hours=2), {"10.1.0.3": [SMB]})
    assert said == [f"update {W23}: done", f"reopen {W23}: done"]
    ticket = either.jira.by_identifier()[W23]
    assert ticket.status == "To Do" and "patch this host" in ticket.description
    assert either.known()[W23]["status"] == "To Do"


def test_a_finding_that_comes_back_in_a_later_week_gets_a_new_ticket_and_the_old_one_stays_closed(world: World):
    world.write_rules(policy=POLICY)
    world.fold(week(23), {"10.1.0.1": [SMB]})
    world.fold(week(24), {"10.1.0.1": []})
    world.fold(week(25), {"10.1.0.1": [SMB]})
    tickets = world.jira.by_identifier()
    assert {name: ticket.status for name, ticket in tickets.items()} == {
        W23: "Done",
        "windows.boston.2026-W25": "To Do",
    }
    assert tickets[W23].links == (tickets["windows.boston.2026-W25"].key,)
    assert world.known()[W23]["own"]["fixed"] == 1


def test_a_workflow_without_a_way_to_done_is_a_refusal_that_names_what_is_possible(world: World):
    world.write_rules(policy="ticket: {project: VM, transitions: {close: Archived}}\nauto_close: true\n")
    world.fold(week(23), {"10.1.0.1": [SMB]})
    world.fold(week(24), {"10.1.0.1": []})
    (refused,) = world.operations("refused")
    assert refused.operation == "close" and "Archived" in refused.answer and "Done" in refused.answer
