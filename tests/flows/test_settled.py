"""Tickets whose findings have ended, but not all because they were fixed: settled, and never called verified."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.flows.jira import Ticket
from tests.flows.scans import RDP, SMB, week
from tests.flows.world import RANGES, World, own_numbers
from vmjira.flows.deliver import attempt
from vmjira.flows.overview import overview
from vmjira.flows.reminders import remind
from vmjira.flows.rules import rules_in_force
from vmjira.web.metrics import Numbers

W23, MOVED = "windows.boston.2026-W23", "windows.lab.2026-W23"
LAB = RANGES + "  - {id: lab, title: Laboratory, networks: [10.1.5.0/24]}\n"
TICKET = "ticket: {project: VM, transition_fields: {resolution: {name: Done}}}\n"
HOSTS = {"10.1.0.1": [SMB], "10.1.5.1": [SMB, RDP]}
ACCEPTANCE = """\
acceptances:
  - {host: 10.1.0.1, reason: Replaced in May, approver: jane.doe, until: 2027-05-31}
"""


def policy(mode: str, more: str = "") -> str:
    return f"{TICKET}auto_close: {mode}\n{more}"


def split(world: World) -> Ticket:
    """One finding of the ticket is fixed, the two others move to another range by an edit of the rules."""
    world.fold(week(23), HOSTS)
    world.fold(week(23, hours=1), {"10.1.0.1": []})
    world.write_rules(ranges=LAB)
    world.ingest()
    world.deliver()
    return world.jira.by_identifier()[W23]


def cell(world: World) -> dict[str, object]:
    with world.store.reading() as unit:
        found = overview(unit, rules_in_force(world.outside), date(2026, 6, 24))
    return next(each for each in found["cells"] if (each["category"], each["range"]) == ("windows", "boston"))


def endings(world: World) -> dict[str, float]:
    (family,) = [
        each
        for each in Numbers(lambda: world.store, world.outside.clock).collect()
        if each.name == "vmjira_ticket_endings"
    ]
    return {sample.labels["ending"]: sample.value for sample in family.samples}


def test_a_ticket_whose_findings_moved_is_settled_everywhere_and_names_the_key_of_their_ticket(either: World):
    old = split(either)
    new = either.jira.by_identifier()[MOVED]
    (comment,) = old.comments
    for text in (comment, old.description):
        assert "*Settled, not verified*: " in text and "*Verified*" not in text
        assert f"2 moved to another category or range: 2 to {new.key} (Windows updates – Laboratory – Scan 23)" in text
    assert "none of the 3 findings of this ticket is open any more, and 1 of them was fixed" in comment
    assert own_numbers(old) == either.known()[W23]["own"]
    known = either.known()[W23]
    assert (known["settled"], known["verified"], old.status) == (True, False, "To Do")
    assert cell(either)["state"] == "settled"
    assert endings(either) == {"settled": 1, "open": 1}
    either.fold(week(24), {"10.1.0.1": []})
    assert len(either.jira.by_identifier()[W23].comments) == 1


@pytest.mark.parametrize(("mode", "status"), [("false", "To Do"), ("true", "Done"), ("settled", "Done")])
def test_a_ticket_whose_findings_were_fixed_or_moved_is_closed_if_the_policy_says_so(
    world: World, mode: str, status: str
):
    world.write_rules(policy=policy(mode))
    ticket = split(world)
    assert (ticket.status, len(ticket.comments)) == (status, 1)
    with world.store.reading() as unit:
        row = unit.ticket(W23)
    assert row and (row.closing, row.told) == ("settled" if status == "Done" else "", "settled")


@pytest.mark.parametrize(("mode", "status"), [("verified", "To Do"), ("settled", "Done")])
def test_an_accepted_finding_is_named_with_who_accepted_it_why_and_until_when(either: World, mode: str, status: str):
    either.write_rules(policy=policy(mode))
    either.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [RDP]})
    either.fold(week(23, hours=1), {"10.1.0.2": []})
    either.write_rules(acceptances=ACCEPTANCE)
    either.ingest()
    either.deliver()
    ticket = either.jira.by_identifier()[W23]
    (comment,) = ticket.comments
    for text in (comment, ticket.description):
        assert "* 1 accepted as a risk by jane.doe until 31 May 2027: Replaced in May." in text
    assert ticket.status == status
    assert cell(either)["state"] == "settled"


def test_findings_that_are_gone_are_named_with_the_day_they_were_last_seen(world: World):
    world.write_rules(policy=policy("verified", "forget_after: 7d\n"))
    world.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [RDP]})
    world.fold(week(24, hours=1), {"10.1.0.2": [], "10.1.0.3": []})
    ticket = world.jira.by_identifier()[W23]
    assert "* 1 gone: no scan finds its host any more. It was last seen on 1 June 2026." in ticket.comments[0]
    assert (ticket.status, len(ticket.comments), cell(world)["state"]) == ("To Do", 1, "settled")


def test_a_cell_in_which_all_was_fixed_is_clean_and_its_ticket_verified(world: World):
    world.fold(week(23), {"10.1.0.1": [SMB]})
    world.fold(week(24), {"10.1.0.1": []})
    known = world.known()[W23]
    assert (known["settled"], known["verified"], cell(world)["state"]) == (True, True, "clean")
    assert endings(world) == {"verified": 1}
    (comment,) = world.jira.by_identifier()[W23].comments
    assert comment.startswith("*Verified*: the one finding of this ticket is fixed, as of Scan 24.")


def test_a_ticket_is_not_closed_if_the_policy_no_longer_says_so_when_it_is_delivered(world: World):
    world.write_rules(policy=policy("settled"))
    world.fold(week(23), HOSTS)
    world.write_rules(ranges=LAB, acceptances=ACCEPTANCE)
    world.ingest()
    world.write_rules(policy=policy("verified"))
    world.ingest()
    world.deliver()
    ticket = world.jira.by_identifier()[W23]
    assert (ticket.status, len(ticket.comments)) == ("To Do", 1)
    (close,) = [each for each in world.operations() if each.operation == "close"]
    assert close.answer.startswith("nothing to do")


def test_the_comment_waits_until_the_ticket_that_it_names_has_a_key(world: World):
    world.fold(week(23), {"10.1.5.1": [SMB]})
    world.write_rules(ranges=LAB)
    world.ingest()
    (settled,) = [row.id for row in world.operations("queued") if row.operation == "settled"]
    assert attempt(world.outside, settled) == 5.0
    assert world.operation(settled).answer == f"waiting until {MOVED} is made, to name its key"
    world.deliver()
    new = world.jira.by_identifier()[MOVED]
    assert f"1 to {new.key} " in world.jira.by_identifier()[W23].comments[0]


def test_a_ticket_that_becomes_overdue_costs_one_write_and_says_since_when(either: World):
    either.ahead = timedelta(days=-20)
    either.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [SMB]})
    text = either.jira.by_identifier()[W23].description
    assert "h2. Patch these 2 hosts by 15 June 2026\n" in text
    rules = rules_in_force(either.outside).policy
    either.jira.calls()
    written = {}
    for day in range(14, 20):
        either.ahead = timedelta(days=day - 24)
        remind(either.outside, rules)
        either.deliver()
        written[day] = any(call.startswith("PUT") for call in either.jira.calls())
    assert [day for day, done in written.items() if done] == [16]
    assert "h2. Overdue since 15 June 2026: patch these 2 hosts\n" in either.jira.by_identifier()[W23].description


def test_a_ticket_that_is_made_or_changed_after_its_due_day_says_so_at_once(world: World):
    world.ahead = timedelta(days=-20)
    world.fold(week(23), {"10.1.0.1": [SMB]})
    world.ahead = timedelta()
    world.fold(week(23, hours=1), {"10.1.0.1": [SMB], "10.1.0.2": [RDP]})
    assert "h2. Overdue since 15 June 2026: patch these 2 hosts\n" in world.jira.by_identifier()[W23].description
    world.jira.calls()
    remind(world.outside, rules_in_force(world.outside).policy)
    world.deliver()
    assert [call for call in world.jira.calls() if call.startswith("PUT")] == []


def test_lists_of_a_past_iteration_say_that_they_are_no_longer_updated(world: World):
    world.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [RDP]})
    assert "no longer updated" not in world.jira.by_identifier()[W23].description
    world.fold(week(24), {"10.1.0.1": [], "10.1.0.2": [RDP]})
    text = world.jira.by_identifier()[W23].description
    for kind in ("all", "diff"):
        (line,) = [line for line in text.split("\n") if f"[^{W23}.{kind}.csv]" in line]
        assert line.endswith("; as of Scan 23, no longer updated")


def test_a_title_carries_the_year_once_its_number_has_been_used_before(either: World):
    past = week(23) - timedelta(days=364)  # week 23 of 2025
    either.fold(past, {"10.1.0.1": [SMB], "10.2.0.1": []})
    files = [either.scan(week(23), {"10.1.0.2": [SMB]}), either.scan(week(24), {"10.1.0.3": [SMB], "10.2.0.2": [SMB]})]
    planned = [each["details"]["title"] for each in either.preview(*files) if each["operation"] == "create"]
    either.ingest(*files)
    either.deliver()
    titles = {name: ticket.summary for name, ticket in either.jira.by_identifier().items()}
    assert titles == {
        "windows.boston.2025-W23": "Windows updates – Boston Office – Scan 23",
        "windows.boston.2026-W23": "Windows updates – Boston Office – Scan 2026-W23",
        "windows.boston.2026-W24": "Windows updates – Boston Office – Scan 24",
        "windows.newyork.2026-W24": "Windows updates – New York Office – Scan 24",
    }
    assert set(planned) == {title for name, title in titles.items() if "2025" not in name}
    text = either.jira.by_identifier()["windows.boston.2026-W23"].description
    assert "h3. Hosts at Scan 2026-W23\n" in text and "ticket as of Scan 24" in text


def test_the_name_of_an_iteration_does_not_change_when_an_older_scan_comes_in_late(world: World):
    world.fold(week(23), {"10.1.0.1": [SMB]})
    world.fold(week(23) - timedelta(days=364), {"10.1.0.2": [SMB]})
    world.fold(week(23, hours=1), {"10.1.0.3": [replace(SMB, plugin="300", family="Web Servers")]})
    titles = {name: ticket.summary for name, ticket in world.jira.by_identifier().items()}
    assert titles == {
        "windows.boston.2025-W23": "Windows updates – Boston Office – Scan 2025-W23",
        "windows.boston.2026-W23": "Windows updates – Boston Office – Scan 23",
        "web.boston.2026-W23": "Web servers – Boston Office – Scan 23",
    }


def test_a_title_with_the_number_alone_stays_as_the_policy_has_it(world: World):
    world.write_rules(policy=TICKET + "title: '{range.title} {iteration.number}'\n")
    world.fold(week(23) - timedelta(days=364), {"10.1.0.1": [SMB]})
    world.fold(week(23), {"10.1.0.2": [SMB]})
    assert {ticket.summary for ticket in world.jira.by_identifier().values()} == {"Boston Office 23"}


def test_an_edit_of_the_rules_that_brings_findings_into_a_closed_ticket_reopens_it_without_counting_it(either: World):
    either.write_rules(policy=policy("verified", "reopen_limit: 0\n"), ranges=LAB)
    either.fold(week(26), {"10.1.0.1": [SMB], "10.1.5.1": [RDP]})
    either.fold(week(26, hours=1), {"10.1.0.1": []})
    name = "windows.boston.2026-W26"
    assert either.jira.by_identifier()[name].status == "Done"
    either.write_rules(ranges=RANGES)
    either.ingest()
    either.deliver()
    ticket = either.jira.by_identifier()[name]
    assert (ticket.status, either.known()[name]["own"]["open"], len(ticket.comments)) == ("To Do", 1, 2)
    assert "because the rules were changed" in ticket.comments[-1] and "10.1.5.1" in ticket.comments[-1]
    assert "does not count towards the limit" in ticket.comments[-1]
    with either.store.reading() as unit:
        row = unit.ticket(name)
    assert row and (row.closing, row.reopened) == ("", 0)
