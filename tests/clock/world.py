"""vmjira with tools for jobs: a scanner of the test's own, a queue that is a list, a clock that is set by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from tests.flows.scans import Hosts
from tests.flows.world import NOW, ListQueue, World
from vmjira.domain.rulebook import Rulebook, Scanner
from vmjira.errors import VmjiraError
from vmjira.flows.fetch import Fetched, Intake, Visit
from vmjira.flows.firings import fire, firing_id
from vmjira.flows.jobs import Tools, run
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.rows import FiringRow, TakenRow
from vmjira.flows.rules import LastGood
from vmjira.flows.sources import Check, Listing, Progress, RemoteScan
from vmjira.rulefiles import load
from vmjira.scheduling import gap

HQ = Scanner("hq", "nessus", fetch="0 6 * * *")
SCANNERS = "scanners:\n  - {id: hq, type: nessus, url: 'https://hq', fetch: 0 6 * * *}\n"


def no_catalogue(*_: object) -> NoReturn:
    raise VmjiraError("there is no catalogue here")


@dataclass
class Shelf:
    """Implements `vmjira.flows.sources.Source`: scans that lie ready, and faults on demand."""

    offered: list[RemoteScan] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    settled: list[tuple[str, str]] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)
    faults: dict[str, Exception] = field(default_factory=dict)  # by id of a scan, "listing", or "settle <id>"
    size: int = 0  # what it says of every file
    cannot_rescan: str = "a shelf scans nothing"

    def put(self, id: str, file: Path, finished_at: datetime | None = None, *, rescan: bool = False) -> None:
        self.files[id] = file
        self.offered.append(RemoteScan(id, f"scan {id}", finished_at, rescan))

    def listing(self) -> Listing:
        self._spring("listing")
        return Listing(tuple(self.offered), ("scan running: is not finished",))

    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        self.downloads.append(scan.id)
        self._spring(scan.id)
        progress(1, self.size)
        return Path(shutil.copy(self.files[scan.id], into / self.files[scan.id].name))

    def settle(self, scan: RemoteScan, refused: str) -> None:
        self._spring(f"settle {scan.id}")
        self.settled.append((scan.id, refused))

    def check(self) -> Sequence[Check]:
        self._spring("listing")
        return [Check(True, f"{len(self.offered)} scans match")]

    def launch(self, addresses: Sequence[str], name: str) -> str:
        raise NotImplementedError

    def launched(self, id: str) -> RemoteScan | None:
        raise NotImplementedError

    def stop(self, id: str) -> None:
        raise NotImplementedError

    def _spring(self, what: str) -> None:
        if fault := self.faults.get(what):
            raise fault


@dataclass
class WorkQueue(ListQueue):
    """Jobs go in their own list."""

    jobs: list[tuple[str, str, str]] = field(default_factory=list)  # id, workflow, partition

    def put_work(self, unit: Unit, queue: str, id: str, *, workflow: str, partition: str) -> None:
        self.jobs.append((id, workflow, partition))


@dataclass
class Desk:
    world: World
    shelf: Shelf = field(default_factory=Shelf)
    queue: WorkQueue = field(default_factory=WorkQueue)
    findings: list[Any] = field(default_factory=list)  # of the doctor
    forgotten: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outside: Outside = replace(self.world.outside, queue=self.queue)
        self.world.outside, self.world.queue = self.outside, self.queue
        self.world.write_rules(scanners=SCANNERS)
        self.tools = Tools(
            outside=self.outside,
            rules=LastGood(self.load, lambda: None),
            load_rules=self.load,
            connect=lambda scanner: self.shelf,
            intake=self.intake,
            diagnose=lambda rulebook: self.findings,
            gap=lambda cron, rulebook: gap(cron, rulebook.policy.timezone, self.now),
            read_catalogue=no_catalogue,
            forget_work=self._forget,
        )

    def _forget(self, before: datetime) -> int:
        self.forgotten.append(before)
        return 7

    def load(self) -> Rulebook:
        return load(self.world.rules)

    @property
    def now(self) -> datetime:
        return self.outside.clock()

    def set(self, moment: datetime) -> None:
        self.world.ahead = moment - NOW

    def wait(self, **duration: float) -> None:
        self.world.ahead += timedelta(**duration)

    @contextmanager
    def intake(self, scanner: Scanner) -> Iterator[Intake]:
        folder = self.world.folder / "incoming"
        folder.mkdir()
        try:
            yield Intake(folder, self.world.read)
        finally:
            assert list(folder.iterdir()) == [], "a visit leaves nothing behind"
            folder.rmdir()

    def fetch(self, scanner: Scanner = HQ) -> Fetched:
        with self.intake(scanner) as intake:
            return Visit(self.outside, scanner, self.shelf, intake, self.load).fetch()

    def offer(self, id: str, ended: datetime, hosts: Hosts, *, dated: bool = True, rescan: bool = False) -> Path:
        file = self.world.scan(ended, hosts, f"{id.replace('/', '-')}.nessus")
        self.shelf.put(id, file, ended if dated else None, rescan=rescan)
        return file

    def taken(self) -> dict[str, TakenRow]:
        with self.world.store.reading() as unit:
            return {row.remote: row for row in unit.taken()}

    def folded(self) -> list[str]:
        """Names of the files, in the order in which they were folded."""
        with self.world.store.reading() as unit:
            return [row.name for row in unit.scans()]

    def job(self, name: str) -> str:
        return run(self.tools, name)

    def firing(self, job: str, due: datetime) -> FiringRow:
        with self.world.store.reading() as unit:
            row = unit.firing(job, due)
        assert row
        return row

    def fire(self, job: str, due: datetime, act: Callable[[str], str]) -> float | None:
        return fire(self.outside, act, firing_id(job, due))

    def mark(self, name: str) -> dict[str, Any]:
        with self.world.store.reading() as unit:
            mark = unit.mark(name)
        assert mark
        return dict(mark.details)


def said(act: Callable[[], object]) -> str:
    """The words of the error that it raises."""
    try:
        act()
    except VmjiraError as error:
        return str(error)
    raise AssertionError("nothing was refused")
