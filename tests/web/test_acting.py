"""Buttons: what they do, who may press them, that no other site can, and that it is kept who did."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from tests.flows.scans import RDP, SMB, week
from tests.flows.world import CATEGORIES, POLICY, RANGES, World
from tests.web.conftest import web_of
from tests.web.reading import forms, press, rows, words
from tests.web.test_access import LINES, TOKEN, basic
from vmjira.cli import main
from vmjira.flows.react import react
from vmjira.flows.rows import DeliveryRow
from vmjira.flows.rulewatch import look, settle
from vmjira.rulefiles import load
from vmjira.web.forms import COOKIE, FIELD
from vmjira.web.gate import Gate
from vmjira.web.users import UserFile

REFUSED = RANGES.replace("[10.2.0.0/16]", "[10.2.0.0/16], ticket: {project: NONE}")
CREATE = "v1:create:windows.newyork.2026-W23"


@pytest.fixture
def refused(world: World) -> World:
    """One operation was refused by the tracker; meanwhile the rules were mended."""
    world.write_rules(ranges=REFUSED)
    world.fold(week(23), {"10.2.0.1": [SMB]})
    world.write_rules(ranges=RANGES)
    world.ingest()
    return world


@pytest.fixture
def held(world: World) -> World:
    world.write_rules(policy=POLICY + "limits: {create: 1}\n")
    world.fold(week(23), {"10.1.0.1": [SMB, RDP], "10.2.0.1": [SMB]})
    return world


def guarded(world: World, tmp_path: Path) -> FlaskClient:
    file = tmp_path / "users"
    file.write_text(LINES)
    return web_of(world, Gate(users=UserFile(file))).test_client()


def test_a_refused_operation_is_retried_and_goes_through(refused: World, web: FlaskClient):
    answer = press(web, "/operations?state=refused")
    assert answer.status_code == 303 and answer.location == "/operations?did=retry+1&state=refused"
    assert refused.deliver() == ["create windows.newyork.2026-W23: done"]
    assert [ticket.identifier for ticket in refused.jira.tickets()] == ["windows.newyork.2026-W23"]
    assert "Done: retry 1 operation" in words(web.get(answer.location).text)


def test_it_is_kept_and_shown_who_stepped_in(refused: World, web: FlaskClient):
    press(web, "/operations?state=refused")
    assert [row[1:] for row in rows(web.get("/audit").text)] == [["local", "page", "retry", CREATE]]
    assert "retry by local (page), 2026-06-24" in words(web.get("/operations").text)
    assert "retry by local (page)" in words(web.get("/tickets/windows.newyork.2026-W23").text)


def test_a_plan_is_looked_at_then_released(held: World, web: FlaskClient):
    page = web.get("/operations").text
    assert "v1 2 × create. Nothing of it was sent. Look and release" in words(page)
    page = web.get("/operations/release?id=v1").text
    assert "Release 2 operations?" in page and len(rows(page, "Operations")) == 2
    assert held.jira.tickets() == []
    assert press(web, "/operations/release?id=v1").status_code == 303
    held.deliver()
    assert len(held.jira.tickets()) == 2
    assert "There are none any more" in web.get("/operations/release?id=v1").text


def test_one_of_a_plan_is_dropped_and_the_rest_released(held: World, web: FlaskClient):
    press(web, f"/operations/drop?id={CREATE}")
    press(web, "/operations/release?id=held")
    held.deliver()
    assert [ticket.identifier for ticket in held.jira.tickets()] == ["windows.boston.2026-W23"]
    assert [row[3] for row in rows(web.get("/audit").text)] == ["release", "drop"]


def test_changed_rules_that_would_do_too_much_are_looked_at_then_released(world: World, web: FlaskClient):
    world.fold(week(23), {f"10.1.0.{i}": [SMB] for i in range(1, 4)} | {"10.2.0.1": [SMB]})
    world.write_rules(policy=POLICY + "limits: {create: 1}\n")
    look(world.outside, lambda: load(world.rules))
    before = [(ticket.key, ticket.description) for ticket in world.jira.tickets()]
    world.write_rules(
        categories=CATEGORIES.replace("family = 'Windows'", "family = 'Window'").replace("'Web Servers'", "'Windows'")
    )
    look(world.outside, lambda: load(world.rules))
    page = web.get("/rules").text
    told = words(page)
    assert "Changed rules are held" in told and "2 tickets would be made" in told and "4 findings would move" in told
    assert rows(page, "from whom to whom")[0][:4] == [
        "3", "3", "windows.boston.2026-W23 (VM-1) Boston Office", "web.boston.2026-W23 Boston Office",
    ]  # fmt: skip
    assert "-  - {id: windows" in page
    assert web.get("/api/rules").json["held"]["preview"]["moves"]["findings"] == 4
    assert [(ticket.key, ticket.description) for ticket in world.jira.tickets()] == before
    (way,) = set(re.findall(r'href="(/operations/release[^"]*)"', page))
    assert press(web, way).status_code == 303
    settle(world.outside)
    assert "released by local" in words(web.get("/rules").text) and "are held" not in words(web.get("/rules").text)
    assert "create web.boston.2026-W23: done" in world.deliver()


def test_pressing_twice_does_it_once(refused: World, web: FlaskClient):
    action, fields = forms(web.get("/operations").text)[0]
    assert [web.post(action, data=fields).location for _ in range(2)] == [
        "/operations?did=retry+1", "/operations?did=retry+0",
    ]  # fmt: skip
    assert refused.deliver() == ["create windows.newyork.2026-W23: done"]


def test_an_event_that_failed_is_taken_up_again(world: World, web: FlaskClient):
    world.fold(week(23), {"10.1.0.1": [SMB]})
    body = b'{"webhookEvent": "jira:issue_updated", "issue": {"id": "10001", "key": "VM-1"}}'
    rows_ = [DeliveryRow(f"d{i}", week(23), {}, body, state=state, answer="no", attempts=1)
             for i, state in enumerate(("failed", "done", "failed"))]  # fmt: skip
    with world.store.begin() as unit:
        for row in rows_:
            unit.add_delivery(row)
    assert len(rows(web.get("/events?state=failed").text, "Events")) == 2
    action, fields = next(each for each in forms(web.get("/events").text) if each[1]["id"] == "d0")
    assert web.post(action, data=fields).location == "/events?did=1"
    with world.store.reading() as unit:
        assert [unit.delivery(f"d{i}").state for i in range(3)] == ["queued", "done", "failed"]
    assert world.queue.waiting == ["event.d0"]
    react(world.outside, "d0")
    told = words(web.get("/events?state=done").text)
    assert "webhook jira:issue_updated: nothing to do" in told
    assert [row[1:] for row in rows(web.get("/audit").text)] == [["local", "page", "retry", "event:d0"]]
    assert press(web, "/events?state=failed").location == "/events?did=1&state=failed"  # all that are left
    assert world.queue.waiting == ["event.d0", "event.d2"]


# --- who may


def test_a_viewer_sees_no_buttons_and_cannot_press_any(refused: World, tmp_path: Path):
    web, vic, jane = guarded(refused, tmp_path), basic("vic", "battery staple"), basic("jane", "correct horse")
    assert forms(web.get("/operations", headers=vic).text) == []
    action, fields = forms(web.get("/operations", headers=jane).text)[0]
    answer = web.post(action, data=fields, headers=vic)
    assert answer.status_code == 403 and "takes the role operator" in answer.text
    assert refused.operation(CREATE).state == "refused"
    assert web.post(action, data=fields, headers=jane).status_code == 303
    assert [row[1] for row in rows(web.get("/audit", headers=vic).text)] == ["jane"]


def test_a_program_with_a_token_needs_no_form_but_the_role(refused: World, tmp_path: Path):
    web = guarded(refused, tmp_path)
    told = {"Authorization": f"Bearer {TOKEN}"}
    assert web.post("/operations/retry", data={"id": "refused"}, headers=told).status_code == 403
    (tmp_path / "users").write_text(LINES.replace("robot:viewer", "robot:operator"))
    assert web.post("/operations/retry", data={"id": "refused"}, headers=told).status_code == 303
    assert refused.operation(CREATE).state == "queued"


# --- other sites cannot


@pytest.mark.parametrize("field", ["", "x", "0" * 64])
def test_without_our_form_nothing_is_done(refused: World, web: FlaskClient, field: str):
    web.get("/operations")
    answer = web.post("/operations/retry", data={"id": CREATE, FIELD: field})
    assert answer.status_code == 403 and "load the page again" in answer.text
    assert refused.operation(CREATE).state == "refused"


def test_a_form_is_of_no_use_to_another_user_or_without_its_cookie(refused: World, tmp_path: Path):
    web, jane = guarded(refused, tmp_path), basic("jane", "correct horse")
    (tmp_path / "users").write_text(LINES.replace("vic:viewer", "vic:operator"))
    action, fields = forms(web.get("/operations", headers=jane).text)[0]
    assert web.post(action, data=fields, headers=basic("vic", "battery staple")).status_code == 403
    web.delete_cookie(COOKIE)
    assert web.post(action, data=fields, headers=jane).status_code == 403
    assert refused.operation(CREATE).state == "refused"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost:9999"},
    ],
)  # fmt: skip
def test_what_another_site_sends_is_refused_whatever_it_holds(refused: World, web: FlaskClient, headers: dict):
    action, fields = forms(web.get("/operations").text)[0]
    assert web.post(action, data=fields, headers=headers).status_code == 403
    assert refused.operation(CREATE).state == "refused"
    ours = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert web.post(action, data=fields, headers=ours).status_code == 303


def test_the_cookie_is_for_us_alone(refused: World, web: FlaskClient):
    cookie = web.get("/operations", base_url="https://localhost").headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" in cookie and "Path=/" in cookie
    assert "Set-Cookie" not in web.get("/operations", base_url="https://localhost").headers


def test_forms_of_one_process_are_good_in_another(refused: World, web: FlaskClient):
    action, fields = forms(web.get("/operations").text)[0]
    other = web_of(refused).test_client()
    other.set_cookie(COOKIE, web.get_cookie(COOKIE).value)  # type: ignore[union-attr]
    assert other.post(action, data=fields).status_code == 303


@pytest.mark.parametrize(("path", "status"), [("/operations/steal", 404), ("/operations/retry", 400)])
def test_nonsense_does_nothing(refused: World, web: FlaskClient, path: str, status: int):
    _, fields = forms(web.get("/operations").text)[0]
    assert web.post(path, data={FIELD: fields[FIELD]}).status_code == status


# --- the commands keep it, too


def test_the_command_says_who_stepped_in(held: World, web: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VMJIRA_DATA", str(held.folder / "data"))
    monkeypatch.setenv("VMJIRA_DATABASE_URL", f"sqlite:///{held.folder}/database/vmjira.db")
    monkeypatch.setenv("LOGNAME", "olaf")
    monkeypatch.chdir(held.folder)
    run = CliRunner()
    assert run.invoke(main, ["operations", "drop", CREATE], catch_exceptions=False).exit_code == 0
    assert [row[1:4] for row in rows(web.get("/audit").text)] == [["olaf", "command", "drop"]]
    shown = run.invoke(main, ["operations", "list", "--all"], catch_exceptions=False).output
    assert "drop by olaf (command" in " ".join(shown.split())


# --- scans


def test_a_scan_is_withdrawn_on_its_page_and_restored(world: World, web: FlaskClient):
    world.fold(week(23), {"10.1.0.1": [SMB]})
    world.fold(week(24), {"10.1.0.1": [SMB, RDP]})
    name = "windows.boston.2026-W24"
    asked = web.get("/scans/2/withdraw").text
    assert "Withdraw scan 2?" in words(asked) and "1 × withdrawn" in words(asked)
    (way,) = set(re.findall(r'href="(/scans/2/withdraw)"', web.get("/scanners").text))
    assert press(web, way).location == "/scanners"
    assert world.known()[name]["own"]["total"] == 0
    assert "withdrawn (page) by local" in words(web.get("/scanners").text)
    assert web.get("/scans/2/withdraw").status_code == 409
    assert press(web, "/scans/2/restore").status_code == 303
    assert world.known()[name]["own"]["total"] == 1
    assert [row[1:] for row in rows(web.get("/audit").text)] == [
        ["local", "page", "restore", "scan.2"], ["local", "page", "withdraw", "scan.2"],
    ]  # fmt: skip
    assert web.get("/scans/9/withdraw").status_code == web.get("/scans/2/burn").status_code == 404


def test_a_program_of_an_operator_withdraws_a_scan(world: World, tmp_path: Path):
    world.fold(week(23), {"10.1.0.1": [SMB]})
    web, told = guarded(world, tmp_path), {"Authorization": f"Bearer {TOKEN}"}
    digest = web.get("/api/scans/1", headers=told).json["digest"]
    seen = web.get(f"/api/scans/{digest[:8]}/withdrawal", headers=told).json
    assert [each["operation"] for each in seen["operations"]] == ["update", "withdrawn"]
    assert web.post("/api/scans/1/withdraw", headers=told).status_code == 403
    (tmp_path / "users").write_text(LINES.replace("robot:viewer", "robot:operator"))
    done = web.post("/api/scans/1/withdraw?reason=wrong+clock", headers=told).json
    assert (done["scan"], done["state"]) == (1, "withdrawn")
    assert "robot" in web.get("/api/scans/1", headers=told).json["note"]
    assert web.post("/api/scans/1/withdraw", headers=told).status_code == 409
