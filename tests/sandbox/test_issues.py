"""Tickets through REST, on both flavours; the client holds every answer against Jira's contracts."""

from __future__ import annotations

import pytest

from tests import openapi
from tests.sandbox.conftest import JiraClient, Maker

NOT_ON_SCREEN = "Field 'nonsense' cannot be set. It is not on the appropriate screen, or unknown."


def test_the_contracts_are_there_to_hold_answers_against():
    if not openapi.available():
        pytest.skip(f"no OpenAPI documents of Jira in {openapi.CONTRACTS}: answers are not held against them")


def test_a_ticket_is_created_with_links_and_properties_in_one_call(jira: JiraClient):
    older = jira.create("Older")
    body = {
        "fields": {
            "project": {"key": "VM"},
            "issuetype": {"name": "Task"},
            "summary": "Newer",
            "labels": ["vmjira"],
            "components": [{"name": "Patching"}],
            "priority": {"name": "Highest"},
            "duedate": "2026-12-08",
            "customfield_10100": "2026-W23",
        },
        "update": {"issuelinks": [{"add": {"type": {"name": "Relates"}, "outwardIssue": {"key": older}}}]},
        "properties": [{"key": "vmjira", "value": {"identifier": "a.b.c"}}],
    }
    made = jira.call("POST", "/issue", body)
    assert made.status_code == 201
    key = made.get_json()["key"]
    fields = jira.fields(key)
    assert fields["priority"]["name"] == "Highest" and fields["duedate"] == "2026-12-08"
    assert fields["issuelinks"][0]["outwardIssue"]["key"] == older
    assert jira.fields(older)["issuelinks"][0]["inwardIssue"]["key"] == key
    kept = jira.call("GET", f"/issue/{key}/properties/vmjira").get_json()
    assert kept["value"] == {"identifier": "a.b.c"}


@pytest.mark.parametrize(
    ("fields", "member", "words"),
    [
        ({"nonsense": 1}, "nonsense", NOT_ON_SCREEN),
        ({"summary": "x" * 256}, "summary", "255"),
        ({"summary": "two\nlines"}, "summary", "newline"),
        ({"description": "x" * 32_768}, "description", "exceeds the allowed limit of 32,767 characters"),
        ({"labels": ["Test Application"]}, "labels", "The label 'Test Application' contains spaces which is invalid."),
        ({"labels": "one"}, "labels", "not an array"),
        ({"priority": {"name": "Urgent"}}, "priority", "Urgent"),
        ({"components": [{"name": "Gardening"}]}, "components", "Gardening"),
        ({"issuetype": {"name": "Epic"}}, "issuetype", "valid issue type"),
        ({"project": {"key": "NOPE"}}, "project", "valid project"),
        ({"duedate": "tomorrow"}, "duedate", "tomorrow"),
        ({"customfield_10101": "many"}, "customfield_10101", "number"),
    ],
)
def test_what_jira_would_refuse_is_refused_in_its_words(jira: JiraClient, fields, member, words):
    own = {"project": {"key": "VM"}, "issuetype": {"name": "Task"}, "summary": "s", **fields}
    answer = jira.call("POST", "/issue", {"fields": own})
    assert answer.status_code == 400
    assert words in answer.get_json()["errors"][member]


def test_all_complaints_come_at_once(jira: JiraClient):
    key = jira.create()
    answer = jira.call("PUT", f"/issue/{key}", {"fields": {"nonsense": 1, "labels": ["a b"], "summary": "kept?"}})
    assert set(answer.get_json()["errors"]) == {"nonsense", "labels"}
    assert jira.fields(key)["summary"] == "Patch it"


@pytest.mark.parametrize(
    ("name", "allowed"), [("boston-admins", True), ("auditor", False), ("former", False), ("nobody", False)]
)
def test_only_active_and_assignable_people_are_assigned(jira: JiraClient, name, allowed):
    who = {"name": name}
    if jira.cloud:
        people = jira.call("GET", "/user/search", query={"query": name}).get_json()
        who = {"accountId": people[0]["accountId"] if people else "unknown"}
    key = jira.create()
    answer = jira.call("PUT", f"/issue/{key}", {"fields": {"assignee": who}})
    assert answer.status_code == (204 if allowed else 400)
    assert bool(jira.fields(key)["assignee"]) == allowed


def test_labels_are_added_and_removed_without_touching_the_others(jira: JiraClient):
    key = jira.create(labels=["keep", "old"])
    body = {"update": {"labels": [{"add": "new"}, {"remove": "old"}]}}
    assert jira.call("PUT", f"/issue/{key}", body).status_code == 204
    assert jira.fields(key)["labels"] == ["keep", "new"]


def test_notify_users_belongs_into_the_query(jira: JiraClient):
    key = jira.create()
    body = {"fields": {"summary": "quiet"}}
    assert jira.call("PUT", f"/issue/{key}", {**body, "notifyUsers": False}, wrong=True).status_code == 400
    answer = jira.call("PUT", f"/issue/{key}", body, {"notifyUsers": "false"})
    assert answer.status_code == (204 if jira.cloud else 403)
    assert jira.as_admin().call("PUT", f"/issue/{key}", body, {"notifyUsers": "false"}).status_code == 204


def test_bulk_create_succeeds_as_soon_as_one_does(jira: JiraClient):
    good = {"fields": {"project": {"key": "VM"}, "issuetype": {"name": "Task"}, "summary": "good"}}
    bad = {"fields": {**good["fields"], "summary": ""}}
    answer = jira.call("POST", "/issue/bulk", {"issueUpdates": [good, bad]})
    assert answer.status_code == 201
    assert len(answer.get_json()["issues"]) == 1
    assert answer.get_json()["errors"][0]["failedElementNumber"] == 1
    assert jira.call("POST", "/issue/bulk", {"issueUpdates": [bad]}).status_code == 400


