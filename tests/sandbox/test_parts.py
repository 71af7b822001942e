"""What hangs on tickets - files, links, properties - and what the site is made of."""

from __future__ import annotations

import pytest

from tests.sandbox.conftest import JiraClient, Maker


def test_several_files_go_up_in_one_call_and_come_down_again(jira: JiraClient):
    key = jira.create()
    answer = jira.upload(key, ("own.csv", b"a,b\r\n"), ("all.csv", b"c"))
    assert [row["filename"] for row in answer.get_json()] == ["own.csv", "all.csv"]
    kept = jira.fields(key)["attachment"]
    assert [row["size"] for row in kept] == [5, 1]
    address = kept[0]["content"].removeprefix("http://localhost")
    assert jira.web.get(address, headers=jira.headers()).data == b"a,b\r\n"
    assert jira.call("GET", f"/attachment/{kept[0]['id']}").status_code == 200
    assert jira.call("DELETE", f"/attachment/{kept[0]['id']}").status_code == 204
    assert [row["filename"] for row in jira.fields(key)["attachment"]] == ["all.csv"]


def test_an_upload_needs_the_token_against_forgery(jira: JiraClient):
    key = jira.create()
    assert jira.upload(key, ("a.csv", b"a"), token="").status_code == (403 if jira.cloud else 404)


def test_an_upload_over_the_limit_is_refused_as_a_whole(make: Maker):
    jira = make(attachment_limit=10)
    key = jira.create()
    assert jira.call("GET", "/attachment/meta").get_json()["uploadLimit"] == 10
    answer = jira.upload(key, ("small.csv", b"a"), ("large.csv", b"x" * 11))
    assert answer.status_code == (413 if jira.cloud else 404)
    assert jira.fields(key)["attachment"] == []


def test_a_file_name_is_never_a_path(jira: JiraClient):
    key = jira.create()
    assert jira.upload(key, ("../../etc/passwd", b"a")).get_json()[0]["filename"] == "passwd"


def test_links_are_made_once_and_read_from_both_ends(jira: JiraClient):
    older, newer = jira.create("Older"), jira.create("Newer")
    body = {"type": {"name": "Blocks"}, "inwardIssue": {"key": older}, "outwardIssue": {"key": newer}}
    for _ in range(2):
        answer = jira.call("POST", "/issueLink", body)
        assert (answer.status_code, answer.data) == (201, b"")
    (link,) = jira.fields(older)["issuelinks"]
    assert link["outwardIssue"]["key"] == newer and link["type"]["outward"] == "blocks"
    assert jira.fields(newer)["issuelinks"][0]["inwardIssue"]["key"] == older
    assert jira.call("GET", f"/issueLink/{link['id']}").status_code == 200
    assert jira.call("DELETE", f"/issueLink/{link['id']}").status_code in (200, 204)
    assert jira.fields(newer)["issuelinks"] == []


def test_an_unknown_link_type_is_not_found(jira: JiraClient):
    key = jira.create()
    body = {"type": {"name": "Haunts"}, "inwardIssue": {"key": key}, "outwardIssue": {"key": key}}
    answer = jira.call("POST", "/issueLink", body)
    assert answer.status_code == 404
    assert answer.get_json()["errorMessages"] == ["No issue link type with name 'Haunts' found."]


def test_link_types_are_made_by_admins_only(jira: JiraClient):
    body = {"name": "Scan series", "inward": "previous scan", "outward": "next scan"}
    assert jira.call("POST", "/issueLinkType", body).status_code == 404
    assert jira.as_admin().call("POST", "/issueLinkType", body).status_code == 201
    assert jira.as_admin().call("POST", "/issueLinkType", body).status_code == 404
    names = [row["name"] for row in jira.call("GET", "/issueLinkType").get_json()["issueLinkTypes"]]
    assert {"Relates", "Blocks", "Cloners", "Duplicate", "Scan series"} == set(names)


def test_remote_links_are_replaced_by_their_global_id(jira: JiraClient):
    key = jira.create()
    body = {"globalId": "vmjira=1", "object": {"url": "https://vmjira.example.com/1", "title": "Report"}}
    assert jira.call("POST", f"/issue/{key}/remotelink", body).status_code == (201 if jira.cloud else 200)
    body["object"]["title"] = "New report"
    assert jira.call("POST", f"/issue/{key}/remotelink", body).status_code == 200
    (link,) = jira.call("GET", f"/issue/{key}/remotelink").get_json()
    assert link["object"]["title"] == "New report"


def test_properties_are_any_json_within_limits(jira: JiraClient):
    key = jira.create()
    path = f"/issue/{key}/properties/vmjira"
    assert jira.call("PUT", path, {"a": [1, None]}).status_code == 201
    assert jira.call("PUT", path, {"a": 2}).status_code == 200
    assert jira.call("GET", f"/issue/{key}/properties").get_json()["keys"][0]["key"] == "vmjira"
    assert jira.call("PUT", path, "x" * 32_769).status_code == 400
    assert jira.call("DELETE", path).status_code == 204
    assert jira.call("GET", path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/serverInfo", "/myself", "/project", "/project/VM", "/project/VM/components", "/project/VM/statuses",
        "/issuetype", "/field", "/priority", "/resolution", "/status", "/issueLinkType",
        "/issue/createmeta/VM/issuetypes", "/issue/createmeta/VM/issuetypes/10001",
    ],
)  # fmt: skip
def test_what_the_site_is_made_of_can_be_asked(jira: JiraClient, path):
    assert jira.call("GET", path).status_code == 200


def test_each_flavour_says_what_it_is(jira: JiraClient):
    info = jira.call("GET", "/serverInfo").get_json()
    assert info["deploymentType"] == ("Cloud" if jira.cloud else "Server")
    assert ("accountId" in jira.call("GET", "/myself").get_json()) == jira.cloud


def test_assignable_people_are_found(jira: JiraClient):
    asked = {"project": "VM", ("query" if jira.cloud else "username"): "admins"}
    people = jira.call("GET", "/user/assignable/search", query=asked).get_json()
    assert {person["displayName"] for person in people} == {"Boston Admins", "New York Admins", "Berlin Admins"}


def test_createmeta_names_its_list_as_the_flavour_does(jira: JiraClient):
    shape = jira.call("GET", "/issue/createmeta/VM/issuetypes/10001").get_json()
    fields = shape["fields" if jira.cloud else "values"]
    priority = next(field for field in fields if field["fieldId"] == "priority")
    assert priority["allowedValues"][0]["name"] == "Highest"


def test_unknown_resources_answer_in_jiras_shape(jira: JiraClient):
    answer = jira.call("GET", "/nothing/here", wrong=True)
    assert answer.status_code == 404 and answer.get_json()["errorMessages"]
