"""Scans from the future: a clock that was wrong closes nothing, and a scan that counts can be taken back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import World, own_numbers
from vmjira.flows.attention import needs_a_person
from vmjira.flows.ingest import settle
from vmjira.flows.operations import Person, drop, release
from vmjira.flows.present import one_ticket
from vmjira.flows.replay import differing, rebuild
from vmjira.flows.withdraw import preview, withdraw
from vmjira.rulefiles import load

OFFICE = {f"10.1.0.{number}": [SMB, RDP] for number in range(1, 13)}
OFFICES = {**OFFICE, "10.2.0.1": [APACHE]}
STRICT = """\
ticket: {project: VM, transition_fields: {resolution: {name: Done}}}
calls_per_second: 100
forget_after: 30d
auto_close: true
"""


def made_by_a_wrong_clock(world: World, **further: Any) -> Path:
    """A tiny scan of one host that claims to have ended 100 days from now."""
    now = world.ahead
    file = world.scan(world.outside.clock() + timedelta(days=100), {"10.1.0.1": [SMB]}, **further)
    world.ahead = now
    return file


def everything(world: World) -> Any:
    tickets = {
        name: (each.status, each.description, each.comments) for name, each in world.jira.by_identifier().items()
    }
    with world.store.reading() as unit:
        return tickets, world.known(), unit.ledger_version(), unit.last_scan()


def is_proven(world: World) -> bool:
    return differing(world.outside, rebuild(world.outside)) == []


def test_a_scan_that_ends_a_hundred_days_ahead_changes_nothing_but_a_notice(either: World):
    either.write_rules(policy=STRICT)
    for number in (23, 24, 25):
        either.fold(week(number), OFFICES)
    before = everything(either)
    report = either.ingest(made_by_a_wrong_clock(either))
    assert either.deliver() == []
    assert everything(either) == before
    (notice,) = either.operations("held")
    assert notice.operation == "suspect"
    assert str(report.scans[0]["outcome"]).startswith("held")
    assert is_proven(either)


def test_the_notice_says_what_is_wrong_and_what_to_do(world: World):
    world.fold(week(23), OFFICES)
    file = made_by_a_wrong_clock(world)
    (planned,) = [each for each in world.preview(file) if each["operation"] == "suspect"]
    assert "2026-10-02 12:00" in planned["reason"]
    report = world.ingest(file)
    (notice,) = world.operations("held")
    for words in ("2026-10-02 12:00", "2026-06-24 12:00", "1 hour", f"vmjira operations release {notice.id}"):
        assert words in notice.reason
    assert world.preview(file)[0]["operation"] == "suspect"
    again = world.ingest(file)
    assert str(again.scans[0]["outcome"]).startswith("held since 2026-06-24 12:00, waiting for approval")
    assert report.operations == again.operations == []
    with world.store.reading() as unit:
        assert [item.title for item in needs_a_person(unit, load(world.rules), [], world.outside.clock())] == [
            "A scan from the future is held"
        ]


def test_a_scan_within_the_tolerance_is_folded_and_one_host_beyond_it_holds_the_scan(world: World):
    now = world.ahead
    soon = world.scan(world.outside.clock() + timedelta(minutes=59), {"10.1.0.1": [SMB]})
    later = world.scan(world.outside.clock() + timedelta(minutes=61), {"10.1.0.1": [SMB]})
    world.ahead = now
    assert [each["outcome"] for each in world.ingest(soon).scans] == ["folded"]
    assert str(world.ingest(later).scans[0]["outcome"]).startswith("held")
    world.write_rules(policy=STRICT + "clock_tolerance: 5h\n")
    far = world.scan(world.outside.clock() + timedelta(hours=4), {"10.1.0.2": [SMB]})
    assert [each["outcome"] for each in world.ingest(far).scans] == ["folded"]


def test_a_scan_that_is_released_counts_but_nobody_is_gone_before_the_time(world: World):
    world.write_rules(policy=STRICT)
    for number in (23, 24, 25):
        world.fold(week(number), OFFICES)
    world.ingest(made_by_a_wrong_clock(world))
    (notice,) = world.operations("held")
    release(world.outside, [notice.id])
    settle(world.outside)
    world.deliver()
    assert world.operation(notice.id).state == "done"
    own = world.known()["windows.boston.2026-W23"]["own"]
    assert (own["open"], own["gone"]) == (24, 0)  # in doubt: the scan lost eleven of twelve hosts
    assert world.known()["web.newyork.2026-W23"]["own"]["open"] == 1
    assert is_proven(world)
    with world.store.reading() as unit:
        assert [row.state for row in unit.scans()] == ["folded"] * 4


def test_a_held_scan_that_is_dropped_or_withdrawn_never_counts(world: World):
    world.fold(week(23), OFFICES)
    before = everything(world)
    first, second = made_by_a_wrong_clock(world), made_by_a_wrong_clock(world, credentials=False, name="2.nessus")
    world.ingest(first, second)
    drop(world.outside, [world.operations("held")[0].id])
    withdraw(world.outside, "3", by=Person("jane", "test"))
    assert world.operations("held") == []
    assert str(world.ingest(first).scans[0]["outcome"]).startswith("dropped by")
    assert "vmjira scans restore 3" in world.ingest(second).refused[0]["reason"]
    assert everything(world) == before


# --- gone -------------------------------------------------------------------------------------------------------------

REST = {"10.2.0.1": [APACHE]}


def test_many_hosts_of_a_range_are_not_gone_at_once_before_a_person_says_so(world: World):
    world.write_rules(policy=STRICT)
    world.fold(week(23), OFFICES)
    for number in (27, 28):
        world.fold(week(number), {**REST, "10.1.0.1": [SMB, RDP]})
        assert is_proven(world)
    held = world.operations("held")
    assert sorted((row.operation, row.identifier) for row in held) == [("breaker", "boston"), ("gone", "boston")]
    release(world.outside, [row.id for row in held if row.operation == "breaker"])
    settle(world.outside)
    world.fold(week(29), {**REST, "10.1.0.1": [SMB, RDP]})
    (notice,) = [row for row in world.operations("held") if row.operation == "gone"]
    assert "11 of 12 hosts" in notice.reason
    own = world.known()["windows.boston.2026-W23"]["own"]
    assert (own["open"], own["gone"]) == (24, 0)
    world.fold(week(30), {**REST, "10.1.0.1": [SMB, RDP]})
    assert [row.id for row in world.operations("held")] == [notice.id]
    release(world.outside, [notice.id])
    settle(world.outside)
    world.deliver()
    own = world.known()["windows.boston.2026-W23"]["own"]
    assert (own["open"], own["gone"]) == (2, 22)
    assert world.operation(notice.id).state == "done"
    assert is_proven(world)


def test_hosts_that_are_seen_again_take_the_notice_down(world: World):
    world.write_rules(policy=STRICT)
    world.fold(week(23), OFFICES)
    world.fold(week(29), REST)
    (notice,) = world.operations("held")
    assert (notice.operation, notice.identifier) == ("gone", "boston")
    world.fold(week(30), OFFICES)
    assert world.operation(notice.id).state == "dropped"
    assert world.known()["windows.boston.2026-W23"]["own"]["gone"] == 0
    assert is_proven(world)


# --- withdrawing ------------------------------------------------------------------------------------------------------

SMALL = {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB]}
CLEAN: dict[str, list[Any]] = {"10.1.0.1": [], "10.1.0.2": []}
W23 = "windows.boston.2026-W23"


def test_a_ticket_that_a_wrong_scan_closed_is_reopened_with_one_honest_comment(either: World):
    either.write_rules(policy=STRICT + "reopen_limit: 0\n")
    either.fold(week(23), SMALL)
    before = either.known()[W23]
    either.fold(week(24), CLEAN)
    assert either.jira.by_identifier()[W23].status == "Done"
    said = len(either.jira.by_identifier()[W23].comments)
    seen = preview(either.outside, "2")
    assert [each["operation"] for each in seen.operations] == ["update", "reopen"]
    done = withdraw(either.outside, "2", by=Person("jane", "command"), reason="scanned the wrong network")
    assert [each["operation"] for each in done.operations] == ["update", "reopen"]
    either.deliver()
    ticket = either.jira.by_identifier()[W23]
    assert ticket.status != "Done"
    assert len(ticket.comments) == said + 1
    assert "the nessus scan of 2026-06-08 20:00" in ticket.comments[-1] and "was withdrawn" in ticket.comments[-1]
    assert {name: either.known()[W23][name] for name in ("then", "own")} == {
        name: before[name] for name in ("then", "own")
    }
    assert own_numbers(ticket) == before["own"]
    with either.store.reading() as unit:
        row = unit.ticket(W23)
    assert row is not None and (row.closing, row.reopened) == ("", 0)
    assert is_proven(either)
    either.fold(week(25), SMALL)
    assert is_proven(either)


def test_a_ticket_that_only_a_wrong_scan_made_says_so_and_is_left_to_people(either: World):
    either.fold(week(23), SMALL)
    before = either.known()
    either.ingest(made_by_a_wrong_clock(either, name="tiny.nessus"))
    either.fold(week(24), SMALL)
    (notice,) = either.operations("held")
    release(either.outside, [notice.id])
    settle(either.outside)
    either.ahead += timedelta(days=120)
    either.fold(week(42), {**SMALL, "10.1.0.3": [RDP]})
    either.deliver()
    new = (set(either.known()) - set(before)).pop()
    withdraw(either.outside, "2", by=Person("jane", "command"))
    either.deliver()
    assert either.known()[new]["own"]["total"] == 1 or "Correction" in either.jira.by_identifier()[new].comments[-1]
    assert is_proven(either)


def test_a_ticket_without_findings_after_a_withdrawal_still_shows(either: World):
    either.fold(week(23), SMALL)
    either.fold(week(24), {**SMALL, "10.1.0.3": [RDP], "10.2.0.1": [APACHE]})
    made = {"windows.boston.2026-W24", "web.newyork.2026-W24"}
    assert set(either.known()) == {W23, *made}
    withdraw(either.outside, "2", by=Person("jane", "command"))
    either.deliver()
    for name in made:
        ticket = either.jira.by_identifier()[name]
        assert "All findings of this ticket came from that scan" in ticket.comments[-1]
        assert own_numbers(ticket)["total"] == 0
        assert one_ticket(either.outside, name)["own"]["total"] == 0
    assert is_proven(either)
    either.fold(week(24, hours=1), {"10.2.0.1": [APACHE]})
    assert either.known()["web.newyork.2026-W24"]["own"]["open"] == 1
    assert len(either.jira.by_identifier()) == 3
    assert is_proven(either)


def test_a_withdrawal_that_closes_more_than_the_limits_allow_is_held(world: World):
    world.write_rules(policy=STRICT + "limits: {create: 0, close: 0}\n")
    world.fold(week(23), SMALL)
    release(world.outside, [])
    world.deliver()
    world.fold(week(24), {"10.1.0.1": [], "10.1.0.2": [SMB]})
    late = world.scan(week(24, hours=-24), {"10.1.0.1": [], "10.1.0.2": []})
    world.ingest(late)
    done = withdraw(world.outside, "2", by=Person("jane", "command"))
    assert done.exceeds == "1 tickets to close, limits.close is 0"
    assert {each["details"]["state"] for each in done.operations} == {"held"}
    assert is_proven(world)
