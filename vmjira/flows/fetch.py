"""The story of a fetch: whole scans that a source offers ─► those not taken yet ─► on disk ─► ingested ─► remembered.

What was taken is remembered only after it was folded. A crash between the two has it fetched and handed in once more,
and the ledger knows it by its content: nothing is folded twice, nothing is left out.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import structlog

from vmjira.domain.frames import Scan
from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable, ScanUnreadable, VmjiraError
from vmjira.flows.ingest import LoadRules, ReadScan, Report, ingest
from vmjira.flows.ports import Outside
from vmjira.flows.rows import TakenRow
from vmjira.flows.sources import Progress, RemoteScan, Source

log = structlog.get_logger(__name__)

#: What one download may take: bytes, and seconds.
LARGEST, LONGEST = 16 << 30, 6 * 3600.0
#: Hears which scan is coming, how many bytes of it are there, and how many there will be (0: not known).
Hear = Callable[[RemoteScan, int, int], None]
Outcome = Literal["folded", "known", "refused", "held"]


@dataclass(frozen=True)
class Intake:
    """Where one visit works: nobody else does, and everything in `folder` is gone afterwards."""

    folder: Path
    read: ReadScan  # in the scanner's time zone


@dataclass
class Fetched:
    """What became of one look at a scanner."""

    scanner: str
    taken: list[TakenRow] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # scans that the scanner does not give, in its words
    passed_over: tuple[str, ...] = ()
    operations: list[str] = field(default_factory=list)
    rules: str = ""  # what happened to changed rules

    @property
    def refused(self) -> list[TakenRow]:
        return [row for row in self.taken if row.outcome == "refused"]

    @property
    def words(self) -> str:
        folded = sum(row.outcome == "folded" for row in self.taken)
        known = sum(row.outcome == "known" for row in self.taken)
        parts = [f"{folded} scans folded" if folded != 1 else "1 scan folded"] if self.taken else ["nothing new"]
        parts += [f"{known} known already"] if known else []
        parts += [f"{row.name} {row.words}" for row in self.taken if row.outcome == "held"]
        parts += [f"{row.name} refused: {row.words}" for row in self.refused]
        return "; ".join([*parts, *self.failed])

    def as_json(self) -> dict[str, Any]:
        return vars(self) | {"taken": [vars(row) for row in self.taken], "passed_over": list(self.passed_over)}


@dataclass
class Visit:
    """One look at one scanner, with all that it needs."""

    outside: Outside
    scanner: Scanner
    source: Source
    intake: Intake
    load_rules: LoadRules
    hear: Hear = lambda scan, done, total: None

    def fetch(self) -> Fetched:
        """Take every whole scan that the source offers and that was not taken yet, oldest first.

        Raises ScannerUnavailable, or ScannerRefused if the source as a whole says no; what was taken until then stays.
        A scan that only itself is not given is passed over, and asked for again the next time.
        """
        listing = self.source.listing()
        with self.outside.store.reading() as unit:
            known = {row.remote: row for row in unit.taken(self.scanner.id)}
        for scan in listing.scans:
            if scan.id in known and not known[scan.id].settled:
                self._settle(scan, known[scan.id])
        fetched = Fetched(self.scanner.id, passed_over=listing.passed_over)
        for batch in _batches([scan for scan in listing.scans if scan.id not in known]):
            self.take(batch, fetched)
        return fetched

    def take(self, batch: Sequence[RemoteScan], fetched: Fetched) -> None:
        """Bring these scans here and hand them in together, so that they are folded in the order of their ends."""
        came: dict[str, RemoteScan] = {}  # by path
        try:
            for number, scan in enumerate(batch):
                if path := self._download(scan, self.intake.folder / str(number), fetched):
                    came[str(path)] = scan
            if came:
                self._ingest(came, fetched)
        finally:
            for number in range(len(batch)):
                shutil.rmtree(self.intake.folder / str(number), ignore_errors=True)

    def _download(self, scan: RemoteScan, folder: Path, fetched: Fetched) -> Path | None:
        """None if it is not to be had."""
        folder.mkdir()
        try:
            return self.source.download(scan, folder, _bounded(scan, self.hear))
        except ScannerRefused as error:
            log.error("not given", scanner=self.scanner.id, scan=scan.name, why=str(error))
            fetched.failed.append(f"{scan.name}: {error}")
        except ScanUnreadable as error:
            fetched.taken.append(self._remember(scan, self._row(scan, "refused", str(error))))
        return None

    def _ingest(self, came: Mapping[str, RemoteScan], fetched: Fetched) -> None:
        def read(path: Path) -> list[Scan]:
            return [replace(each, rescan=each.rescan or came[str(path)].rescan) for each in self.intake.read(path)]

        report = ingest(self.outside, [Path(path) for path in came], read, self.load_rules)
        fetched.rules = report.rules or fetched.rules
        fetched.operations += report.operations
        for path, scan in came.items():
            fetched.taken.append(self._remember(scan, self._outcome(scan, path, report)))

    def _outcome(self, scan: RemoteScan, path: str, report: Report) -> TakenRow:
        if refused := next((each for each in report.refused if each["path"] == path), None):
            kept = f"; kept as {refused['kept']}" if refused["kept"] else ""
            return self._row(scan, "refused", refused["reason"].replace(path, scan.name) + kept)
        parts: list[dict[str, Any]] = [each for each in report.scans if each["path"] == path]
        said = [str(each["outcome"]) for each in parts]
        outcome: Outcome = "folded" if "folded" in said else "known"
        if held := [words for words in said if words.startswith("held")]:
            outcome = "held"
        warnings = held + [str(warning) for each in parts for warning in each.get("warnings", ())]
        ends = [datetime.fromisoformat(each["finished_at"]) for each in parts]
        row = self._row(scan, outcome, "; ".join(warnings))
        return replace(row, digest=" ".join(each["digest"] for each in parts), finished_at=max(ends))

    def _row(self, scan: RemoteScan, outcome: Outcome, words: str) -> TakenRow:
        now = self.outside.clock()
        return TakenRow(self.scanner.id, scan.id, scan.name, "", outcome, words, scan.finished_at, now)

    def _remember(self, scan: RemoteScan, row: TakenRow) -> TakenRow:
        with self.outside.store.begin() as unit:
            unit.put_taken(row)
        told = log.error if row.outcome == "refused" else log.info
        told("taken", scanner=row.scanner, scan=row.name, outcome=row.outcome, why=row.words)
        return self._settle(scan, row)

    def _settle(self, scan: RemoteScan, row: TakenRow) -> TakenRow:
        """Let the source tidy up; if it cannot just now, the next visit tries again."""
        try:
            self.source.settle(scan, row.words if row.outcome == "refused" else "")
        except ScannerError as error:
            log.warning("not tidied up", scanner=row.scanner, scan=row.name, why=str(error))
            return row
        settled = replace(row, settled=True)
        with self.outside.store.begin() as unit:
            unit.put_taken(settled)
        return settled


def again(outside: Outside, scanner: str, remote: str) -> None:
    """A person wants a scan once more that was taken; VmjiraError if it never was."""
    with outside.store.begin() as unit:
        if unit.forget_taken(scanner, remote):
            return
        known = [row.remote for row in unit.taken(scanner) if row.outcome == "refused"]
    listed = f"; refused were: {', '.join(known)}" if known else ""
    raise VmjiraError(f"scanner '{scanner}': no scan with the id '{remote}' was ever taken{listed}")


def _batches(scans: Sequence[RemoteScan]) -> Iterator[Sequence[RemoteScan]]:
    """Those of which only the file tells when they ended come together, for `ingest` to sort; the others one by one."""
    if undated := [scan for scan in scans if scan.finished_at is None]:
        yield undated
    dated = [(scan.finished_at, scan) for scan in scans if scan.finished_at is not None]
    yield from ([scan] for _, scan in sorted(dated, key=lambda each: each[0]))


def _bounded(scan: RemoteScan, hear: Hear) -> Progress:
    deadline = time.monotonic() + LONGEST

    def progress(done: int, total: int) -> None:
        if max(done, total) > LARGEST:
            raise ScanUnreadable(f"{scan.name}: is larger than {LARGEST >> 30} GB; scan fewer hosts at once")
        if time.monotonic() > deadline:
            raise ScannerUnavailable(f"{scan.name}: has not come within {LONGEST / 3600:g} hours")
        hear(scan, done, total)

    return progress
