"""From a closing to its verification, with a real Jira over HTTP and a scanner in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.domain.samples import day, finding, host, scan
from tests.rescan.world import CLOSED, REFUSED, SCANNERS, A, B, C, World, found
from vmjira.errors import ScannerRefused, ScannerUnavailable, ScanUnreadable
from vmjira.flows.deliver import attempt
from vmjira.flows.rescan import FIRST_PAUSE, LONGEST_PAUSE, SURE
from vmjira.flows.rows import TakenRow

DOWN = ScannerUnavailable("hq: no answer (ConnectTimeout)")
MINUTE = timedelta(minutes=1)


# --- the story --------------------------------------------------------------------------------------------------------


def test_a_closing_is_verified_by_a_rescan_of_just_its_hosts(both: World) -> None:
    world = both
    world.fold(found(day(0), A, B, without=(C,)))
    world.closed()
    assert "2 hosts: a rescan by hq is asked for" in world.comment and A in world.comment

    assert world.launched() == (A, B)
    assert "2 hosts: hq is scanning again since 2026-06-02 12:00" in world.comment
    assert world.look() == FIRST_PAUSE

    world.pass_by(hours=1)
    world.scanner.finish(found(world.now - MINUTE, without=(A, B)))
    assert world.look() is None
    row, ticket = world.row(), world.ticket()
    assert (row.closing, row.own.open, ticket.status) == ("confirmed", 0, "Done")
    assert len(ticket.comments) == 2 and "all 2 findings of this ticket are fixed" in ticket.comments[1]
    assert "Verified meanwhile" in world.comment and "2 hosts: scanned again by hq, finished 2026-06-02 13:00" in (
        world.comment
    )
    (run,) = world.runs()
    assert (run.state, run.name, run.words) == ("done", world.scanner.runs[0].name, "2 of 2 hosts looked at")
    assert world.scanner.settled == ["0: "]
    assert world.is_proven()


def test_a_host_that_is_still_vulnerable_reopens_the_ticket(both: World) -> None:
    world = both
    world.opened()
    world.closed()
    world.launched()
    world.pass_by(minutes=30)
    world.scanner.finish(found(world.now - MINUTE, A, without=(B,)))
    world.look()
    row, ticket = world.row(), world.ticket()
    assert (row.closing, row.own.open, row.reopened, ticket.status) == ("", 1, 1, "To Do")
    assert len(ticket.comments) == 2 and A in ticket.comments[1] and B not in ticket.comments[1]
    assert "*Not verified*: this ticket was closed, but 1 finding is still open on 1 host" in world.comment


def test_the_rescan_joins_the_running_iteration(start: Callable[..., World]) -> None:
    world = start()
    world.opened()
    world.closed(at=day(8))  # the week after
    world.launched()
    world.pass_by(hours=1)
    world.scanner.finish(found(world.now - MINUTE, A, without=(B,)))
    world.look()
    with world.store.reading() as unit:
        assert [row.label for row in unit.tickets()] == ["2026-W23"]
        assert [row.rescan for row in unit.scans()] == [False, True]


def test_hosts_that_it_did_not_reach_stay_unverified(world: World) -> None:
    world.opened()
    world.closed()
    world.launched()
    world.pass_by(minutes=30)
    world.scanner.finish(scan(world.now - MINUTE, [A]))
    world.look()
    assert (world.row().closing, world.row().own.open, world.ticket().status) == ("waiting", 1, "Done")
    assert world.states() == {A: "seen", B: "missed"}
    assert "1 host: not reached by the rescan by hq" in world.comment
    assert "the next scan of these hosts decides" in world.comment
    assert world.look() is None and len(world.scanner.runs) == 1


def test_a_login_that_failed_in_the_rescan_proves_nothing(world: World) -> None:
    world.opened(A)
    world.closed()
    world.launched()
    world.pass_by(minutes=30)
    world.scanner.finish(scan(world.now - MINUTE, [host(A, authenticated=False)]))
    world.look()
    assert (world.row().closing, world.row().own.open, world.ticket().status) == ("waiting", 1, "Done")


FLAWS = [str(number) for number in range(100, 130)]


def a_bad_week(world: World) -> None:
    """So much is found on two hosts of an office of three that a scan which lost it would not be believed."""
    world.fold(scan(day(0), [A, B, C], [finding(each, flaw) for each in (A, B) for flaw in FLAWS]))
    world.closed()
    world.launched()
    world.pass_by(minutes=30)


def test_a_rescan_that_shows_everything_repaired_is_believed_without_a_person(world: World) -> None:
    a_bad_week(world)
    world.scanner.finish(scan(world.now - MINUTE, [A, B]))
    world.look()
    assert (world.row().closing, world.row().own.open, world.ticket().status) == ("confirmed", 0, "Done")
    assert world.held() == [] and world.is_proven()


def test_a_rescan_that_could_not_log_in_repairs_nothing_however_little_it_finds(world: World) -> None:
    a_bad_week(world)
    world.scanner.finish(scan(world.now - MINUTE, [host(each, authenticated=False) for each in (A, B)]))
    world.look()
    assert (world.row().closing, world.row().own.open, world.ticket().status) == ("waiting", 60, "Done")
    assert world.held() == [] and world.is_proven()


# --- one run for many -------------------------------------------------------------------------------------------------


def test_three_tickets_share_one_rescan(start: Callable[..., World]) -> None:
    world = start()
    world.write(
        "categories",
        "categories:\n"
        "  - {id: windows, title: Windows updates, where: \"vulnerability_id = '100'\"}\n"
        "  - {id: web, title: Web servers, where: \"vulnerability_id = '200'\"}\n",
    )
    both = [finding(A, "100"), finding(A, "200"), finding(B, "200"), finding(C, "100")]
    world.fold(scan(day(0), [A, B, C], both))
    world.fold(scan(day(7), [A, B, C], [*both, finding(B, "100")]))
    with world.store.reading() as unit:
        keys = {row.identifier: row.key for row in unit.tickets()}
    assert len(keys) == 3
    world.now = day(8)
    world.jira.at(world.now)
    for key in keys.values():
        world.jira.close(str(key))
    world.settle()
    assert set(world.launched()) == {A, B, C}
    (run,) = world.runs()
    assert set(run.tickets) == set(keys)
    world.pass_by(hours=1)
    world.scanner.finish(scan(world.now - MINUTE, [A, B, C], [finding(B, "200")]))
    world.look()
    with world.store.reading() as unit:
        closings = {row.identifier: row.closing for row in unit.tickets()}
    assert closings == {
        "windows.boston.2026-W23": "confirmed", "windows.boston.2026-W24": "confirmed", "web.boston.2026-W23": "",
    }  # fmt: skip


def test_a_ticket_that_is_closed_during_a_rescan_of_its_hosts_is_served_by_it(world: World) -> None:
    world.fold(found(day(0), A, B))
    world.fold(scan(day(7), [A, C], [finding(A, "100"), finding(C, "100"), finding(A, "101")]))
    world.closed(at=day(8))
    assert world.launched() == (A, B)
    later = world.row(week=24)
    world.pass_by(minutes=10)
    world.jira.at(world.now)
    world.jira.close(str(later.key))
    world.settle()
    world.pass_by(minutes=10)
    world.look()
    (request,) = [each for each in world.requests() if (each.identifier, each.address) == (later.identifier, A)]
    assert "for another ticket" in request.words
    world.pass_by(hours=1)
    world.scanner.finish(scan(world.now - MINUTE, [A, B]), 0)
    world.look()
    told = [each for each in world.requests() if (each.identifier, each.address) == (later.identifier, A)]
    assert [(each.state, each.words) for each in told] == [
        ("dropped", "not scanned again: newer data came in meanwhile")
    ]


# --- crashes ----------------------------------------------------------------------------------------------------------


def test_a_crash_between_launch_and_record_launches_nothing_twice(world: World) -> None:
    world.opened()
    world.closed()
    world.scanner.after = [KeyboardInterrupt()]  # type: ignore[list-item]  # dies when it has launched
    with pytest.raises(KeyboardInterrupt):
        world.launched()
    (run,) = world.runs()
    assert (run.state, run.remote) == ("launching", "")
    world.look()
    (run,) = world.runs()
    assert (run.state, run.remote, len(world.scanner.runs)) == ("running", "0", 1)
    assert "2 hosts: hq is scanning again" in world.comment


def test_a_crash_before_the_launch_launches_when_it_is_surely_not_there(world: World) -> None:
    world.opened()
    world.closed()
    world.scanner.troubles = {"launch": [KeyboardInterrupt()]}  # type: ignore[list-item]
    world.pass_by(minutes=2)
    with pytest.raises(KeyboardInterrupt):
        world.look()
    world.pass_by(seconds=60)
    assert world.look() == SURE.total_seconds() - 60
    assert world.scanner.runs == []
    world.now += SURE
    world.look()
    (run,) = world.scanner.runs
    assert (run.hosts, run.name, world.runs()[0].state) == ((A, B), world.runs()[0].name, "running")


def test_a_launch_whose_answer_was_lost_is_looked_for_first(world: World) -> None:
    world.opened()
    world.closed()
    world.scanner.after = [DOWN]
    world.launched()
    assert world.runs()[0].state == "launching"
    world.pass_by(hours=1)
    world.look()
    assert (world.runs()[0].state, len(world.scanner.runs)) == ("running", 1)


def test_a_crash_after_the_result_was_folded_folds_it_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.opened()
    world.closed()
    world.launched()
    world.pass_by(hours=1)
    world.scanner.finish(found(world.now - MINUTE, A, without=(B,)))

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vmjira.flows.rescantelling.Teller.done", dies)
        with pytest.raises(KeyboardInterrupt):
            world.look()
    world.look()
    assert (world.row().reopened, world.runs()[0].state, world.states()) == (1, "done", {A: "seen", B: "seen"})
    with world.store.reading() as unit:
        assert len(unit.scans()) == 2


def test_a_crash_between_the_comment_and_its_record_makes_no_second_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it would have another text by then."""
    world.opened()
    world.jira.at(CLOSED)
    world.jira.close(world.key())
    world.listen()
    (id_,) = world.queue.waiting

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vmjira.flows.life._record", dies)
        with pytest.raises(KeyboardInterrupt):
            attempt(world.outside, id_)
    world.launched()
    assert len(world.ticket().comments) == 1 and world.row().answer
    assert "hq is scanning again" in world.comment