def test_a_failed_create_leaves_nothing_behind(jira: JiraClient):
    first = jira.create()
    link = {"add": {"type": {"name": "Haunts"}, "outwardIssue": {"key": first}}}
    own = {"project": {"key": "VM"}, "issuetype": {"name": "Task"}, "summary": "half"}
    answer = jira.call("POST", "/issue", {"fields": own, "update": {"issuelinks": [link]}})
    assert answer.status_code == 400
    assert jira.keys("project = VM") == [first]


def test_bulk_fetch_tells_what_is_missing(cloud: JiraClient):
    key = cloud.create()
    answer = cloud.call("POST", "/issue/bulkfetch", {"issueIdsOrKeys": [key, "VM-999"], "fields": ["summary"]})
    assert [issue["key"] for issue in answer.get_json()["issues"]] == [key]
    assert answer.get_json()["issueErrors"][0]["id"] == "VM-999"


def test_a_deleted_ticket_is_gone(jira: JiraClient):
    key = jira.create()
    assert jira.call("DELETE", f"/issue/{key}").status_code == 204
    assert jira.call("GET", f"/issue/{key}").status_code == 404


def test_version_three_speaks_documents(make: Maker):
    jira = make(rest="3")
    if not jira.cloud:
        assert jira.web.get("/rest/api/3/myself", headers=jira.headers()).status_code == 404
        return
    document = {
        "type": "doc",
        "version": 1,
        "content": [{"type": "paragraph", "content": [{"type": "text", "text": "hi"}]}],
    }
    key = jira.create(description=document)
    assert jira.fields(key)["description"] == document
    answer = jira.call("PUT", f"/issue/{key}", {"fields": {"description": "h1. wiki"}})
    assert "Atlassian Document" in answer.get_json()["errors"]["description"]
    jira.version = "2"
    assert jira.fields(key)["description"] == "hi"


def test_without_right_credentials_there_is_no_answer(jira: JiraClient):
    assert jira.web.get("/rest/api/2/myself").status_code == 401
    assert jira.web.get("/rest/api/2/serverInfo").status_code == 200
    jira.token = "guessed"
    answer = jira.web.get("/rest/api/2/myself", headers=jira.headers())
    assert answer.status_code == 401
    calls = jira.control("GET", "/calls")
    assert "guessed" not in str(calls) and calls[-1]["status"] == 401


def test_permissions_that_are_denied_are_told_and_enforced(make: Maker):
    jira = make(denied=("DELETE_ISSUES", "TRANSITION_ISSUES"))
    key = jira.create()
    asked = {"permissions": "DELETE_ISSUES,EDIT_ISSUES"}
    told = jira.call("GET", "/mypermissions", query=asked, wrong=not jira.cloud).get_json()["permissions"]
    assert (told["DELETE_ISSUES"]["havePermission"], told["EDIT_ISSUES"]["havePermission"]) == (False, True)
    assert jira.call("DELETE", f"/issue/{key}").status_code == 403
    assert jira.call("GET", f"/issue/{key}/transitions").get_json()["transitions"] == []


def test_history_tells_who_changed_what(jira: JiraClient):
    key = jira.create()
    jira.call("PUT", f"/issue/{key}", {"fields": {"summary": "One"}})
    jira.call("PUT", f"/issue/{key}", {"fields": {"summary": "Two", "priority": {"name": "Low"}}})
    histories = jira.get(key, expand="changelog")["changelog"]["histories"]
    newest = histories[0] if jira.cloud else histories[-1]
    changed = {item["field"]: (item["fromString"], item["toString"]) for item in newest["items"]}
    assert changed == {"summary": ("One", "Two"), "priority": ("Medium", "Low")}
    assert newest["author"]["displayName"] == "vmjira"


def test_the_clock_may_be_set_because_time_is_data(jira: JiraClient):
    jira.control("PUT", "/clock", {"now": "2026-06-05T12:00:00+00:00"})
    assert jira.fields(jira.create())["created"].startswith("2026-06-05T12:00:0")
    assert jira.keys("created >= '2026-06-05 11:59'") == ["VM-1"]
    assert jira.keys("project = VM AND created >= -1d") == ["VM-1"]


def test_watchers_comments_and_assignee(jira: JiraClient):
    key = jira.create()
    who = jira.as_admin().call("GET", "/myself").get_json()
    name = who["accountId"] if jira.cloud else who["name"]
    assert jira.call("POST", f"/issue/{key}/watchers", name).status_code == 204
    assert jira.call("GET", f"/issue/{key}/watchers").get_json()["watchCount"] == 2
    who = "accountId" if jira.cloud else "username"
    assert jira.call("DELETE", f"/issue/{key}/watchers", query={who: name}).status_code == 204
    assert jira.call("GET", f"/issue/{key}/watchers").get_json()["watchCount"] == 1
    member = "accountId" if jira.cloud else "name"
    assert jira.call("PUT", f"/issue/{key}/assignee", {member: name}).status_code == 204
    assert jira.fields(key)["assignee"]["displayName"] == "Jira Admin"
    made = jira.call("POST", f"/issue/{key}/comment", {"body": "seen"})
    assert made.status_code == 201
    id_ = made.get_json()["id"]
    assert jira.call("PUT", f"/issue/{key}/comment/{id_}", {"body": "seen again"}).status_code == 200
    assert jira.call("GET", f"/issue/{key}/comment").get_json()["comments"][0]["body"] == "seen again"
    assert jira.call("POST", f"/issue/{key}/comment", {"body": " "}).status_code == 400
    assert jira.call("DELETE", f"/issue/{key}/comment/{id_}").status_code == 204
