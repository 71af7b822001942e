"""Week after week: what the tracker shows, and how little it is asked."""

from __future__ import annotations

import csv
import io

import pytest

from tests.flows.jira import Ticket
from tests.flows.scans import APACHE, NGINX, RDP, SMB, week
from tests.flows.world import World, host_numbers, own_numbers
from vmjira.domain.ticket import installation_label
from vmjira.flows.installation import installation
from vmjira.flows.views import report_rows
from vmjira.rulefiles import load

FIRST = {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB], "10.2.0.1": [SMB, APACHE]}
NEXT = {"10.1.0.1": [SMB], "10.1.0.2": [], "10.1.0.3": [RDP], "10.2.0.1": [SMB]}
W23, W24 = "windows.boston.2026-W23", "windows.boston.2026-W24"


def loaded(ticket: Ticket) -> Ticket:
    """With its files as they are now, whatever is deleted later."""
    assert ticket.files
    return ticket


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_the_first_scan_makes_one_ticket_per_cell(either: World):
    said = either.fold(week(23), FIRST)
    tickets = either.jira.by_identifier()
    assert set(tickets) == {W23, "windows.newyork.2026-W23", "web.newyork.2026-W23"}
    assert said == [f"create {name}: done" for name in (W23, "web.newyork.2026-W23", "windows.newyork.2026-W23")]
    ticket = tickets[W23]
    assert ticket.summary == "Windows updates – Boston Office – Scan 23"
    assert set(ticket.labels) == {"vmjira", f"vm.{W23}", installation_label(installation(either.outside))}
    assert ticket.fields["priority"]["name"] == "High" and ticket.fields["duedate"] == "2026-06-15"
    assert ticket.links == ()
    assert ticket.names == tuple(sorted(f"{W23}.{kind}" for kind in ("own.csv", "all.csv", "diff.csv", "png")))
    assert len(rows(ticket.files[f"{W23}.own.csv"])) == 3
    assert ticket.files[f"{W23}.png"].startswith(b"\x89PNG")
    assert ticket.comments == ()


def test_a_later_scan_that_finds_the_same_costs_no_call_and_the_lists_of_the_pages_know_its_time(world: World):
    world.fold(week(23), FIRST)
    world.jira.calls()
    assert world.fold(week(23, hours=5), FIRST) == []
    assert world.jira.calls() == []
    with world.store.reading() as unit:
        row = unit.ticket(W23)
    assert row
    for kind in ("own", "all", "diff"):
        rows = report_rows(world.store, row, load(world.rules), kind)
        assert set(rows["last_seen"]) == {week(23, hours=5)}


def test_a_scan_of_other_hosts_without_findings_costs_no_call(world: World):
    world.fold(week(23), FIRST)
    world.jira.calls()
    assert world.fold(week(23, hours=1), {"10.1.0.9": []}) == []
    assert world.jira.calls() == []


def test_the_next_week_has_its_own_tickets_linked_both_ways_and_both_texts_say_so(anywhere: World):
    anywhere.fold(week(23), FIRST)
    anywhere.fold(week(24), NEXT)
    tickets = anywhere.jira.by_identifier()
    old, new = tickets[W23], tickets[W24]
    assert (old.links, new.links) == ((new.key,), (old.key,))
    assert f"Next: {new.key}, {new.summary}" in old.description
    assert f"Previous: {old.key}, {old.summary}" in new.description
    assert "Previous: none" in old.description and "Next: none yet" in new.description
    assert set(tickets) == {W23, W24, "windows.newyork.2026-W23", "web.newyork.2026-W23"}


def test_findings_stay_with_the_ticket_of_the_week_they_were_first_seen_in(world: World):
    world.fold(week(23), FIRST)
    world.fold(week(24), NEXT)
    known, tickets = world.known(), world.jira.by_identifier()
    assert known[W23]["own"] == {
        "total": 3, "fixed": 2, "open": 1, "unverified": 0, "moved": 0, "gone": 0, "accepted": 0,
    }  # fmt: skip
    own = {
        (row["ip-address"], row["vulnerability id"]): row["state"] for row in rows(tickets[W23].files[f"{W23}.own.csv"])
    }
    assert own == {("10.1.0.1", "100"): "remaining", ("10.1.0.1", "101"): "fixed", ("10.1.0.2", "100"): "fixed"}
    own = {
        (row["ip-address"], row["vulnerability id"]): row["state"] for row in rows(tickets[W24].files[f"{W24}.own.csv"])
    }
    assert own == {("10.1.0.3", "101"): "new"}


