"""A scan that was withdrawn leaves nothing: all is as if it had never come in."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.domain.samples import day, finding, scan
from tests.guard.world import World
from vmjira import rulefiles
from vmjira.domain.frames import Scan
from vmjira.flows.operations import Person, release
from vmjira.flows.replay import differing, rebuild
from vmjira.flows.views import report_rows
from vmjira.flows.withdraw import preview, restore, withdraw
from vmjira.store import open_store

ME = Person("jane", "test")
HOSTS = [f"10.1.0.{number}" for number in range(6)] + [f"10.1.5.{number}" for number in range(4)]
CHECKS = ["c1", "c2", "c3"]
EDITED = (
    "ranges:\n"
    "  - {id: boston, title: Boston Office, networks: [10.1.0.0/29, 10.1.5.2/32]}\n"
    "  - {id: lab, title: Laboratory, networks: [10.1.0.0/16]}\n"
)
BY_SCAN = "ranges:\n  - {id: boston, title: Boston Office, networks: [10.1.0.0/16], iteration: scan}\n"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., World]:
    def make(name: str, **rules: str) -> World:
        folder = tmp_path / name
        (folder / "database").mkdir(parents=True)
        store = open_store(f"sqlite:///{folder}/database/vmjira.db", str(folder / "data"))
        store.upgrade()
        world = World(store, folder)
        world.rules |= {f"{key}.yaml": text for key, text in rules.items()}
        return world

    return make


def found(world: World) -> dict[str, Any]:
    """Of each ticket with findings: its numbers, and the rows of its lists."""
    rules = rulefiles.load_texts(world.rules)
    with world.store.reading() as unit:
        rows = [row for row in unit.tickets() if row.own.total]
        cells = {(each.category, each.range, each.ordinal): each for each in unit.cell_numbers()}
    lists = {row.identifier: [_listed(world, row, kind, rules) for kind in ("own", "all", "diff")] for row in rows}
    own = {row.identifier: (row.own, row.ordinal, row.label) for row in rows}
    return {"own": own, "cells": cells, "lists": lists}


def _listed(world: World, row: Any, kind: Any, rules: Any) -> Any:
    shown = report_rows(world.store, row, rules, kind)
    return sorted(
        map(str, shown.select("host", "vulnerability_id", "state", "first_seen", "last_seen", "ticket").rows())
    )


def a_scan(chance: random.Random, at: float) -> Scan:
    hosts = chance.sample(HOSTS, chance.randint(3, len(HOSTS)))
    seen = [finding(each, check) for each in hosts for check in CHECKS if chance.random() < 0.6]
    return scan(day(at), hosts, seen)


def number_of(world: World, one: Scan) -> str:
    with world.store.reading() as unit:
        return next(str(row.id) for row in unit.scans() if row.finished_at == one.finished_at)


def is_proven(world: World) -> bool:
    return differing(world.outside, rebuild(world.outside)) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pruned", [False, True])
def test_after_a_withdrawal_all_is_as_if_the_scan_had_never_come_in(
    make: Callable[..., World], seed: int, pruned: bool
) -> None:
    chance = random.Random(seed)
    scans = [a_scan(chance, 2.5 * number) for number in range(8)]
    wrong, edit = chance.randrange(0, 7), chance.choice([None, 2, 5])
    with_it, without = make("with"), make("without")
    for world in (with_it, without):
        for number, one in enumerate(scans):
            world.now += timedelta(hours=1)
            if number == edit:
                world.rules["ranges.yaml"] = EDITED
                world.ingest()
            if world is with_it or number != wrong:
                world.ingest(one)
    if pruned:
        with_it.store.prune_ledger(keep=1)
    id = number_of(with_it, scans[wrong])
    before = found(with_it)
    seen = preview(with_it.outside, id)
    assert found(with_it) == before
    done = withdraw(with_it.outside, id, by=ME)
    assert [(each["operation"], each["identifier"]) for each in seen.operations if each["operation"] != "update"] == [
        (each["operation"], each["identifier"]) for each in done.operations if each["operation"] != "update"
    ]
    assert found(with_it) == found(without)
    assert is_proven(with_it)
    for world in (with_it, without):
        world.ingest(a_scan(random.Random(99), 30))
    assert found(with_it) == found(without)
    assert is_proven(with_it)


@pytest.mark.parametrize("seed", range(3))
def test_a_scan_that_is_restored_leaves_no_trace_of_its_withdrawal(make: Callable[..., World], seed: int) -> None:
    chance = random.Random(seed)
    scans = [a_scan(chance, 2.5 * number) for number in range(7)]
    world, never = make("world"), make("never")
    for each in (world, never):
        for one in scans[:5]:
            each.now += timedelta(hours=1)
            each.ingest(one)
    id = number_of(world, scans[chance.randrange(0, 5)])
    withdraw(world.outside, id, by=ME)
    for each in (world, never):
        each.now += timedelta(hours=1)
        each.ingest(scans[5])
    restore(world.outside, id, by=ME)
    assert found(world) == found(never)
    assert is_proven(world)
    world.ingest(scans[6])
    never.ingest(scans[6])
    assert found(world) == found(never)
    assert is_proven(world)


def test_the_numbers_of_rounds_stay_when_each_scan_is_one(make: Callable[..., World]) -> None:
    world = make("world", ranges=BY_SCAN)
    scans = [scan(day(number), HOSTS[:3], [finding(HOSTS[0], f"c{number}")]) for number in range(5)]
    for one in scans[:4]:
        world.ingest(one)
    assert world.own("windows.boston.4")["total"] == 1
    withdraw(world.outside, number_of(world, scans[1]), by=ME)
    totals = {name: world.own(f"windows.boston.{name}")["total"] for name in (1, 2, 3, 4)}
    assert totals == {1: 1, 2: 0, 3: 1, 4: 1}
    assert is_proven(world)
    world.ingest(scans[4])
    assert world.own("windows.boston.5")["total"] == 1
    withdraw(world.outside, number_of(world, scans[2]), by=ME)
    assert [world.own(f"windows.boston.{name}")["total"] for name in (1, 2, 3, 4, 5)] == [1, 0, 0, 1, 1]
    assert is_proven(world)


def test_a_scan_that_nobody_believed_takes_its_notice_with_it(make: Callable[..., World]) -> None:
    world = make("world")
    many = [f"10.1.0.{number}" for number in range(20)]
    all_of_it = [finding(each, check) for each in many for check in CHECKS]
    world.ingest(scan(day(0), many, all_of_it))
    loss = scan(day(7), many, all_of_it[:30])
    world.ingest(loss)
    assert [row.state for row in world.notices()] == ["held"]
    withdraw(world.outside, number_of(world, loss), by=ME)
    assert [row.state for row in world.notices()] == ["dropped"]
    assert world.own("windows.boston.2026-W23")["open"] == 60
    assert is_proven(world)


def test_a_scan_that_is_in_doubt_only_now_gets_a_notice_and_can_be_released(make: Callable[..., World]) -> None:
    world = make("world")
    many = [f"10.1.0.{number}" for number in range(20)]
    all_of_it = [finding(each, check) for each in many for check in CHECKS]
    world.ingest(scan(day(0), many, all_of_it))
    some = scan(day(7), many, all_of_it[:50])  # loses a sixth: it is believed
    world.ingest(some)
    world.ingest(scan(day(14), many, all_of_it[:42]))  # loses a sixth of that
    assert world.notices() == []
    withdraw(world.outside, number_of(world, some), by=ME)
    (notice,) = world.notices()
    assert (notice.state, world.own("windows.boston.2026-W23")["open"]) == ("held", 60)
    release(world.outside, [notice.id])
    world.ingest()
    assert world.own("windows.boston.2026-W23")["open"] == 42
    assert is_proven(world)
