"""The first run on a network with a backlog: what becomes a ticket, what is only recorded, and what follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.flows.scans import APACHE, NGINX, RDP, SMB, Flaw, week
from tests.flows.world import POLICY, RANGES, World, host_numbers, own_numbers
from vmjira.errors import VmjiraError
from vmjira.flows import adopt as adopting
from vmjira.flows.explain import explain
from vmjira.flows.operations import release
from vmjira.flows.preview import preview_all
from vmjira.flows.replay import differing, rebuild
from vmjira.rulefiles import load

BOSTON = {"10.1.0.1": [SMB], "10.1.0.2": [SMB, RDP], "10.1.0.3": [APACHE]}
NEWYORK = {"10.2.0.1": [NGINX]}
ODD = Flaw("300", "Odd flaw", "Misc")
BACKLOG = {**BOSTON, **NEWYORK, "10.9.0.1": [SMB]}  # the last one is in no range


def mode(world: World, text: str, more: str = "") -> None:
    world.write_rules(policy=f"{POLICY}adoption: {{{text}}}\n{more}")


def adopt(world: World, *files: Path) -> adopting.Adopted:
    return adopting.adopt(world.outside, adopting.read_all(files, world.read), lambda: load(world.rules))


def rehearse(world: World, *files: Path) -> dict[str, Any]:
    return adopting.rehearse(world.outside, adopting.read_all(files, world.read), lambda: load(world.rules))


def ledger_is_exact(world: World) -> bool:
    return differing(world.outside, rebuild(world.outside)) == []


def test_with_iteration0_each_cell_gets_one_ticket_and_the_next_scan_makes_tickets_of_what_is_new(world: World):
    mode(world, "mode: iteration0")
    report = adopt(world, world.scan(week(23), BACKLOG))
    world.deliver()
    tickets = world.jira.by_identifier()
    assert set(tickets) == {"windows.boston.0", "web.boston.0", "web.newyork.0"}
    first = tickets["windows.boston.0"]
    assert first.summary == "Windows updates – Boston Office – Scan 0"
    assert "Scan 0 is the backlog" in first.description
    assert host_numbers(first) | {"vulnerable": 2, "new": 2, "last": 0} == host_numbers(first)
    assert report.numbers["creates"] == 3 and report.numbers["exceeds"] is None
    world.fold(week(23, hours=1), {**BOSTON, "10.1.0.3": [APACHE, SMB]})  # the same week: an iteration of its own
    tickets = world.jira.by_identifier()
    assert set(tickets) == {"windows.boston.0", "web.boston.0", "web.newyork.0", "windows.boston.2026-W23"}
    new = tickets["windows.boston.2026-W23"]
    assert host_numbers(new) | {"vulnerable": 3, "new": 1, "remaining": 2, "last": 2} == host_numbers(new)
    assert own_numbers(new)["total"] == 1
    assert first.key in new.links and ledger_is_exact(world)


def test_with_silent_the_backlog_is_known_and_counted_and_never_gets_a_ticket(world: World):
    mode(world, "mode: silent")
    adopt(world, world.scan(week(23), BACKLOG))
    assert world.deliver() == [] and world.jira.calls() == []
    (finding,) = explain(world.outside, "10.1.0.1")["findings"]
    assert finding["ticket"] is None and finding["state"] == "remaining"
    assert "backlog of iteration 0" in finding["ticket because"]
    world.fold(week(24), {"10.1.0.1": [SMB], "10.1.0.2": [SMB], "10.1.0.3": [APACHE, SMB]})
    (ticket,) = world.jira.tickets()
    assert ticket.identifier == "windows.boston.2026-W24"
    assert host_numbers(ticket) == {"vulnerable": 3, "last": 2, "new": 1, "remaining": 2, "safe": 0, "unverified": 0}
    assert "earlier tickets, or to the backlog" in ticket.description
    world.fold(week(25), {"10.1.0.1": [], "10.1.0.2": [], "10.1.0.3": []})
    assert len(world.jira.tickets()) == 1 and ledger_is_exact(world)


def test_with_cap_the_cells_with_the_most_vulnerable_hosts_get_a_ticket(world: World):
    mode(world, "mode: cap, cap: 1")
    report = adopt(world, world.scan(week(23), BACKLOG))
    world.deliver()
    assert set(world.jira.by_identifier()) == {"windows.boston.0", "web.newyork.0"}
    boston = next(row for row in report.numbers["ranges"] if row["range"] == "boston")
    assert (boston["cells"], boston["findings"], boston["without_ticket"]) == (2, 4, 1)
    world.fold(week(24), {**BOSTON, "10.1.0.4": [APACHE]})
    assert set(world.jira.by_identifier()) == {"windows.boston.0", "web.newyork.0", "web.boston.2026-W24"}
    assert ledger_is_exact(world)


def test_a_dry_run_tells_the_numbers_of_every_mode_and_changes_nothing(world: World):
    mode(world, "mode: cap, cap: 1", "limits: {create: 1}\n")
    file = world.scan(week(23), {**BACKLOG, "10.1.0.9": [ODD]})
    found = rehearse(world, file)
    assert found["tickets"] == {"iteration0": 3, "silent": 0, "cap": 2} and found["creates"] == 2
    assert found["exceeds"] == "2 tickets to create, limits.create is 1"
    assert [row["range"] for row in found["ranges"]] == [None, "boston", "newyork"]
    boston = found["ranges"][1]
    assert boston == {
        "range": "boston", "hosts": 4, "vulnerable": 4, "findings": 5, "cells": 2, "in_no_category": 1,
        "tickets": {"iteration0": 2, "silent": 0, "cap": 1}, "without_ticket": 2,
    }  # fmt: skip
    with world.store.reading() as unit:
        assert unit.ledger_version() == 0 and unit.scans() == [] and unit.rules_in_force() is None
    assert world.jira.calls() == [] and adopt(world, file).numbers == found


def test_an_adoption_above_the_limits_is_held_for_a_person(world: World):
    mode(world, "mode: iteration0", "limits: {create: 2}\n")
    adopt(world, world.scan(week(23), BACKLOG))
    assert world.deliver() == [] and len(world.operations("held")) == 3
    release(world.outside, ["v1"])
    world.deliver()
    assert len(world.jira.by_identifier()) == 3


def test_several_scans_at_once_are_one_iteration_and_what_the_later_one_lacks_is_fixed(world: World):
    files = [world.scan(week(10), {"10.1.0.1": [SMB, RDP]}), world.scan(week(20), {"10.1.0.1": [SMB]})]
    report = adopt(world, *reversed(files))
    world.deliver()
    assert [scan["outcome"] for scan in report.scans] == ["adopted", "adopted"]
    (ticket,) = world.jira.tickets()
    assert own_numbers(ticket) | {"total": 2, "fixed": 1, "open": 1} == own_numbers(ticket)
    assert ledger_is_exact(world)


def test_the_same_adoption_again_changes_nothing(world: World):
    file = world.scan(week(23), BACKLOG)
    adopt(world, file)
    world.deliver()
    world.jira.calls()
    again = adopt(world, file)
    assert again.scans[0]["outcome"] == "known already: nothing changed" and again.operations == []
    assert rehearse(world, file) == {} and world.deliver() == [] and world.jira.calls() == []


def test_a_forgotten_file_is_adopted_later_as_long_as_iteration_0_runs(world: World):
    mode(world, "mode: cap, cap: 1")
    adopt(world, world.scan(week(23), BOSTON))
    adopt(world, world.scan(week(23, hours=1), {"10.1.7.1": [SMB, APACHE]}))
    world.deliver()
    (ticket,) = world.jira.tickets()
    assert ticket.identifier == "windows.boston.0" and own_numbers(ticket)["total"] == 4
    mode(world, "mode: cap, cap: 2")  # room for one more
    adopt(world, world.scan(week(23, hours=2), {"10.1.8.1": [SMB, APACHE]}))
    world.deliver()
    tickets = world.jira.by_identifier()
    assert {name: own_numbers(each)["total"] for name, each in tickets.items()} == {
        "windows.boston.0": 5, "web.boston.0": 1,
    }  # fmt: skip
    assert ledger_is_exact(world)


def test_a_range_in_use_is_refused_by_name_before_anything_is_stored_and_a_new_office_is_adopted(world: World):
    world.fold(week(23), BOSTON)
    both = world.scan(week(24), BACKLOG)
    world.write_rules(ranges=RANGES + "  - {id: lab, title: Laboratory, networks: [10.9.0.0/24]}\n")
    for act in (adopt, rehearse):
        with pytest.raises(VmjiraError, match=r"adopt: boston has rounds of scanning already"):
            act(world, both)
    with world.store.reading() as unit:
        assert len(unit.scans()) == 1 and unit.ledger_version() == 1
    adopt(world, world.scan(week(24), {**NEWYORK, "10.9.0.1": [SMB]}, name="new.nessus"))
    world.deliver()
    assert {"web.newyork.0", "windows.lab.0"} < set(world.jira.by_identifier()) and ledger_is_exact(world)


class Killed(BaseException):
    pass


def test_killed_in_the_middle_the_same_command_ends_in_the_same_tickets(world: World, monkeypatch: pytest.MonkeyPatch):
    files = [world.scan(week(22), NEWYORK), world.scan(week(23), BOSTON)]

    def killed(*_: object, **__: object) -> None:
        raise Killed

    for place in ("vmjira.flows.adopt.foresee_adoption", "vmjira.flows.adopt.breaker.note", "vmjira.flows.keep.commit"):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(place, killed)
            adopt(world, *files)
        with world.store.reading() as unit:
            assert unit.scans() == [] and unit.tickets() == [] and unit.operations() == []
    adopt(world, *files)
    world.deliver()
    assert set(world.jira.by_identifier()) == {"windows.boston.0", "web.boston.0", "web.newyork.0"}


def test_a_scan_that_lost_too_much_is_not_believed_and_the_next_regular_one_settles_it(world: World):
    mode(world, "mode: silent")
    many = {f"10.1.0.{number}": [SMB, RDP] for number in range(1, 15)}
    report = adopt(world, world.scan(week(20), many), world.scan(week(21), {host: [] for host in many}))
    assert [each.partition(" (")[0] for each in report.numbers["not_believed"]] == ["boston: 28 of 42 findings"]
    (notice,) = world.operations("held")
    assert (notice.operation, notice.identifier) == ("breaker", "boston")
    world.fold(week(23), many)
    assert world.operations("held") == [] and world.jira.tickets() == [] and ledger_is_exact(world)


def test_backlog_without_ticket_moves_without_one_and_what_had_one_gets_another(world: World):
    mode(world, "mode: cap, cap: 1")
    adopt(world, world.scan(week(23), BOSTON))
    world.fold(week(24), BOSTON)
    mode(world, "mode: iteration0")
    world.write_rules(ranges=RANGES + "  - {id: lab, title: Laboratory, networks: [10.1.0.0/24]}\n")
    moves = preview_all(world.outside, [], world.read, lambda: load(world.rules))[1]["moves"]
    assert (moves["findings"], moves["tickets"]) == (4, 1)
    assert {each["from"]["ticket"]: each["to"]["ticket"] for each in moves["top"]} == {
        "windows.boston.0": "windows.lab.2026-W24", None: None,
    }  # fmt: skip
    world.ingest()
    world.deliver()
    tickets = set(world.jira.by_identifier()) - {"windows.boston.0"}
    assert {name.rpartition(".")[0] for name in tickets} == {"windows.lab"}
    world.fold(week(26), BOSTON)
    assert set(world.jira.by_identifier()) - {"windows.boston.0"} == tickets and ledger_is_exact(world)
