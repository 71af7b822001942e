"""The doctor against a Jira that is not as the rules want it: every finding with the rule's line, and its remedy."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.flows.jira import Jira, running
from tests.trackers.scripted import TOKEN, Script, scripted
from tests.watch.commands import Commands
from tests.watch.world import CATEGORIES as GOOD_CATEGORIES
from tests.watch.world import POLICY as GOOD_POLICY
from tests.watch.world import RANGES as GOOD_RANGES
from vmjira import rulefiles
from vmjira.domain.rulebook import Policy, Rulebook, TicketRules
from vmjira.errors import TrackerUnavailable
from vmjira.trackers.jira import JiraSettings, Secret, connect, diagnose

CATEGORIES = """\
categories:
  - id: windows
    title: Windows updates
    where: family = 'Windows'
    priority: Urgent
    due: 14d
"""
RANGES = """\
ranges:
  - id: boston
    title: Boston Office
    networks: [10.1.0.0/16]
    ticket:
      assignee: auditor
      components:
        - Configuration
        - Patchin
  - id: newyork
    title: New York Office
    networks: [10.2.0.0/16]
    ticket: {project: NOPE}
  - id: berlin
    title: Berlin Office
    networks: [10.3.0.0/16]
    ticket:
      project: OPS
      issue_type: Vulnerability
      transitions:
        close: Closed
        reopen: Open
"""
POLICY = """\
ticket:
  project: VM
  link_type: Haunts
  watchers: [ghost]
  fields: {Networks: "{{ range.id }}"}
  transitions:
    close: In Review
    reopen: Reopend
  transition_fields:
    resolution: {name: Fixed}
