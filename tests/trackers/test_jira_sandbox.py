"""The connector against a whole Jira over HTTP, in both flavours."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
from werkzeug.serving import make_server

from tests import openapi
from vmjira.domain.rulebook import Category, Policy, Range, Rulebook, TicketRules
from vmjira.errors import TicketGone, TrackerRefused, TrackerUnavailable, TransitionImpossible
from vmjira.flows.tracking import Draft, File
from vmjira.sandbox.app import create_app
from vmjira.sandbox.config import Project
from vmjira.sandbox.workflow import Workflow
from vmjira.trackers.jira import JiraSettings, JiraTracker, Secret, connect, diagnose

RULES = TicketRules(project="VM", components=("Patching",), labels=("boston",), assignee="boston-admins")
DRAFT = Draft(
    "smb.boston.2026-W23", "SMB – Boston – Scan 23", "h2. Text", RULES, priority="High", due=date(2026, 12, 1)
)
TOKENS = {"vmjira": "sandbox-token", "admin": "sandbox-admin-token"}


@dataclass
class Jira:
    """A running sandbox, and what a test wants to know of it or do behind our back."""

    url: str
    flavour: str

    def settings(self, who: str = "vmjira") -> JiraSettings:
        user = who if self.flavour == "cloud" else ""
        return JiraSettings(self.url, Secret(TOKENS[who]), user=user, read_timeout=5, patience=0.2)

    def tracker(self, who: str = "vmjira") -> JiraTracker:
        return connect(self.settings(who), calls_per_second=lambda: 10_000.0)()

    def as_admin(self, method: str, path: str, body: Any = None) -> Any:
        token = TOKENS["admin"]
        bearer = {"Authorization": f"Bearer {token}"} if self.flavour != "cloud" else {}
        auth = ("admin", token) if self.flavour == "cloud" else None
        response = requests.request(method, self.url + path, json=body, auth=auth, headers=bearer, timeout=5)
        response.raise_for_status()
        return response.json() if response.content else None

    def fault(self, **fault: Any) -> None:
        requests.post(f"{self.url}/sandbox/faults", json=fault, timeout=5).raise_for_status()

    def calls(self) -> list[str]:
        """Method and path of every call since the last time this was asked; each must be as Atlassian documents it."""
        rows = requests.get(f"{self.url}/sandbox/calls", timeout=5).json()
        requests.delete(f"{self.url}/sandbox/calls", timeout=5).raise_for_status()
        documented = [row for row in rows if row["path"].startswith("/rest/api/")]
        for row in documented if openapi.available() else ():
            query, body = dict(parse_qsl(row["query"])), row["body"] and json.loads(row["body"])
            openapi.validate_request(self.flavour, row["method"], row["path"], query, body)
        return [f"{row['method']} {row['path'].removeprefix('/rest/api/2/')}" for row in rows]


@pytest.fixture(params=["cloud", "datacenter"])
def flavour(request: pytest.FixtureRequest) -> str:
    return request.param


def running(tmp_path: Path, flavour: str, **settings: Any) -> Iterator[Jira]:
    app = create_app(tmp_path / "jira.sqlite", flavour, tokens=TOKENS, record_bodies=True, **settings)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    jira = Jira(f"http://127.0.0.1:{server.server_port}", flavour)
    try:
        yield jira
        jira.calls()  # holds the last ones against the documents
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def jira(tmp_path: Path, flavour: str) -> Iterator[Jira]:
    yield from running(tmp_path, flavour)


@pytest.fixture
def tracker(jira: Jira) -> JiraTracker:
    return jira.tracker()


def file(name: str, size: int = 3) -> File:
    return File(name, b"x" * size, "text/csv")


def test_a_ticket_is_made_as_the_rules_say_and_read_back(tracker):
    older = tracker.create(replace(DRAFT, identifier="smb.boston.2026-W22"))
    made = tracker.create(replace(DRAFT, links=(older.key,)))
    assert made.notes == ()
    issue = tracker.read([made.key])[made.key]
    assert (issue.id, issue.key, issue.summary, issue.description) == (made.id, made.key, DRAFT.summary, "h2. Text")
    assert set(issue.labels) == {"vmjira", "vm.smb.boston.2026-W23", "boston"}
    assert (issue.status, issue.status_category, issue.resolution) == ("To Do", "new", None)
    assert issue.links == (older.key,)
    assert issue.created and issue.created.tzinfo and issue.updated >= issue.created
    assert tracker.read([older.key])[older.key].links == (made.key,)


def test_making_a_ticket_with_a_link_is_one_call(jira, tracker):
    older = tracker.create(DRAFT)
    jira.calls()
    tracker.create(replace(DRAFT, identifier="smb.boston.2026-W24", links=(older.key,)))
    assert jira.calls() == ["POST issue"]


def test_fields_reach_jira(jira, tracker):
    rules = replace(RULES, fields={"customfield_10100": "W23"}, watchers=("auditor@example.com",))
    made = tracker.create(replace(DRAFT, rules=rules))
    assert made.notes == ()
    fields = jira.as_admin("GET", f"/rest/api/2/issue/{made.key}")["fields"]
    assert fields["priority"]["name"] == "High"
    assert fields["duedate"] == "2026-12-01"
    assert fields["components"][0]["name"] == "Patching"
    assert fields["assignee"]["displayName"] == "Boston Admins"
    assert fields["customfield_10100"] == "W23"
    watchers = jira.as_admin("GET", f"/rest/api/2/issue/{made.key}/watchers")["watchers"]
    assert "Audrey Auditor" in [each["displayName"] for each in watchers]
    value = jira.as_admin("GET", f"/rest/api/2/issue/{made.key}/properties/vmjira")["value"]
    assert value["identifier"] == DRAFT.identifier


CORRECTED = {"assignee": "", "due": "2027-01-31", "priority": "Low", "description": "h2. Other"}


def test_corrected_fields_are_one_edit_and_read_back(jira, tracker):
    made = tracker.create(DRAFT)
    assert made.fields == {
        "assignee": tracker.assignee("boston-admins", "VM"), "priority": "High", "due": "2026-12-01", "watchers": [],
    }  # fmt: skip
    jira.calls()
    values = CORRECTED | {"assignee": tracker.assignee("berlin-admins", "VM") or ""}
    tracker.correct(made.key, values)
    assert [call for call in jira.calls() if call.startswith("PUT")]
    issue = tracker.read([made.key])[made.key]
    assert (issue.assignee, issue.priority, issue.due) == (values["assignee"], "Low", date(2027, 1, 31))
    assert issue.description == "h2. Other"
    assert tracker.changed_by(made.key, "duedate") == tracker.myself()
    assert tracker.changed_by(made.key, "labels") is None


def test_a_watcher_that_is_gone_already_is_no_trouble(tracker):
    made = tracker.create(replace(DRAFT, rules=replace(RULES, watchers=("auditor@example.com",))))
    assert made.fields["watchers"] == ["auditor@example.com"]
    for _ in range(2):
        tracker.unwatch(made.key, "auditor@example.com")


@pytest.mark.parametrize("change", [{"assignee": "auditor"}, {"assignee": "nobody"}, {"components": ("Nonsense",)}])
def test_what_jira_does_not_know_costs_a_note_and_not_the_ticket(tracker, change):
    made = tracker.create(replace(DRAFT, rules=replace(RULES, **change)))
    assert made.key in tracker.read([made.key])
    assert len(made.notes) == 1


def test_a_wrong_priority_costs_a_note_and_not_the_ticket(tracker):
    assert "priority" in tracker.create(replace(DRAFT, priority="Blazing")).notes[0]


@pytest.mark.parametrize("link", [("VM-999", "Relates"), (None, "Haunts")])
def test_a_link_that_cannot_be_made_costs_a_note_and_not_the_ticket(tracker, link):
    other, link_type = link
    other = other or tracker.create(DRAFT).key
    made = tracker.create(replace(DRAFT, rules=replace(RULES, link_type=link_type), links=(other,)))
    assert tracker.read([made.key])[made.key].links == ()
    assert other in made.notes[0]


@pytest.mark.parametrize("change", [{"project": "NOPE"}, {"issue_type": "Wish"}])
def test_a_wrong_project_or_issue_type_is_refused_in_jiras_words(tracker, change):
    with pytest.raises(TrackerRefused, match=DRAFT.identifier):
        tracker.create(replace(DRAFT, rules=replace(RULES, **change)))


def test_a_ticket_is_found_by_its_identifier_and_the_oldest_comes_first(tracker):
    made = [tracker.create(DRAFT).key for _ in range(2)]
    tracker.create(replace(DRAFT, identifier="SMB.boston.2026-W23"))
    tracker.create(replace(DRAFT, identifier="smb.boston.2026-W2"))
    assert [each.key for each in tracker.find(DRAFT.identifier)] == made
    assert tracker.find("none.such.2026-W23") == []


@pytest.mark.parametrize("identifier", ['a"b.c.d', "a\\.c.d", 'x" OR project = VM OR labels = "y', "a'b.ü.日本"])
def test_a_hostile_identifier_finds_only_its_own_ticket(tracker, identifier):
    tracker.create(DRAFT)
    assert tracker.find(identifier) == []


def test_many_are_read_at_once_whether_moved_gone_or_in_another_case(jira, tracker):
    keys = [tracker.create(replace(DRAFT, identifier=f"smb.boston.{n}")).key for n in range(4)]
    jira.as_admin("DELETE", f"/rest/api/2/issue/{keys[1]}")
    jira.calls()
    found = tracker.read([*keys, keys[0], "VM-4711"])
    assert list(found) == [keys[0], keys[2], keys[3]]
    assert all(found[key].key == key for key in found)
    calls = jira.calls()
    assert [call for call in calls if call.startswith("POST")] == [
        "POST issue/bulkfetch" if jira.flavour == "cloud" else "POST search"
    ]
    assert len(calls) == 4  # the many at once, the two that are missing, and whether Jira knows us


def test_nothing_to_read_is_no_call(jira, tracker):
    assert tracker.read([]) == {}
    tracker.attach("VM-1", [])
    tracker.edit("VM-1")
    assert jira.calls() == []


def test_description_and_summary_are_edited_and_nothing_else(tracker):
    key = tracker.create(DRAFT).key
    tracker.edit(key, description="new", summary="a\nb")
    issue = tracker.read([key])[key]
    assert (issue.description, issue.summary) == ("new", "a b")
    tracker.edit(key, description="")
    issue = tracker.read([key])[key]
    assert (issue.description, issue.summary) == ("", "a b")


def test_an_edit_is_silent_where_we_may_and_learns_once_where_we_may_not(jira, tracker):
    key = tracker.create(DRAFT).key
    jira.calls()
    tracker.edit(key, description="1")
    first = jira.calls()
    tracker.edit(key, description="2")
    assert len(first) == (1 if jira.flavour == "cloud" else 2)
    assert len(jira.calls()) == 1
    admin = jira.tracker("admin")
    admin.edit(key, description="3")
    assert len(jira.calls()) == 1
    assert admin.read([key])[key].description == "3"


def test_all_files_go_in_one_call_and_come_back_by_name(jira, tracker):
    key = tracker.create(DRAFT).key
    jira.calls()
    attached = tracker.attach(key, [file("a.csv"), file("ü b.csv", 5), file('q"uote.csv')])
    assert jira.calls() == [f"POST issue/{key}/attachments"]
    assert [(each.name, each.size) for each in attached] == [("a.csv", 3), ("ü b.csv", 5), ('q"uote.csv', 3)]
    assert set(tracker.read([key])[key].attachments) == set(attached)
    tracker.detach(attached[0].id)
    tracker.detach(attached[0].id)
    assert {each.name for each in tracker.read([key])[key].attachments} == {"ü b.csv", 'q"uote.csv'}


def test_the_limit_of_attachments_is_asked_once(jira, tracker):
    assert {tracker.upload_limit(), tracker.upload_limit()} == {10 * 1024 * 1024}
    assert jira.calls() == ["GET attachment/meta"]


def test_links_and_comments(jira, tracker):
    one, two = tracker.create(DRAFT).key, tracker.create(DRAFT).key
    tracker.link(one, two, "Relates")
    assert tracker.read([one])[one].links == (two,)
    tracker.comment(one, "*bold* {noformat}x{noformat} <b> 日本")
    comments = jira.as_admin("GET", f"/rest/api/2/issue/{one}/comment")["comments"]
    assert [each["body"] for each in comments] == ["*bold* {noformat}x{noformat} <b> 日本"]
    with pytest.raises(TrackerRefused, match="Haunts"):
        tracker.link(one, two, "Haunts")
    with pytest.raises(TicketGone, match="VM-999"):
        tracker.link(one, "VM-999", "Relates")


def test_a_comment_is_edited_and_a_deleted_one_is_told(jira, tracker):
    key = tracker.create(DRAFT).key
    id = tracker.comment(key, "asked for")
    assert tracker.edit_comment(key, id, "running") is True
    assert [(each.id, each.body) for each in tracker.comments(key)] == [(id, "running")]
    assert f"PUT issue/{key}/comment/{id}" in jira.calls()
    jira.as_admin("DELETE", f"/rest/api/2/issue/{key}/comment/{id}")
    assert tracker.edit_comment(key, id, "finished") is False
    with pytest.raises(TicketGone):
        tracker.edit_comment("VM-999", id, "x")


def test_an_edit_that_is_not_allowed_is_refused_with_the_permission(tmp_path, flavour):
    for jira in running(tmp_path, flavour, denied=("EDIT_OWN_COMMENTS",)):
        tracker = jira.tracker()
        key = tracker.create(DRAFT).key
        id = tracker.comment(key, "asked for")
        with pytest.raises(TrackerRefused, match="Edit Own Comments"):
            tracker.edit_comment(key, id, "running")


DONE = {"resolution": {"name": "Done"}}


def ticket_in(tracker: JiraTracker, project: str, **rules: Any) -> tuple[str, TicketRules]:
    own = TicketRules(project=project, **rules)
    return tracker.create(Draft("a.b.c", "x", "y", own)).key, own


def test_a_ticket_is_closed_and_reopened_by_category_and_the_second_time_is_no_call(jira, tracker):
    key, rules = ticket_in(tracker, "VM", transition_fields=DONE)
    assert tracker.transition(key, "close", rules) == "Done"
    assert tracker.read([key])[key].resolution == "Done"
    jira.calls()
    assert tracker.transition(key, "close", rules) == "Done"
    assert jira.calls() == [f"GET issue/{key}"]
    assert tracker.transition(key, "reopen", rules) == "To Do"
    issue = tracker.read([key])[key]
    assert (issue.status_category, issue.resolution) == ("new", None)


def test_a_direct_transition_is_one_step(jira, tracker):
    key, rules = ticket_in(tracker, "VM", transition_fields=DONE)
    jira.calls()
    tracker.transition(key, "close", rules)
    assert jira.calls() == [f"GET issue/{key}", f"GET issue/{key}/transitions", f"POST issue/{key}/transitions"]


@pytest.mark.parametrize(("named", "reached"), [("", "Resolved"), ("Closed", "Closed"), ("resolved", "Resolved")])
def test_a_workflow_without_a_direct_way_is_walked(tracker, named, reached):
    key, rules = ticket_in(tracker, "OPS", transition_fields=DONE, transitions={"close": named} if named else {})
    assert tracker.transition(key, "close", rules) == reached
    assert tracker.read([key])[key].status == reached
    assert tracker.transition(key, "reopen", rules) == "Open"


def test_a_field_that_a_transition_demands_is_named_with_its_values_and_the_key_to_set(tracker):
    key, rules = ticket_in(tracker, "ONE")
    with pytest.raises(TransitionImpossible, match=r"transition_fields\.resolution") as caught:
        tracker.transition(key, "close", rules)
    assert "Won't Fix" in str(caught.value)
    assert caught.value.possible == ("Finish",)


def test_a_way_that_does_not_exist_is_told_with_those_that_do(tracker):
    key, rules = ticket_in(tracker, "ONE", transition_fields=DONE)
    tracker.transition(key, "close", rules)
    with pytest.raises(TransitionImpossible, match=rf"{key}: no transition to .* from 'Done'") as caught:
        tracker.transition(key, "reopen", rules)
    assert caught.value.possible == ()


def test_a_goal_that_demands_a_field_is_not_avoided_by_another_end(tmp_path, flavour):
    ways = [["1", "Done", ["To Do"], "Done", "required"], ["2", "Give up", ["To Do"], "Won't Fix", "no"]]
    flow = Workflow.build({"statuses": {"To Do": "new", "Done": "done", "Won't Fix": "done"}, "transitions": ways})
    for jira in running(tmp_path, flavour, workflows={"simple": flow}, projects=(Project("1", "VM", "VM"),)):
        for named in ({}, {"close": "Done"}):
            key, rules = ticket_in(jira.tracker(), "VM", transitions=named)
            with pytest.raises(TransitionImpossible, match="resolution"):
                jira.tracker().transition(key, "close", rules)
            assert jira.tracker().read([key])[key].status == "To Do"
        checks = diagnose(jira.tracker(), Rulebook(policy=Policy(ticket=rules)))
        assert "transitions.close" not in wrong(checks)
        assert "may be closed as Done or Won't Fix" in wrong(
            diagnose(jira.tracker(), Rulebook(policy=Policy(ticket=RULES)))
        )


def test_a_ticket_that_gets_stuck_on_the_way_is_told_where_it_stays(tmp_path, flavour):
    ways = [["1", "Wait", ["To Do"], "Waiting", "no"], ["2", "Close", ["Nowhere"], "Done", "no"]]
    kinds = {"To Do": "new", "Waiting": "indeterminate", "Nowhere": "indeterminate", "Done": "done"}
    flow = Workflow.build({"statuses": kinds, "transitions": ways})
    for jira in running(tmp_path, flavour, workflows={"simple": flow}, projects=(Project("1", "VM", "VM"),)):
        key, rules = ticket_in(jira.tracker(), "VM")
        with pytest.raises(TransitionImpossible, match=r"went To Do → Waiting so far and stays there"):
            jira.tracker().transition(key, "close", rules)
        jira.tracker().comment(key, "still alive")


def test_a_name_that_the_workflow_does_not_have_ends_at_the_category(tracker):
    key, rules = ticket_in(tracker, "VM", transition_fields=DONE, transitions={"close": "Gelöst"})
    assert tracker.transition(key, "close", rules) == "Done"


def test_a_deleted_ticket_is_gone(jira, tracker):
    key, rules = ticket_in(tracker, "VM")
    jira.as_admin("DELETE", f"/rest/api/2/issue/{key}")
    assert tracker.read([key]) == {}
    for action in (
        lambda: tracker.edit(key, description="x"),
        lambda: tracker.comment(key, "x"),
        lambda: tracker.attach(key, [file("a.csv")]),
        lambda: tracker.transition(key, "close", rules),
    ):
        with pytest.raises(TicketGone, match=key):
            action()


def test_a_create_whose_answer_is_lost_is_found_again_and_exists_once(jira, tracker):
    for fault in ({"status": 500}, {"drop": True}):
        jira.fault(path="/issue$", method="POST", when="after", **fault)
        draft = replace(DRAFT, identifier=f"lost.boston.{len(fault)}{fault.get('status')}")
        with pytest.raises(TrackerUnavailable) as caught:
            tracker.create(draft)
        assert caught.value.outcome_unknown
        assert len(tracker.find(draft.identifier)) == 1


def test_a_429_is_not_repeated_and_says_when(jira, tracker):
    jira.fault(path="/issue$", method="POST", status=429, retry_after=7)
    with pytest.raises(TrackerUnavailable) as caught:
        tracker.create(DRAFT)
    assert (caught.value.retry_after, caught.value.outcome_unknown) == (7, False)
    with pytest.raises(TrackerUnavailable, match="429"):
        tracker.create(DRAFT)
    assert jira.calls().count("POST issue") == 1
    assert tracker.find(DRAFT.identifier) == []


def test_wrong_credentials_let_work_wait(jira):
    settings = replace(jira.settings(), token=Secret("expired-token"))
    with pytest.raises(TrackerUnavailable, match="JIRA_TOKEN") as caught:
        connect(settings)().create(DRAFT)
    assert "expired-token" not in str(caught.value)


def test_search_lags_more_on_cloud(jira, tracker):
    assert tracker.search_lag == (60.0 if jira.flavour == "cloud" else 2.0)
    assert connect(replace(jira.settings(), search_lag=5.0))().search_lag == 5.0


def test_which_jira_it_is_is_asked_once_for_all_threads(jira):
    here = connect(jira.settings())
    here().find("a.b.c")
    threads = [threading.Thread(target=lambda: here().find("a.b.c")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert jira.calls().count("GET serverInfo") == 1


@pytest.fixture
def rulebook() -> Rulebook:
    rules = replace(RULES, transition_fields=DONE)
    return Rulebook((Category("smb", "SMB", "true", priority="High"),), (Range("boston", "Boston", (), ticket=rules),))


def wrong(checks: list[Any]) -> str:
    return "\n".join(f"{check.what} -> {check.how}" for check in checks if not check.ok)


def test_the_doctor_finds_a_good_site_good(jira, tracker, rulebook):
    tracker.create(DRAFT)
    jira.tracker("admin").register_webhook("https://vmjira.example.com/webhooks/jira", "secret", "")
    checks = diagnose(jira.tracker("admin"), rulebook)
    assert wrong(checks) == ""
    assert len(checks) > 15


def test_the_doctor_says_what_is_wrong_and_how_to_mend_it(tracker, rulebook):
    bad = replace(RULES, issue_type="Tusk", link_type="Relate", assignee="nobody", fields={"Networks": 1})
    ranges = (replace(rulebook.ranges[0], ticket=bad), replace(rulebook.ranges[0], ticket=replace(RULES, project="NO")))
    told = wrong(diagnose(tracker, replace(rulebook, ranges=ranges, categories=(Category("a", "A", "", "Hihg"),))))
    for text in (
        "did you mean 'Task'", "did you mean 'Relates'", "did you mean 'High'", "'nobody' in 'VM' is not found",
        "write its id 'customfield_10102'", "project 'NO'", "Administer Projects",
    ):  # fmt: skip
        assert text in told


def test_the_doctor_stops_where_the_rest_makes_no_sense(jira, rulebook):
    tracker = connect(replace(jira.settings(), token=Secret("wrong")))()
    (*_, last) = diagnose(tracker, rulebook)
    assert not last.ok and "JIRA_TOKEN" in last.what


def test_the_doctor_uses_the_policys_rules_where_there_is_no_range(jira):
    checks = diagnose(jira.tracker("admin"), Rulebook(policy=Policy(ticket=RULES)))
    assert any("'VM'" in check.what for check in checks)


def test_a_missing_permission_is_told_by_doctor_and_by_the_call(tmp_path, flavour, rulebook):
    for jira in running(tmp_path, flavour, denied=("ADD_COMMENTS",)):
        tracker = jira.tracker()
        assert "'Add Comments'" in wrong(diagnose(tracker, rulebook))
        with pytest.raises(TrackerRefused, match="Add Comments"):
            tracker.comment(tracker.create(DRAFT).key, "x")


def test_a_file_over_the_limit_is_refused_with_its_name(tmp_path, flavour):
    for jira in running(tmp_path, flavour, attachment_limit=1000):
        tracker = jira.tracker()
        key = tracker.create(DRAFT).key
        with pytest.raises(TrackerRefused, match=r"'big\.csv' \(2,000 bytes\)"):
            tracker.attach(key, [file("big.csv", 2000), file("tiny.csv")])
