"""The pages and commands that show what Jira told us, and which risks are accepted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from lxml import html

from tests.domain.samples import day, finding, scan
from tests.guard.test_breaker import HOSTS, sweep
from tests.guard.world import World
from vmjira.cli import main
from vmjira.domain.rulebook import Rulebook
from vmjira.flows.acceptances import all_acceptances, summary
from vmjira.flows.foresee import foresee_acceptance
from vmjira.flows.keep import keep, titles
from vmjira.flows.knowledge import load
from vmjira.flows.rows import AcceptanceRow, DeliveryRow, EventRow
from vmjira.flows.rules import rules_in_force
from vmjira.web import create_app

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"
FIRST = "windows.boston.2026-W23"


def client(world: World) -> FlaskClient:
    def rules() -> Rulebook | None:
        with world.store.reading() as unit:
            return rules_in_force(world.outside) if unit.rules_in_force() else None

    return create_app(lambda: world.store, rules, browse_url="https://jira.example.com").test_client()


def rows(page: str) -> list[list[str]]:
    """The texts of the table on a page."""
    return [
        [" ".join(cell.text_content().split()) for cell in row.iter("td")]
        for row in html.fromstring(page).iter("tr")
        if row.find("td") is not None
    ]


def deliver(world: World, number: int, **facts: object) -> None:
    body = json.dumps({"timestamp": number, "webhookEvent": "jira:issue_updated", "issue": {"id": "1"}}).encode()
    values = {"headers": {}, "body": body, "issue": "10001", **facts}
    with world.store.begin() as unit:
        unit.add_delivery(DeliveryRow(f"d{number:04}", NOW + timedelta(seconds=number), **values))  # type: ignore[arg-type]


# --- events


def test_the_page_of_events_is_there_before_any_came(anywhere: World):
    assert "None came in yet" in client(anywhere).get("/events").text


def test_events_are_shown_newest_first_with_ticket_decision_and_reason(anywhere: World):
    anywhere.ingest(sweep(0))
    with anywhere.store.begin() as unit:
        unit.update_ticket(FIRST, key="VM-1", issue_id="10001")
    deliver(anywhere, 1, state="done", answer="webhook: closed, confirmed", decided_at=NOW + timedelta(seconds=5))
    deliver(anywhere, 2, issue="777")
    assert rows(client(anywhere).get("/events").text) == [
        ["2026-08-01 12:00:02", "jira:issue_updated", "777", "queued", "", ""],
        [
            "2026-08-01 12:00:01", "jira:issue_updated", "VM-1 why", "done", "webhook: closed, confirmed",
            "2026-08-01 12:00:05",
        ],
    ]  # fmt: skip


def test_events_come_page_by_page(world: World):
    for number in range(120):
        deliver(world, number)
    app = client(world)
    pages = [app.get(f"/events?page={number}").text for number in (1, 2, 3, 4)]
    assert [len(rows(page)) for page in pages] == [50, 50, 20, 0]
    ways = [("older →" in page, "← newer" in page) for page in pages[:3]]
    assert ways == [(True, False), (True, True), (False, True)]
    assert rows(pages[1])[0][0] == "2026-08-01 12:01:09"


@pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 30])
def test_a_page_number_that_is_none_does_no_harm(world: World, page: str):
    assert client(world).get(f"/events?page={page}").status_code == 200


def test_a_large_or_broken_body_is_shown_by_what_it_begins_with(anywhere: World):
    deliver(anywhere, 1, body=b'{"webhookEvent": "jira:issue_deleted", "x": "' + b"y" * 3_000_000)
    deliver(anywhere, 2, body=b"\xff\xfe\x00")
    assert [row[1] for row in rows(client(anywhere).get("/events").text)] == ["", "jira:issue_deleted"]


def test_what_is_hostile_in_an_event_is_only_text(world: World):
    body = json.dumps({"webhookEvent": "<script>alert(1)</script>"}).encode()
    deliver(world, 1, body=body, issue=HOSTILE, answer=HOSTILE)
    page = client(world).get("/events").text
    assert "<script" not in page
    assert rows(page)[0][1:5] == ["<script>alert(1)</script>", HOSTILE, "queued", HOSTILE]


# --- acceptances


ACCEPTED = """\
acceptances:
  - {reason: Replaced soon, approver: jane, until: 2026-08-20, range: boston, vulnerability: a}
  - {reason: Isolated, approver: joe, until: 2027-08-20, network: 10.1.0.0/30}
  - {reason: Long ago, approver: jim, until: 2026-01-31, host: pc1}