# --- when it cannot be done -------------------------------------------------------------------------------------------


def test_a_scanner_that_cannot_is_said_and_the_next_scan_named(world: World) -> None:
    for week in (-14, -7):
        world.fold(found(day(week), without=(A, B)))
    world.opened()
    world.scanner.cannot_rescan = "this Nessus lets nobody start scans by its API"
    world.closed()
    world.pass_by(minutes=1)
    assert world.look() is None
    assert "2 hosts: not scanned again: this Nessus lets nobody start scans by its API" in world.comment
    assert "going by past scans, it comes about 2026-06-08" in world.comment
    assert world.scanner.runs == []


def test_without_a_scanner_the_next_scan_is_named(start: Callable[..., World]) -> None:
    world = start(scanners="scanners: [{id: inbox, type: folder, path: inbox}]\n")
    world.fold(found(day(-7), without=(A,)))
    world.opened(A)
    world.closed()
    assert world.queue.work == []
    assert "1 host: cannot be scanned again: no scanner of ours can (nessus)" in world.comment
    assert "it comes about 2026-06-08" in world.comment


def test_a_date_is_named_only_if_past_scans_tell_one(start: Callable[..., World]) -> None:
    world = start(scanners="scanners: []\n")
    world.opened(A)
    world.closed()
    assert "past scans do not tell when it comes" in world.comment


