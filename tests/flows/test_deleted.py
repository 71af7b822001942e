"""A ticket that people deleted waits for a person's word: made again, or its findings accepted; in both flavours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.flows.scans import RDP, SMB, week
from tests.flows.world import World, own_numbers
from vmjira.errors import VmjiraError
from vmjira.flows import deleted
from vmjira.flows.acceptances import all_acceptances
from vmjira.flows.operations import Person, commit, drop, new_operation
from vmjira.flows.replay import differing, rebuild
from vmjira.rulefiles import load

W23, W24 = "windows.boston.2026-W23", "windows.boston.2026-W24"
JANE = Person("jane", "command")


def gone(world: World) -> str:
    """Week 23 has a ticket that somebody deleted, which was noticed at the next delivery; its key."""
    world.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [SMB, RDP]})
    (ticket,) = world.jira.tickets()
    world.jira.delete(ticket.key)
    world.fold(week(23, hours=4), {"10.1.0.1": [SMB], "10.1.0.2": [SMB]})
    return ticket.key


def waiting(world: World) -> list[str]:
    with world.store.reading() as unit:
        return [row.identifier for row in deleted.waiting(unit)]


def ledger_is_exact(world: World) -> bool:
    return differing(world.outside, rebuild(world.outside)) == []


def test_a_ticket_that_is_wanted_again_is_made_anew_with_all_that_belongs_to_it(either: World):
    old = gone(either)
    assert waiting(either) == [W23]
    deleted.again(either.outside, [W23], by=JANE)
    assert either.deliver() == [f"create {W23}: done"]
    (ticket,) = either.jira.tickets()
    assert ticket.key != old and ticket.identifier == W23 and len(ticket.names) == len(set(ticket.names)) == 4
    assert own_numbers(ticket) | {"open": 2, "fixed": 1} == own_numbers(ticket)
    assert waiting(either) == [] and either.known()[W23]["key"] == ticket.key
    either.fold(week(24), {"10.1.0.1": [SMB], "10.1.0.2": [SMB, RDP]})
    assert set(either.jira.by_identifier()) == {W23, W24} and ledger_is_exact(either)


def test_findings_that_are_forgotten_are_accepted_by_that_person_for_that_reason(either: World):
    gone(either)
    done = deleted.forget(either.outside, W23, "the office is closed", by=JANE)
    assert either.deliver() == [] and either.jira.tickets() == [] and waiting(either) == []
    own = either.known()[W23]["own"]
    assert (own["open"], own["accepted"]) == (0, 2)
    (row,) = all_acceptances(either.store, load(either.rules), either.outside.clock())
    assert (row["approver"], row["reason"], row["findings"]) == ("jane", "the office is closed", 2)
    assert done.accepted_until > done.accepted_at and ledger_is_exact(either)
    either.fold(week(24), {"10.1.0.1": [SMB], "10.1.0.2": [SMB]})
    assert either.jira.tickets() == [] and ledger_is_exact(either)


def test_a_deleted_ticket_whose_findings_are_fixed_asks_no_more(world: World):
    gone(world)
    world.fold(week(24), {"10.1.0.1": [], "10.1.0.2": []})
    assert waiting(world) == [] and world.jira.tickets() == []


def test_only_a_deleted_ticket_can_be_decided_upon(world: World):
    world.fold(week(23), {"10.1.0.1": [SMB]})
    for act in (
        lambda: deleted.again(world.outside, [W23], by=JANE),
        lambda: deleted.forget(world.outside, W23, "because", by=JANE),
    ):
        with pytest.raises(VmjiraError, match="is not deleted"):
            act()
    with pytest.raises(VmjiraError, match="a reason is needed"):
        deleted.forget(world.outside, W23, "  ", by=JANE)


def test_a_creation_that_a_person_dropped_is_not_asked_about(world: World):
    world.ingest(world.scan(week(23), {"10.1.0.1": [SMB]}))
    drop(world.outside, [W23], by=JANE)
    assert waiting(world) == []


def test_a_ticket_whose_neighbour_was_deleted_is_not_taken_for_deleted_itself(either: World):
    either.fold(week(23), {"10.1.0.1": [SMB]})
    either.fold(week(24), {"10.1.0.1": [SMB, RDP]})
    either.jira.delete(either.known()[W23]["key"])
    operation = new_operation("link", W24, "a test", plan="test", now=either.outside.clock())
    with either.store.begin() as unit:
        commit(either.outside, unit, [replace(operation, details={"other": W23})])
    assert either.deliver() == [f"link {W24}: refused"]
    assert either.known()[W24]["status"] != "deleted"
