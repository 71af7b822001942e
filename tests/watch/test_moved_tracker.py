"""A tracker that was exported into another site, or renamed: nothing is written, closed or marked as deleted."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.flows.jira import Jira, running
from tests.flows.scans import APACHE, RDP, SMB, week
from tests.watch.elsewhere import imported, writes
from tests.watch.world import World, a_world
from vmjira.flows.deleted import settle, waiting
from vmjira.flows.identity import known_tracker
from vmjira.flows.operations import drop, release
from vmjira.flows.react import react
from vmjira.flows.reconcile import reconcile
from vmjira.flows.rows import DeliveryRow, DeliveryState

W23, W24, NY23 = "windows.boston.2026-W23", "windows.boston.2026-W24", "windows.newyork.2026-W23"
MORE = {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB, APACHE], "10.1.0.3": [SMB]}


@pytest.fixture
def folder(folders: dict[str, Path], tmp_path: Path, flavour: str) -> Path:
    """Five tickets of two offices, and the Jira that has them."""
    shutil.copytree(folders[flavour], tmp_path, dirs_exist_ok=True)
    return tmp_path


@contextmanager
def moved(folder: Path, flavour: str) -> Iterator[tuple[World, Jira]]:
    """The same vmjira, whose JIRA_URL leads to the other site now."""
    with imported(folder, flavour) as jira, a_world(folder / "world", jira) as world:
        yield world, jira


def rows(world: World) -> dict[str, tuple[str | None, bool, str]]:
    with world.store.reading() as unit:
        return {row.identifier: (row.issue_id, row.gone, row.closing) for row in unit.tickets()}


def webhook(world: World, jira: Jira, key: str, kind: str) -> tuple[DeliveryState, str]:
    """What becomes of an event about an issue."""
    issue = jira.rest("GET", f"issue/{key}") if kind != "jira:issue_deleted" else {"id": "1", "key": key}
    body = json.dumps({"webhookEvent": kind, "issue": {"id": issue["id"], "key": key}, "user": {}}).encode()
    id = f"event-{key}-{kind}"
    with world.store.begin() as unit:
        unit.add_delivery(DeliveryRow(id, world.outside.clock(), {}, body, issue["id"]))
    react(world.outside, id)
    with world.store.reading() as unit:
        row = unit.delivery(id)
    assert row is not None
    return row.state, row.answer


def test_on_another_site_a_reconciliation_says_so_once_and_does_nothing(folder: Path, flavour: str):
    with moved(folder, flavour) as (world, jira):
        before = rows(world)
        ((ticket, what, done),) = world.reconcile(everything=True)
        assert ticket == "" and "The tickets are in the tracker" in what and "vmjira rebind" in done
        assert rows(world) == before and world.deliver() == [] and writes(jira) == []
        assert {jira.status(each.key) for each in jira.tickets()} == {"To Do"}


def test_an_event_of_another_site_waits_and_marks_nothing_as_deleted(folder: Path, flavour: str):
    with moved(folder, flavour) as (world, jira):
        before = rows(world)
        state, answer = webhook(world, jira, world.key(W24), "jira:issue_updated")
        assert state == "queued" and "vmjira rebind" in answer
        assert rows(world) == before and writes(jira) == []


def test_what_a_scan_brings_waits_until_the_tracker_is_bound_again(folder: Path, flavour: str):
    with moved(folder, flavour) as (world, jira):
        before = rows(world)
        with pytest.raises(AssertionError, match="does not end"):
            world.fold(week(25), MORE)
        with world.store.reading() as unit:
            waiting = unit.operations("queued")
            known = known_tracker(unit)
            assert unit.operations("refused", "dropped") == []
        assert waiting and all(not row.started_at for row in waiting) and known and known.moved
        assert rows(world) | before == rows(world) and writes(jira) == []


def test_the_same_server_under_a_new_address_is_not_another_tracker(folder: Path, flavour: str):
    with running(folder, flavour) as jira, a_world(folder / "world", jira) as world:  # another port than before
        assert world.reconcile(everything=True) == []
        with world.store.reading() as unit:
            known = known_tracker(unit)
        assert known and not known.moved and known.identity.url == jira.url
        assert all("done" in said for said in world.fold(week(25), MORE))


def test_a_tracker_that_does_not_tell_its_id_is_known_by_its_address(folder: Path, flavour: str):
    with running(folder, flavour, server_id="") as jira, a_world(folder / "world", jira) as world:
        ((ticket, what, _),) = world.reconcile(everything=True)  # the port is another one, so it may be another tracker
        assert ticket == "" and jira.url in what and writes(jira) == []


def test_an_import_that_kept_the_server_is_noticed_by_the_ids_of_tickets(folder: Path, flavour: str):
    with running(folder, flavour) as jira, a_world(folder / "world", jira) as world:
        before = rows(world)
        with world.store.begin() as unit:
            for name, (id, _, _) in before.items():
                unit.update_ticket(name, issue_id=str(int(id or 0) + 50_000))
        before = rows(world)
        ((ticket, what, _),) = world.reconcile(everything=True)
        assert ticket == "" and "has the id" in what
        assert webhook(world, jira, world.key(W24), "jira:issue_updated")[0] == "queued"
        assert rows(world) == before and writes(jira) == []
        with world.store.reading() as unit:
            known = known_tracker(unit)
        assert known and known.evidence


def test_a_database_of_before_looks_at_tickets_before_it_takes_a_tracker_for_its_own(folder: Path, flavour: str):
    with moved(folder, flavour) as (world, jira):
        forget_tracker(folder)
        before = rows(world)
        ((ticket, what, _),) = world.reconcile(everything=True)
        assert ticket == "" and "has the id" in what and rows(world) == before and writes(jira) == []
    with running(folder, flavour) as jira, a_world(folder / "world", jira) as world:
        forget_tracker(folder)
        assert world.reconcile(everything=True) == []


def forget_tracker(folder: Path) -> None:
    with sqlite3.connect(folder / "world" / "database" / "vmjira.db") as connection:
        connection.execute("DELETE FROM marks WHERE name = 'tracker'")


# --- tickets of other installations


def test_two_installations_with_the_same_rules_do_not_touch_each_other_s_tickets(tmp_path: Path, jira: Jira):
    hosts = {"10.1.0.1": [SMB], "10.2.0.1": [SMB]}
    with a_world(tmp_path / "one", jira) as one, a_world(tmp_path / "two", jira) as two:
        one.fold(week(23), hosts)
        theirs = {ticket.key: ticket for ticket in jira.tickets()}
        assert all(said.endswith("done") for said in two.fold(week(23), hosts))
        assert len(jira.tickets()) == 4
        two.fold(week(24), {"10.1.0.1": [], "10.2.0.1": []})
        for each in (one, two):
            found = each.reconcile(everything=True)
            other = two if each is one else one
            assert [(what.split(":")[0], done.split(";")[0]) for _, what, done in found] == [
                (f"2 tickets of another installation of vmjira ({other.label.removeprefix('vmjira-by.')})", "nothing")
            ]
        for key, ticket in theirs.items():
            now = jira.ticket(key)
            assert (now.fields, now.comments) == (ticket.fields, ticket.comments)


def test_a_restored_backup_goes_on_with_its_own_tickets(tmp_path: Path, jira: Jira):
    hosts = {"10.1.0.1": [SMB], "10.2.0.1": [SMB]}
    with a_world(tmp_path / "world", jira) as world:
        world.fold(week(23), {"10.1.0.1": [SMB]})
        label = world.label
    shutil.copytree(tmp_path / "world", tmp_path / "backup")
    with a_world(tmp_path / "world", jira) as world:
        world.fold(week(24), hosts)
        made = {ticket.key for ticket in jira.tickets()}
    with a_world(tmp_path / "backup", jira) as world:
        assert world.label == label
        world.fold(week(24), hosts)  # made before the backup came back: found again by label
        assert {ticket.key for ticket in jira.tickets()} == made
        assert world.reconcile(everything=True) == []


def test_an_unlabelled_ticket_is_not_taken_for_ours(tmp_path: Path, jira: Jira):
    with a_world(tmp_path / "world", jira) as world:
        stranger = jira.create("somebody's", "vmjira", f"vm.{W23}")
        world.fold(week(23), {"10.1.0.1": [SMB]})
        assert world.key(W23) != stranger
        found = world.reconcile(everything=True)
        assert [(ticket, done.split(";")[0]) for ticket, _, done in found] == [(W23, "nothing")]
        assert jira.status(stranger) == "To Do" and jira.comments(stranger) == []


def test_tickets_of_before_get_the_label_of_their_installation_some_at_a_time(
    folder: Path, flavour: str, monkeypatch: pytest.MonkeyPatch
):
    with running(folder, flavour) as jira, a_world(folder / "world", jira) as world:
        keys = [ticket.key for ticket in jira.tickets()]
        for key in keys:
            jira.rest("PUT", f"issue/{key}", {"update": {"labels": [{"remove": world.label}]}})
        monkeypatch.setattr("vmjira.flows.reconcile.LABELLED", 3)
        assert world.reconcile(everything=True) == []
        assert sum(world.label in jira.ticket(key).labels for key in keys) == 3
        assert world.reconcile(everything=True) == []
        assert all(world.label in jira.ticket(key).labels for key in keys)


# --- many at once


def test_many_missing_tickets_are_one_notice_and_none_counts_as_deleted(tmp_path: Path, jira: Jira):
    with a_world(tmp_path / "world", jira) as world:
        identifiers = many(world, 8)
        for name in identifiers[:6]:
            jira.delete(world.key(name))
        reconcile(world.outside, everything=True)
        assert world.deliver() == [] and not any(gone for _, gone, _ in rows(world).values())
        (notice,) = notices(world)
        assert notice.details["tickets"] == sorted(identifiers[:6]) and "6 tickets of 8" in notice.reason
        reconcile(world.outside, everything=True)
        assert len(notices(world)) == 1


def test_single_deletions_are_believed_until_they_are_many_within_an_hour(tmp_path: Path, jira: Jira):
    with a_world(tmp_path / "world", jira) as world:
        identifiers = many(world, 8)
        for name in identifiers[:6]:
            key = world.key(name)
            jira.delete(key)
            webhook(world, jira, key, "jira:issue_deleted")
        assert not any(gone for _, gone, _ in rows(world).values())
        (notice,) = notices(world)
        assert len(notice.details["tickets"]) == 6
        world.ahead += timedelta(hours=2)
        key = world.key(identifiers[7])
        jira.delete(key)
        webhook(world, jira, key, "jira:issue_deleted")
        (notice,) = notices(world)
        assert len(notice.details["tickets"]) == 7


def test_duplicates_beyond_the_limit_are_held(tmp_path: Path, jira: Jira):
    with a_world(tmp_path / "world", jira) as world:
        identifiers = many(world, 3)
        world.write_rules(policy=(world.rules / "policy.yaml").read_text() + "limits: {close: 1}\n")
        world.fold(week(24), {f"10.1.0.{n}": [SMB] for n in range(1, 4)})
        copies = [jira.create("copy", "vmjira", f"vm.{name}", world.label) for name in identifiers[:2]]
        found = world.reconcile(everything=True)
        assert [done for _, what, done in found if "duplicate" in what] == ["duplicate is held: there are too many"] * 2
        assert {jira.status(key) for key in copies} == {"To Do"}


def many(world: World, number: int) -> list[str]:
    """So many tickets, each of a range of its own."""
    ranges = [f"  - {{id: r{n}, title: R {n}, networks: [10.1.0.{n}/32]}}" for n in range(1, number + 1)]
    world.write_rules(ranges="ranges:\n" + "\n".join(ranges) + "\n")
    world.fold(week(23), {f"10.1.0.{n}": [SMB] for n in range(1, number + 1)})
    return [f"windows.r{n}.2026-W23" for n in range(1, number + 1)]


def notices(world: World):
    with world.store.reading() as unit:
        return [row for row in unit.operations("held") if row.operation == "missing"]


def lost(world: World, jira: Jira, number: int = 6) -> list[str]:
    """So many of eight tickets are deleted, and a reconciliation saw that."""
    identifiers = many(world, 8)
    for name in identifiers[:number]:
        jira.delete(world.key(name))
    reconcile(world.outside, everything=True)
    return identifiers[:number]


def test_a_released_notice_lets_the_missing_tickets_count_as_deleted(tmp_path: Path, jira: Jira):
    with a_world(tmp_path / "world", jira) as world:
        identifiers = lost(world, jira)
        release(world.outside, [notices(world)[0].id])
        settle(world.outside)
        assert notices(world) == [] and {name for name, (_, gone, _) in rows(world).items() if gone} == set(identifiers)
        with world.store.reading() as unit:
            assert len(waiting(unit)) == 6


def test_a_dropped_notice_leaves_the_tickets_alone_for_good(tmp_path: Path, jira: Jira):
    with a_world(tmp_path / "world", jira) as world:
        lost(world, jira)
        drop(world.outside, [notices(world)[0].id])
        reconcile(world.outside, everything=True)
        assert notices(world) == [] and not any(gone for _, gone, _ in rows(world).values())


def test_when_the_tickets_are_there_again_the_notice_goes(tmp_path: Path, jira: Jira):
    with a_world(tmp_path / "world", jira) as world:
        many(world, 8)
        jira.fault(path="/issue/VM-|/issue/[0-9]|/bulkfetch|/search", status=404, times=99)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("vmjira.trackers.jira.tracker.JiraTracker._read_many", lambda *_: {})
            patch.setattr("vmjira.flows.reconcile._Run.search", lambda *_: None)
            reconcile(world.outside, everything=True)
        assert len(notices(world)) == 1
        jira.control("DELETE", "/faults")
        assert world.reconcile(everything=True) == [] and notices(world) == []
