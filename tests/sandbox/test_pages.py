"""Pages: what a person sees and does, and that no other site can do it for them."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.sandbox.conftest import JiraClient

CSV = '\ufeffhost,title\r\npc7,"Update, cumulative"\r\n<b>pc8</b>,=1+1\r\n'.encode()


def press(web: FlaskClient, path: str, page: str = "/", **form: str) -> TestResponse:
    """Fill in and send a form that is on `page`."""
    token = re.search(r'name="token" value="([^"]+)"', web.get(page).text)
    assert token
    return web.post(path, data={"token": token[1], **form})


def test_the_board_shows_tickets_by_status(jira: JiraClient):
    jira.create("Patch Boston", labels=["vm.ms.boston.2026-W23"], duedate="2026-06-20")
    page = jira.web.get("/").text
    for words in ("VM-1", "Patch Boston", "vm.ms.boston.2026-W23", "2026-06-20", "To Do", "In Progress", "Done"):
        assert words in page
    assert "Patch Boston" in jira.web.get("/?q=boston.2026").text
    assert "Patch Boston" not in jira.web.get("/?q=berlin").text


def test_a_ticket_is_closed_with_a_resolution_and_reopened(jira: JiraClient):
    key = jira.create()
    answer = press(jira.web, f"/browse/{key}/transition", f"/browse/{key}", id="41", resolution="Risk Accepted")
    assert answer.status_code == 303
    fields = jira.fields(key)
    assert (fields["status"]["name"], fields["resolution"]["name"]) == ("Done", "Risk Accepted")
    press(jira.web, f"/browse/{key}/transition", f"/browse/{key}", id="51")
    assert jira.fields(key)["status"]["name"] == "To Do"


def test_comments_descriptions_labels_and_people_are_edited(jira: JiraClient):
    key = jira.create()
    here = f"/browse/{key}"
    press(jira.web, f"{here}/comment", here, body="*done* in Boston")
    press(jira.web, f"{here}/edit", here, description="h2. Ours\r\nmine")
    press(jira.web, f"{here}/edit", here, labels="a  b")
    press(jira.web, f"{here}/edit", here, assignee="boston-admins")
    fields = jira.fields(key)
    assert fields["description"] == "h2. Ours\nmine"
    assert fields["labels"] == ["a", "b"]
    assert fields["assignee"]["displayName"] == "Boston Admins"
    page = jira.web.get(here).text
    assert "<strong>done</strong> in Boston" in page and "<h2>Ours</h2>" in page
    author = jira.call("GET", f"/issue/{key}/comment").get_json()["comments"][0]["author"]
    assert author["displayName"] == "Jira Admin"


def test_one_acts_as_the_person_chosen(jira: JiraClient):
    key = jira.create()
    press(jira.web, "/acting-as", person="boston-admins", back=f"/browse/{key}")
    press(jira.web, f"/browse/{key}/comment", f"/browse/{key}", body="me")
    author = jira.call("GET", f"/issue/{key}/comment").get_json()["comments"][0]["author"]
    assert author["displayName"] == "Boston Admins"
    assert press(jira.web, "/acting-as", person="admin", back="//evil.example").location == "/"


def test_a_moved_ticket_is_found_by_its_old_key(jira: JiraClient):
    key = jira.create(components=[{"name": "Patching"}, {"name": "Configuration"}])
    jira.transit(key, "Done", resolution={"name": "Done"})
    press(jira.web, f"/browse/{key}/move", f"/browse/{key}", project="OPS")
    moved = jira.get(key)
    assert moved["key"] == "OPS-1"
    assert moved["fields"]["status"]["statusCategory"]["key"] == "done"
    assert [row["name"] for row in moved["fields"]["components"]] == ["Patching"]
    assert jira.keys(f"key = {key}") == ["OPS-1"]
    assert jira.web.get(f"/browse/{key}").location == "/browse/OPS-1"
    histories = jira.get("OPS-1", expand="changelog")["changelog"]["histories"]
    assert ("Key", key, "OPS-1") in [
        (item["field"], item["fromString"], item["toString"]) for history in histories for item in history["items"]
    ]


def test_a_ticket_is_deleted(jira: JiraClient):
    key = jira.create()
    press(jira.web, f"/browse/{key}/delete", f"/browse/{key}")
    assert jira.call("GET", f"/issue/{key}").status_code == 404
    assert jira.web.get(f"/browse/{key}").status_code == 404


def test_a_new_ticket_is_written_by_hand(jira: JiraClient):
    assert press(jira.web, "/create", project="VM", summary="By hand").location == "/browse/VM-1"
    assert press(jira.web, "/create", project="VM", summary="").status_code == 400


def test_a_csv_is_shown_as_a_table_and_kept_as_a_file(jira: JiraClient):
    key = jira.create()
    jira.upload(key, ("own.csv", CSV), ("page.html", b"<script>alert(1)</script>"))
    page = jira.web.get("/table/10001").text
    assert "<th>host</th>" in page and "<td>Update, cumulative</td>" in page and "&lt;b&gt;pc8" in page
    assert jira.web.get("/secure/attachment/10001/own.csv").data == CSV
    kept = jira.web.get("/secure/attachment/10002/page.html")
    assert kept.headers["Content-Disposition"].startswith("attachment")
    assert jira.web.get("/picture/10002").status_code == 404


@pytest.mark.parametrize("path", ["comment", "edit", "delete", "move", "transition"])
def test_a_form_without_its_token_does_nothing(jira: JiraClient, path):
    key = jira.create()
    before = jira.get(key)
    jira.web.get("/")
    answer = jira.web.post(
        f"/browse/{key}/{path}", data={"token": "guessed", "body": "x", "project": "OPS", "id": "11"}
    )
    assert answer.status_code == 403
    assert jira.get(key) == before


def test_every_page_is_guarded_by_headers_and_needs_no_script(jira: JiraClient):
    key = jira.create("<script>alert(1)</script>", description="<img src=x onerror=alert(1)>")
    for path in ("/", f"/browse/{key}", "/browse/NOPE-1"):
        answer = jira.web.get(path)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script" not in answer.text and "<img src=x" not in answer.text
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", answer.text)


def test_static_files_are_served_without_a_login(jira: JiraClient):
    assert "--accent" in jira.web.get("/static/sandbox.css").text
