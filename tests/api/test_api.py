"""The read API: what the pages show, as JSON, in the shapes of its own document."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import RANGES, World

FIRST = "windows.boston.2026-W23"


@pytest.fixture
def weeks(world: World) -> World:
    world.write_rules(ranges=RANGES.replace("[10.2.0.0/16]", "[10.2.0.0/16], ticket: {project: NONE}"))
    world.fold(week(23), {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB], "10.2.0.1": [APACHE]})
    world.fold(week(24), {"10.1.0.1": [SMB], "10.1.0.2": [], "10.1.0.3": [RDP]})
    return world


def found(web: FlaskClient, path: str) -> Any:
    """What is answered, if it is as the document says."""
    answer = web.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_the_document_is_a_valid_one(web: FlaskClient):
    validate(web.get("/api/openapi.json").json)


@pytest.mark.parametrize("filled", [False, True])
def test_every_answer_is_as_the_document_says(world: World, web: FlaskClient, filled: bool, request: Any):
    if filled:
        request.getfixturevalue("weeks")
    document = found(web, "/api/openapi.json")
    values = {"category": "windows", "range": "boston", "identifier": FIRST, "host": "10.1.0.1", "scanner": "nessus",
              "id": "100", "scan": "1"}  # fmt: skip
    for path, item in document["paths"].items():
        if "get" not in item:
            continue
        address = path.format(**values) + ("?q=1" if path.endswith("search") else "")
        answer = web.get(address)
        assert answer.status_code == (200 if filled or "{" not in path else 404), (address, answer.text)
        schema = item["get"]["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        checked = {**schema, "components": document["components"]}
        Draft202012Validator(checked).validate(answer.json)


def test_everything_the_pages_show_can_be_read(web: FlaskClient):
    pages = {str(rule) for rule in web.application.url_map.iter_rules() if str(rule.endpoint).startswith("pages.")}
    pages = {page.replace("range_", "range") for page in pages}
    api = {str(rule).removeprefix("/api") for rule in web.application.url_map.iter_rules() if "/api/" in str(rule)}
    only_pages = {"/", "/operations/<action>", "/events/retry", "/tickets/<identifier>/<kind>.csv",
                  "/scans/<id>/<action>"}  # fmt: skip
    assert pages - only_pages <= api


def test_the_api_says_what_the_pages_say(weeks: World, web: FlaskClient):
    overview = found(web, "/api/overview")
    assert overview["totals"] == {"tickets": 3, "living": 3, "overdue": 1, "open": 3, "unverified": 0, "fixed": 2,
                                  "settled": 0, "verified": 0}  # fmt: skip
    assert [item["level"] for item in overview["attention"]] == ["act"]
    cell = found(web, "/api/cells/windows/boston")
    assert cell["fixed_in_due_time"] == 0.667 and cell["burn_down"]["tickets"][0]["open"] == [3, 1]
    ticket = found(web, f"/api/tickets/{weeks.known()[FIRST]['key']}")
    assert ticket["identifier"] == FIRST and ticket["overdue"] and ticket["due"] == "2026-06-15"
    host = found(web, f"/api/tickets/{FIRST}/findings?state=open")["hosts"][0]
    assert host["findings"][0]["first_seen"] == "2026-06-01T20:00:00+00:00"
    assert [each["identifier"] for each in found(web, "/api/tickets?which=overdue")["items"]] == [FIRST]
    assert found(web, "/api/search?q=10.1&kind=hosts")["hosts"]["total"] == 3
    assert found(web, "/api/operations?state=refused")["total"] == 1


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/api/tickets?page=0", "page: Must be greater than or equal to 1"),
        ("/api/tickets?page=x", "page: Not a valid integer"),
        ("/api/tickets?which=mine", "which: Must be one of: all, living, overdue"),
        ("/api/tickets?wich=all", "wich: Unknown field"),
        ("/api/tickets?page=1&page=2", "page: given more than once"),
        ("/api/search", "q: Missing data for required field"),
        ("/api/search?q=", "q: Length must be between 1 and 200"),
        (f"/api/tickets/{FIRST}/findings?state=x", "state: Must be one of: new"),
    ],
)
def test_what_is_wrong_with_a_query_is_said(web: FlaskClient, path: str, why: str):
    answer = web.get(path)
    assert answer.status_code == 400 and why in answer.json["error"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/api/tickets/x", "ticket 'x': there is none"),
        ("/api/hosts/x", "host 'x': no scan has observed it"),
        ("/api/cells/a/b", "cell 'a' × 'b': there is none"),
        ("/api/vulnerabilities/a/b", "vulnerability 'b': a never told of it"),
        ("/api/nothing", "not found"),
    ],
)
def test_what_there_is_not_is_said(web: FlaskClient, path: str, why: str):
    answer = web.get(path)
    assert answer.status_code == 404 and why in answer.json["error"]


def test_the_api_only_reads_but_for_scans(web: FlaskClient):
    acting = {f"/api/scans/<scan>/{what}" for what in ("withdraw", "restore")}
    acting |= {f"/api/tickets/<identifier>/{what}" for what in ("again", "forget")}
    for rule in web.application.url_map.iter_rules():
        if str(rule).startswith("/api/"):
            assert rule.methods == ({"POST", "OPTIONS"} if str(rule) in acting else {"GET", "HEAD", "OPTIONS"})


def test_options_of_scanners_are_never_told(world: World, web: FlaskClient):
    world.write_rules(
        scanners="scanners:\n  - {id: lab, type: nessus, url: 'https://n', access_key: '${SECRET_KEY}'}\n"
    )
    world.ingest()
    for path in ("/api/scanners", "/scanners"):
        assert "access_key" not in web.get(path).text