"""


def accept(world: World, identifier: str, *, at: datetime, until: datetime, reason: str = "Risk Accepted") -> None:
    """A ticket closed as accepted, as deciding does it."""
    base, rulebook = load(world.store), rules_in_force(world.outside)
    row = base.tickets[identifier]
    about = {"category": row.category, "range": row.range, "ordinal": row.ordinal, "identifier": identifier}
    event = EventRow(0, "accept", None, "", at, {**about, "until": until.isoformat()})
    outcome = foresee_acceptance(base, event, rulebook, titles(world.outside, rulebook))
    acceptance = AcceptanceRow("acc", identifier, reason, "jane.doe", at, until)
    keep(world.outside, outcome, rulebook, event, record=lambda unit: unit.put_acceptance(acceptance))


def found(world: World, now: datetime = NOW) -> list[dict[str, object]]:
    return all_acceptances(world.store, rules_in_force(world.outside), now)


def test_acceptances_of_the_rules_are_listed_with_what_they_hold_the_first_to_end_first(anywhere: World):
    everywhere = [finding(host, check) for host in HOSTS for check in "ab"]
    anywhere.ingest(scan(day(0), HOSTS, everywhere))
    anywhere.rules["acceptances.yaml"] = ACCEPTED
    anywhere.ingest()
    anywhere.ingest(scan(day(7), HOSTS, everywhere))
    shown = ("scope", "approver", "until", "days_left", "state", "findings")
    assert [[each[name] for name in shown] for each in found(anywhere)] == [
        ["host pc1", "jim", "2026-01-31", 0, "ended", 0],
        ["range boston, vulnerability a", "jane", "2026-08-20", 19, "ends soon", 20],
        ["network 10.1.0.0-10.1.0.3", "joe", "2027-08-20", 384, "holds", 8],
    ]
    assert summary(found(anywhere)) == "2 acceptances hold, 1 of them end within 30 days"


def test_an_acceptance_of_a_ticket_is_listed_until_it_ends(anywhere: World):
    anywhere.ingest(sweep(0))
    with anywhere.store.begin() as unit:
        unit.update_ticket(FIRST, key="VM-1")
    accept(anywhere, FIRST, at=day(2), until=NOW + timedelta(days=10))
    (one,) = found(anywhere)
    assert one == {
        "source": "ticket", "scope": FIRST, "ticket": FIRST, "key": "VM-1", "since": day(2).isoformat(),
        "reason": "Risk Accepted", "approver": "jane.doe", "until": "2026-08-11", "days_left": 10,
        "state": "ends soon", "findings": 200,
    }  # fmt: skip
    assert found(anywhere, NOW + timedelta(days=11)) == []
    with anywhere.store.begin() as unit:
        unit.put_acceptance(AcceptanceRow("acc", FIRST, "x", "x", day(2), NOW + timedelta(days=10), ended_at=day(3)))
    assert found(anywhere) == []


def test_the_page_of_acceptances_shows_them_and_hostile_text_stays_text(world: World):
    assert "0 acceptances hold" in client(world).get("/acceptances").text
    world.ingest(sweep(0))
    accept(world, FIRST, at=day(2), until=datetime.now(UTC) + timedelta(days=90), reason=HOSTILE)
    page = client(world).get("/acceptances").text
    assert "<script" not in page
    (row,) = rows(page)
    assert row[2:] == ["holds", FIRST, "a ticket", HOSTILE, "jane.doe", "200"]


def test_every_page_leads_to_both(world: World):
    for path in ("/", "/operations", "/events", "/acceptances"):
        links = html.fromstring(client(world).get(path).text).xpath("//header//a/@href")
        assert {"/", "/operations", "/events", "/acceptances"} <= set(links)


# --- the command


def vmjira(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setenv("VMJIRA_DATA", str(folder / "data"))
    monkeypatch.setenv("VMJIRA_DATABASE_URL", f"sqlite:///{folder}/database/vmjira.db")
    monkeypatch.chdir(folder)
    answer = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_the_command_lists_what_the_page_shows(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    world.ingest(sweep(0))
    accept(world, FIRST, at=day(2), until=datetime.now(UTC) + timedelta(days=90))
    assert json.loads(vmjira(tmp_path, monkeypatch, "acceptances", "--json")) == found(world, datetime.now(UTC))


def test_releasing_by_command_lets_the_scan_count_at_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    world.ingest(sweep(0))
    world.ingest(sweep(7, checks=[]))
    vmjira(tmp_path, monkeypatch, "operations", "release", "boston")
    assert world.own(FIRST)["fixed"] == 200
