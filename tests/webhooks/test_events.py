"""What is read from a body, whatever Jira leaves out of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import openapi
from tests.webhooks.conftest import event, recorded
from vmjira.flows.events import KINDS, Event, EventUnreadable, parse


@pytest.mark.parametrize("file", recorded(), ids=lambda file: file.stem)
def test_of_every_recorded_body_kind_and_issue_are_known(file: Path):
    said = parse(file.read_bytes())
    body = json.loads(file.read_bytes())
    assert said.kind == body["webhookEvent"]
    assert said.kind in KINDS
    assert said.issue_key == body.get("issue", {}).get("key", "")
    assert said.issue_id
    if "issuelink" not in file.stem:
        assert said.actor
        assert said.timestamp is not None
        assert said.timestamp.timestamp() * 1000 == pytest.approx(body["timestamp"], abs=0.01)


def test_a_data_center_names_the_issue_of_a_comment_in_its_address():
    comment = {
        "self": "https://jira.example.com/jira/rest/api/2/issue/10013/comment/10082",
        "updateAuthor": {"name": "admin", "key": "JIRAUSER1"},
    }
    said = parse(json.dumps({"webhookEvent": "comment_created", "timestamp": 1000, "comment": comment}).encode())
    assert said == Event("comment_created", "10013", "", "admin", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    assert said.issue == "10013"


def test_a_link_belongs_to_the_issue_that_it_leads_away_from():
    link = {"id": 1, "sourceIssueId": 11442, "destinationIssueId": 11961}
    assert parse(json.dumps({"webhookEvent": "issuelink_deleted", "issueLink": link}).encode()).issue == "11442"


@pytest.mark.parametrize(
    "changes",
    [
        {"issue": None}, {"issue": "VM-41"}, {"issue": {}}, {"issue": {"id": "../10040", "key": "VM-41 OR 1=1"}},
        {"issue": {"id": True, "key": ["VM-41"]}}, {"issue": {"id": "१२", "key": "vm"}}, {"issue": {"id": 10 ** 25}},
    ],
)  # fmt: skip
def test_what_is_no_issue_is_none(changes: dict[str, object]):
    assert parse(event(**changes)).issue == ""


@pytest.mark.parametrize("timestamp", [None, "2018-12-18 11:57:24,746", True, 1.5, 10**300, -(10**300), {}, []])
def test_what_is_no_time_is_none(timestamp: object):
    assert parse(event(timestamp=timestamp)).timestamp is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "the body is empty; switch off 'Exclude body'"),
        (b" \n", "the body is empty"),
        (b"[]", "a JSON list; a webhook of Jira is an object"),
        (b"null", "a JSON NoneType"),
        (b"status=done", "no JSON: line 1, column 1"),
        (b'{"a":\n1,}', "no JSON: line 2, column 3"),
        (b'{"a": "\xff"}', "not UTF-8: byte 8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "no JSON"),
        (b'{"a": NaN}', "no JSON that Jira sends"),
        (b'{"a": -Infinity}', "no JSON that Jira sends"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number or the nesting is too large"),
        (b'{"a": ' + b"[" * 100_000, "a number or the nesting is too large"),
        (b'{"a":' * 100_000, "a number or the nesting is too large"),
        (b'{"a": "\x00"}', "no JSON: line 1, column 8"),
        (b"\x00", "no JSON"),
    ],
)
def test_what_is_no_object_is_refused_in_words(body: bytes, why: str):
    with pytest.raises(EventUnreadable) as refused:
        parse(body)
    assert why in str(refused.value)


def test_recorded_bodies_are_at_hand():
    if not openapi.available():
        pytest.skip(f"no recorded webhooks in {openapi.CONTRACTS}")
    assert len(recorded()) > 20
