"""vmjira with a real store and real rules, without a tracker: scans come in as frames."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vmjira import rulefiles
from vmjira.domain.frames import Scan
from vmjira.flows import ingest as ingesting
from vmjira.flows.operations import BREAKER
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.present import all_tickets
from vmjira.flows.preview import preview
from vmjira.flows.readahead import ReadAhead
from vmjira.flows.rows import DeliveryRow, OperationRow, OperationState
from vmjira.flows.tracking import Tracker
from vmjira.rendering import Renderer
from vmjira.store import SqlStore

RULES = {
    "categories.yaml": "categories:\n  - {id: windows, title: Windows, where: \"family = 'Windows'\"}\n",
    "ranges.yaml": (
        "ranges:\n"
        "  - {id: boston, title: Boston Office, networks: [10.1.0.0/16]}\n"
        "  - {id: lab, title: Laboratory, networks: [10.1.5.0/24]}\n"
    ),
    "policy.yaml": "ticket: {project: VM}\n",
}


@dataclass
class ListQueue:
    """Implements `vmjira.flows.ports.OperationQueue`: what was put in, in order."""

    waiting: list[str] = field(default_factory=list)

    def put(self, unit: Unit, operations: Iterable[OperationRow]) -> None:
        self.waiting += [row.id for row in operations]

    def put_event(self, unit: Unit, delivery: DeliveryRow) -> None:
        self.waiting.append(delivery.id)


def no_tracker() -> Tracker:
    raise AssertionError("the tracker was asked for")


def _files(scans: Sequence[Scan]) -> tuple[list[Path], Callable[[Path], list[Scan]]]:
    """Names of files, and what reads them."""
    named = [replace(one, digest=hashlib.sha256(one.digest.encode()).hexdigest()) for one in scans]
    return [Path(f"{number}.nessus") for number in range(len(scans))], lambda file: [named[int(file.stem)]]


class World:
    def __init__(self, store: SqlStore, folder: Path) -> None:
        self.store, self.rules = store, dict(RULES)
        self.now = datetime(2026, 8, 1, 12, tzinfo=UTC)
        self.queue = ListQueue()
        self.outside = Outside(
            store=store,
            queue=self.queue,
            renderer=Renderer(folder / "templates"),
            tracker=no_tracker,
            tickets=ReadAhead(store),
            rulebook=rulefiles.load_texts,
            clock=lambda: self.now,
        )

    def ingest(self, *scans: Scan) -> ingesting.Report:
        return ingesting.ingest(self.outside, *_files(scans), self._load)

    def preview(self, *scans: Scan) -> list[dict[str, Any]]:
        return preview(self.outside, *_files(scans), self._load)

    def _load(self) -> Any:
        return rulefiles.load_texts(self.rules)

    def operations(self, *states: OperationState) -> list[OperationRow]:
        with self.store.reading() as unit:
            return unit.operations(*states)

    def notices(self) -> list[OperationRow]:
        return [row for row in self.operations() if row.operation == BREAKER]

    def own(self, identifier: str) -> dict[str, int]:
        """The numbers of a ticket's own findings."""
        found: dict[str, int] = next(
            each["own"] for each in all_tickets(self.store) if each["identifier"] == identifier
        )
        return found

    def hosts(self, identifier: str) -> dict[str, int]:
        found: dict[str, int] = next(
            each["then"] for each in all_tickets(self.store) if each["identifier"] == identifier
        )
        return found
