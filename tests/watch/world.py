"""vmjira wired to a sandbox in this process: real files, rules, store, renderer and HTTP; only the queue is a list."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.flows.jira import Jira
from tests.flows.scans import Hosts, nessus
from tests.flows.world import CATEGORIES, RANGES
from vmjira import rulefiles
from vmjira.domain.ticket import installation_label
from vmjira.flows.deliver import attempt
from vmjira.flows.ingest import ingest
from vmjira.flows.installation import installation
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.readahead import ReadAhead
from vmjira.flows.reconcile import reconcile
from vmjira.flows.rows import DeliveryRow, OperationRow
from vmjira.rendering import Renderer
from vmjira.scanners import read_scan
from vmjira.store import SqlStore, open_store
from vmjira.trackers.jira import connect

POLICY = """\
ticket: {project: VM, transition_fields: {resolution: {name: Done}}}
calls_per_second: 100
"""
PATIENCE = 20


@dataclass
class ListQueue:
    """Implements `vmjira.flows.ports.OperationQueue`: what was put in, in order."""

    operations: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def put(self, unit: Unit, operations: Iterable[OperationRow]) -> None:
        self.operations += [row.id for row in operations]

    def put_event(self, unit: Unit, delivery: DeliveryRow) -> None:
        self.events.append(delivery.id)


@dataclass
class World:
    folder: Path
    jira: Jira
    store: SqlStore
    queue: ListQueue = field(default_factory=ListQueue)
    ahead: timedelta = timedelta()

    def __post_init__(self) -> None:
        self.rules = self.folder / "rules"
        self.rules.mkdir(exist_ok=True)
        self.write_rules(categories=CATEGORIES, ranges=RANGES, policy=POLICY)
        self.outside = Outside(
            store=self.store,
            queue=self.queue,
            renderer=Renderer(self.rules / "templates"),
            tracker=connect(self.jira.settings(), calls_per_second=lambda: 10_000.0),
            tickets=ReadAhead(self.store),
            rulebook=rulefiles.load_texts,
            clock=lambda: datetime.now(UTC) + self.ahead,
        )

    def write_rules(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.rules / f"{name}.yaml").write_text(text, encoding="utf-8")

    def fold(self, ended: datetime, hosts: Hosts, **further: bool) -> list[str]:
        """A scan, ingested and delivered."""
        file = nessus(self.folder / f"{ended:%Y-%m-%d-%H%M}.nessus", ended, hosts, **further)
        into = self.folder / f"read-{ended:%Y-%m-%d-%H%M}"
        read = lambda path: read_scan(path, into, timezone=ZoneInfo("UTC"))  # noqa: E731
        report = ingest(self.outside, [file], read, lambda: rulefiles.load(self.rules))
        assert not report.refused
        return self.deliver()

    def deliver(self) -> list[str]:
        """Deliver all that is queued, in order; `operation identifier: state` of each."""
        return [self._deliver(self.queue.operations.pop(0)) for _ in iter(lambda: bool(self.queue.operations), False)]

    def _deliver(self, id: str) -> str:
        self.until_ended(lambda: attempt(self.outside, id))
        with self.store.reading() as unit:
            row = unit.operation(id)
        assert row is not None
        return f"{row.operation} {row.identifier}: {row.state}" + (f" ({row.answer})" if row.state != "done" else "")

    def until_ended(self, work: Callable[[], float | None]) -> None:
        for _ in range(PATIENCE):
            pause = work()
            if pause is None:
                return
            self.ahead += timedelta(seconds=pause)
            time.sleep(min(pause, 0.1))
        raise AssertionError("it does not end")

    def reconcile(self, *, everything: bool = False) -> list[tuple[str, str, str]]:
        """Ticket, what differs, what is done about it; done, that is delivered, too."""
        report = reconcile(self.outside, everything=everything)
        settled = (": done", ": dropped (the ticket was deleted)")
        assert not (failed := [said for said in self.deliver() if not said.endswith(settled)]), failed
        return [(each.ticket, each.what, each.done) for each in report.drifts]

    @property
    def label(self) -> str:
        """Of all tickets of this installation."""
        return installation_label(installation(self.outside))

    def key(self, identifier: str) -> str:
        with self.store.reading() as unit:
            row = unit.ticket(identifier)
        assert row is not None and row.key is not None
        return row.key


@contextmanager
def a_world(folder: Path, jira: Jira) -> Iterator[World]:
    (folder / "database").mkdir(parents=True, exist_ok=True)
    store = open_store(f"sqlite:///{folder}/database/vmjira.db", str(folder / "data"))
    store.upgrade()
    try:
        yield World(folder, jira, store)
    finally:
        store.close()
