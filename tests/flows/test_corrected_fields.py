"""Corrected assignees, watchers, due dates and priorities of the rules reach open tickets; a person's own stay."""

from __future__ import annotations

from typing import Any

from tests.flows.scans import SMB, week
from tests.flows.world import POLICY, World
from vmjira import rulefiles
from vmjira.flows import rulewatch
from vmjira.flows.present import one_ticket

W23 = "windows.boston.2026-W23"
CATEGORIES = "categories:\n  - {id: windows, title: Windows updates, where: \"family = 'Windows'\", %s}\n"
RANGES = "ranges:\n  - {id: boston, title: Boston Office, networks: [10.1.0.0/16], ticket: {%s}}\n"


def rules(world: World, category: str, ticket: str) -> list[str]:
    """Other rules, in force at once, and all that follows."""
    world.write_rules(
        categories=CATEGORIES.replace(", %s", category and f", {category}"), ranges=RANGES % ticket, policy=POLICY
    )
    verdict = rulewatch.look(world.outside, lambda: rulefiles.load(world.rules))
    assert verdict.state == "in force", verdict.words
    return world.deliver()


def made(world: World, category: str = "priority: Low, due: 14d", ticket: str = "assignee: boston-admins") -> str:
    """A ticket under these rules; its key."""
    rules(world, category, ticket)
    world.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [SMB]})
    world.jira.calls()
    return world.jira.by_identifier()[W23].key


def shown(world: World, key: str) -> tuple[str | None, str, str]:
    """Assignee, priority, due date."""
    fields = world.jira.fields(key)
    assignee = fields["assignee"] and fields["assignee"]["displayName"]
    return assignee, fields["priority"]["name"], fields["duedate"]


def watchers(world: World, key: str) -> set[str]:
    return {each["displayName"] for each in world.jira.rest("GET", f"issue/{key}/watchers")["watchers"]}


def answer(world: World) -> str:
    (row,) = [row for row in world.operations() if row.operation == "fields"][-1:]
    return row.answer


def test_corrected_values_reach_an_open_ticket_in_one_edit_and_its_text_names_the_new_date(either: World):
    key = made(either)
    assert shown(either, key) == ("Boston Admins", "Low", "2026-06-15")
    said = rules(either, "priority: High, due: 30d", "assignee: berlin-admins")
    assert said == [f"fields {W23}: done"]
    assert shown(either, key) == ("Berlin Admins", "High", "2026-07-01")
    edits = [call for call in either.jira.calls() if call.startswith("PUT")]
    assert len(edits) == (
        2 if either.jira.flavour == "datacenter" else 1
    )  # one is refused because it asks for no mails
    assert "by 1 July 2026" in either.jira.ticket(key).description
    assert "High" in answer(either) and "2026-07-01" in answer(either)
    assert rules(either, "priority: High, due: 30d", "assignee: berlin-admins, labels: [x]") == []


def test_what_a_person_set_since_stays_and_is_listed(either: World):
    key = made(either)
    mine: dict[str, Any] = {"priority": {"name": "Highest"}, "duedate": "2026-12-24", "assignee": None}
    either.jira.rest("PUT", f"issue/{key}", {"fields": mine})
    either.jira.calls()
    rules(either, "priority: High, due: 30d", "assignee: berlin-admins")
    assert shown(either, key) == (None, "Highest", "2026-12-24")
    assert not [call for call in either.jira.calls() if call.startswith("PUT")]
    assert "priority is left as a person set it (Highest)" in answer(either)
    left = one_ticket(either.outside, W23)["left_as_set"]
    assert left == {"assignee": "", "due": "2026-12-24", "priority": "Highest"}


def test_only_what_a_person_did_not_touch_is_corrected(either: World):
    key = made(either)
    either.jira.rest("PUT", f"issue/{key}", {"fields": {"priority": {"name": "Highest"}}})
    rules(either, "priority: High, due: 30d", "assignee: boston-admins")
    assert shown(either, key) == ("Boston Admins", "Highest", "2026-07-01")


def test_a_default_that_nobody_chose_gives_way_to_the_rules(either: World):
    key = made(either, "due: 14d", "labels: [y]")
    rules(either, "due: 14d, priority: High", "assignee: berlin-admins")
    assert shown(either, key)[:2] == ("Berlin Admins", "High")


def test_of_a_ticket_from_before_only_what_the_old_rules_gave_counts_as_ours(either: World):
    key = made(either)
    with either.store.begin() as unit:
        unit.update_ticket(W23, fields={})
    either.jira.rest("PUT", f"issue/{key}", {"fields": {"priority": {"name": "Highest"}}})
    rules(either, "priority: High, due: 30d", "assignee: berlin-admins")
    assert shown(either, key) == ("Berlin Admins", "Highest", "2026-07-01")


def test_watchers_follow_the_rules_and_those_who_came_by_themselves_stay(either: World):
    key = made(either, ticket="watchers: [auditor@example.com]")
    own = either.jira.account("admin")
    either.jira.rest("POST", f"issue/{key}/watchers", own)
    assert {"Audrey Auditor", "Jira Admin"} <= watchers(either, key)
    rules(either, "priority: Low, due: 14d", "watchers: [berlin-admins]")
    now = watchers(either, key)
    assert {"Berlin Admins", "Jira Admin"} <= now and "Audrey Auditor" not in now


def test_closed_tickets_are_not_touched(either: World):
    key = made(either)
    either.fold(week(24), {"10.1.0.1": [], "10.1.0.2": []})
    either.jira.calls()
    assert rules(either, "priority: High, due: 30d", "assignee: berlin-admins") == []
    assert either.jira.calls() == []
    assert shown(either, key) == ("Boston Admins", "Low", "2026-06-15")


def test_a_value_that_the_tracker_refuses_does_not_hold_back_the_others(world: World):
    key = made(world)
    rules(world, "priority: Nonsense, due: 30d", "assignee: berlin-admins")
    assert shown(world, key) == ("Berlin Admins", "Low", "2026-07-01")
    assert "priority could not be set" in answer(world)


def test_a_rule_that_says_nothing_any_more_takes_nothing_away(world: World):
    key = made(world)
    assert rules(world, "", "labels: [y]") == []
    assert shown(world, key) == ("Boston Admins", "Low", "2026-06-15")


def test_a_ticket_that_is_not_made_yet_is_made_as_the_rules_say_then(world: World):
    rules(world, "priority: Low, due: 14d", "assignee: boston-admins")
    world.ingest(world.scan(week(23), {"10.1.0.1": [SMB]}))
    rules(world, "priority: High, due: 30d", "assignee: berlin-admins")
    key = world.jira.by_identifier()[W23].key
    assert shown(world, key) == ("Berlin Admins", "High", "2026-07-01")
