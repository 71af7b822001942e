"""The same end state when the tracker is in trouble in the middle of it, and when webhooks misbehave."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.decide.test_matrix import CLOSED, A, B, closed, found, opened
from tests.decide.world import World
from tests.domain.samples import day, scan
from vmjira.domain.rulebook import TicketRules
from vmjira.flows import react
from vmjira.flows.events import parse
from vmjira.flows.react import look_again, read_issue
from vmjira.flows.rows import DeliveryRow
from vmjira.trackers.jira import calls

TROUBLE = {
    "429 storms": {"status": 429, "times": 12, "retry_after": 0.01},
    "500 after a comment was written": {"path": "/comment$", "method": "POST", "status": 500, "when": "after"},
    "500 after a transition": {"path": "/transitions$", "method": "POST", "status": 500, "when": "after"},
    "line cut after a comment": {"path": "/comment$", "method": "POST", "drop": True, "when": "after"},
    "line cut after a transition": {"path": "/transitions$", "method": "POST", "drop": True, "when": "after"},
    "line cut before the history came": {"path": "/issue/", "method": "GET", "drop": True, "times": 3},
    "token expired": {"status": 401, "times": 2, "skip": 1},
}


@pytest.fixture(autouse=True)
def no_long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "CREDENTIALS_PAUSE", 0.02)


def story(world: World, fault: dict[str, object]) -> None:
    opened(world)
    world.jira.at(CLOSED)
    world.jira.close(world.key())
    during(world, fault, world.settle)
    row, ticket = world.row(), world.ticket()
    assert (row.closing, ticket.status, len(ticket.comments)) == ("waiting", "Done", 1)
    during(world, fault, lambda: world.fold(found(day(2), A, B)))
    row, ticket = world.row(), world.ticket()
    assert (row.closing, row.reopened, ticket.status, len(ticket.comments)) == ("", 1, "To Do", 2)
    assert {each.state for each in world.operations()} == {"done"}


def during(world: World, fault: dict[str, object], act: Callable[[], object]) -> None:
    if fault:
        world.jira.fault(**fault)
    act()
    world.jira.calm()


@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_changes_nothing_of_the_end(world: World, trouble: str) -> None:
    story(world, TROUBLE[trouble])


def test_a_search_that_lags_behind_changes_nothing(start) -> None:
    story(start(index_lag=60.0), {})


def hear(world: World, id_: str, body: bytes) -> DeliveryRow:
    with world.store.begin() as unit:
        unit.add_delivery(DeliveryRow(id_, world.outside.clock(), {}, body))
    while react.react(world.outside, id_) is not None:
        pass
    return world.delivery(id_)


def test_events_that_come_twice_late_and_out_of_order_decide_once(here: World) -> None:
    opened(here)
    here.settle()
    here.jira.at(CLOSED)
    here.jira.close(here.key())
    here.jira.at(CLOSED + timedelta(hours=1))
    here.jira.do(here.key(), "Reopen")
    here.jira.at(CLOSED + timedelta(hours=2))
    here.jira.close(here.key())
    bodies = [body for _, body in here.jira.webhooks()]
    here.listen(forget=True)
    for number, body in enumerate([*reversed(bodies), *bodies]):
        hear(here, f"again-{number}", body)
    here.settle()
    row = here.row()
    assert (row.closing, len(here.ticket().comments)) == ("waiting", 1)
    assert abs(row.closed_at - CLOSED - timedelta(hours=2)) < timedelta(minutes=1)


def test_all_events_of_a_ticket_that_wait_are_answered_by_one_look(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(here)
    here.settle()
    looks: list[str] = []
    real = react.read_issue
    monkeypatch.setattr(react, "read_issue", lambda outside, row: (looks.append(row.key or ""), real(outside, row))[1])
    here.jira.at(CLOSED)
    here.jira.close(here.key())
    (*_, (_, body)) = here.jira.webhooks()
    ids = [f"storm-{number}" for number in range(50)]
    with here.store.begin() as unit:
        for id_ in ids:
            unit.add_delivery(DeliveryRow(id_, here.outside.clock(), {}, body, parse(body).issue))
        unit.add_delivery(DeliveryRow("other", here.outside.clock(), {}, body, "77"))
    assert [react.react(here.outside, id_) for id_ in ids] == [None] * 50
    assert looks == [here.key()]
    assert {here.delivery(id_).state for id_ in ids} == {"done"}
    assert here.delivery("other").state == "queued"
    assert "closed by" in here.delivery("storm-7").answer


@pytest.mark.parametrize(
    ("body", "state"),
    [(b"no json", "failed"), (b"{}", "ignored"), (b'{"webhookEvent": "x", "issue": {"id": "77"}}', "ignored")],
)
def test_a_bad_event_ends_in_words(here: World, body: bytes, state: str) -> None:
    delivery = hear(here, "bad", body)
    assert delivery.state == state
    assert delivery.answer


def test_a_fault_of_ours_is_given_up_after_some_tries(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(here)
    here.jira.at(CLOSED)
    here.jira.close(here.key())
    monkeypatch.setattr(react, "look_at", lambda *_: 1 // 0)
    (*_, said) = here.listen()
    assert "please report it: ZeroDivisionError" in said
    (*_, (id_, _)) = here.jira.webhooks()
    assert here.delivery(id_).state == "failed"


def test_what_was_missed_is_decided_when_somebody_looks_again(here: World) -> None:
    opened(here)
    here.jira.at(CLOSED)
    here.jira.close(here.key())
    here.listen(forget=True)
    row = here.row()
    assert len(look_again(here.outside, row, read_issue(here.outside, row), because="reconciliation")) == 1
    row = here.row()
    assert look_again(here.outside, row, read_issue(here.outside, row), because="reconciliation") == []
    here.settle()
    assert (here.row().closing, len(here.ticket().comments)) == ("waiting", 1)


def test_a_copy_that_somebody_made_of_a_ticket_is_none_of_ours(here: World) -> None:
    opened(here)
    fields = {"project": {"key": "VM"}, "issuetype": {"name": "Task"}, "summary": "copy"}
    here.jira.rest("POST", "issue", {"fields": {**fields, "labels": list(here.ticket().labels)}})
    assert here.listen()[-1] == "no ticket of ours"


def test_a_closing_while_a_scan_is_folded_in_is_not_lost(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ticket is closed after the plan of the scan was made, and before it is kept."""
    opened(here)
    write, done = here.store.write, []

    def closed_meanwhile(path: str, frame: object) -> None:
        write(path, frame)  # type: ignore[arg-type]
        if not done:
            done.append(1)
            here.jira.at(CLOSED)
            here.jira.close(here.key())
            here.listen()

    monkeypatch.setattr(here.store, "write", closed_meanwhile)
    here.ingest(found(day(2), A, B))
    monkeypatch.undo()
    here.settle()
    row, ticket = here.row(), here.ticket()
    assert (row.closing, row.reopened, ticket.status, len(ticket.comments)) == ("", 1, "To Do", 1)
    (operation,) = [each for each in here.operations() if each.operation == "reopen"]
    assert operation.reason.startswith("nessus scan")
    assert here.is_proven()


