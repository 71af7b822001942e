"""Webhooks: what is sent when, how it is signed, and that a bad receiver never hurts a request."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import openapi
from tests.sandbox.conftest import JiraClient, Maker
from tests.sandbox.receiver import Receiver, receiving

SECRET = "It's a Secret to Everybody"
EVENTS = ["jira:issue_created", "jira:issue_updated", "jira:issue_deleted"] + [
    f"comment_{verb}" for verb in ("created", "updated", "deleted")
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def listen(jira: JiraClient, receiver: Receiver, jql: str = "", events: list[str] = EVENTS) -> None:
    body = {"name": "test", "url": receiver.url, "events": events, "secret": SECRET, "jql": jql}
    jira.control("POST", "/webhooks", body)


def body_of(receiver: Receiver) -> dict[str, Any]:
    return json.loads(receiver.next().body)


def test_a_closing_is_told_with_its_status_and_signed(jira: JiraClient, receiver: Receiver):
    key = jira.create()
    listen(jira, receiver)
    jira.transit(key, "Done", resolution={"name": "Done"})
    delivery = receiver.next()
    body = json.loads(delivery.body)
    digest = hmac.new(SECRET.encode(), delivery.body, hashlib.sha256).hexdigest()
    assert delivery.headers["x-hub-signature"] == f"sha256={digest}"
    assert ("x-atlassian-webhook-identifier" in delivery.headers) == jira.cloud
    status = next(item for item in body["changelog"]["items"] if item["field"] == "status")
    assert (status["fromString"], status["toString"], "fieldId" in status) == ("To Do", "Done", jira.cloud)
    assert body["issue"]["fields"]["status"]["statusCategory"]["key"] == "done"
    assert body["issue_event_type_name"] == ("issue_generic" if jira.cloud else "issue_resolved")
    assert ("accountId" in body["user"]) == jira.cloud


def test_the_bodies_have_the_members_of_recorded_ones(jira: JiraClient, receiver: Receiver):
    if not openapi.available():
        pytest.skip(f"no recorded webhooks in {openapi.CONTRACTS}")
    key = jira.create()
    listen(jira, receiver, events=["jira:issue_updated", "jira:issue_deleted"])
    kind = "cloud" if jira.cloud else "dc"
    jira.transit(key, "Done", resolution={"name": "Done"})
    names = [f"{kind}-issue-updated-status-resolved"] + (["cloud-issue-deleted"] if jira.cloud else [])
    bodies = [body_of(receiver)]
    jira.call("DELETE", f"/issue/{key}")
    bodies.append(body_of(receiver))
    for name, body in zip(names, bodies, strict=False):
        recorded = json.loads((openapi.CONTRACTS / "webhooks" / f"{name}.json").read_text())
        assert body.keys() == recorded.keys()
        assert body["issue"].keys() == recorded["issue"].keys()
        assert body["issue"]["fields"]["status"].keys() == recorded["issue"]["fields"]["status"].keys()
    assert "changelog" not in bodies[-1]


def test_a_comment_on_a_data_center_does_not_say_which_issue(jira: JiraClient, receiver: Receiver):
    key = jira.create()
    listen(jira, receiver, events=["comment_created"])
    jira.call("POST", f"/issue/{key}/comment", {"body": "looks good"})
    body = body_of(receiver)
    assert body["comment"]["body"] == "looks good"
    assert ("issue" in body) == jira.cloud
    assert "/issue/10001/comment/" in body["comment"]["self"]


def test_only_what_the_filter_wants_is_told(jira: JiraClient, receiver: Receiver):
    listen(jira, receiver, jql="project = VM AND labels = vmjira")
    jira.create("unwanted", labels=["other"])
    jira.create("wanted", labels=["vmjira"])
    assert body_of(receiver)["issue"]["fields"]["summary"] == "wanted"


def test_nothing_changed_tells_nothing(jira: JiraClient, receiver: Receiver):
    key = jira.create()
    listen(jira, receiver, events=["jira:issue_updated"])
    jira.call("PUT", f"/issue/{key}", {"fields": {"summary": "Patch it"}})
    jira.call("PUT", f"/issue/{key}", {"fields": {"summary": "Patch it now"}})
    assert body_of(receiver)["changelog"]["items"][0]["toString"] == "Patch it now"


def test_a_refused_write_tells_nothing(jira: JiraClient, receiver: Receiver):
    first = jira.create()
    listen(jira, receiver)
    link = {"add": {"type": {"name": "Haunts"}, "outwardIssue": {"key": first}}}
    own = {"project": {"key": "VM"}, "issuetype": {"name": "Task"}, "summary": "half"}
    jira.call("POST", "/issue", {"fields": own, "update": {"issuelinks": [link]}})
    jira.create("whole")
    assert body_of(receiver)["issue"]["fields"]["summary"] == "whole"


def test_cloud_tries_again_with_the_same_identifier(tmp_path, receiver: Receiver):
    cloud = Maker(tmp_path, "cloud")(webhook_retry=0.0)
    receiver.answers = [503]
    listen(cloud, receiver)
    cloud.create()
    first, second = receiver.next(), receiver.next()
    assert first.body == second.body
    assert first.headers["x-atlassian-webhook-identifier"] == second.headers["x-atlassian-webhook-identifier"]
    assert second.headers["x-atlassian-webhook-retry"] == "1"


def test_a_data_center_does_not_try_again(datacenter: JiraClient, receiver: Receiver):
    receiver.answers = [503]
    listen(datacenter, receiver)
    datacenter.create("first")
    receiver.next()
    datacenter.create("second")
    assert body_of(receiver)["issue"]["fields"]["summary"] == "second"


def test_an_old_data_center_does_not_sign(tmp_path, receiver: Receiver):
    old = Maker(tmp_path, "datacenter").of_version("9.12.1")
    listen(old, receiver)
    old.create()
    assert "x-hub-signature" not in receiver.next().headers


@pytest.mark.parametrize(
    ("flavour", "release", "path"),
    [
        ("cloud", "", "/rest/webhooks/1.0/webhook"),
        ("datacenter", "9.12.1", "/rest/webhooks/1.0/webhook"),
        ("datacenter", "10.3.24", "/rest/jira-webhook/1.0/webhooks"),
    ],
)
def test_webhooks_are_registered_by_admins_where_the_version_has_them(tmp_path, flavour, release, path):
    jira = Maker(tmp_path, flavour).of_version(release)
    new = path.endswith("webhooks")
    body: dict[str, Any] = {"name": "vmjira", "url": "https://vmjira.example.com/hook", "events": EVENTS}
    if new:
        body["configuration"] = {"FILTERS": "project = VM", "EXCLUDE_BODY": "false", "SECRET": SECRET}
    else:
        body |= {"filters": {"issue-related-events-section": "project = VM"}, "secret": SECRET}
    assert jira.web.post(path, json=body, headers=jira.headers()).status_code == (401 if release == "10.3.24" else 403)
    admin = jira.as_admin().headers()
    made = jira.web.post(path, json=body, headers=admin)
    assert made.status_code == 201
    assert SECRET not in made.text
    (listed,) = jira.web.get(path, headers=admin).get_json()
    assert listed["url"] == body["url"]
    assert (
        listed["configuration"]["FILTERS"] if new else listed["filters"][next(iter(listed["filters"]))]
    ) == "project = VM"
    own = listed["self"].removeprefix("http://localhost")
    assert jira.web.delete(own, headers=admin).status_code == 204
    assert jira.web.get(path, headers=admin).get_json() == []
    other = "/rest/webhooks/1.0/webhook" if new else "/rest/jira-webhook/1.0/webhooks"
    assert jira.web.get(other, headers=admin).status_code == 404


def test_a_secret_outside_of_the_configuration_is_ignored_by_version_10(datacenter: JiraClient, receiver: Receiver):
    body = {"name": "n", "url": receiver.url, "events": EVENTS, "secret": SECRET, "configuration": {}}
    path = "/rest/jira-webhook/1.0/webhooks"
    assert datacenter.web.post(path, json=body, headers=datacenter.as_admin().headers()).status_code == 201
    datacenter.create()
    assert "x-hub-signature" not in receiver.next().headers
