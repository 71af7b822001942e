"""Registering, listing and removing webhooks in the three forms that Jira has; what it sends then is signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.jira import Jira, running
from tests.sandbox.receiver import receiving
from tests.watch.commands import SECRET, Commands
from tests.watch.world import CATEGORIES, POLICY, RANGES
from vmjira.flows.events import parse

URL = "https://vmjira.example.com/webhooks/jira"
FORMS = {"cloud": {}, "data center 9": {"version": "9.12.0"}, "data center 10": {"version": "10.3.24"}}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def jira(tmp_path: Path, form: str) -> Iterator[Jira]:
    with running(tmp_path, "cloud" if form == "cloud" else "datacenter", **FORMS[form]) as jira:
        yield jira


@pytest.fixture
def run(tmp_path: Path, jira: Jira) -> Commands:
    ranges = RANGES + "  - {id: rome, title: Rome, networks: [10.9.0.0/16], ticket: {project: VMBOS}}\n"
    return Commands(tmp_path, jira, categories=CATEGORIES, ranges=ranges, policy=POLICY)


def listed(run: Commands) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("webhook", "list", "--json").stdout)
    return found


def test_a_webhook_is_registered_once_listed_and_removed_by_its_address(run: Commands, form: str):
    first = run("webhook", "register", URL)
    assert first.exit_code == 0, first.output
    again = run("webhook", "register", URL)
    assert "in place of" in again.output
    (one,) = listed(run)
    assert (one["name"], one["url"]) == ("vmjira", URL)
    assert one["jql"] == 'project in ("VM", "VMBOS") OR labels = vmjira'
    assert one["events"] == ["jira:issue_updated", "jira:issue_deleted", "comment_created"]
    assert run("webhook", "remove", f"{URL}/").exit_code == 0
    assert listed(run) == []
    missing = run("webhook", "remove", "17")
    assert missing.exit_code == 1 and "there is none with this id or address" in missing.output


def test_other_webhooks_stay_and_one_is_removed_by_its_id(run: Commands):
    run("webhook", "register", URL)
    run("webhook", "register", "https://other.example.com/webhooks/jira")
    ids = [each["id"] for each in listed(run)]
    assert run("webhook", "remove", str(ids[0])).exit_code == 0
    assert [each["id"] for each in listed(run)] == ids[1:]


def test_without_the_right_jira_s_refusal_says_who_may(run: Commands, form: str):
    """Data Center 10 says 401 to that, as it says to wrong credentials."""
    status = 401 if form == "data center 10" else 403
    for arguments in (["register", URL], ["list"], ["remove", "1"]):
        refused = run("webhook", *arguments, who="vmjira")
        assert refused.exit_code == 1
        assert f"HTTP {status}" in refused.output and "JIRA_USER and JIRA_TOKEN of one of them" in refused.output


def test_without_a_secret_nothing_is_registered_where_jira_could_sign(run: Commands, form: str):
    done = run("webhook", "register", URL, secret="")
    if form == "data center 9":
        assert done.exit_code == 0 and "does not sign" in done.output
        assert len(listed(run)) == 1
    else:
        assert done.exit_code == 1 and "JIRA_WEBHOOK_SECRET: is not set" in done.output
        assert listed(run) == []


@pytest.mark.parametrize("url", ["vmjira.example.com", "ftp://vmjira.example.com", "https://me:pw@example.com/x"])
def test_what_is_no_address_is_refused_before_jira_is_asked(run: Commands, jira: Jira, url: str):
    done = run("webhook", "register", url)
    assert done.exit_code == 1 and "is no address for webhooks" in done.output
    assert "pw" not in done.output


def test_the_secret_end_of_an_address_is_shown_to_nobody(run: Commands):
    run("webhook", "register", f"{URL}/only-for-jira-9")
    assert "only-for-jira-9" not in run("webhook", "list").output
    assert listed(run)[0]["url"] == f"{URL}/(hidden)"


def test_what_jira_sends_then_is_of_our_tickets_and_signed_with_the_secret(run: Commands, jira: Jira, form: str):
    with receiving() as receiver:
        assert run("webhook", "register", receiver.url).exit_code == 0
        jira.close(jira.create("patch it"))
        came = receiver.next()
        signature = hmac.new(SECRET.encode(), came.body, hashlib.sha256).hexdigest()
        assert came.headers.get("x-hub-signature") == (None if form == "data center 9" else f"sha256={signature}")
        assert parse(came.body).kind == "jira:issue_updated"
        moved = jira.create("ours", "vmjira")
        key = jira.move(moved, "OPS")
        assert parse(receiver.next().body).issue_key == key
        jira.comment(jira.create("of others", project="OPS"), "hello")
        jira.delete(key)
        assert parse(receiver.next().body).kind == "jira:issue_deleted"
