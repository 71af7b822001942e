"""Deciding about a deleted ticket on the overview, its pages and the API: operators only, and only by our forms."""

from __future__ import annotations

from pathlib import Path

from flask.testing import FlaskClient

from tests.flows.test_deleted import W23, gone, waiting
from tests.flows.world import World
from tests.web.conftest import web_of
from tests.web.reading import press, words
from tests.web.test_access import LINES, TOKEN, basic
from tests.web.test_acting import guarded
from vmjira.flows.identity import known_tracker, suspect
from vmjira.web.gate import Gate
from vmjira.web.users import UserFile


def test_the_overview_asks_and_has_two_buttons(world: World, web: FlaskClient):
    key = gone(world)
    page = web.get("/").text
    assert f"{key} was deleted in the tracker" in words(page) and "2 open findings on 2 hosts" in words(page)
    assert f'href="/tickets/{W23}/again"' in page and f'href="/tickets/{W23}/forget"' in page
    (item,) = [each for each in web.get("/api/overview").json["attention"] if each["acts"]]
    assert [act["page"] for act in item["acts"]] == ["again", "forget"]


def test_made_again_from_the_page(world: World, web: FlaskClient):
    gone(world)
    assert press(web, f"/tickets/{W23}/again").status_code == 303
    assert world.deliver() == [f"create {W23}: done"] and len(world.jira.tickets()) == 1


def test_forgotten_from_the_page_with_a_reason(world: World, web: FlaskClient):
    gone(world)
    answer = press(web, f"/tickets/{W23}/forget")
    assert answer.status_code == 409 and waiting(world) == [W23]  # the form was sent without a reason
    page = web.get(f"/tickets/{W23}/forget").text
    token = page.partition('name="form_token" value="')[2].partition('"')[0]
    web.post(f"/tickets/{W23}/forget", data={"form_token": token, "reason": "scrapped"})
    assert waiting(world) == []
    assert "forget" in words(web.get("/audit").text)


def test_a_viewer_may_not_and_no_foreign_form_can(world: World, tmp_path: Path, web: FlaskClient):
    gone(world)
    guard = guarded(world, tmp_path)
    viewer = {"headers": basic("vic", "battery staple")}
    assert "takes the role operator" in words(guard.get(f"/tickets/{W23}/again", **viewer).text)
    for path in (f"/tickets/{W23}/again", f"/api/tickets/{W23}/again"):
        assert guard.post(path, **viewer).status_code == 403
        assert web.post(path).status_code == 403
    assert waiting(world) == [W23]


def test_a_program_decides_with_a_token(world: World, tmp_path: Path):
    gone(world)
    (tmp_path / "operators").write_text(LINES.replace("robot:viewer", "robot:operator"))
    web = web_of(world, Gate(users=UserFile(tmp_path / "operators"))).test_client()
    bearer = {"headers": {"Authorization": f"Bearer {TOKEN}"}}
    wrong = web.post(f"/api/tickets/{W23}/forget", json={}, **bearer)
    assert wrong.status_code == 400 and "reason" in wrong.json["error"]
    done = web.post(f"/api/tickets/{W23}/forget", json={"reason": "scrapped"}, **bearer)
    assert done.status_code == 201 and done.json["reason"] == "scrapped" and waiting(world) == []
    assert web.post(f"/api/tickets/{W23}/again", **bearer).status_code == 409


def test_a_moved_tracker_is_said_on_the_overview_and_noted_in_readyz(world: World, web: FlaskClient):
    gone(world)
    assert web.get("/readyz").json["checks"]["tracker"] == {"ok": True, "moved": False}
    suspect(world.outside, "VM-1 has another id")
    assert "vmjira rebind" in words(web.get("/").text)
    assert web.get("/readyz").json["checks"]["tracker"]["moved"] is True
    with world.store.reading() as unit:
        known = known_tracker(unit)
    assert known and known.evidence
