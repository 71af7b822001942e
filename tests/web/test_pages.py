"""vmjira's own pages: before the first scan, with tickets, and with names that mean harm."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import CATEGORIES, POLICY, RANGES, World
from vmjira.web import create_app

PAGES = ("/", "/operations")
HARM = "<script>alert(1)</script>'\"{{7*7}}"


@pytest.mark.parametrize("path", PAGES)
def test_every_page_answers_before_the_first_scan(web: FlaskClient, path: str):
    answer = web.get(path)
    assert answer.status_code == 200 and answer.mimetype == "text/html"
    assert "<h1>" in answer.text


def test_the_overview_without_scans_says_what_to_do(web: FlaskClient):
    assert "vmjira ingest FILE --wait" in web.get("/").text


def test_the_overview_shows_the_numbers_of_every_cell_and_every_ticket(world: World, web: FlaskClient):
    world.fold(week(23), {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB], "10.2.0.1": [APACHE]})
    world.fold(week(24), {"10.1.0.1": [SMB], "10.1.0.2": []})
    page = words(web.get("/").text)
    assert "1 vulnerable 0 new · 1 remaining 1 safe · 0 unverified 2026-W24" in page
    assert "1 vulnerable 1 new · 0 remaining 0 safe · 0 unverified 2026-W23" in page
    assert "2 tickets, 0 of them with nothing left to patch" in page and "2026-06-08-2000.nessus" in page
    for ticket in world.jira.tickets():
        assert f'href="{world.jira.url}/browse/{ticket.key}"' in web.get("/").text
        assert ticket.summary in page


def test_a_cell_shows_its_iterations_and_its_chain_of_tickets(world: World, web: FlaskClient):
    world.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [SMB]})
    world.fold(week(24), {"10.1.0.1": [SMB, RDP], "10.1.0.3": [SMB]})
    page = words(web.get("/cells/windows/boston").text)
    assert "2026-W23 2 0 2 0 0 0" in page and "2026-W24 2 2 1 1 0 1" in page
    assert "Scan 23" in page and "Scan 24" in page


def test_operations_show_why_and_what_became_of_it_of_all_or_of_one_ticket(world: World, web: FlaskClient):
    world.write_rules(ranges=RANGES.replace("[10.2.0.0/16]", "[10.2.0.0/16], ticket: {project: NONE}"))
    world.fold(week(23), {"10.1.0.1": [SMB], "10.2.0.1": [SMB]})
    page = words(web.get("/operations").text)
    assert "2 operations" in page and "refused" in page and "valid project" in page
    assert "1 finding on 1 host first detected in 2026-W23" in page
    page = words(web.get("/operations?ticket=windows.boston.2026-W23").text)
    assert "1 operations" in page and "refused" not in page
    for query in ("page=0", "page=-3", "page=x", "page=99", "ticket=none"):
        assert web.get(f"/operations?{query}").status_code == 200


def test_names_that_mean_harm_are_shown_as_they_are(world: World, web: FlaskClient):
    title = HARM.replace("'", "''")
    world.write_rules(
        categories=CATEGORIES.replace("Windows updates", f"'{title}'"), policy=POLICY + "title: '{category.title}'\n"
    )
    world.fold(week(23), {"10.1.0.1": [SMB]}, name="<img src=x onerror=alert(2)>.nessus", names={"10.1.0.1": HARM})
    for path in (*PAGES, "/cells/windows/boston"):
        page = web.get(path).text
        assert "<script" not in page and "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#39;&#34;{{7*7}}" in web.get("/").text
    assert "&lt;img src=x onerror=alert(2)&gt;" in web.get("/").text


@pytest.mark.parametrize("path", ["/cells/windows/nowhere", "/cells/%3Cscript%3E/boston", "/nowhere", "/cells/windows"])
def test_what_does_not_exist_is_not_found(web: FlaskClient, path: str):
    answer = web.get(path)
    assert answer.status_code == 404 and "<script>" not in answer.text


@pytest.mark.parametrize("path", [*PAGES, "/healthz", "/nowhere", "/static/vmjira.css"])
def test_every_answer_has_the_headers_that_keep_others_out(web: FlaskClient, path: str):
    headers = web.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "script-src" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("path", [*PAGES, "/healthz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_pages_are_only_to_look_at(web: FlaskClient, path: str, method: str):
    assert web.open(path, method=method).status_code == 405


def test_health_answers_without_a_database(web: FlaskClient):
    def broken() -> None:
        raise ConnectionError("no database")

    assert create_app(broken, lambda: None, browse_url="").test_client().get("/healthz").json == {"status": "ok"}
    assert web.get("/healthz").json == {"status": "ok"}


def test_pages_need_no_internet(world: World, web: FlaskClient):
    world.fold(week(23), {"10.1.0.1": [SMB]})
    for path in (*PAGES, "/cells/windows/boston"):
        addresses = re.findall(r'(?:href|src)="([^"]+)"', web.get(path).text)
        assert all(each.startswith(("/", f"{world.jira.url}/browse/")) for each in addresses)


def words(page: str) -> str:
    """What one reads, with single blanks."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())