accept:
  resolutions: [Risk Accepted, Won't fix]
calls_per_second: 100
"""
#: Where, what is said there, and what of its remedy.
WRONG = [
    ("categories.yaml:5", "priority 'Urgent' does not exist", "there is: Highest, High, Medium"),
    ("categories.yaml:6", "field 'duedate' is not on the create screen of 'Task' in 'VM'", "put it there"),
    ("ranges.yaml:6", "assignee 'auditor' in 'VM' is not found", "Assignable User"),
    ("ranges.yaml:9", "component in 'VM': 'Patchin' does not exist", "did you mean 'Patching'?"),
    ("ranges.yaml:13", "'NOPE'", "check the key"),
    ("ranges.yaml:19", "issue type in 'OPS': 'Vulnerability' does not exist", "there is: Task, Bug, Story"),
    ("policy.yaml:3", "link type 'Haunts' does not exist", "there is: Blocks, Cloners, Duplicate, Relates"),
    ("policy.yaml:4", "watcher 'ghost' is not found", "account id, e-mail or full name"),
    ("policy.yaml:5", "field 'Networks' does not exist", "write its id 'customfield_10102'"),
    ("policy.yaml:7", "status 'In Review' in 'VM' is of category 'indeterminate'", "choose one of Done"),
    ("policy.yaml:8", "'VM' has no status 'Reopend'", "there is: To Do, In Progress"),
    ("policy.yaml:10", "resolution 'Fixed' does not exist", "there is: Done, Won't Fix"),
    ("policy.yaml:12", 'resolution "Won\'t fix" does not exist', 'did you mean "Won\'t Fix"?'),
    ("", "permission 'Delete Own Attachments' in 'VM' is missing: old lists stay", "grant 'Delete Own Attachments'"),
]
Wsgi = Callable[..., Any]


def screens_without(*hidden: str) -> Callable[[Wsgi], Wsgi]:
    """Create screens lack these fields; and one that is not ours is demanded: the stand-in has no screens."""

    def around(app: Wsgi) -> Wsgi:
        def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
            if "/createmeta/" not in environ["PATH_INFO"] or environ["PATH_INFO"].endswith("/issuetypes"):
                return app(environ, start)
            head: list[Any] = []
            body = json.load(io.BytesIO(b"".join(app(environ, lambda *given: head.extend(given)))))
            name = "fields" if "fields" in body else "values"
            body[name] = [each for each in body[name] if each["fieldId"] not in hidden]
            for each in body[name]:
                each["required"] |= each["fieldId"] == "customfield_10101"
            start(head[0], [("Content-Type", "application/json")])
            return [json.dumps(body).encode()]

        return answer

    return around


@pytest.fixture
def ill(tmp_path: Path, flavour: str) -> Iterator[Jira]:
    around = screens_without("duedate")
    with running(tmp_path, flavour, around=around, denied=("DELETE_OWN_ATTACHMENTS",)) as jira:
        yield jira


def test_every_mistake_is_found_with_its_line_and_how_to_mend_it(tmp_path: Path, ill: Jira):
    run = Commands(tmp_path, ill, categories=CATEGORIES, ranges=RANGES, policy=POLICY)
    done = run("doctor", "--json", who="vmjira")
    assert done.exit_code == 1
    found = [each for each in json.loads(done.stdout) if not each["ok"]]
    for each in found:
        each["where"] = each["where"].removeprefix("rules/")
    for where, what, how in WRONG:
        assert any(each["where"] == where and what in each["what"] and how in each["how"] for each in found), what
    placed = {each["where"] for each in found}
    assert placed == {where for where, _, _ in WRONG}
    assert any("demands the field 'Vulnerable hosts'" in each["what"] for each in found)
    assert len({(each["what"], each["where"]) for each in found}) == len(found)


def test_people_get_a_table_with_what_is_wrong_last(tmp_path: Path, ill: Jira):
    run = Commands(tmp_path, ill, categories=CATEGORIES, ranges=RANGES, policy=POLICY)
    done = run("doctor", who="vmjira")
    assert done.exit_code == 1
    assert "wrong" in done.stdout.splitlines()[0]
    marks = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ ") and line[2] != " "]
    assert marks == sorted(marks, reverse=True) and {"ok", "!!"} == set(marks)


def test_a_good_site_is_good_and_the_administrator_sees_whether_the_webhook_is_there(tmp_path: Path, jira: Jira):
    run = Commands(tmp_path, jira, categories=GOOD_CATEGORIES, ranges=GOOD_RANGES, policy=GOOD_POLICY)
    before = run("doctor", "--json")
    (wrong,) = [each for each in json.loads(before.stdout) if not each["ok"]]
    assert "no webhook named 'vmjira'" in wrong["what"] and "vmjira webhook register" in wrong["how"]
    run("webhook", "register", "https://vmjira.example.com/webhooks/jira")
    after = run("doctor", "--json")
    assert (after.exit_code, [each for each in json.loads(after.stdout) if not each["ok"]]) == (0, [])


def test_a_webhook_that_does_not_cover_a_project_is_told(tmp_path: Path, jira: Jira):
    run = Commands(tmp_path, jira, categories=GOOD_CATEGORIES, ranges=GOOD_RANGES, policy=GOOD_POLICY)
    jira.tracker("admin").register_webhook("https://vmjira.example.com/webhooks/jira", "secret", 'project = "OPS"')
    assert "does not cover the project VM" in run("doctor").stdout.replace("\n", " ")


def test_what_the_rules_leave_to_the_default_has_no_line(jira: Jira):
    rules = TicketRules(project="VM", issue_type="Epic")
    (wrong,) = [
        each
        for each in diagnose(jira.tracker("admin"), Rulebook(policy=Policy(ticket=rules)))
        if not each.ok and "issue type" in each.what
    ]
    assert wrong.where == ""


def test_the_place_of_a_rule_is_that_of_the_first_file_that_has_it():
    files = {"ranges.yaml": RANGES, "policy.yaml": POLICY}
    policy = ("policy.yaml", "ticket", "project")
    assert rulefiles.where(files, [("ranges.yaml", "ranges", 1, "ticket", "project"), policy]) == "ranges.yaml:13"
    assert rulefiles.where(files, [("ranges.yaml", "ranges", 0, "ticket", "project"), policy]) == "policy.yaml:2"
    assert rulefiles.where(files, [("policy.yaml", "ticket", "issue_type"), ("scanners.yaml", "scanners", 0)]) == ""


# --- what only a script can answer


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as running:
        yield running


def test_a_data_center_tells_when_our_tokens_end(script: Script):
    script.say("GET .*/serverInfo", {"deploymentType": "Server", "versionNumbers": [10, 3]}, times=9)
    soon, late = datetime.now(UTC) + timedelta(days=3), datetime.now(UTC) + timedelta(days=300)
    tokens = [
        {"id": 1, "name": "old", "expiringAt": int(soon.timestamp() * 1000)},
        {"id": 2, "name": "new", "expiringAt": late.isoformat()},
        {"id": 3, "name": "for ever"},
    ]
    script.say("GET /rest/pat/latest/tokens", tokens)
    tracker = connect(JiraSettings(script.url, Secret(TOKEN), patience=0.05), calls_per_second=lambda: 1000.0)()
    said = {each.what: each.ok for each in diagnose(tracker, Rulebook()) if "expires" in each.what}
    assert [(what.split("'")[1], ok) for what, ok in said.items()] == [("old", False), ("new", True)]


def test_a_list_of_webhooks_for_administrators_only_is_not_known_and_the_rest_is_checked(tmp_path: Path):
    """Data Center 10 answers 401 to it, as it answers to wrong credentials."""
    with running(tmp_path, "datacenter") as jira:
        tracker = jira.tracker()
        found = diagnose(tracker, Rulebook(policy=Policy(ticket=TicketRules(project="VM"))))
        assert not any("credentials" in each.what for each in found)
        (webhooks,) = [each.what for each in found if "webhook" in each.what]
        assert "is not known" in webhooks
        assert any("permission" in each.what for each in found)
        tracker.comment(jira.create("goes on"), "at once")


def test_what_the_doctor_meets_stops_no_delivery(tmp_path: Path):
    with running(tmp_path, "datacenter") as jira:
        tracker, key = jira.tracker(), jira.create("goes on")
        jira.fault(method="GET", path="/myself$", status=401, times=2)
        assert not diagnose(tracker, Rulebook())[-1].ok
        jira.control("DELETE", "/faults")
        jira.fault(method="GET", path="/attachment/meta$", status=503, retry_after=900.0)
        diagnose(tracker, Rulebook())
        tracker.comment(key, "at once")
        jira.fault(method="POST", path="/comment$", status=401)
        with pytest.raises(TrackerUnavailable):
            tracker.comment(key, "a delivery itself does wait")
        with pytest.raises(TrackerUnavailable, match="nothing is sent for"):
            tracker.comment(key, "later")


def test_the_doctor_names_the_installation_and_says_that_the_tracker_moved(tmp_path: Path, flavour: str):
    run_in = tmp_path / "run"
    run_in.mkdir()
    rules = {"categories": GOOD_CATEGORIES, "ranges": GOOD_RANGES, "policy": GOOD_POLICY}
    with running(tmp_path, flavour) as jira:
        said = [each["what"] for each in json.loads(Commands(run_in, jira, **rules)("doctor", "--json").stdout)]
        assert any(what.startswith("this is the installation of vmjira ") for what in said)
    with running(tmp_path, flavour, server_id="another") as jira:
        run = Commands.__new__(Commands)
        run.folder, run.jira = run_in, jira
        wrong = [each for each in json.loads(run("doctor", "--json").stdout) if not each["ok"]]
        assert any("vmjira rebind" in each["how"] for each in wrong)
