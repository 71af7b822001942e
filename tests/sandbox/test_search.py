"""JQL: what it finds, what it refuses, and how Cloud and Data Center page."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.sandbox.conftest import JiraClient, Maker


@pytest.fixture
def filled(jira: JiraClient) -> JiraClient:
    jira.create("Windows bulletins, Boston", labels=["vmjira", "vm.ms.boston.2026-W23"], duedate="2026-06-20")
    jira.create("Expired certificates", labels=["other"], priority={"name": "High"})
    jira.create("Nothing special", project="OPS")
    jira.transit("VM-2", "Done", resolution={"name": "Done"})
    return jira


@pytest.mark.parametrize(
    ("jql", "keys"),
    [
        ("project = VM", {"VM-1", "VM-2"}),
        ("project in (VM, OPS) AND statusCategory != Done", {"VM-1", "OPS-1"}),
        ("labels = vm.ms.boston.2026-W23", {"VM-1"}),
        ('labels = "VMJIRA"', {"VM-1"}),
        ("labels != vmjira", {"VM-2"}),
        ("labels IS EMPTY", {"OPS-1"}),
        ("labels in (vmjira, other) and not status = Done", {"VM-1"}),
        ("key = VM-2 OR issuekey in (OPS-1)", {"VM-2", "OPS-1"}),
        ("id = 10001", {"VM-1"}),
        ("status = 'To Do' AND project = VM", {"VM-1"}),
        ("resolution = Unresolved AND project = VM", {"VM-1"}),
        ("resolution is not empty", {"VM-2"}),
        ("project = VM AND updated >= -5m", {"VM-1", "VM-2"}),
        ("project = VM AND updated < -5m", set()),
        ("project = VM AND created >= '2020-01-01' AND created <= now()", {"VM-1", "VM-2"}),
        ("duedate <= 2026-06-30", {"VM-1"}),
        ("summary ~ 'boston windows'", {"VM-1"}),
        ("summary ~ '100%_' AND project = VM", set()),
        ("(project = VM AND priority = High) OR project = OPS", {"VM-2", "OPS-1"}),
        ("reporter = currentUser() AND NOT (project = VM)", {"OPS-1"}),
        ("assignee is EMPTY AND project = OPS", {"OPS-1"}),
    ],
)
def test_a_query_finds_just_what_it_says(filled: JiraClient, jql, keys):
    assert set(filled.keys(jql)) == keys


def test_order_by_is_obeyed(filled: JiraClient):
    assert filled.keys("project in (VM, OPS) ORDER BY key DESC") == ["VM-2", "VM-1", "OPS-1"]
    assert filled.keys("project = VM order by created asc, key") == ["VM-1", "VM-2"]


@pytest.mark.parametrize(
    "jql",
    [
        "project =",
        "project = VM AND",
        "project = 'VM",
        "(project = VM",
        "nonsense = 1",
        "project = NOPE",
        "status = Nowhere",
        "key = VM-77",
        "updated >= yesterday",
        "summary = exact",
        "project = VM ORDER BY nonsense",
        "project = VM project = OPS",
        "project ~ VM; DROP TABLE issues",
    ],
)
def test_a_broken_query_is_refused(filled: JiraClient, jql):
    path = "/search/jql" if filled.cloud else "/search"
    answer = filled.call("GET", path, query={"jql": jql})
    assert answer.status_code == 400
    assert answer.get_json()["errorMessages"]


def test_cloud_pages_by_token_without_counting(cloud: JiraClient):
    for n in range(5):
        cloud.create(f"Ticket {n}")
    found, token = [], None
    while True:
        asked = {"jql": "project = VM order by key", "maxResults": 2, **({"nextPageToken": token} if token else {})}
        page = cloud.call("GET", "/search/jql", query=asked).get_json()
        assert "total" not in page
        found += page["issues"]
        token = page.get("nextPageToken")
        if page["isLast"]:
            break
    assert found == [{"id": str(10_001 + n)} for n in range(5)]
    assert token is None


def test_cloud_has_removed_the_old_search_and_wants_bounds(cloud: JiraClient):
    assert cloud.call("GET", "/search", query={"jql": "project = VM"}).status_code == 410
    answer = cloud.call("GET", "/search/jql", query={"jql": "order by key"})
    assert answer.status_code == 400 and "Unbounded" in answer.get_json()["errorMessages"][0]


def test_a_data_center_counts(datacenter: JiraClient):
    for n in range(3):
        datacenter.create(f"Ticket {n}")
    body = {"jql": "project = VM order by key", "startAt": 1, "maxResults": 1, "fields": ["summary"]}
    page = datacenter.call("POST", "/search", body).get_json()
    assert (page["total"], [issue["key"] for issue in page["issues"]]) == (3, ["VM-2"])
    assert datacenter.call("GET", "/search", query={"jql": ""}).get_json()["total"] == 3
    assert datacenter.call("GET", "/search/jql", query={"jql": "project = VM"}, wrong=True).status_code == 404


def test_a_data_center_may_be_asked_not_to_validate(datacenter: JiraClient):
    key = datacenter.create()
    asked = {"jql": f"key in ({key}, VM-77)", "validateQuery": "false"}
    assert datacenter.call("GET", "/search", query=asked).get_json()["total"] == 1


def test_a_lagging_index_shows_the_past_until_reconciled(tmp_path):
    cloud = Maker(tmp_path, "cloud")(index_lag=30.0)
    cloud.create(labels=["vmjira"])
    assert cloud.search("project = VM") == []
    assert cloud.get("VM-1")["key"] == "VM-1"
    asked = {"jql": "labels = vmjira", "reconcileIssues": "10001"}
    assert cloud.call("GET", "/search/jql", query=asked).get_json()["issues"] == [{"id": "10001"}]


def test_a_lagging_index_still_finds_by_what_was_there_before(tmp_path):
    cloud = Maker(tmp_path, "cloud")(index_lag=30.0)
    cloud.create(labels=["before"])
    _pass_a_minute(tmp_path)
    cloud.call("PUT", "/issue/VM-1", {"fields": {"labels": ["after"]}})
    assert (cloud.keys("labels = before"), cloud.keys("labels = after")) == (["VM-1"], [])
    _pass_a_minute(tmp_path)
    assert (cloud.keys("labels = before"), cloud.keys("labels = after")) == ([], ["VM-1"])


def _pass_a_minute(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "sandbox.sqlite")) as connection, connection:
        connection.execute("UPDATE issues SET written = written - 60")
        connection.execute("UPDATE past SET written = written - 60, until = until - 60")
