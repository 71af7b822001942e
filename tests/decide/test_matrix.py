"""What becomes of a closed ticket, over HTTP and in both flavours: the end state of tickets and comments."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.decide.world import World
from tests.domain.samples import day, finding, host, scan
from vmjira.domain.ticket import installation_label
from vmjira.flows.installation import installation

A, B = "10.1.0.1", "10.1.0.2"
CLOSED, SOON = day(1), timedelta(hours=1)


def found(end, *hosts, **facts):
    """A scan of these hosts on which each has the flaw."""
    return scan(
        end, hosts, [finding(each if isinstance(each, str) else each["host"], "100") for each in hosts], **facts
    )


def opened(world: World, *hosts: str) -> None:
    """The ticket of week 23 for these hosts, as made."""
    world.fold(found(day(0), *(hosts or (A, B))))
    assert world.ticket().comments == ()


def closed(world: World, resolution: str = "Done") -> list[str]:
    world.jira.at(CLOSED)
    world.jira.close(world.key(), resolution)
    return world.settle()


def test_a_close_before_the_fix_waits_and_is_reopened_with_the_list(world: World) -> None:
    opened(world)
    closed(world)
    row, ticket = world.row(), world.ticket()
    assert (row.closing, ticket.status, len(ticket.comments)) == ("waiting", "Done", 1)
    assert abs(row.closed_at - CLOSED) < timedelta(minutes=1)
    assert "2 findings are open on 2 hosts" in ticket.comments[0]
    assert "the next scan of these hosts decides" in ticket.comments[0]
    assert A in ticket.comments[0] and B in ticket.comments[0]

    world.fold(scan(day(2), [A, B], [finding(A, "100")]))
    row, ticket = world.row(), world.ticket()
    assert (row.closing, row.reopened, ticket.status, len(ticket.comments)) == ("", 1, "To Do", 2)
    assert A in ticket.comments[1] and B not in ticket.comments[1]
    assert re.search(r"last seen 2026-06-03 12:00 \\?\(scan \w{12}, .*\), after the closing", ticket.comments[1])


def test_a_close_after_the_fix_is_confirmed_by_the_next_scan(world: World) -> None:
    opened(world)
    closed(world)
    world.fold(scan(day(2), [A, B]))
    row, ticket = world.row(), world.ticket()
    assert (row.closing, row.told, ticket.status, len(ticket.comments)) == ("confirmed", "verified", "Done", 2)
    assert "all 2 findings of this ticket are fixed" in ticket.comments[1]


def test_a_close_of_a_verified_ticket_is_confirmed_at_once_and_says_nothing_twice(here: World) -> None:
    opened(here)
    here.fold(scan(day(0.5), [A, B]))
    assert len(here.ticket().comments) == 1
    closed(here)
    row, ticket = here.row(), here.ticket()
    assert (row.closing, ticket.status, len(ticket.comments)) == ("confirmed", "Done", 1)


def test_hosts_that_were_down_are_never_fixed_and_are_named_once(world: World) -> None:
    opened(world)
    closed(world)
    world.fold(scan(day(2), [A]))
    row, ticket = world.row(), world.ticket()
    assert (row.closing, ticket.status, len(ticket.comments)) == ("waiting", "Done", 2)
    assert "did not tell of 1 finding on 1 host" in ticket.comments[1]
    assert B in ticket.comments[1] and A not in ticket.comments[1]
    world.fold(scan(day(3), [A]))
    assert len(world.ticket().comments) == 2
    world.fold(scan(day(9), [A, B]))
    row, ticket = world.row(), world.ticket()
    assert (row.closing, ticket.status, len(ticket.comments)) == ("confirmed", "Done", 3)


def test_failed_credentials_prove_nothing(world: World) -> None:
    opened(world)
    closed(world)
    world.fold(scan(day(2), [host(A, authenticated=False), host(B, authenticated=False)]))
    row, ticket = world.row(), world.ticket()
    assert (row.closing, row.own.open, ticket.status, len(ticket.comments)) == ("waiting", 2, "Done", 1)


def test_checks_that_were_not_run_prove_nothing(world: World) -> None:
    opened(world)
    closed(world)
    world.fold(scan(day(2), [A, B], checks=frozenset({"999"})))
    row, ticket = world.row(), world.ticket()
    assert (row.closing, row.own.open, ticket.status, len(ticket.comments)) == ("waiting", 2, "Done", 1)


def test_a_sighting_from_before_the_closing_does_not_refute_it(here: World) -> None:
    opened(here)
    closed(here)
    here.fold(scan(day(2), [host(A, scanned_at=CLOSED - SOON)], [finding(A, "100")]))
    assert (here.row().closing, here.ticket().status) == ("waiting", "Done")


def test_an_accepted_risk_leaves_the_numbers_until_it_ends(world: World) -> None:
    opened(world)
    closed(world, "Risk Accepted")
    row, ticket = world.row(), world.ticket()
    assert (row.closing, row.own.open, row.own.accepted, ticket.status) == ("accepted", 0, 2, "Done")
    assert len(ticket.comments) == 1 and "2 open findings of this ticket count as accepted" in ticket.comments[0]
    assert "* *2* accepted as a risk" in ticket.description
    (acceptance,) = world.acceptances()
    assert acceptance.accepted_until - acceptance.accepted_at == timedelta(days=30)

    world.fold(found(day(8), A, B))
    assert (world.row().closing, len(world.ticket().comments)) == ("accepted", 1)
    world.fold(found(day(35), A, B))
    assert world.row(week=28).own.open == 2
    assert world.row().own.accepted == 2
    assert world.is_proven()


def test_reopening_an_accepted_ticket_ends_the_acceptance(world: World) -> None:
    opened(world)
    closed(world, "Risk Accepted")
    world.jira.at(CLOSED + SOON)
    world.jira.do(world.key(), "Reopen")
    world.settle()
    row, ticket = world.row(), world.ticket()
    assert (row.closing, row.own.open, row.own.accepted, ticket.status) == ("", 2, 0, "To Do")
    assert len(ticket.comments) == 2 and "2 findings are open on 2 hosts" in ticket.comments[1]
    (acceptance,) = world.acceptances()
    assert acceptance.ended_at is not None
    assert world.is_proven()


def test_a_ticket_reopened_by_a_person_is_open_and_nobody_is_told(world: World) -> None:
    opened(world)
    closed(world)
    world.jira.do(world.key(), "Reopen")
    world.settle()
    row, ticket = world.row(), world.ticket()
    assert (row.closing, row.reopened, ticket.status, len(ticket.comments)) == ("", 0, "To Do", 1)
    world.fold(found(day(2), A, B))
    assert (world.ticket().status, len(world.ticket().comments)) == ("To Do", 1)


def test_a_deleted_ticket_is_not_made_anew(world: World) -> None:
    opened(world)
    key = world.key()
    world.jira.rest("DELETE", f"issue/{key}")
    world.settle()
    assert world.row().gone
    world.fold(found(day(2), A, B))
    assert world.jira.rest("POST", _search(world), {"jql": "project = VM", "fields": ["summary"]})["issues"] == []


def _search(world: World) -> str:
    return "search/jql" if world.jira.flavour == "cloud" else "search"


def test_a_moved_ticket_is_followed(world: World) -> None:
    opened(world)
    world.jira.move(world.key(), "VMBOS")
    world.settle()
    assert world.key().startswith("VMBOS-")
    world.fold(scan(day(2), [A, B]))
    assert len(world.ticket().comments) == 1


def test_many_tickets_closed_at_once(start) -> None:
    world, many, half = start(), range(8), range(4)
    world.write(
        "ranges", "ranges:\n" + "".join(f"  - {{id: o{n}, title: Office {n}, networks: [10.9.{n}.1]}}\n" for n in many)
    )
    hosts = [f"10.9.{n}.1" for n in many]
    world.fold(found(day(0), *hosts))
    world.jira.at(CLOSED)
    for n in many:
        world.jira.close(world.key(f"o{n}"))
    world.settle()
    assert {world.row(f"o{n}").closing for n in many} == {"waiting"}
    world.fold(scan(day(2), hosts, [finding(hosts[n], "100") for n in half]))
    tickets = [world.ticket(f"o{n}") for n in many]
    assert [ticket.status for ticket in tickets] == ["To Do"] * 4 + ["Done"] * 4
    assert {len(ticket.comments) for ticket in tickets} == {2}


def test_a_workflow_of_several_steps_is_walked_back(world: World) -> None:
    world.fold(found(day(0), "10.2.0.1"))
    key = world.key("berlin")
    world.jira.at(CLOSED)
    for step in ("Take over", "Resolve", "Close"):
        world.jira.do(key, step)
    world.settle()
    assert (world.row("berlin").closing, len(world.ticket("berlin").comments)) == ("waiting", 1)
    world.fold(found(day(2), "10.2.0.1"))
    row, ticket = world.row("berlin"), world.ticket("berlin")
    assert (row.closing, ticket.status, len(ticket.comments)) == ("", "Open", 2)


def test_a_step_from_one_closed_status_to_another_is_no_new_closing(here: World) -> None:
    here.fold(found(day(0), "10.2.0.1"))
    key = here.key("berlin")
    here.jira.at(CLOSED)
    for step in ("Take over", "Resolve", "Close"):
        here.jira.do(key, step)
        here.settle()
    assert (here.row("berlin").closing, len(here.ticket("berlin").comments)) == ("waiting", 1)


def test_without_a_way_back_a_comment_lists_what_stays_open(start) -> None:
    world = start("reopen_limit: 1\n")
    world.fold(found(day(0), "10.3.0.1"))
    world.jira.at(CLOSED)
    world.jira.do(world.key("york"), "Finish", "Done")
    world.settle()
    world.fold(found(day(2), "10.3.0.1"))
    row, ticket = world.row("york"), world.ticket("york")
    assert (row.closing, row.own.open, ticket.status, len(ticket.comments)) == ("waiting", 1, "Done", 2)
    assert "cannot be reopened" in ticket.comments[1] and "10.3.0.1" in ticket.comments[1]
    (operation,) = [each for each in world.operations("york") if each.operation == "reopen"]
    assert operation.state == "done" and "cannot be reopened" in operation.answer
    world.fold(found(day(3), "10.3.0.1"))
    row, ticket = world.row("york"), world.ticket("york")
    assert (row.closing, ticket.status, len(ticket.comments)) == ("escalated", "Done", 3)
    world.fold(found(day(4), "10.3.0.1"))
    assert len(world.ticket("york").comments) == 3


def test_a_field_that_the_transition_demands_is_given_by_the_rules(start) -> None:
    world = start("auto_close: true\n")
    opened(world)
    world.fold(scan(day(2), [A, B]))
    row, ticket = world.row(), world.ticket()
    assert (row.closing, ticket.status, len(ticket.comments)) == ("confirmed", "Done", 1)
    assert ticket.fields["resolution"]["name"] == "Done"


def test_a_demanded_field_that_the_rules_lack_is_told_to_a_person(start) -> None:
    world = start("auto_close: true\n")
    world.write("policy", "ticket: {project: VM}\nauto_close: true\n")
    opened(world)
    world.fold(scan(day(2), [A, B]))
    assert (world.row().closing, world.ticket().status) == ("", "To Do")
    (operation,) = [each for each in world.operations() if each.operation == "close"]
    assert operation.state == "refused" and "transition_fields.resolution" in operation.answer


def test_a_person_edits_our_part_of_the_description(world: World) -> None:
    opened(world)
    before = world.ticket().description
    edited = "Ask Ann first.\n\n" + before.replace("Patch these", "Do not patch these") + "\n\nBob: rebooted twice."
    world.jira.rest("PUT", f"issue/{world.key()}", {"fields": {"description": edited}})
    world.settle()
    after = world.ticket().description
    assert after == "Ask Ann first.\n\n" + before + "\n\nBob: rebooted twice."


def test_a_person_who_writes_beside_our_part_costs_no_edit(world: World) -> None:
    opened(world)
    edited = "Ask Ann first.\n\n" + world.ticket().description
    world.jira.rest("PUT", f"issue/{world.key()}", {"fields": {"description": edited}})
    world.jira.calls()
    world.settle()
    assert not [call for call in world.jira.calls() if not call.startswith("GET")]
    assert world.ticket().description == edited


def test_a_removed_label_is_put_back_and_others_stay(world: World) -> None:
    opened(world)
    world.jira.rest("PUT", f"issue/{world.key()}", {"fields": {"labels": ["mine"]}})
    world.settle()
    by = installation_label(installation(world.outside))
    assert set(world.ticket().labels) == {"mine", "vmjira", "vm.windows.boston.2026-W23", by}


@pytest.mark.parametrize("mode", ["strict", "trust"])
def test_the_policy_may_be_strict_or_trust(start, mode: str) -> None:
    world = start(f"on_close: {mode}\n")
    opened(world)
    closed(world)
    row, ticket = world.row(), world.ticket()
    if mode == "strict":
        assert (row.closing, ticket.status, len(ticket.comments)) == ("", "To Do", 1)
        assert A in ticket.comments[0] and B in ticket.comments[0]
    else:
        assert (row.closing, ticket.status, len(ticket.comments)) == ("trusted", "Done", 0)
        world.fold(found(day(2), A, B))
        assert world.ticket().status == "Done"
        world.fold(found(day(2.5), A, "10.1.0.3"))
        assert world.ticket().status == "To Do"


def test_after_the_limit_of_reopenings_it_is_escalated(start) -> None:
    world = start("reopen_limit: 1\nescalation: {priority: Highest, label: escalated, watcher: berlin-admins}\n")
    opened(world)
    closed(world)
    world.fold(found(day(2), A, B))
    assert world.ticket().status == "To Do"
    world.jira.at(day(3))
    world.jira.close(world.key())
    world.settle()
    world.fold(found(day(4), A, B))
    row, ticket = world.row(), world.ticket()
    assert (row.closing, ticket.status, ticket.priority) == ("escalated", "Done", "Highest")
    assert "escalated" in ticket.labels
    assert "reopened 1 time, was closed again" in ticket.comments[-1]
    watchers = world.jira.rest("GET", f"issue/{world.key()}/watchers")["watchers"]
    assert "Berlin Admins" in [each["displayName"] for each in watchers]
    told = len(ticket.comments)
    world.fold(found(day(5), A, B))
    assert len(world.ticket().comments) == told
    world.fold(scan(day(6), [A, B]))
    assert (world.row().closing, len(world.ticket().comments)) == ("confirmed", told + 1)


def test_another_automation_that_closes_again_and_again_is_escalated(start) -> None:
    world = start("on_close: strict\nreopen_limit: 3\n")
    opened(world)
    for round_ in range(6):
        world.jira.at(CLOSED + round_ * SOON)
        if world.ticket().status != "Done":
            world.jira.close(world.key())
        world.settle()
    row, ticket = world.row(), world.ticket()
    assert (row.closing, row.reopened, ticket.status, len(ticket.comments)) == ("escalated", 3, "Done", 4)


def test_a_closing_heard_of_only_after_the_next_scan_is_judged_by_that_scan(here: World) -> None:
    opened(here)
    here.jira.at(CLOSED)
    here.jira.close(here.key())
    here.ingest(scan(day(2), [A, B], [finding(A, "100")]))
    here.settle()
    row, ticket = here.row(), here.ticket()
    assert (row.closing, row.reopened, ticket.status, len(ticket.comments)) == ("", 1, "To Do", 1)


def test_new_findings_reopen_a_confirmed_ticket(here: World) -> None:
    opened(here)
    here.fold(scan(day(0.5), [A, B]))
    closed(here)
    here.fold(found(day(2), "10.1.0.3"))
    row, ticket = here.row(), here.ticket()
    assert (row.closing, ticket.status, len(ticket.comments)) == ("", "To Do", 2)
    assert "10.1.0.3" in ticket.comments[1]


def test_every_decision_is_told_with_its_reason(here: World) -> None:
    opened(here)
    said = closed(here)
    assert any("2 findings open on 2 hosts: not verified yet" in each for each in said)
    (operation,) = [each for each in here.operations() if each.operation == "closed"]
    assert "closed by" in operation.reason and "not verified yet" in operation.reason
