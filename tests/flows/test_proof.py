"""The ledger can be rebuilt, a preview is what happens, and ingests at the same time lose nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.flows.scans import APACHE, NGINX, RDP, SMB, week
from tests.flows.test_rules_in_force import LAB
from tests.flows.world import World
from vmjira.errors import RulesInvalid, ScanUnreadable
from vmjira.flows.ingest import ingest
from vmjira.flows.replay import differing, mend, rebuild
from vmjira.rulefiles import load

FIRST = {"10.1.0.1": [SMB, RDP], "10.1.5.1": [SMB], "10.2.0.1": [SMB, APACHE]}
NEXT = {"10.1.0.1": [SMB], "10.1.5.1": [NGINX], "10.2.0.2": [APACHE]}


def campaign(world: World) -> None:
    """Three scans with a change of rules between them."""
    world.ingest(world.scan(week(23), FIRST))
    world.write_rules(ranges=LAB)
    world.ingest(world.scan(week(24), NEXT))
    world.ingest(world.scan(week(25), {"10.1.0.1": [SMB], "10.2.0.1": []}))


def part(world: World, name: str) -> Path:
    with world.store.reading() as unit:
        return world.folder / "data" / unit.ledger_parts()[name]


def everything(world: World) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (world.folder / "data").rglob("*") if path.is_file()}


def test_the_ledger_rebuilt_from_scans_and_rules_is_the_stored_one(anywhere: World):
    campaign(anywhere)
    assert differing(anywhere.outside, rebuild(anywhere.outside)) == []


@pytest.mark.parametrize("name", ["boston", "_hosts"])
def test_a_part_that_somebody_changed_is_named_and_mended(world: World, name: str):
    campaign(world)
    path = part(world, name)
    good = pl.read_parquet(path)
    good.head(good.height - 1).write_parquet(path)
    rebuilt = rebuild(world.outside)
    assert differing(world.outside, rebuilt) == [name]
    mend(world.outside, rebuilt, [name])
    assert differing(world.outside, rebuild(world.outside)) == []
    assert pl.read_parquet(part(world, name)).height == good.height


def test_a_preview_is_exactly_what_ingest_then_does_and_stores_and_sends_nothing(world: World):
    world.fold(week(23), FIRST)
    world.write_rules(ranges=LAB)
    scans = [world.scan(week(25), FIRST), world.scan(week(24), NEXT)]
    world.jira.calls()
    before = everything(world), world.known(), world.operations()
    seen = world.preview(*scans)
    assert (everything(world), world.known(), world.operations()) == before
    assert world.jira.calls() == [] and world.deliver() == []
    report = world.ingest(*scans)
    done = [world.operation(id) for id in report.operations]
    assert [(row["operation"], row["identifier"]) for row in once(seen)] == [
        (row.operation, row.identifier) for row in done
    ]
    dated = "change of rules of "
    assert [row["reason"].partition(dated)[1:2] for row in once(seen)] == [
        row.reason.partition(dated)[1:2] for row in done
    ]
    assert [set(row) for row in seen] == [{"operation", "identifier", "key", "reason", "details"}] * len(seen)
    world.deliver()
    assert set(world.jira.by_identifier()) == {row["identifier"] for row in seen} | set(before[1])


def once(planned: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the updates of a ticket whose update waits already: that one will show everything."""
    waiting: set[str] = set()
    kept = []
    for row in planned:
        if row["operation"] != "update" or row["identifier"] not in waiting:
            kept.append(row)
        if row["operation"] == "update":
            waiting.add(row["identifier"])
    return kept


def test_a_preview_names_what_waits_already(world: World):
    world.ingest(world.scan(week(23), {"10.1.0.1": [SMB]}))
    (waiting,) = world.preview()
    assert (waiting["operation"], waiting["identifier"]) == ("create", "windows.boston.2026-W23")
    assert waiting["details"]["state"] == "queued"


def test_a_preview_of_a_broken_file_or_broken_rules_is_refused(world: World):
    bad = world.folder / "bad.nessus"
    bad.write_text("no scan")
    with pytest.raises(ScanUnreadable):
        world.preview(bad)
    world.write_rules(categories="categories: 7\n")
    with pytest.raises(RulesInvalid):
        world.preview()


# --- at the same time -------------------------------------------------------------------------------------------------


class Meeting:
    """A store at whose `keep_scan` two ingests meet, once each: both have computed on the same ledger by then."""

    def __init__(self, store: Any, barrier: threading.Barrier) -> None:
        self._store, self._barrier, self._met = store, barrier, False

    def keep_scan(self, *arguments: Any) -> None:
        if not self._met:
            self._met = True
            self._barrier.wait(20)
        self._store.keep_scan(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@contextmanager
def both(*targets: Any) -> Iterator[None]:
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_two_ingests_at_the_same_time_lose_nothing(anywhere: World):
    anywhere.ingest()  # the rules are in force already
    scans = [anywhere.scan(week(23), FIRST), anywhere.scan(week(23, hours=1), {"10.1.0.9": [RDP], "10.2.0.9": [NGINX]})]
    barrier, failed = threading.Barrier(2), []

    def one(file: Path) -> None:
        outside = replace(anywhere.outside, store=Meeting(anywhere.store, barrier))
        try:
            ingest(outside, [file], anywhere.read, lambda: load(anywhere.rules))
        except Exception as error:
            failed.append(error)

    with both(*(lambda file=file: one(file) for file in scans)):
        pass
    assert failed == []
    with anywhere.store.reading() as unit:
        assert (len(unit.scans()), unit.ledger_version()) == (2, 2)
    anywhere.deliver()
    known, tickets = anywhere.known(), anywhere.jira.by_identifier()
    assert {name: ticket["own"]["total"] for name, ticket in known.items()} == {
        "windows.boston.2026-W23": 4, "windows.newyork.2026-W23": 1, "web.newyork.2026-W23": 2,
    }  # fmt: skip
    assert set(tickets) == set(known)
    assert differing(anywhere.outside, rebuild(anywhere.outside)) == []


def test_a_change_of_rules_and_a_scan_at_the_same_time_lose_nothing(world: World):
    world.ingest(world.scan(week(23), FIRST))
    barrier = threading.Barrier(2)
    scan = world.scan(week(24), NEXT)
    old_rules = load(world.rules)

    def fold() -> None:
        outside = replace(world.outside, store=Meeting(world.store, barrier))
        ingest(outside, [scan], world.read, lambda: old_rules)

    def change() -> None:
        world.write_rules(ranges=LAB)
        barrier.wait(20)
        world.ingest()

    with both(fold, change):
        pass
    with world.store.reading() as unit:
        assert sorted(event.kind for event in unit.events()) == ["rules", "scan", "scan"]
    assert differing(world.outside, rebuild(world.outside)) == []