def test_of_two_scanners_of_a_kind_nobody_knows_which_to_ask(start: Callable[..., World]) -> None:
    second = SCANNERS.replace("scanners:\n", "").replace("id: hq", "id: berlin")
    world = start(scanners=SCANNERS + second)
    world.opened(A)
    world.closed()
    assert "no scanner of ours can (nessus)" in world.comment and world.queue.work == []


def test_the_scanner_from_which_the_newest_round_came_is_asked(start: Callable[..., World]) -> None:
    second = SCANNERS.replace("scanners:\n", "").replace("id: hq", "id: berlin")
    world = start(scanners=SCANNERS + second)
    world.fold(found(day(0), A, B))
    world.fold(found(day(0.5), A))
    with world.store.reading() as unit:
        older, newer = unit.scans()
    with world.store.begin() as unit:
        for scanner, remote, row in (("berlin", "7/12", older), ("hq", "9/30", newer)):
            unit.put_taken(TakenRow(scanner, remote, "Weekly", row.digest, "folded", "", None, world.now))
    world.closed()
    asked = {each.address: (each.scanner, each.part) for each in world.requests()}
    assert asked == {A: ("hq", "9"), B: ("berlin", "7")}
    assert sorted(id for _, id in world.queue.work) == ["berlin", "hq"]


def test_the_policy_may_allow_none(start: Callable[..., World]) -> None:
    world = start("rescan: {enabled: false}\n")
    world.opened(A)
    world.closed()
    assert world.requests() == [] and "the next scan of these hosts decides" in world.comment


