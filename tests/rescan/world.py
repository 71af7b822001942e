"""The world of closings (`tests.decide.world`) with a scanner that can scan hosts again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tests.decide import world as decide
from tests.domain.samples import day, finding, scan
from tests.rescan.scanner import Scanner
from vmjira import rulefiles
from vmjira.domain import rulebook
from vmjira.domain.frames import Scan
from vmjira.domain.rescan import GATHER, RescanRequest, RescanRow
from vmjira.errors import ScannerRefused
from vmjira.flows.attention import Item, needs_a_person
from vmjira.flows.ports import Unit
from vmjira.flows.rescan import Reach, look_after
from vmjira.flows.rules import rules_in_force
from vmjira.store import open_store

A, B, C = "10.1.0.1", "10.1.0.2", "10.1.0.3"
SCANNERS = """\
scanners:
  - {id: hq, type: nessus, url: 'https://nessus.example.com:8834', access_key: '${A}', secret_key: '${S}'}
"""
CLOSED = day(1)


def found(end: datetime, *hosts: str, without: tuple[str, ...] = ()) -> Scan:
    """A scan of `hosts`, which have the flaw, and of hosts `without` it."""
    return scan(end, [*hosts, *without], [finding(each, "100") for each in hosts])


@dataclass
class Queue(decide.ListQueue):
    work: list[tuple[str, str]] = field(default_factory=list)  # queue and id
    workflows: set[str] = field(default_factory=set)

    def put_work(self, unit: Unit, queue: str, id: str, *, workflow: str, partition: str) -> None:
        assert workflow not in self.workflows and partition == id
        self.workflows.add(workflow)
        self.work.append((queue, id))


@dataclass
class World(decide.World):
    """Its time stands still at `now` until a test moves it."""

    queue: Queue = field(default_factory=Queue)
    now: datetime = CLOSED
    scanners: str = SCANNERS

    def __post_init__(self) -> None:
        super().__post_init__()
        self.outside = decide.replace(self.outside, clock=lambda: self.now)
        self.scanner = Scanner(lambda: self.now)
        self.reach = Reach(self._connect, self.scanner.intake, lambda: rulefiles.load(self.rules))
        self.write("scanners", self.scanners)

    def _connect(self, configured: rulebook.Scanner) -> Scanner:
        self.scanner._trouble("connect")
        return self.scanner

    # --- what happens -------------------------------------------------------------------------------------------------

    def opened(self, *hosts: str, range_: str = "boston") -> None:
        self.fold(found(day(0), *(hosts or (A, B))))
        assert self.ticket(range_).comments == ()

    def closed(self, range_: str = "boston", at: datetime | None = None) -> None:
        self.now = max(self.now, at or CLOSED)
        self.jira.at(self.now)
        self.jira.close(self.key(range_))
        self.settle()

    def pass_by(self, **time: float) -> None:
        self.now += timedelta(**time)

    def look(self) -> float | None:
        """The worker looks after the scanner, and all is delivered that follows."""
        pause = look_after(self.outside, "hq", self.reach)
        self.settle()
        return pause

    def launched(self) -> tuple[str, ...]:
        """Close, gather, look: the addresses that are scanned then."""
        before = len(self.scanner.runs)
        self.pass_by(seconds=GATHER.total_seconds() + 1)
        self.look()
        (run,) = self.scanner.runs[before:]
        return run.hosts

    # --- what is known afterwards -------------------------------------------------------------------------------------

    @property
    def comment(self) -> str:
        """The one that answers the closing."""
        (first,) = [each for each in self.ticket().comments if "How vmjira verifies it" in each]
        return first.replace("\\", "")  # as people see it

    def requests(self) -> list[RescanRequest]:
        with self.store.reading() as unit:
            return unit.rescans.requests()

    def states(self) -> dict[str, str]:
        return {each.address: each.state for each in self.requests()}

    def attention(self) -> list[Item]:
        with self.store.reading() as unit:
            return needs_a_person(unit, rules_in_force(self.outside), [], self.now)

    def held(self) -> list[str]:
        with self.store.reading() as unit:
            return [row.operation for row in unit.operations("held")]

    def runs(self) -> list[RescanRow]:
        with self.store.reading() as unit:
            return unit.rescans.runs()


@contextmanager
def a_world(folder: Path, jira: decide.Jira, policy: str = "", scanners: str = SCANNERS) -> Iterator[World]:
    (folder / "database").mkdir(parents=True)
    store = open_store(f"sqlite:///{folder}/database/vmjira.db", str(folder / "data"))
    store.upgrade()
    try:
        # Here time stands still while scans of the next days come in.
        yield World(folder, jira, store, decide.POLICY + "clock_tolerance: 60d\n" + policy, scanners=scanners)
    finally:
        store.close()


REFUSED = ScannerRefused("hq: may not launch (403); give the account the right 'Can Control'")
