"""Changed rules come into force without an ingest, or wait for a person; a typo never floods the tracker."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.flows.scans import APACHE, RDP, SMB, Flaw, week
from tests.flows.world import CATEGORIES, POLICY, RANGES, World
from vmjira import rulefiles
from vmjira.flows import rulewatch
from vmjira.flows.history import history
from vmjira.flows.ingest import settle
from vmjira.flows.operations import Person, drop, release
from vmjira.flows.preview import preview_all
from vmjira.flows.replay import differing, rebuild

HOSTS = {"10.1.0.1": [SMB], "10.1.5.1": [SMB, RDP], "10.1.0.2": [APACHE]}
LAB = "  - {id: lab, title: Laboratory, networks: [10.1.5.0/24]}\n"
TIGHT = POLICY + "limits: {create: 1}\n"
#: Two tickets are made anew under other ids.
RENAMED = CATEGORIES.replace("id: windows", "id: win").replace("id: web", "id: www")


def look(world: World) -> str:
    """One firing of the job."""
    return rulewatch.run(world.outside, lambda: rulefiles.load(world.rules))


def looks(world: World) -> str:
    """So many that what has changed is judged."""
    look(world)
    return look(world)


def in_force(world: World) -> str:
    with world.store.reading() as unit:
        row = unit.rules_in_force()
    assert row is not None
    return row.digest


def on_disk(world: World) -> str:
    return rulefiles.load(world.rules).digest


def problems(world: World) -> Any:
    with world.store.reading() as unit:
        mark = unit.mark(rulewatch.PROBLEMS)
    return mark and mark.details["problems"]


def held(world: World) -> str:
    (row,) = world.operations("held")
    return row.id


@pytest.fixture
def tight(world: World) -> World:
    """Two tickets, and limits under which renaming both categories has to wait."""
    world.write_rules(policy=TIGHT)
    world.ingest(world.scan(week(23), HOSTS))
    release(world.outside, [])
    world.deliver()
    assert len(world.jira.by_identifier()) == 2
    world.jira.calls()
    return world


def test_changed_files_come_into_force_by_themselves_once_two_looks_saw_the_same(world: World):
    world.fold(week(23), HOSTS)
    assert look(world) == "the rules in the folder are in force"
    world.write_rules(ranges=RANGES + LAB)
    assert "judged at the next look" in look(world) and in_force(world) != on_disk(world)
    assert look(world) == "changed rules are in force now" and in_force(world) == on_disk(world)
    assert look(world) == "the rules in the folder are in force"
    world.deliver()
    assert "windows.lab.2026-W23" in world.jira.by_identifier()


def test_a_file_caught_half_written_does_no_harm(world: World):
    world.fold(week(23), HOSTS)
    before = in_force(world)
    world.write_rules(categories=CATEGORIES.partition("  - {id: web")[0])  # valid, and half of it is missing
    look(world)
    world.write_rules(categories=CATEGORIES)
    assert look(world) == "the rules in the folder are in force" and in_force(world) == before
    assert len(history(world.store)) == 1


def test_broken_files_leave_the_last_good_rules_in_force_and_tell_every_problem_since_when(world: World):
    world.fold(week(23), HOSTS)
    before = in_force(world)
    world.write_rules(
        categories=CATEGORIES.replace("family = 'Windows'", "famly = 'Windows'"), policy=POLICY + "top_host: 5\n"
    )
    assert "categories.yaml:2:" in look(world)
    found = problems(world)
    assert [(each["file"].split("/")[-1], each["line"]) for each in found] == [
        ("categories.yaml", 2),
        ("policy.yaml", 3),
    ]
    with world.store.reading() as unit:
        since = unit.mark(rulewatch.PROBLEMS)
    world.ahead += week(24) - week(23)
    look(world)
    with world.store.reading() as unit:
        assert unit.mark(rulewatch.PROBLEMS) == since
    assert in_force(world) == before
    world.write_rules(categories=CATEGORIES, policy=POLICY)
    assert look(world) == "the rules in the folder are in force" and problems(world) == []


@pytest.mark.parametrize(("hosts", "waits"), [(range(1, 11), True), (range(1, 10), False)])
def test_a_typo_that_empties_a_category_waits_within_all_limits(world: World, hosts: range, waits: bool):
    """But for a handful of findings nobody is asked."""
    world.fold(week(23), {f"10.1.0.{i}": [SMB] for i in hosts} | {"10.1.0.99": [APACHE]})
    before = in_force(world)
    world.write_rules(categories=CATEGORIES.replace("family = 'Windows'", "family = 'Widows'"))
    said = looks(world)
    assert ("category 'windows' would take none any more of its 10 open findings" in said) is waits
    assert (in_force(world) == before) is waits
    if waits:
        assert world.deliver() == []


def test_a_mistyped_network_that_empties_a_range_waits(world: World):
    world.fold(week(23), {f"10.1.0.{i}": [SMB] for i in range(1, 11)})
    world.write_rules(ranges=RANGES.replace("10.1.0.0/16", "10.11.0.0/16"))
    assert "range 'boston' would take none any more of its 10 open findings" in looks(world)


def test_rules_over_the_limits_are_held_and_nothing_reaches_jira(tight: World):
    before = in_force(tight)
    tight.write_rules(categories=RENAMED)
    said = looks(tight)
    assert "held" in said and "2 tickets to create, limits.create is 1" in said and held(tight) in said
    assert look(tight) == said
    assert in_force(tight) == before and tight.deliver() == [] and tight.jira.calls() == []
    (row,) = tight.operations("held")
    assert row.details["preview"]["tickets"]["create"]["total"] == 2


def test_what_is_held_is_not_computed_again_at_every_look(tight: World, monkeypatch: pytest.MonkeyPatch):
    tight.write_rules(categories=RENAMED)
    said = looks(tight)
    monkeypatch.setattr(rulewatch, "foresee_rules", None)
    assert look(tight) == said


def test_a_release_puts_the_held_rules_in_force_without_an_ingest(tight: World):
    tight.write_rules(categories=RENAMED)
    looks(tight)
    release(tight.outside, [held(tight)], by=Person("jane"))
    settle(tight.outside)
    assert in_force(tight) == on_disk(tight)
    tight.deliver()
    assert len(tight.jira.by_identifier()) == 4
    newest = history(tight.store)[0]
    assert newest["released_by"] == "jane" and "2 tickets to create" in newest["how"]
    assert tight.operations("held", "waiting") == []
    assert differing(tight.outside, rebuild(tight.outside)) == []


def test_a_release_is_carried_out_by_the_next_look_if_the_one_who_gave_it_was_killed(tight: World):
    tight.write_rules(categories=RENAMED)
    looks(tight)
    release(tight.outside, [held(tight)])
    assert look(tight) == "released rules are in force now" and in_force(tight) == on_disk(tight)


def test_what_is_released_is_what_was_held_whatever_the_files_say_by_then(tight: World):
    tight.write_rules(categories=RENAMED)
    looks(tight)
    wanted, id = on_disk(tight), held(tight)
    tight.write_rules(categories=RENAMED.replace("id: www", "id: wwww, aliases: [www]"), policy=TIGHT)
    release(tight.outside, [id])
    settle(tight.outside)
    assert in_force(tight) == wanted != on_disk(tight)
    assert looks(tight) == "changed rules are in force now" and in_force(tight) == on_disk(tight)
    assert {row["category"] for row in tight.known().values()} == {"windows", "web", "win", "wwww"}


def test_broken_files_do_not_stop_a_release(tight: World):
    tight.write_rules(categories=RENAMED)
    looks(tight)
    wanted, id = on_disk(tight), held(tight)
    tight.write_rules(categories="nonsense")
    assert "not valid" in look(tight)
    release(tight.outside, [id])
    assert look(tight).startswith("released rules are in force now; the rules in the folder are not valid")
    assert in_force(tight) == wanted


def test_only_the_newest_changed_files_are_held(tight: World):
    tight.write_rules(categories=RENAMED)
    looks(tight)
    first = held(tight)
    tight.write_rules(categories=RENAMED.replace("id: www", "id: wwww"))
    looks(tight)
    assert held(tight) != first
    assert tight.operation(first).state == "dropped" and "changed again" in tight.operation(first).answer


def test_files_that_are_put_back_withdraw_what_was_held(tight: World):
    tight.write_rules(categories=RENAMED)
    looks(tight)
    first = held(tight)
    tight.write_rules(categories=CATEGORIES)
    assert look(tight) == "the rules in the folder are in force"
    assert tight.operations("held") == [] and "again those in force" in tight.operation(first).answer


def test_dropped_rules_are_not_judged_again_until_the_files_change(tight: World):
    tight.write_rules(categories=RENAMED)
    looks(tight)
    drop(tight.outside, [held(tight)], by=Person("jane"))
    assert "dropped by jane" in looks(tight) and tight.operations("held") == []
    assert "dropped by jane" in tight.ingest().rules
    tight.write_rules(categories=CATEGORIES)
    look(tight)
    tight.write_rules(categories=RENAMED)
    assert "held" in looks(tight) and held(tight)


@pytest.mark.parametrize("policy", [TIGHT.replace("create: 1", "create: 100000"), POLICY])
def test_a_mistyped_limit_opens_no_gate(tight: World, policy: str):
    tight.write_rules(categories=RENAMED, policy=policy)
    assert "2 tickets to create, limits.create is 1" in looks(tight)


def test_a_limit_that_becomes_stricter_counts_at_once(world: World):
    world.fold(week(23), HOSTS)
    world.write_rules(categories=RENAMED, policy=TIGHT)
    assert "2 tickets to create, limits.create is 1" in looks(world)


def test_an_acceptance_that_names_too_much_waits_as_well(world: World):
    world.write_rules(policy=POLICY + "limits: {move: 1}\n")
    world.fold(week(23), HOSTS)
    world.write_rules(
        acceptances="acceptances:\n  - {network: 0.0.0.0/0, reason: typo, approver: me, until: 2030-01-01}\n"
    )
    assert "2 tickets lose open findings, limits.move is 1" in looks(world)
    assert all(each["own"]["accepted"] == 0 for each in world.known().values())


def test_many_who_look_at_once_put_rules_in_force_once(anywhere: World):
    anywhere.fold(week(23), HOSTS)
    anywhere.write_rules(ranges=RANGES + LAB)
    look(anywhere)
    with ThreadPoolExecutor(4) as pool:
        said = [each.result() for each in [pool.submit(look, anywhere) for _ in range(4)]]
    assert {"changed rules are in force now"} <= set(said) <= {
        "changed rules are in force now", "the rules in the folder are in force",
    }  # fmt: skip
    assert len(history(anywhere.store)) == 2
    with anywhere.store.reading() as unit:
        assert unit.ledger_version() == 2


def test_many_who_carry_out_a_release_put_rules_in_force_once(anywhere: World):
    anywhere.write_rules(policy=TIGHT)
    anywhere.ingest(anywhere.scan(week(23), HOSTS))
    anywhere.write_rules(categories=RENAMED)
    looks(anywhere)
    release(anywhere.outside, [f"rules:{on_disk(anywhere)[:12]}"])
    with ThreadPoolExecutor(4) as pool:
        planned = [each.result() for each in [pool.submit(settle, anywhere.outside) for _ in range(4)]]
    assert sorted(map(len, planned))[:3] == [0, 0, 0]
    assert history(anywhere.store)[0]["digest"] == on_disk(anywhere)
    with anywhere.store.reading() as unit:
        assert unit.ledger_version() == 2


def test_who_changed_what_is_kept_by_git_or_else_by_the_file(world: World):
    def editors() -> Any:
        return rulefiles.editors(world.rules)

    world.outside = replace(world.outside, editors=editors)
    world.fold(week(23), HOSTS)
    git(world.rules, "init", "-q")
    world.write_rules(ranges=RANGES + LAB)
    git(world.rules, "add", ".")
    git(world.rules, "commit", "-q", "-m", "A laboratory", "--author", "Jane Doe <jane@example.com>")
    looks(world)
    (changed,) = history(world.store)[0]["files"]
    assert (changed["file"], changed["who"], changed["from"]) == ("ranges.yaml", "Jane Doe <jane@example.com>", "git")
    assert (changed["added"], changed["removed"]) == (1, 0)
    world.write_rules(ranges=RANGES)
    looks(world)
    (changed,) = history(world.store)[0]["files"]
    assert changed["from"] == "file" and changed["who"] == (world.rules / "ranges.yaml").owner() and changed["at"]


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *who, "-C", str(folder), *arguments], check=True, capture_output=True)


# --- a typo that would touch three thousand tickets -------------------------------------------------------------------

OFFICES = 30
FAMILIES = 100


def a_big_network(world: World) -> None:
    """A ticket in each of 30 offices for each of 100 families of checks, all of them made."""
    categories = "".join(
        f"  - {{id: c{number}, title: Category {number}, where: \"family = 'F{number}'\"}}\n"
        for number in range(FAMILIES)
    )
    ranges = "".join(
        f"  - {{id: office{number}, title: Office {number}, networks: [10.1.{number}.0/24]}}\n"
        for number in range(OFFICES)
    )
    limits = "limits: {create: 3000, close: 100}\n"
    world.write_rules(categories="categories:\n" + categories, ranges="ranges:\n" + ranges, policy=POLICY + limits)
    flaws = [Flaw(str(1000 + number), f"Flaw {number}", f"F{number}") for number in range(FAMILIES)]
    world.ingest(world.scan(week(23), {f"10.1.{number}.1": flaws for number in range(OFFICES)}))
    with world.store.begin() as unit:
        unit.connection.exec_driver_sql(
            "UPDATE tickets SET key = 'VM-' || rowid, status = 'To Do', status_category = 'new'"
        )
        unit.connection.exec_driver_sql("UPDATE operations SET state = 'done'")
    world.queue.waiting.clear()
    world.jira.calls()


def test_a_rule_edit_that_would_empty_3000_tickets_waits_for_a_person_and_jira_sees_nothing(world: World):
    a_big_network(world)
    assert len(world.known()) == 3000
    auto_close = (world.rules / "policy.yaml").read_text() + "auto_close: true\n"
    world.write_rules(policy=auto_close)
    assert looks(world) == "changed rules are in force now"
    everything = (world.rules / "categories.yaml").read_text().replace("family =", "family >")  # 'F0' > 'F0' is false
    world.write_rules(categories=everything.replace("'F", "'ZZZ"))
    said = looks(world)
    assert "3000 tickets to close, limits.close is 100; 3000 tickets lose open findings, limits.move is 500" in said
    assert world.deliver() == [] and world.jira.calls() == []
    assert all(each["own"]["open"] == 1 for each in world.known().values())
    operations, rules = preview_all(world.outside, [], world.read, lambda: rulefiles.load(world.rules))
    assert sum(each["operation"] == "close" for each in operations) == 3000
    assert rules["tickets"]["close"]["total"] == rules["tickets"]["lose all findings"]["total"] == 3000
    assert rules["moves"] | {"top": []} == {"findings": 3000, "tickets": 3000, "total": 3000, "top": []}
    assert rules["untaken"]["findings"] == 3000
    (row,) = world.operations("held")
    assert row.details["preview"] == json.loads(json.dumps(rules))
    drop(world.outside, [row.id])
    assert "dropped" in look(world)
    assert world.deliver() == [] and world.jira.calls() == []