def test_a_refused_launch_is_said_and_not_tried_again(world: World) -> None:
    world.opened()
    world.closed()
    world.scanner.troubles = {"launch": [REFUSED, REFUSED]}
    world.pass_by(minutes=1)
    world.look()
    assert "2 hosts: the rescan by hq failed: hq: may not launch (403)" in world.comment
    assert world.look() is None and len(world.scanner.troubles["launch"]) == 1
    assert (world.row().closing, world.ticket().status) == ("waiting", "Done")


def test_an_aborted_rescan_is_said_and_not_tried_again(world: World) -> None:
    world.opened()
    world.closed()
    world.launched()
    world.scanner.finish("hq: the rescan was aborted by alice")
    assert world.look() is None
    assert "the rescan by hq failed: hq: the rescan was aborted by alice" in world.comment
    assert (world.row().closing, world.row().own.open) == ("waiting", 2)


def test_a_result_that_is_no_scan_is_said(world: World) -> None:
    world.opened()
    world.closed()
    world.launched()
    world.scanner.finish(replace(found(day(2), A), format="garbage"))
    assert world.look() is None
    assert "the rescan by hq failed: its result cannot be used" in world.comment and world.runs()[0].state == "failed"


def test_a_result_that_came_broken_is_said_reported_and_changes_nothing(world: World) -> None:
    world.opened()
    world.closed()
    world.launched()
    world.scanner.finish(found(day(2), without=(A, B)))
    world.scanner.troubles = {"download": [ScanUnreadable("rescan: the zip holds no scan")]}
    assert world.look() is None
    assert "failed: its result cannot be used: rescan: the zip holds no scan" in world.comment
    assert "the next scan of these hosts decides" in world.comment
    with world.store.reading() as unit:
        assert [(row.outcome, row.words) for row in unit.taken("hq")] == [("refused", "rescan: the zip holds no scan")]
        assert len(unit.scans()) == 1
    assert (world.row().closing, world.row().own.open, world.runs()[0].state) == ("waiting", 2, "failed")


def test_a_result_that_cannot_be_taken_is_tried_for_a_day_with_growing_pauses(world: World) -> None:
    world.opened()
    world.closed()
    world.launched()
    world.scanner.finish(found(day(2), without=(A, B)))
    world.scanner.troubles = {"download": [ZeroDivisionError("a fault") for _ in range(99)]}
    pauses = [world.look()]
    assert "2 hosts: hq has scanned again, but its result could not be read yet; it is tried again" in world.comment
    assert [item.title for item in world.attention()] == ["The result of a rescan by hq cannot be read"]
    while pauses[-1] is not None:
        world.pass_by(seconds=pauses[-1])
        pauses.append(world.look())
    minutes = [pause / 60 for pause in pauses[:-1] if pause]
    assert minutes == [1, 1, 2, 4, 8, 16, 32, 64, *([120] * 11)]
    why = "a fault of vmjira, ZeroDivisionError: see its log"
    assert f"failed: its result could not be read for 24 hours ({why}); the next scan decides" in world.comment
    assert (world.row().closing, world.row().own.open, world.runs()[0].state) == ("waiting", 2, "failed")
    (item,) = world.attention()
    assert (item.level, item.title) == (
        "look",
        "A rescan by hq failed",
    ) and "decides about 1 closed ticket." in item.text
    world.fold(found(world.now, without=(A, B)))
    assert world.row().closing == "confirmed" and world.attention() == []


def test_a_result_that_can_be_taken_after_all_is_taken(world: World) -> None:
    world.opened()
    world.closed()
    world.launched()
    world.scanner.finish(found(day(2), without=(A, B)))
    world.scanner.troubles = {"download": [ZeroDivisionError("a fault")]}
    world.look()
    world.pass_by(seconds=30)
    assert world.look() == 30 and world.row().closing == "waiting"
    world.pass_by(seconds=30)
    assert world.look() is None and world.row().closing == "confirmed"


def test_a_result_that_cannot_be_taken_holds_up_no_other_rescan(start: Callable[..., World]) -> None:
    world = start("rescan: {hosts: 1}\n")
    world.opened()
    world.closed()
    world.pass_by(minutes=1)
    world.look()
    assert [run.hosts for run in world.scanner.runs] == [(A,), (B,)]
    for number, host_ in enumerate((A, B)):
        world.scanner.finish(found(day(2 + number), without=(host_,)), number)
    world.scanner.troubles = {"download": [ZeroDivisionError("a fault")]}
    assert world.look() == 60
    assert (world.states(), world.row().own.open) == ({A: "running", B: "seen"}, 1)


