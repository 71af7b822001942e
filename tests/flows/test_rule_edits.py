"""Edited rules: evidence moves along, so numbers and texts are right at once; aliases keep tickets through a rename."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.flows.scans import APACHE, NGINX, RDP, SMB, week
from tests.flows.world import CATEGORIES, POLICY, RANGES, World, host_numbers, own_numbers
from vmjira.domain.ticket import HostNumbers
from vmjira.errors import TrackerUnavailable
from vmjira.flows.explain import explain
from vmjira.flows.overview import overview
from vmjira.flows.reconcile import reconcile
from vmjira.flows.replay import differing, rebuild
from vmjira.rulefiles import load

HOSTS = {f"10.1.5.{n}": [SMB] for n in range(1, 5)} | {"10.1.0.1": [SMB, RDP], "10.1.0.2": [APACHE]}
LAB = RANGES + "  - {id: lab, title: Laboratory, networks: [10.1.5.0/24]}\n"
WIN = CATEGORIES.replace("id: windows", "id: win")
OLD, NEW = "windows.boston.2026-W23", "windows.lab.2026-W23"


def edit(world: World, **texts: str) -> str:
    """Edited rules come into force, and everything is delivered; what was said."""
    world.write_rules(**texts)
    report = world.ingest()
    world.deliver()
    assert differing(world.outside, rebuild(world.outside)) == []
    return report.rules


def state_of(world: World, category: str, range_: str) -> str:
    with world.store.reading() as unit:
        cells = overview(unit, load(world.rules), world.outside.clock().date())["cells"]
    return next(str(each["state"]) for each in cells if (each["category"], each["range"]) == (category, range_))


def test_a_split_range_counts_its_findings_at_once_as_the_last_scan_saw_them(either: World):
    either.fold(week(23), HOSTS)
    edit(either, ranges=LAB)
    new, known = either.jira.by_identifier()[NEW], either.known()[NEW]
    wanted = {"vulnerable": 4, "last": 0, "new": 4, "remaining": 0, "safe": 0, "unverified": 0}
    assert host_numbers(new) == known["then"] == wanted
    assert own_numbers(new)["open"] == 4 and own_numbers(new)["unverified"] == 0
    assert "10.1.5.1" in new.description.partition("Most vulnerable hosts")[2]
    assert state_of(either, "windows", "lab") == "new" and len(known["top"]) == 4
    old = either.known()[OLD]
    assert (old["then"]["vulnerable"], old["own"]["open"], old["own"]["moved"]) == (1, 2, 4)
    states = {each["state"] for each in explain(either.outside, "10.1.5.1")["findings"] if each["ticket"] == NEW}
    assert states == {"new"}


def test_a_ticket_of_a_new_range_is_named_after_the_scan_that_saw_its_hosts_and_not_after_the_clock(world: World):
    world.fold(week(23), HOSTS)
    world.ahead += week(40) - week(26)
    edit(world, ranges=LAB.replace("networks: [10.1.5.0/24]", "networks: [10.1.5.0/24], iteration: day"))
    assert "windows.lab.2026-06-01" in world.jira.by_identifier()


def test_what_was_unverified_counts_as_unverified_in_its_new_range_at_once(world: World):
    world.fold(week(23), HOSTS)
    world.fold(week(24), {"10.1.0.1": [SMB, RDP], "10.1.5.1": [SMB]})
    edit(world, ranges=LAB)
    (name,) = [each for each in world.known() if each.startswith("windows.lab")]
    known = world.known()[name]
    assert name == "windows.lab.2026-W24"
    assert known["then"] == {"vulnerable": 1, "last": 3, "new": 1, "remaining": 0, "safe": 0, "unverified": 3}
    assert (known["own"]["open"], known["own"]["unverified"]) == (4, 3)


def test_a_range_that_loses_all_that_was_seen_last_goes_back_to_the_round_that_saw_the_rest(world: World):
    world.fold(week(23), HOSTS)
    world.fold(week(24), {"10.1.5.1": [SMB, RDP]})
    edit(world, ranges=LAB)
    known = world.known()
    assert (known[OLD]["own"]["open"], known[OLD]["own"]["unverified"]) == (2, 0)
    assert known[OLD]["then"] == {"vulnerable": 1, "last": 0, "new": 1, "remaining": 0, "safe": 0, "unverified": 0}
    late = known["windows.boston.2026-W24"]
    assert late["own"]["moved"] == late["own"]["total"] == 1 and not any(late["then"].values())
    world.fold(week(24, hours=5), {"10.1.0.1": [SMB, RDP]})  # the round begins again
    assert world.known()[OLD]["own"]["unverified"] == 0
    assert differing(world.outside, rebuild(world.outside)) == []


def test_a_moved_finding_that_the_next_scan_finds_fixed_leaves_a_safe_host(world: World):
    world.fold(week(23), HOSTS)
    world.fold(week(24), {"10.1.5.1": [SMB]})
    edit(world, ranges=LAB)
    world.fold(week(24, hours=2), {"10.1.5.2": [], "10.1.5.3": [SMB]})
    then = world.known()["windows.lab.2026-W24"]["then"]
    assert then == {"vulnerable": 2, "last": 3, "new": 1, "remaining": 1, "safe": 1, "unverified": 1}
    assert HostNumbers(**then)


def test_an_id_that_was_changed_is_held_and_the_alias_is_proposed(either: World):
    either.fold(week(23), HOSTS)
    said = edit(either, categories=WIN, ranges=RANGES.replace("id: newyork", "id: york"))
    assert "held" in said and "`aliases: [windows]`" in said and "takes 6 of its 6 open findings" in said
    assert set(either.jira.by_identifier()) == {OLD, "web.boston.2026-W23"}
    assert either.known()[OLD]["own"]["open"] == 6


def test_an_alias_keeps_every_ticket_through_a_rename(either: World):
    either.fold(week(23), HOSTS)
    either.fold(week(24), HOSTS | {"10.1.0.9": [SMB, NGINX]})
    before, keys = either.known(), {name: each.key for name, each in either.jira.by_identifier().items()}
    either.jira.calls()
    said = edit(
        either,
        categories=CATEGORIES.replace("id: windows", "id: win, aliases: [windows]"),
        ranges=RANGES.replace("id: boston", "id: bos, aliases: [boston]"),
    )
    assert said == "changed rules are in force now"
    assert not any(call.startswith("POST issue ") or "transitions" in call for call in either.jira.calls())
    renamed = {name: name.replace("windows.", "win.").replace(".boston.", ".bos.") for name in keys}
    tickets, after = either.jira.by_identifier(), either.known()
    assert {renamed[name]: key for name, key in keys.items()} == {name: each.key for name, each in tickets.items()}
    for old, new in renamed.items():
        assert after[new]["own"] == before[old]["own"] and after[new]["then"] == before[old]["then"]
        assert not any(old in name for name in tickets[new].names) and f"{new}.own.csv" in tickets[new].names
        assert f"vm.{old}" not in tickets[new].labels and new in tickets[new].description
    assert reconcile(either.outside, everything=True).drifts == ()
    either.jira.calls()
    either.ingest()
    assert either.deliver() == []
    either.fold(week(25), HOSTS)
    assert set(either.jira.by_identifier()) == set(renamed.values())


def test_a_closed_ticket_and_its_acceptance_survive_a_rename(world: World):
    world.write_rules(policy=POLICY + "accept: {resolutions: [Won't Fix]}\n")
    world.fold(week(23), HOSTS)
    world.jira.close(world.known()[OLD]["key"], "Won't Fix")
    reconcile(world.outside)
    world.deliver()
    edit(world, categories=CATEGORIES.replace("id: windows", "id: win, aliases: [windows]"))
    new = "win.boston.2026-W23"
    assert world.known()[new]["own"]["accepted"] == 6
    world.jira.transit(world.known()[new]["key"], "Reopen")
    reconcile(world.outside)
    world.deliver()
    assert world.known()[new]["own"]["open"] == 6
    assert differing(world.outside, rebuild(world.outside)) == []


def test_a_ticket_whose_making_has_an_unknown_outcome_is_found_by_its_earlier_label(world: World):
    report = world.ingest(world.scan(week(23), HOSTS))
    tracker = world.outside.tracker()
    create, lost = tracker.create, []

    def answer_lost(draft: object) -> object:
        lost.append(create(draft))  # type: ignore[arg-type]
        raise TrackerUnavailable("no answer", outcome_unknown=True)

    tracker.create = answer_lost  # type: ignore[method-assign,assignment]
    from vmjira.flows.deliver import attempt

    for id in report.operations:
        assert attempt(world.outside, id) is not None
    tracker.create = create  # type: ignore[method-assign]
    assert len(lost) == 2
    world.write_rules(categories=CATEGORIES.replace("id: windows", "id: win, aliases: [windows]"))
    world.ingest()
    world.deliver()
    assert set(world.jira.by_identifier()) == {"win.boston.2026-W23", "web.boston.2026-W23"}
    assert len(world.jira.tickets()) == 2


@pytest.mark.parametrize("kind", ["categories", "ranges"])
def test_an_alias_that_is_still_in_use_is_refused(world: World, kind: str):
    world.fold(week(23), HOSTS)
    texts = {
        "categories": CATEGORIES.replace("id: windows", "id: windows, aliases: [web]"),
        "ranges": RANGES.replace("id: boston", "id: boston, aliases: [newyork]"),
    }
    said = edit(world, **{kind: texts[kind]})
    assert "aliases:" in said and "is the id of another" in said and "no longer in use" in said


def test_a_reopening_by_an_edit_does_not_count_towards_the_limit(world: World):
    world.write_rules(policy=POLICY + "on_close: trust\n")
    world.fold(week(23), HOSTS)
    world.fold(week(23, hours=1), {host: [] for host in HOSTS})
    world.jira.close(world.known()[OLD]["key"])
    reconcile(world.outside)
    world.deliver()
    with world.store.reading() as unit:
        row = unit.ticket(OLD)
    assert row is not None and row.closing == "confirmed" and row.reopened == 0
    world.fold(week(23, hours=2), {"10.2.0.1": [SMB]})
    grown = RANGES.replace("10.1.0.0/16]", "10.1.0.0/16, 10.2.0.1]")
    edit(world, ranges=grown)
    with world.store.reading() as unit:
        again = unit.ticket(OLD)
    assert again is not None and replace(again.own, hosts=0, open_hosts=0).open == 1 and again.reopened == 0
    assert world.jira.status(again.key or "") != "Done"