def test_a_reopening_that_is_refused_is_tried_again_with_the_next_scan(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(here)
    closed(here)
    here.jira.fault(path="/transitions$", method="POST", status=403)
    here.fold(found(day(2), A, B))
    assert (here.row().closing, here.ticket().status) == ("waiting", "Done")
    here.fold(found(day(3), A, B))
    assert (here.row().closing, here.ticket().status) == ("", "To Do")


def test_what_is_settled_before_it_is_delivered_is_not_done(here: World) -> None:
    opened(here)
    closed(here)
    here.ingest(found(day(2), A, B))
    here.fold(scan(day(3), [A, B]))
    row, ticket = here.row(), here.ticket()
    assert (row.closing, ticket.status) == ("confirmed", "Done")
    assert not [comment for comment in ticket.comments if "Reopened" in comment]


def test_a_reopening_does_not_undo_a_closing_that_came_after_it(here: World) -> None:
    opened(here)
    closed(here)
    here.ingest(found(day(2), A, B))
    here.jira.at(day(3))
    here.jira.do(here.key(), "Reopen")
    here.jira.close(here.key())
    here.listen()
    here.settle()
    row, ticket = here.row(), here.ticket()
    assert (row.closing, ticket.status) == ("waiting", "Done")
    assert not [comment for comment in ticket.comments if "Reopened" in comment]


def test_what_we_did_ourselves_costs_no_call(here: World) -> None:
    here.ingest(found(day(0), A, B))
    here.deliver()
    here.jira.calls()
    said = here.listen()
    assert said and all(each.endswith("what we did ourselves") for each in said)
    assert [call for call in here.jira.calls() if "/issue" in call] == []


def test_a_person_who_uses_our_account_is_heard_too(here: World) -> None:
    opened(here)
    here.jira.at(CLOSED)
    here.outside.tracker().transition(
        here.key(), "close", TicketRules(transition_fields={"resolution": {"name": "Done"}})
    )
    here.settle()
    assert (here.row().closing, len(here.ticket().comments)) == ("waiting", 1)


def test_an_acceptance_names_the_findings_of_its_own_ticket_only(here: World) -> None:
    opened(here)
    here.fold(found(day(7), A, B, "10.1.0.3"))
    here.jira.at(day(8))
    here.jira.close(here.key(), "Risk Accepted")
    here.settle()
    assert (here.row().own.accepted, here.row(week=24).own.open) == (2, 1)
    assert here.is_proven()
