"""What each job does, and that it does it once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.clock.world import Desk, said
from tests.flows.scans import APACHE, SMB, week
from vmjira.domain.rulebook import Scanner
from vmjira.flows.rows import AcceptanceRow, TakenRow
from vmjira.flows.silence import judge

PC = {"10.1.0.5": [SMB]}
NAME = "windows.boston.2026-W23"  # found on 1 June; due 14 days later


def at(day: int, month: int = 6) -> datetime:
    return datetime(2026, month, day, 9, tzinfo=UTC)


def comments(desk: Desk) -> list[str]:
    desk.world.deliver()
    return [text for text in desk.world.jira.by_identifier()[NAME].comments if "due on" in text]


@pytest.fixture
def ticket(desk: Desk) -> Desk:
    desk.set(at(2))
    assert desk.world.fold(week(23), PC)
    with desk.world.store.reading() as unit:
        row = unit.ticket(NAME)
    assert row and row.due == date(2026, 6, 15)
    return desk


def test_a_ticket_is_reminded_once_before_and_once_after_its_due_date(ticket: Desk):
    told = []
    for day in range(8, 22):
        ticket.set(at(day))
        ticket.job("reminders")
        ticket.job("reminders")
        told.append((day, len(comments(ticket))))
    assert [day for (day, n), (_, before) in zip(told[1:], told, strict=False) if n > before] == [12, 16]
    first, second = comments(ticket)
    assert first.startswith("*Reminder*: this ticket is due on 15 June 2026, and 1 finding is open on 1 host")
    assert second.startswith("*Overdue*: this ticket was due on 15 June 2026") and "10.1.0.5" in second


def test_a_day_without_a_clock_loses_no_reminder_and_a_month_brings_none_that_is_stale(ticket: Desk):
    ticket.set(at(14))
    ticket.job("reminders")
    assert len(comments(ticket)) == 1
    ticket.set(at(20, month=7))
    ticket.job("reminders")
    assert len(comments(ticket)) == 1


def test_nobody_is_reminded_of_what_is_done_or_closed_or_when_the_policy_says_never(ticket: Desk):
    ticket.world.write_rules(policy="ticket: {project: VM}\nreminders: {before: never, after: never}\n")
    ticket.set(at(13))
    ticket.job("reminders")
    ticket.world.write_rules(policy="ticket: {project: VM}\n")
    with ticket.world.store.begin() as unit:
        unit.update_ticket(NAME, closing="waiting")
    ticket.job("reminders")
    assert comments(ticket) == []
    with ticket.world.store.begin() as unit:
        unit.update_ticket(NAME, closing="")
    ticket.job("reminders")
    with ticket.world.store.begin() as unit:
        unit.update_ticket(NAME, closing="confirmed")
    assert comments(ticket) == [], "closed between planning and delivery"


def test_a_ticket_whose_acceptance_has_ended_is_told_once_and_nothing_is_opened(ticket: Desk):
    row = AcceptanceRow("a", NAME, "Won't Fix", "jane", at(3), at(10))
    with ticket.world.store.begin() as unit:
        unit.put_acceptance(row)
        before = unit.ledger_version()
    ticket.set(at(9))
    assert ticket.job("acceptances") == "1 end within 14 days, 0 have ended; 0 tickets are told"
    ticket.set(at(11))
    assert ticket.job("acceptances") == "0 end within 14 days, 1 have ended; 1 tickets are told"
    assert ticket.job("acceptances").endswith("0 tickets are told")
    ticket.world.deliver()
    texts = ticket.world.jira.by_identifier()[NAME].comments
    assert sum("accepted until 2026-06-10 (Won't Fix)" in text.replace("\\", "") for text in texts) == 1
    with ticket.world.store.reading() as unit:
        assert unit.ledger_version() == before
    assert ticket.mark("acceptances") == {"soon": 0, "ended": 1}


def test_the_doctor_keeps_what_is_wrong(desk: Desk):
    good = SimpleNamespace(ok=True, what="project VM is there", how="", where="")
    bad = SimpleNamespace(ok=False, what="no issue type 'Bug'", how="there is: Task", where="rules/policy.yaml:3")
    desk.findings = [good, bad]
    assert desk.job("doctor") == "2 checks, 1 wrong; no issue type 'Bug'"
    assert desk.mark("doctor") == {
        "checks": 2,
        "wrong": [{"what": "no issue type 'Bug'", "how": "there is: Task", "where": "rules/policy.yaml:3"}],
    }


def test_reconciliation_is_a_job(ticket: Desk):
    assert ticket.job("reconcile") == "1 tickets read, 0 differences"


def test_retention_forgets_versions_and_old_records_and_no_scan(ticket: Desk):
    for number in (24, 25, 26):
        ticket.set(week(number) + timedelta(hours=1))
        ticket.world.fold(week(number), {"10.1.0.5": [SMB, APACHE]})
    ticket.world.write_rules(policy="ticket: {project: VM}\nretention: {versions: 1, firings: 10d}\n")
    words = ticket.job("retention")
    assert words.startswith("forgotten: 1 versions of the ledger, 0 files") and words.endswith(
        "7 records of the queues"
    )
    assert ticket.forgotten == [ticket.now - timedelta(days=10)]
    assert len(ticket.folded()) == 4
    from vmjira.flows.replay import differing, rebuild

    assert differing(ticket.outside, rebuild(ticket.outside)) == []
    ticket.world.fold(week(27), PC)
    assert ticket.world.known()[NAME]["own"]["open"] == 1


def test_there_is_a_word_for_a_job_or_a_scanner_that_there_is_not(desk: Desk):
    assert "there is no job 'dishes'" in said(lambda: desk.job("dishes"))
    assert said(lambda: desk.job("fetch.attic")) == "scanner 'attic': is not in scanners.yaml; there is: hq"


# --- silence


def row(number: int, ended: datetime) -> TakenRow:
    return TakenRow("hq", str(number), "", "", "folded", "", ended, ended + timedelta(hours=1))


WEEKLY = [row(number, week(number)) for number in (20, 21, 22, 23)]
HQ = Scanner("hq", "nessus", fetch="*/30 * * * *")
HALF_HOUR = timedelta(minutes=30)


@pytest.mark.parametrize(("days", "silent"), [(7, False), (13.9, False), (14.2, True)])
def test_a_scanner_is_silent_after_twice_the_pause_that_it_usually_makes(days: float, silent: bool):
    assert judge(HQ, WEEKLY, at(1), HALF_HOUR, week(23) + timedelta(days=days)).silent is silent


def test_scans_that_come_in_bundles_make_nobody_silent():
    bundles = [row(number * 3 + n, week(number, hours=n / 10)) for number in (21, 22, 23) for n in range(3)]
    assert judge(HQ, bundles, at(1), HALF_HOUR, week(23) + timedelta(days=10)).silent is False


def test_what_the_rules_expect_overrules_habit():
    daily = Scanner("hq", "nessus", fetch="* * * * *", expect=timedelta(days=1))
    assert judge(daily, WEEKLY, at(1), HALF_HOUR, week(23) + timedelta(days=3)).silent is True


def test_one_that_never_delivered_is_waited_for_for_two_weeks(desk: Desk):
    assert desk.job("schedule") == "1 scanners deliver, 0 are silent"
    desk.wait(days=13)
    assert desk.job("schedule") == "1 scanners deliver, 0 are silent"
    desk.wait(days=2)
    assert "hq: never a scan, waited for since 2026-06-24" in desk.job("schedule")
    details = desk.mark("schedule")
    assert details["scanners"]["hq"]["silent"] and not details["scanners"]["hq"]["delivered"]


def test_silence_is_shown_by_the_server(desk: Desk):
    from vmjira.web import create_app

    desk.job("schedule")
    desk.wait(days=20)
    desk.job("schedule")
    web = create_app(lambda: desk.world.store, browse_url="").test_client()
    schedule = (web.get("/readyz").json or {})["checks"]["schedule"]
    assert schedule["silent_scanners"] == ["hq"] and schedule["ok"]
    assert 'vmjira_scanner_silent{scanner="hq"} 1.0' in web.get("/metrics").text
