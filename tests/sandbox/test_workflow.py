"""Transitions: strict about ids and screens, and different from project to project."""

from __future__ import annotations

import pytest

from tests.sandbox.conftest import JiraClient


def test_done_needs_a_resolution_and_reopening_clears_it(jira: JiraClient):
    key = jira.create()
    shown = jira.call("GET", f"/issue/{key}/transitions", query={"expand": "transitions.fields"}).get_json()
    done = next(step for step in shown["transitions"] if step["name"] == "Done")
    assert done["fields"]["resolution"]["required"] and done["to"]["statusCategory"]["key"] == "done"
    assert jira.transit(key, "Done").get_json()["errors"]["resolution"]
    assert jira.transit(key, "Done", resolution={"name": "Won't Fix"}).status_code == 204
    assert jira.fields(key)["resolution"]["name"] == "Won't Fix"
    assert jira.transit(key, "Reopen").status_code == 204
    fields = jira.fields(key)
    assert (fields["status"]["name"], fields["resolution"]) == ("To Do", None)


def test_a_resolution_off_the_screen_is_refused(jira: JiraClient):
    key = jira.create()
    answer = jira.transit(key, "Start progress", resolution={"name": "Done"})
    assert answer.status_code == 400
    assert "not on the appropriate screen" in answer.get_json()["errors"]["resolution"]


@pytest.mark.parametrize(("body", "words"), [({}, "Missing 'transition' identifier"), ({"id": 41}, "must be a string")])
def test_a_transition_is_named_by_a_string_id(jira: JiraClient, body, words):
    key = jira.create()
    answer = jira.call("POST", f"/issue/{key}/transitions", {"transition": body}, wrong=True)
    assert answer.status_code == 400
    assert words in answer.get_json()["errorMessages"][0]


def test_a_transition_that_is_not_possible_now_is_refused(jira: JiraClient):
    key = jira.create()
    answer = jira.call("POST", f"/issue/{key}/transitions", {"transition": {"id": "51"}})
    assert answer.status_code == 400


def test_the_long_way_takes_several_steps_each_way(jira: JiraClient):
    key = jira.create(project="OPS")
    for step in ("Take over", "Resolve", "Close", "Question the closing"):
        assert jira.transit(key, step).status_code == 204
    assert jira.fields(key)["status"]["statusCategory"]["key"] == "done"
    jira.transit(key, "Reopen")
    assert jira.fields(key)["status"]["name"] == "Open"


def test_one_way_is_final(jira: JiraClient):
    key = jira.create(project="ONE")
    jira.transit(key, "Finish", resolution={"name": "Done"})
    assert jira.call("GET", f"/issue/{key}/transitions").get_json()["transitions"] == []


def test_a_comment_comes_with_the_transition(jira: JiraClient):
    key = jira.create()
    body = {"transition": {"id": "11"}, "update": {"comment": [{"add": {"body": "on it"}}]}}
    assert jira.call("POST", f"/issue/{key}/transitions", body).status_code == 204
    comments = jira.call("GET", f"/issue/{key}/comment").get_json()["comments"]
    assert [comment["body"] for comment in comments] == ["on it"]
