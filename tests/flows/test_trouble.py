"""When Jira says no, says nothing, or is asked at the wrong time."""

from __future__ import annotations

import re

import pytest
import requests

from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import CATEGORIES, POLICY, RANGES, World
from vmjira.flows.operations import retry

HOSTS = {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB, APACHE]}
WINDOWS, WEB = "windows.boston.2026-W23", "web.boston.2026-W23"


def test_an_assignee_who_cannot_be_gives_a_ticket_without_one_and_a_comment(either: World):
    either.write_rules(policy="ticket: {project: VM, assignee: auditor}\n")
    either.fold(week(23), HOSTS)
    for ticket in either.jira.by_identifier().values():
        assert ticket.fields["assignee"] is None
        assert len(ticket.comments) == 1 and "is not set" in ticket.comments[0] and "'auditor'" in ticket.comments[0]


def test_a_component_that_does_not_exist_is_left_out_and_named_in_a_comment(world: World):
    world.write_rules(policy="ticket: {project: VM, components: [Nowhere]}\n")
    world.fold(week(23), {"10.1.0.1": [SMB]})
    (ticket,) = world.jira.tickets()
    assert ticket.fields["components"] == []
    assert len(ticket.comments) == 1 and "'components' is not set" in ticket.comments[0]


def test_a_refused_ticket_is_shown_with_jira_s_words_and_delivered_after_the_rule_is_mended(world: World):
    world.write_rules(ranges=RANGES.replace("[10.1.0.0/16]", "[10.1.0.0/16], ticket: {project: NONE}"))
    assert world.fold(week(23), HOSTS | {"10.2.0.1": [SMB]}) == [
        f"create {WEB}: refused", f"create {WINDOWS}: refused", "create windows.newyork.2026-W23: done",
    ]  # fmt: skip
    for row in world.operations("refused"):
        assert "'NONE'" in row.answer and "valid project" in row.answer and "retry the operation" in row.answer
    world.write_rules(ranges=RANGES)
    world.ingest()
    assert sorted(retry(world.outside, [])) == sorted(row.id for row in world.operations("queued"))
    assert world.deliver() == [f"create {WEB}: done", f"create {WINDOWS}: done"]
    assert set(world.jira.by_identifier()) == {WEB, WINDOWS, "windows.newyork.2026-W23"}


def test_updates_of_a_ticket_that_was_refused_do_nothing_and_the_ticket_is_made_as_it_is_by_then(world: World):
    world.write_rules(policy="ticket: {project: NONE}\n")
    world.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [SMB]})
    said = world.fold(week(23, hours=2), {"10.1.0.1": []})
    assert said == [f"update {WINDOWS}: done"] and world.jira.tickets() == []
    world.write_rules(policy=POLICY)
    world.ingest()
    retry(world.outside, [WINDOWS])
    world.deliver()
    (ticket,) = world.jira.tickets()
    assert "* *1* fixed" in ticket.description and "* *1* open" in ticket.description


@pytest.mark.parametrize(("status", "path"), [(429, "/issue$"), (503, "/attachments$"), (429, "/search")])
def test_a_busy_jira_is_waited_for(world: World, status: int, path: str):
    world.jira.fault(path=path, method="POST", status=status, retry_after=0.3, times=2)
    assert world.fold(week(23), HOSTS) == [f"create {WEB}: done", f"create {WINDOWS}: done"]
    assert world.pauses and max(world.pauses) < 30
    for ticket in world.jira.by_identifier().values():
        assert len(ticket.names) == len(set(ticket.names)) == 4


