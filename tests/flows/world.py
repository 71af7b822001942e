"""vmjira wired to a sandbox in this process: real files, rules, store, renderer and HTTP; only the queue is a list."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.flows.jira import Jira, Ticket
from tests.flows.scans import Hosts, nessus
from vmjira import rulefiles
from vmjira.domain.frames import Scan
from vmjira.flows import ingest as ingesting
from vmjira.flows.deliver import attempt
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.present import all_tickets, one_ticket
from vmjira.flows.preview import preview
from vmjira.flows.readahead import ReadAhead
from vmjira.flows.rows import DeliveryRow, OperationRow, OperationState
from vmjira.rendering import Renderer
from vmjira.rulefiles import load
from vmjira.scanners import read_scan
from vmjira.store import SqlStore, open_store
from vmjira.trackers.jira import connect

CATEGORIES = """\
categories:
  - {id: windows, title: Windows updates, where: "family = 'Windows'", priority: High, due: 14d}
  - {id: web, title: Web servers, where: "family = 'Web Servers'"}
"""
RANGES = """\
ranges:
  - {id: boston, title: Boston Office, networks: [10.1.0.0/16]}
  - {id: newyork, title: New York Office, networks: [10.2.0.0/16]}
"""
POLICY = """\
ticket: {project: VM}
calls_per_second: 100
"""
NOW = datetime(2026, 6, 24, 12, tzinfo=UTC)  # in week 26
#: A delivery that is still not through after so many attempts never will be.
PATIENCE = 50


@dataclass
class ListQueue:
    """Implements `vmjira.flows.ports.OperationQueue`: what was put in, in order."""

    waiting: list[str] = field(default_factory=list)

    def put(self, unit: Unit, operations: Iterable[OperationRow]) -> None:
        self.waiting += [row.id for row in operations]

    def put_event(self, unit: Unit, delivery: DeliveryRow) -> None:
        self.waiting.append(f"event.{delivery.id}")


@dataclass
class World:
    folder: Path
    jira: Jira
    store: SqlStore
    queue: ListQueue = field(default_factory=ListQueue)
    ahead: timedelta = timedelta()  # what pauses took: a test does not wait for minutes
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rules = self.folder / "rules"
        self.rules.mkdir()
        self.write_rules(categories=CATEGORIES, ranges=RANGES, policy=POLICY)
        self.outside = Outside(
            store=self.store,
            queue=self.queue,
            renderer=Renderer(self.rules / "templates"),
            tracker=connect(self.jira.settings(), calls_per_second=lambda: 10_000.0),
            tickets=ReadAhead(self.store),
            rulebook=rulefiles.load_texts,
            clock=lambda: NOW + self.ahead,
        )
        self._read = 0

    def write_rules(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.rules / f"{name}.yaml").write_text(text, encoding="utf-8")

    def scan(self, ended: datetime, hosts: Hosts, name: str = "", **further: Any) -> Path:
        """A scan file. A scan that was made has ended: the clock is not before that."""
        self.ahead = max(self.ahead, ended - NOW)
        return nessus(self.folder / (name or f"{ended:%Y-%m-%d-%H%M}.nessus"), ended, hosts, **further)

    def read(self, path: Path) -> list[Scan]:
        self._read += 1
        return read_scan(path, self.folder / "read" / str(self._read), timezone=ZoneInfo("UTC"))

    def ingest(self, *files: Path) -> ingesting.Report:
        return ingesting.ingest(self.outside, files, self.read, lambda: load(self.rules))

    def preview(self, *files: Path) -> list[dict[str, Any]]:
        return preview(self.outside, files, self.read, lambda: load(self.rules))

    def deliver(self) -> list[str]:
        """Deliver all that is queued, in order; `operation identifier: state` of each."""
        said = []
        while self.queue.waiting:
            id = self.queue.waiting.pop(0)
            for _ in range(PATIENCE):
                pause = attempt(self.outside, id)
                if pause is None:
                    break
                self.pauses.append(pause)
                self.ahead += timedelta(seconds=pause)
                time.sleep(min(pause, 0.2))
            else:
                raise AssertionError(f"{id}: {self.operation(id).answer}")
            row = self.operation(id)
            said.append(f"{row.operation} {row.identifier}: {row.state}")
        return said

    def fold(self, ended: datetime, hosts: Hosts, **further: Any) -> list[str]:
        """A scan, ingested and delivered."""
        report = self.ingest(self.scan(ended, hosts, **further))
        assert not report.refused
        return self.deliver()

    def operation(self, id: str) -> OperationRow:
        with self.store.reading() as unit:
            row = unit.operation(id)
        assert row is not None
        return row

    def operations(self, *states: OperationState) -> list[OperationRow]:
        with self.store.reading() as unit:
            return unit.operations(*states)

    def known(self) -> dict[str, dict[str, Any]]:
        """`vmjira tickets --json`, by identifier."""
        return {each["identifier"]: each for each in all_tickets(self.store)}

    def hosts(self, identifier: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = one_ticket(self.outside, identifier)["hosts"]
        return found


@contextmanager
def a_world(folder: Path, jira: Jira, database_url: str = "") -> Iterator[World]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "database").mkdir(exist_ok=True)
    store = open_store(database_url or f"sqlite:///{folder}/database/vmjira.db", str(folder / "data"))
    store.upgrade()
    try:
        yield World(folder, jira, store)
    finally:
        store.close()


# --- what a ticket's text says ----------------------------------------------------------------------------------------

_HOSTS = re.compile(r"^\|\*?(New|Safe|Remaining|Unverified|Vulnerable|Last time)\*?\|(\d+)\|", re.MULTILINE)
_OWN = {"total": "in total", "fixed": "fixed", "open": "open", "moved": "moved", "gone": "gone", "accepted": "accepted"}


def host_numbers(ticket: Ticket) -> dict[str, int]:
    """The table of hosts in a description, by the names of the JSON."""
    found = {
        name.lower().replace("last time", "last"): int(number) for name, number in _HOSTS.findall(ticket.description)
    }
    assert len(found) == 6, ticket.description
    return found


def own_numbers(ticket: Ticket) -> dict[str, int]:
    """The list of own findings in a description; what is not mentioned is 0."""
    found = {}
    for name, words in _OWN.items():
        match = re.search(rf"^\* \*(\d+)\* {words}", ticket.description, re.MULTILINE)
        found[name] = int(match[1]) if match else 0
    match = re.search(r"^\* \*(\d+)\* of the open", ticket.description, re.MULTILINE)
    return found | {"unverified": int(match[1]) if match else 0}
