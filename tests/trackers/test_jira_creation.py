"""A ticket is made in one call, with less where Jira refuses, and never twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tests.trackers.scripted import Answer, Script
from vmjira.domain.rulebook import TicketRules
from vmjira.errors import TrackerRefused, TrackerUnavailable
from vmjira.flows.tracking import Draft
from vmjira.trackers.jira.fields import line

RULES = TicketRules(
    project="VM",
    components=("Patching",),
    labels=("boston",),
    fields={"customfield_10100": "W23", "security": {"name": "Admins"}},
)
DRAFT = Draft("smb.boston.2026-W23", "SMB", "text", RULES, priority="High", due=date(2026, 12, 1), links=("VM-1",))
CREATE = "POST /rest/api/2/issue"
MADE = {"id": "10001", "key": "VM-2", "self": "…"}
SCREEN = "Field cannot be set. It is not on the appropriate screen, or unknown."


def refuse(script: Script, *, status: int = 400, **fields: str) -> None:
    script.say(CREATE, Answer(status, {"errorMessages": [], "errors": fields}))


def test_everything_goes_in_one_call(script, tracker):
    script.say(CREATE, Answer(201, MADE))
    assert tracker.create(DRAFT).key == "VM-2"
    (call,) = script.seen
    assert call.json == {
        "fields": {
            "project": {"key": "VM"},
            "issuetype": {"name": "Task"},
            "summary": "SMB",
            "description": "text",
            "labels": ["vmjira", "vm.smb.boston.2026-W23", "boston"],
            "priority": {"name": "High"},
            "duedate": "2026-12-01",
            "components": [{"name": "Patching"}],
            "customfield_10100": "W23",
            "security": {"name": "Admins"},
        },
        "properties": [{"key": "vmjira", "value": {"identifier": "smb.boston.2026-W23"}}],
        "update": {"issuelinks": [{"add": {"type": {"name": "Relates"}, "outwardIssue": {"key": "VM-1"}}}]},
    }


@pytest.mark.parametrize("name", ["priority", "duedate", "components", "customfield_10100"])
def test_an_optional_field_that_jira_refuses_is_left_out_and_told(script, tracker, name):
    refuse(script, **{name: SCREEN})
    script.say(CREATE, Answer(201, MADE))
    (note,) = tracker.create(DRAFT).notes
    assert name in note and SCREEN in note and "create screen" in note
    first, second = (call.json["fields"] for call in script.calls(CREATE))
    assert first.keys() - second.keys() == {name}


def test_fields_refused_one_after_the_other_are_all_left_out(script, tracker):
    refuse(script, priority=SCREEN, duedate=SCREEN)
    refuse(script, components="Component name 'Patching' is not valid")
    script.say(CREATE, Answer(201, MADE))
    assert len(tracker.create(DRAFT).notes) == 3


@pytest.mark.parametrize("name", ["project", "issuetype", "summary", "security", "description", "customfield_999"])
def test_what_a_ticket_cannot_be_without_is_refused_with_jiras_words(script, tracker, name):
    refuse(script, **{name: "is wrong", "priority": SCREEN})
    with pytest.raises(TrackerRefused, match=f"{name}: is wrong"):
        tracker.create(DRAFT)
    assert len(script.calls(CREATE)) == 1


def test_links_that_the_create_screen_lacks_are_made_afterwards(script, tracker):
    refuse(script, issuelinks=SCREEN)
    script.say(CREATE, Answer(201, MADE))
    script.say("POST .*/issueLink", Answer(201))
    assert tracker.create(DRAFT).notes == ()
    assert script.seen[-1].json["outwardIssue"] == {"key": "VM-1"}


def test_links_that_jira_refuses_altogether_are_told(script, tracker):
    script.say(CREATE, Answer(404, {"errorMessages": ["No issue link type with name 'Relates' found."]}))
    script.say(CREATE, Answer(201, MADE))
    script.say("POST .*/issueLink", Answer(500))
    (note,) = tracker.create(DRAFT).notes
    assert "VM-1" in note and "HTTP 500" in note


def test_a_bad_label_of_the_rules_does_not_cost_ours(script, tracker):
    draft = replace(DRAFT, links=(), rules=replace(RULES, labels=("has space",)))
    refuse(script, labels="The label 'has space' contains spaces which is invalid.")
    script.say(CREATE, Answer(201, MADE))
    script.say("PUT .*/VM-2", Answer(400, {"errors": {"labels": "contains spaces"}}))
    (note,) = tracker.create(draft).notes
    assert "label" in note
    assert script.calls(CREATE)[1].json["fields"]["labels"] == ["vmjira", "vm.smb.boston.2026-W23"]


def test_labels_that_the_create_screen_lacks_are_set_afterwards(script, tracker):
    refuse(script, labels=SCREEN)
    refuse(script, labels=SCREEN)
    script.say(CREATE, Answer(201, MADE))
    script.say("PUT .*/VM-2", Answer(204))
    assert tracker.create(replace(DRAFT, links=())).notes == ()
    assert {"add": "vm.smb.boston.2026-W23"} in script.seen[-1].json["update"]["labels"]


def test_an_assignee_whom_nobody_knows_is_told_and_looked_up_once(script, tracker):
    draft = replace(DRAFT, links=(), rules=replace(RULES, assignee="nobody"))
    script.say("GET .*/user/assignable/search", [{"accountId": "a1", "displayName": "Nobody Else"}])
    script.say(CREATE, Answer(201, MADE), times=2)
    for _ in range(2):
        (note,) = tracker.create(draft).notes
        assert "'nobody'" in note and "VM" in note
    assert len(script.calls("GET .*/user/.*")) == 1
    assert "assignee" not in script.calls(CREATE)[0].json["fields"]


def test_an_assignee_whom_jira_refuses_is_left_out_and_not_tried_again(script, tracker):
    draft = replace(DRAFT, links=(), rules=replace(RULES, assignee="712020:0f5b3a1e-1111-2222-3333-444455556666"))
    refuse(script, assignee="User cannot be assigned issues.")
    script.say(CREATE, Answer(201, MADE), times=2)
    assert "cannot be assigned" in tracker.create(draft).notes[0]
    assert tracker.create(draft).notes
    assert ["assignee" in call.json["fields"] for call in script.calls(CREATE)] == [True, False, False]


@pytest.mark.parametrize(
    "who", ["Boston Admins", "boston-admins@example.com", "BOSTON-ADMINS", "5b10a2844c20165700ede21b"]
)
def test_an_assignee_is_found_by_id_name_or_mail(script, tracker, who):
    users = [
        {
            "accountId": "5b10a2844c20165700ede21b",
            "displayName": "Boston Admins",
            "emailAddress": "boston-admins@example.com",
        },
        {"accountId": "stranger", "displayName": "Boston Admins of Old"},
    ]
    script.say("GET .*/user/assignable/search", users)
    script.say(CREATE, Answer(201, MADE))
    tracker.create(replace(DRAFT, rules=replace(RULES, assignee=who)))
    assert script.calls(CREATE)[0].json["fields"]["assignee"] == {"accountId": "5b10a2844c20165700ede21b"}


def test_two_people_of_one_name_are_nobody(script, tracker):
    script.say(
        "GET .*/user/assignable/search",
        [{"accountId": "1", "displayName": "J"}, {"accountId": "2", "displayName": "J"}],
    )
    script.say(CREATE, Answer(201, MADE))
    assert tracker.create(replace(DRAFT, rules=replace(RULES, assignee="J"))).notes


def test_searching_for_people_may_be_forbidden(script, tracker):
    script.say("GET .*/user/assignable/search", Answer(403))
    script.say(CREATE, Answer(201, MADE))
    assert tracker.create(replace(DRAFT, rules=replace(RULES, assignee="J"))).key == "VM-2"


def test_nothing_that_fails_after_the_ticket_exists_makes_it_fail(script, tracker):
    draft = replace(DRAFT, rules=replace(RULES, watchers=("one", "two")))
    script.say(CREATE, Answer(201, MADE))
    script.say("GET .*/user/search", Answer(503))
    script.say("GET .*/user/search", [{"accountId": "2", "displayName": "two"}])
    script.say("POST .*/watchers", Answer(silent=True))
    created = tracker.create(draft)
    assert created.key == "VM-2"
    assert len(created.notes) == 2


def test_a_lost_answer_to_a_create_is_never_repeated(script, tracker):
    script.say(CREATE, Answer(silent=True))
    with pytest.raises(TrackerUnavailable) as caught:
        tracker.create(DRAFT)
    assert caught.value.outcome_unknown
    assert len(script.calls(CREATE)) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\tc", "a b c"),
        ("x" * 255, "x" * 255),
        ("x" * 256, "x" * 254 + "…"),
        ("😀" * 128, "😀" * 127 + "…"),
        ("\x00\u2028\ud800 z", "z"),
    ],
)
def test_a_summary_is_one_line_of_at_most_255_characters_as_jira_counts(text, expected):
    assert line(text) == expected