def test_the_texts_say_the_same_numbers_as_the_json(either: World):
    either.fold(week(23), FIRST | {"10.1.0.4": [SMB]})
    either.fold(week(24), {address: flaws for address, flaws in NEXT.items() if address != "10.2.0.1"})
    either.fold(week(25), {"10.1.0.1": [SMB, NGINX], "10.2.0.1": [APACHE]})
    tickets = either.jira.by_identifier()
    assert len(tickets) == 5 and set(tickets) == set(either.known())
    for identifier, known in either.known().items():
        assert host_numbers(tickets[identifier]) == known["then"], identifier
        assert own_numbers(tickets[identifier]) == known["own"], identifier
        assert {name: len(hosts) for name, hosts in either.hosts(identifier).items()} == {
            name: known["then"][name] for name in ("new", "remaining", "safe", "unverified")
        }
    assert either.known()[W24]["then"] == {
        "vulnerable": 2, "last": 3, "new": 1, "remaining": 1, "safe": 1, "unverified": 1,
    }  # fmt: skip


def test_what_people_write_around_our_part_survives(either: World):
    either.fold(week(23), FIRST)
    ticket = either.jira.by_identifier()[W23]
    either.jira.write(
        ticket.key, f"Call Bob first: *5 lines*.\n\n{ticket.description}\n\n----\nbob: h2. half done {{x}}"
    )
    either.fold(week(24), NEXT)
    now = either.jira.by_identifier()[W23].description
    assert now.startswith("Call Bob first: *5 lines*.\n\n⟦") and now.endswith("⟧\n\n----\nbob: h2. half done {x}")
    assert now.count("⟦") == 2 and "*2* fixed" in now


def test_our_part_is_put_back_after_a_person_emptied_the_description(world: World):
    world.fold(week(23), FIRST)
    ticket = world.jira.by_identifier()[W23]
    world.jira.write(ticket.key, "All gone, this is mine now.")
    world.fold(week(24), NEXT)
    now = world.jira.by_identifier()[W23].description
    assert now.startswith("⟦vmjira") and now.endswith("All gone, this is mine now.")


def test_attachments_are_sent_in_one_call_and_their_old_versions_deleted_after_it(world: World):
    world.fold(week(23), FIRST)
    before = loaded(world.jira.by_identifier()[W23])
    world.jira.calls()
    world.fold(week(23, hours=2), {"10.1.0.1": [SMB]})
    calls = [call for call in world.jira.calls() if "attach" in call]
    assert [call.split("/")[0] for call in calls] == ["POST issue", *["DELETE attachment"] * (len(calls) - 1)]
    after = world.jira.by_identifier()[W23]
    changed = {name for name in after.files if after.files[name] != before.files[name]}
    assert len(calls) == 1 + len(changed)
    assert f"{W23}.own.csv" in changed
    assert after.names == before.names


def test_unchanged_files_are_not_sent(world: World):
    world.fold(week(23), FIRST)
    before = {each["filename"]: each["id"] for each in world.jira.by_identifier()[W23].fields["attachment"]}
    world.fold(week(24), NEXT)
    ticket = world.jira.by_identifier()[W23]
    after = {each["filename"]: each["id"] for each in ticket.fields["attachment"]}
    assert {name for name in after if after[name] != before[name]} == {f"{W23}.own.csv"}


def test_the_frozen_lists_of_an_old_ticket_stay_as_they_were_while_its_own_list_goes_on(world: World):
    world.fold(week(23), FIRST)
    world.fold(week(23, hours=3), {"10.1.0.7": [RDP]})
    frozen = loaded(world.jira.by_identifier()[W23])
    world.fold(week(24), NEXT)
    world.fold(week(25), {"10.1.0.1": []})
    now = world.jira.by_identifier()[W23]
    for kind in ("all.csv", "diff.csv", "png"):
        assert now.files[f"{W23}.{kind}"] == frozen.files[f"{W23}.{kind}"]
    states = [row["state"] for row in rows(now.files[f"{W23}.own.csv"])]
    assert sorted(states) == ["fixed", "fixed", "fixed", "unverified"]
    assert host_numbers(now) == host_numbers(frozen)


def test_each_of_a_ticket_s_lists_is_named_in_its_text(world: World):
    world.fold(week(23), FIRST)
    world.fold(week(24), NEXT)
    for ticket in world.jira.tickets():
        named = {
            name for name in ticket.names if f"[^{name}]" in ticket.description or f"!{name}" in ticket.description
        }
        assert named == set(ticket.names), ticket.description


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("{color:red}*x*|[~admin]!a.png!", "{color:red}*x*|[~admin]!a.png!"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("⟦/vmjira⟧.example.com", "/vmjira"),
    ],
)
def test_a_hostile_host_name_shows_as_itself(world: World, name: str, shown: str):
    world.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [SMB]}, names={"10.1.0.1": name})
    ticket = world.jira.by_identifier()[W23]
    page = world.jira.page(ticket.key)
    assert shown in page
    assert "<script>alert" not in page and 'style="color' not in page and "<em>x</em>" not in page
    assert ticket.description.count("⟦") == 2
    world.fold(week(23, hours=1), {"10.1.0.1": []}, names={"10.1.0.1": name})
    assert world.jira.ticket(ticket.key).description.count("⟦") == 2