@pytest.mark.parametrize(
    ("path", "when", "fault"),
    [
        ("/issue$", "before", {"status": 502}),
        ("/issue$", "after", {"status": 502}),
        ("/attachments$", "after", {"drop": True}),
        ("/attachments$", "before", {"drop": True}),
    ],
)
def test_a_lost_answer_makes_no_second_ticket_and_no_second_file(either: World, path: str, when: str, fault: dict):
    either.jira.fault(path=path, method="POST", when=when, **fault)
    either.fold(week(23), HOSTS)
    tickets = either.jira.by_identifier()
    assert set(tickets) == {WEB, WINDOWS}
    for ticket in tickets.values():
        assert len(ticket.names) == len(set(ticket.names)) == 4


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_to_an_edit_or_a_comment_is_made_good_without_saying_it_twice(either: World, when: str):
    either.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [SMB]})
    either.jira.fault(path=r"/issue/VM-\d+$", method="PUT", when=when, status=504)
    either.jira.fault(path="/comment$", method="POST", when=when, status=504)
    either.jira.fault(path="/attachment/", method="DELETE", when=when, status=504, times=2)
    either.fold(week(23, hours=1), {"10.1.0.1": [], "10.1.0.2": []})
    (ticket,) = either.jira.tickets()
    assert "Nothing is left to patch" in ticket.description
    assert [comment[:10] for comment in ticket.comments] == ["*Verified*"]
    assert len(ticket.names) == len(set(ticket.names)) == 4


def test_a_deleted_ticket_is_not_made_again_in_its_iteration(either: World):
    either.fold(week(23), HOSTS)
    either.jira.delete(either.jira.by_identifier()[WINDOWS].key)
    said = either.fold(week(23, hours=1), {"10.1.0.1": [SMB], "10.1.0.3": [RDP]})
    assert f"update {WINDOWS}: refused" in said
    (refused,) = either.operations("refused")
    assert "was deleted" in refused.answer and "not made anew" in refused.answer
    assert either.known()[WINDOWS]["status"] == "deleted"
    either.fold(week(23, hours=2), {"10.1.0.4": [RDP]})
    assert set(either.jira.by_identifier()) == {WEB}
    either.fold(week(24), {"10.1.0.5": [RDP]})
    tickets = either.jira.by_identifier()
    assert set(tickets) == {WEB, "windows.boston.2026-W24"}
    assert "Previous: none" in tickets["windows.boston.2026-W24"].description


def test_a_ticket_moved_to_another_project_is_followed(world: World):
    world.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [SMB]})
    (ticket,) = world.jira.tickets()
    move(world, ticket.key, "VMBOS")
    world.fold(week(23, hours=1), {"10.1.0.1": []})
    (moved,) = world.jira.tickets("VMBOS")
    assert world.jira.tickets() == [] and "* *1* fixed" in moved.description
    assert world.known()[WINDOWS]["key"] == moved.key


def move(world: World, key: str, project: str) -> None:
    """As a person does it, on the page."""
    with requests.Session() as web:
        page = web.get(f"{world.jira.url}/browse/{key}", timeout=5).text
        token = re.search(r'name="token" value="([^"]+)"', page)
        assert token
        form = {"token": token[1], "project": project}
        web.post(f"{world.jira.url}/browse/{key}/move", data=form, timeout=5).raise_for_status()


def test_a_custom_field_that_the_project_lacks_is_left_out_and_named_in_a_comment(world: World):
    world.write_rules(policy="ticket: {project: VM, fields: {customfield_99999: '{{ range.title }}'}}\n")
    world.fold(week(23), HOSTS)
    assert set(world.jira.by_identifier()) == {WEB, WINDOWS}
    assert all(
        "99999" in ticket.comments[0] and "cannot be set" in ticket.comments[0] for ticket in world.jira.tickets()
    )


def test_fields_of_the_rules_are_filled_in_for_each_ticket(world: World):
    fields = "{customfield_10100: '{{ iteration.label }} {{ range.title }}'}"
    world.write_rules(policy=f"ticket: {{project: VM, fields: {fields}}}\n", categories=CATEGORIES)
    world.fold(week(23), HOSTS)
    for ticket in world.jira.tickets():
        assert ticket.fields["customfield_10100"] == "2026-W23 Boston Office"