def test_a_scanner_that_is_down_is_waited_for_with_growing_pauses(world: World) -> None:
    world.opened()
    world.closed()
    world.launched()
    pauses = []
    for minutes in (1, 10, 60):
        world.pass_by(minutes=minutes)
        world.scanner.troubles = {"launched": [DOWN]}
        pauses.append(world.look())
    assert pauses == [6.0, 66.0, LONGEST_PAUSE]
    world.scanner.finish(found(world.now - MINUTE, without=(A, B)))
    world.look()
    assert world.row().closing == "confirmed"


def test_a_rescan_that_takes_too_long_is_stopped_and_given_up(start: Callable[..., World]) -> None:
    world = start("rescan: {give_up: 1d}\n")
    world.opened()
    world.closed()
    world.launched()
    world.pass_by(hours=23)
    assert world.look() == LONGEST_PAUSE
    world.pass_by(hours=2)
    assert world.look() is None
    assert world.scanner.runs[0].stopped and "given up, because it took more than 24 hours" in world.comment


def test_a_rescan_that_cannot_begin_for_too_long_is_given_up(start: Callable[..., World]) -> None:
    world = start("rescan: {hours: 20-21, give_up: 2h}\n")
    world.opened()
    world.closed()
    world.pass_by(minutes=1)
    assert world.look() == LONGEST_PAUSE
    assert "2 hosts: a rescan by hq waits for its hours, 20:00 to 21:00 (UTC)" in world.comment
    world.pass_by(hours=2)
    assert world.look() is None
    assert "no rescan could begin within 2 hours" in world.comment and world.scanner.runs == []


def test_a_scanner_that_left_the_rules_is_said(world: World) -> None:
    world.opened()
    world.closed()
    world.write("scanners", "scanners: []\n")
    world.pass_by(minutes=1)
    assert world.look() is None
    assert "not scanned again: hq is no longer in scanners.yaml" in world.comment


def test_a_fault_of_ours_keeps_what_is_asked_for(world: World) -> None:
    world.opened()
    world.closed()
    world.pass_by(minutes=1)
    world.scanner.troubles = {"connect": [ZeroDivisionError("a fault")]}
    assert world.look() == LONGEST_PAUSE
    world.look()
    assert len(world.scanner.runs) == 1


# --- people -----------------------------------------------------------------------------------------------------------


def test_a_ticket_that_is_reopened_before_needs_no_rescan(world: World) -> None:
    world.opened()
    world.closed()
    world.jira.do(world.key(), "Reopen")
    world.settle()
    world.pass_by(minutes=1)
    assert world.look() is None and world.scanner.runs == []
    assert "not scanned again: it is not needed any more" in world.comment


def test_closed_again_it_asks_again(world: World) -> None:
    world.opened()
    world.closed()
    world.launched()
    world.scanner.finish(found(world.now, A, B))
    world.look()
    assert world.ticket().status == "To Do"
    world.closed(at=world.now + timedelta(hours=1))
    world.pass_by(minutes=1)
    world.look()
    newest = [each for each in world.ticket().comments if "How vmjira verifies it" in each][-1]
    assert "2 hosts: scanned again a short time ago; the next rescan begins after 2026-06-03 00:00" in newest
    world.pass_by(hours=11)
    world.look()
    assert [run.hosts for run in world.scanner.runs] == [(A, B), (A, B)]
    assert len(world.queue.workflows) == 2


def test_a_comment_that_a_person_deleted_is_made_anew(both: World) -> None:
    world = both
    world.opened()
    world.closed()
    (comment,) = world.jira.rest("GET", f"issue/{world.key()}/comment")["comments"]
    world.jira.rest("DELETE", f"issue/{world.key()}/comment/{comment['id']}")
    world.launched()
    assert "hq is scanning again" in world.comment and len(world.ticket().comments) == 1
    world.pass_by(hours=1)
    world.scanner.finish(found(world.now - MINUTE, without=(A, B)))
    world.look()
    assert "scanned again by hq" in world.comment and len(world.ticket().comments) == 2


def test_an_answer_that_says_nothing_new_is_not_sent(world: World) -> None:
    world.opened()
    world.closed()
    world.launched()
    world.jira.calls()
    for _ in range(3):
        world.pass_by(minutes=5)
        world.look()
    assert world.jira.calls() == []


def test_refusals_while_connecting_are_said(world: World) -> None:
    world.opened()
    world.closed()
    world.scanner.troubles = {"connect": [ScannerRefused("hq: ${A} is not in the environment")]}
    world.pass_by(minutes=1)
    assert world.look() is None
    assert "is not in the environment" in world.comment
