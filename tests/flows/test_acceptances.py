"""Risks that somebody accepted, in acceptances.yaml."""

from __future__ import annotations

from tests.flows.scans import RDP, SMB, week
from tests.flows.world import POLICY, World, own_numbers
from vmjira.flows.replay import differing, rebuild

W23 = "windows.boston.2026-W23"
ENTRY = """\
acceptances:
  - {host: 10.1.0.1, vulnerability: '100', reason: Replaced soon, approver: jane.doe, until: 2027-05-31}
"""
HOSTS = {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB]}


def test_an_accepted_finding_leaves_the_work_of_its_ticket_and_is_not_found_again(world: World):
    world.fold(week(23), HOSTS)
    world.write_rules(acceptances=ENTRY)
    world.ingest()
    world.deliver()
    ticket = world.jira.by_identifier()[W23]
    assert own_numbers(ticket) == world.known()[W23]["own"]
    assert (own_numbers(ticket)["open"], own_numbers(ticket)["accepted"]) == (2, 1)
    world.fold(week(24), HOSTS)
    assert set(world.jira.by_identifier()) == {W23}
    assert own_numbers(world.jira.by_identifier()[W23])["accepted"] == 1


def test_an_acceptance_that_is_taken_back_ends_and_the_finding_opens_anew(world: World):
    world.fold(week(23), HOSTS)
    world.write_rules(acceptances=ENTRY, policy=POLICY)
    world.ingest()
    world.write_rules(acceptances="acceptances: []\n")
    world.ingest()
    world.fold(week(27), HOSTS)  # after the change of rules
    (new,) = set(world.known()) - {W23}
    assert world.known()[new]["own"]["open"] == 1
    assert world.known()[W23]["own"]["accepted"] == 1
    assert differing(world.outside, rebuild(world.outside)) == []
