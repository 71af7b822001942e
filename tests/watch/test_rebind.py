"""Tickets are found again on another site, by key and label, and nothing is written there; in both flavours."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.flows.jira import Jira, running
from tests.flows.scans import APACHE, RDP, SMB, week
from tests.watch.commands import Commands
from tests.watch.elsewhere import OFFSET, imported, writes
from tests.watch.test_moved_tracker import MORE, W23, W24, moved, rows
from tests.watch.world import CATEGORIES, POLICY, RANGES, World, a_world
from vmjira import rulefiles
from vmjira.domain.ticket import identity
from vmjira.errors import VmjiraError
from vmjira.flows.identity import known_tracker, remember_names
from vmjira.flows.life import LOST_COMMENT
from vmjira.flows.rebind import Rebinding
from vmjira.flows.rebind import rebind as flow
from vmjira.flows.reconcile import reconcile
from vmjira.flows.rows import AttachmentRow
from vmjira.sandbox.store import FIRST_ID
from vmjira.trackers.jira import Check, OtherNames, names_of

NAMED = """\
ticket:
  project: VM
  assignee: boston-admins
  watchers: [nobody-here]
  fields: {customfield_10100: "{{ iteration.label }}"}
  transition_fields: {resolution: {name: Done}}
calls_per_second: 100
"""


def rebind(world: World, **options: Any) -> Rebinding:
    rulebook = rulefiles.load(world.rules)

    def names(before: Any) -> tuple[list[Check], dict[str, Any]]:
        where = lambda places: rulefiles.where(rulebook.files, places)  # noqa: E731
        other = OtherNames(world.outside.tracker(), rulebook, before, where)
        checks = list(other.checks())
        return checks, {**before, "mapped": {"accounts": other.accounts, "fields": other.fields}}

    return flow(world.outside, names, **options)


@pytest.fixture
def folder(folders: dict[str, Path], tmp_path: Path, flavour: str) -> Path:
    shutil.copytree(folders[flavour], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_all_tickets_are_bound_to_the_new_site_without_a_call_that_writes(folder: Path, flavour: str):
    with moved(folder, flavour) as (world, jira):
        before = rows(world)
        world.reconcile(everything=True)
        rehearsed = rebind(world, dry_run=True)
        assert len(rehearsed.bound) == 5 and rows(world) == before
        done = rebind(world)
        assert (len(done.bound), done.unchanged, done.missing) == (5, 0, [])
        assert {name: int(id or 0) - OFFSET for name, (id, _, _) in rows(world).items()} == {
            name: int(id or 0) for name, (id, _, _) in before.items()
        }
        assert world.reconcile(everything=True) == [] and writes(jira) == []
        assert (again := rebind(world)).unchanged == 5 and not again.bound
        assert all("done" in said for said in world.fold(week(25), MORE))
        assert {each.status for each in jira.tickets()} == {"To Do"} and len(jira.tickets()) == 6
        assert world.reconcile(everything=True) == []


def test_after_a_rebind_the_lists_are_replaced_as_before(folder: Path, flavour: str):
    with moved(folder, flavour) as (world, jira):
        rebind(world)
        names = jira.ticket(world.key(W24)).names
        world.fold(week(24, hours=5), {"10.1.0.1": [SMB], "10.1.0.2": [SMB, APACHE]})
        assert jira.ticket(world.key(W24)).names == names


def test_no_comment_of_the_new_site_is_taken_for_the_one_that_answers_a_closing(folder: Path, flavour: str):
    with running(folder, flavour) as jira, a_world(folder / "world", jira) as world:
        jira.close(world.key(W24))
        world.reconcile()
        jira.comment(world.key(W24), "We patched all of them on Friday.")
    with moved(folder, flavour) as (world, jira):
        rebind(world)
        with world.store.reading() as unit:
            row = unit.ticket(W24)
        assert row and row.closing == "waiting" and row.answer == LOST_COMMENT
        assert world.reconcile(everything=True) == [] and writes(jira) == []


def test_what_is_not_found_is_counted_and_neither_deleted_nor_written_to(folder: Path, flavour: str):
    with running(folder, flavour) as jira:
        jira.actor = "admin"
        with a_world(folder / "world", jira) as world:
            key = world.key(W24)
            jira.rest("PUT", f"issue/{key}", {"fields": {"labels": []}})
    with moved(folder, flavour) as (world, jira):
        done = rebind(world)
        assert len(done.bound) == 4
        (lost,) = done.missing
        assert lost.identifier == W24 and "no ticket here has the key" in lost.why
        found = world.reconcile(everything=True)
        assert [(ticket, what) for ticket, what, _ in found] == [(W24, "was not found when the tracker was rebound")]
        assert rows(world)[W24][1:] == (False, "") and writes(jira) == []
        labels = ["vmjira", identity(W24), world.label]
        jira.rest("PUT", f"issue/{key}", {"fields": {"labels": labels}})
        assert rebind(world).missing == [] and world.reconcile(everything=True) == []


def test_a_site_without_any_of_our_tickets_is_refused(folder: Path, flavour: str, tmp_path: Path):
    with running(tmp_path / "empty", flavour, server_id="another") as jira, a_world(folder / "world", jira) as world:
        before = rows(world)
        with pytest.raises(VmjiraError, match="has none of the 5 tickets"):
            rebind(world)
        with world.store.reading() as unit:
            known = known_tracker(unit)
        assert rows(world) == before and known and known.identity.server != "another"


def test_tickets_under_other_keys_are_found_by_the_label_of_our_installation(folder: Path, flavour: str):
    with imported(folder, flavour) as jira:
        with sqlite3.connect(folder / "elsewhere" / "jira.sqlite") as connection:
            connection.execute("UPDATE issues SET key = 'OPS' || substr(key, 3), project = 'OPS', status = 'Open'")
        with a_world(folder / "world", jira) as world:
            done = rebind(world)
            assert len(done.bound) == 5 and world.key(W24).startswith("OPS-")


def test_accounts_and_fields_are_found_by_their_names_and_what_is_not_is_told_with_its_line(
    tmp_path: Path, flavour: str
):
    with running(tmp_path, flavour) as jira, a_world(tmp_path / "world", jira) as world:
        world.write_rules(policy=NAMED)
        world.fold(week(23), {"10.1.0.1": [SMB]})
        rulebook = rulefiles.load(world.rules)
        remember_names(world.outside, names_of(world.outside.tracker(), rulebook))
    with imported(tmp_path, flavour) as jira, a_world(tmp_path / "world", jira) as world:
        world.write_rules(policy=NAMED)
        done = rebind(world)
        told = {(each.where, each.ok) for each in done.names}
        assert ("policy.yaml:4", False) in told and ("policy.yaml:5", True) in told
        (field,) = [each for each in done.names if "customfield_10100" in each.what]
        assert "customfield_20100" in field.what and "write that in the rules" in field.how
        jira.calls()
        world.fold(week(24), {"10.1.0.1": [SMB, RDP]})
        assert jira.fields(world.key(W24))["customfield_20100"] == "2026-W24"


def test_the_commands_say_what_was_bound_and_which_names_are_to_be_changed(tmp_path: Path, flavour: str):
    folder, wrong = tmp_path / "run", POLICY.replace("project: VM", "project: VM, assignee: nobody-here")
    folder.mkdir()
    with running(tmp_path, flavour) as jira:
        run = Commands(folder, jira, categories=CATEGORIES, ranges=RANGES, policy=wrong)
        done = run("rebind", "--dry-run", "--json")
        found = json.loads(done.stdout)
        assert done.exit_code == 1 and (found["rebound"], found["missing"], found["dry_run"]) == (0, [], True)
        (name,) = found["names"]
        assert not name["ok"] and name["where"] == "rules/policy.yaml:1"
        told = run("rebind")
        assert "0 tickets rebound, 0 unchanged, 0 not found" in told.stdout and "policy.yaml:1" in told.stdout
        assert "No deleted ticket has open findings" in run("tickets", "deleted").stdout
        assert json.loads(run("tickets", "--json").stdout) == []
        for refused in (run("tickets", "again", "VM-9"), run("tickets", "forget", "VM-9", "--reason", "none")):
            assert refused.exit_code == 1 and "there is none with this identifier or key" in refused.output


# --- another installation


def test_a_list_takes_tickets_over_from_another_installation_and_no_others(tmp_path: Path, jira: Jira):
    hosts = {"10.1.0.1": [SMB], "10.2.0.1": [SMB]}
    ny = "windows.newyork.2026-W23"
    with a_world(tmp_path / "old", jira) as old, a_world(tmp_path / "new", jira) as new:
        old.fold(week(23), hosts)
        keys = {name: old.key(name) for name in (W23, ny)}
        prepared(new, hosts)
        jira.calls()
        done = rebind(new, take_over=[keys[W23], "windows.rome.2026-W23"])
        assert [each.key for each in done.taken.values()] == [keys[W23]] and len(done.refused) == 1
        assert set(writes(jira)) == {f"PUT issue/{keys[W23]}"}  # Data Center refuses it once: without mails
        assert set(jira.ticket(keys[W23]).labels) == {"vmjira", identity(W23), new.label}
        new.deliver()
        assert new.key(W23) == keys[W23] and new.key(ny) != keys[ny]
        assert old.label in jira.ticket(keys[ny]).labels
        found = {ticket: what for ticket, what, _ in old.reconcile(everything=True)}
        assert "belongs to the installation of vmjira" in found[W23]


def prepared(world: World, hosts: Any) -> None:
    """A scan is in, and nothing of it was delivered."""
    waiting, world.queue.operations = world.queue.operations, []
    deliver = world.deliver
    world.deliver = lambda: []  # type: ignore[method-assign]
    world.fold(week(23), hosts)
    world.deliver = deliver  # type: ignore[method-assign]
    assert waiting == []


# --- very many

MANY = 1000


@pytest.fixture
def thousand(folder: Path, flavour: str) -> Iterator[Path]:
    """As many tickets more, written into both databases as they would be after a long time."""
    with running(folder, flavour) as jira, a_world(folder / "world", jira) as world:
        with world.store.reading() as unit:
            row = unit.ticket(W24)
            files = unit.attachments(W24)
        assert row and row.key
        named, last = [], int(row.key.split("-")[1]) + 100
        with sqlite3.connect(folder / "jira.sqlite") as connection, world.store.begin() as unit:
            for n in range(MANY):
                ordinal, key, id = row.ordinal + 1 + n, f"VM-{last + n}", FIRST_ID + 1_000 + n
                name = f"windows.boston.many-{n}"
                labels = json.dumps(["vmjira", identity(name), world.label])
                copy_issue(connection, row.issue_id or "", {"id": id, "key": key, "labels": labels})
                more = replace(row, identifier=name, ordinal=ordinal, label=f"many-{n}", key=key, issue_id=str(id))
                named.append((more, copy_files(connection, row.issue_id or "", id, files, name)))
            unit.put_tickets([more for more, _ in named])
            for more, attached in named:
                unit.put_attachments(more.identifier, attached)
            link_all(connection)
    yield folder


def copy_issue(connection: sqlite3.Connection, source: str, changes: dict[str, Any]) -> None:
    copy(connection, "issues", f"id = {source}", changes)


def copy(connection: sqlite3.Connection, table: str, where: str, changes: dict[str, Any]) -> int:
    names = [each[1] for each in connection.execute(f"PRAGMA table_info({table})")]
    kept = [name for name in names if name not in changes]
    values = ", ".join([*changes, *kept])
    marks = ", ".join([*("?" for _ in changes), *kept])
    sql = f"INSERT INTO {table} ({values}) SELECT {marks} FROM {table} WHERE {where}"
    return connection.execute(sql, list(changes.values())).lastrowid or 0


def copy_files(
    connection: sqlite3.Connection, source: str, issue: int, files: list[AttachmentRow], name: str
) -> list[AttachmentRow]:
    made = []
    for each in files:
        changes = {"id": None, "issue": issue, "filename": each.name.replace(W24, name)}
        id = copy(connection, "attachments", f"id = {each.attachment_id}", changes)
        made.append(replace(each, identifier=name, name=changes["filename"], attachment_id=str(id)))
    return made


def link_all(connection: sqlite3.Connection) -> None:
    """Each with the one before it, as tickets of a cell are."""
    (kind,) = connection.execute("SELECT id FROM link_types WHERE name = 'Relates'").fetchone()
    ids = [row[0] for row in connection.execute("SELECT id FROM issues WHERE labels LIKE '%boston%windows%' "
                                                "OR labels LIKE '%windows.boston%' ORDER BY id")]  # fmt: skip
    pairs = [(kind, newer, older) for older, newer in pairwise(ids)]
    connection.executemany("INSERT OR IGNORE INTO links (type, source, target) VALUES (?, ?, ?)", pairs)


def test_a_thousand_tickets_on_another_site_are_rebound_and_nobody_gets_a_mail(thousand: Path, flavour: str):
    with imported(thousand, flavour) as jira, a_world(thousand / "world", jira) as world:
        world.write_rules(policy=POLICY)
        moved_first = reconcile(world.outside, everything=True)
        assert len(moved_first.drifts) == 1
        jira.calls()
        began = time.monotonic()
        done = rebind(world)
        took = time.monotonic() - began
        calls = jira.calls()
        assert (len(done.bound), len(done.missing)) == (MANY + 5, 0)
        after = reconcile(world.outside, everything=True)
        assert after.drifts == () and after.read == MANY + 5 and world.deliver() == []
        assert writes(jira) == [] and len(calls) <= MANY / 100 + 20, calls
        assert not any(gone or closing for _, gone, closing in rows(world).values())
        with world.store.reading() as unit:
            assert [row for row in unit.operations() if row.operation in ("duplicate", "missing", "close")] == []
        assert took < 60
