"""The server was down while people worked in Jira: after one reconciliation all is as if it had been up."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.flows.jira import Jira, running
from tests.flows.scans import APACHE, NGINX, RDP, SMB, week
from tests.sandbox.receiver import Receiver, receiving
from tests.watch.world import World, a_world
from vmjira.flows.events import parse
from vmjira.flows.react import react
from vmjira.flows.rows import DeliveryRow

OFFICES, AGAIN = 20, 10  # with two categories, half of the offices in two weeks: 60 tickets
TICKETS = 2 * (OFFICES + AGAIN)
RANGES = "ranges:\n" + "".join(
    f"  - {{id: office{n}, title: Office {n}, networks: [10.{n}.0.0/16]}}\n" for n in range(OFFICES)
)
POLICY = """\
ticket: {project: VM, transition_fields: {resolution: {name: Done}}}
accept: {resolutions: [Risk Accepted]}
limits: {create: 1000}
calls_per_second: 100
"""
EVENTS = ["jira:issue_updated", "jira:issue_deleted", "comment_created"]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Jira and vmjira before the outage."""
    folder = tmp_path_factory.mktemp("before")
    with running(folder, "datacenter") as jira, a_world(folder / "world", jira) as world:
        world.write_rules(ranges=RANGES, policy=POLICY)
        world.fold(week(23), {f"10.{n}.0.1": [SMB, APACHE] for n in range(OFFICES)})
        world.fold(week(24), {f"10.{n}.0.1": [SMB, APACHE, RDP, NGINX] for n in range(AGAIN)})
        assert world.reconcile() == []
        assert len(keys_of(world)) == TICKETS
    return folder


@contextmanager
def again(before: Path, folder: Path) -> Iterator[World]:
    shutil.copytree(before, folder)
    with running(folder, "datacenter") as jira, a_world(folder / "world", jira) as world:
        yield world


def people_work(jira: Jira, keys: list[str]) -> None:
    """Close, comment, move, delete, reopen, accept, take labels and texts away: each with every 8th ticket."""
    jira.actor = "boston-admins"
    for number, key in enumerate(keys):
        match number % 8:
            case 0:
                jira.close(key)
            case 1:
                jira.comment(key, "will do")
            case 2:
                jira.move(key, "VMBOS")
            case 3:
                jira.delete(key)
            case 4:
                jira.close(key)
                jira.transit(key, "Reopen")
            case 5:
                jira.close(key, "Risk Accepted")
            case 6:
                jira.move(key, "VMBOS")
                jira.close(jira.rest("GET", f"issue/{key}")["key"])
            case 7:
                jira.write(key, "gone")
                jira.rest("PUT", f"issue/{key}", {"update": {"labels": [{"remove": "vmjira"}]}})


def listen(world: World, receiver: Receiver) -> None:
    """Take up what came, as the server and the worker do, until nothing comes any more."""
    settled = lambda: all(each["state"] != "waiting" for each in world.jira.control("GET", "/webhooks/deliveries"))  # noqa: E731
    while not settled() or not receiver.came.empty():
        while not receiver.came.empty():
            came = receiver.next()
            store(world, came.body)
        for id in world.queue.events:
            world.until_ended(lambda id=id: react(world.outside, id))  # type: ignore[misc]
        world.queue.events.clear()
        world.deliver()


def store(world: World, body: bytes) -> None:
    row = DeliveryRow(str(uuid4()), world.outside.clock(), {}, body, issue=parse(body).issue)
    with world.store.begin() as unit:
        unit.add_delivery(row)
        world.queue.put_event(unit, row)


def test_after_one_reconciliation_all_is_as_if_it_had_been_up(before: Path, tmp_path: Path):
    with again(before, tmp_path / "up") as world, receiving() as receiver:
        hook = {"name": "vmjira", "url": receiver.url, "events": EVENTS, "secret": "", "jql": ""}
        world.jira.control("POST", "/webhooks", hook)
        people_work(world.jira, keys_of(world))
        listen(world, receiver)
        up = state_of(world)
        assert world.reconcile(everything=True) == []
    with again(before, tmp_path / "down") as world:
        people_work(world.jira, keys_of(world))
        found = world.reconcile(everything=True)
        down = state_of(world)
        assert world.reconcile(everything=True) == []
    differing = {name: (up[name], down[name]) for name in up if up[name] != down[name]}
    assert not differing
    assert len({ticket for ticket, _, _ in found}) > TICKETS // 2
    assert sum(each["gone"] for each in up.values()) == sum(number % 8 == 3 for number in range(TICKETS))


def keys_of(world: World) -> list[str]:
    with world.store.reading() as unit:
        return sorted((row.key or "" for row in unit.tickets()), key=lambda key: int(key.rpartition("-")[2]))


def state_of(world: World) -> dict[str, dict[str, Any]]:
    """By identifier, what we know of a ticket and what it shows; without the times of the test itself."""
    with world.store.reading() as unit:
        rows = unit.tickets()
        lives = {
            row.identifier: [each.accepted_by for each in unit.acceptances(identifier=row.identifier)] for row in rows
        }
    known = {
        row.identifier: {
            **{
                name: getattr(row, name) for name in ("key", "status", "status_category", "closing", "gone", "reopened")
            },
            "closed": row.closed_at is not None,
            "own": row.own,
            "accepted by": lives[row.identifier],
        }
        for row in rows
    }
    return {name: about | ({} if about["gone"] else shown(world.jira, about["key"])) for name, about in known.items()}


def shown(jira: Jira, key: str) -> dict[str, Any]:
    fields = jira.fields(key)
    return {
        "description": fields["description"],
        "labels": sorted(fields["labels"]),
        "status in Jira": fields["status"]["name"],
        "resolution": (fields["resolution"] or {}).get("name"),
        "files": sorted((each["filename"], each["size"]) for each in fields["attachment"]),
        "links": sorted(jira.linked(key)),
        "comments": [re.sub(r"\d\d:\d\d", "hh:mm", each["body"]) for each in fields["comment"]["comments"]],
    }
