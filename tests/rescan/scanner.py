"""A scanner in memory: what was launched, what it finds, and how it fails."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from vmjira.domain.frames import Scan
from vmjira.errors import ScannerRefused, ScanUnreadable
from vmjira.flows.fetch import Intake
from vmjira.flows.sources import Check, Listing, Progress, RemoteScan


@dataclass
class Run:
    name: str
    hosts: tuple[str, ...]
    began: datetime
    result: Scan | str | None = None  # text: it ended without a result, and that is why
    stopped: bool = False


@dataclass
class Scanner:
    """Implements `vmjira.flows.sources.Source`."""

    clock: Callable[[], datetime]
    cannot_rescan: str = ""
    runs: list[Run] = field(default_factory=list)
    troubles: dict[str, list[Exception]] = field(default_factory=dict)  # by method: what its next calls raise
    after: list[Exception] = field(default_factory=list)  # raised by `launch` when it has launched already
    settled: list[str] = field(default_factory=list)

    def finish(self, result: Scan | str, number: int = -1) -> None:
        self.runs[number].result = result

    def launch(self, addresses: Sequence[str], name: str) -> str:
        self._trouble("launch")
        self.runs.append(Run(name, tuple(addresses), self.clock()))
        if self.after:
            raise self.after.pop()
        return str(len(self.runs) - 1)

    def launched_by_name(self, name: str, since: datetime, others: Collection[str] = ()) -> str | None:
        self._trouble("launched_by_name")
        return next((str(n) for n, run in enumerate(self.runs) if run.name == name and run.began >= since), None)

    def launched(self, id: str) -> RemoteScan | None:
        self._trouble("launched")
        run = self.runs[int(id)]
        if isinstance(run.result, str):
            raise ScannerRefused(run.result)
        return RemoteScan(id, run.name, self.clock(), rescan=True) if run.result else None

    def stop(self, id: str) -> None:
        self.runs[int(id)].stopped = True

    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        self._trouble("download")
        path = into / "rescan"
        path.write_text(scan.id)
        return path

    def settle(self, scan: RemoteScan, refused: str) -> None:
        self.settled.append(f"{scan.id}: {refused}")

    def listing(self) -> Listing:
        return Listing(())

    def check(self) -> Sequence[Check]:
        return ()

    def _trouble(self, method: str) -> None:
        if waiting := self.troubles.get(method):
            raise waiting.pop(0)

    @contextmanager
    def intake(self, configured: object) -> Iterator[Intake]:
        """Its `read` reads what `download` has written."""

        def read(path: Path) -> list[Scan]:
            result = self.runs[int(path.read_text())].result
            assert isinstance(result, Scan)
            if result.format == "garbage":
                raise ScanUnreadable(f"{path.name}: is no scan")
            return [replace(result, digest=hashlib.sha256(result.digest.encode()).hexdigest())]

        with TemporaryDirectory() as folder:
            yield Intake(Path(folder), read)
