"""InsightVM and Nexpose: each scan of a site, asked for by SQL queries, as one file that `scanners.insightvm` reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import Check, Progress, RemoteScan, Source
from vmjira.scanners.insightvm import NAME, TABLES, VERSION
from vmjira.scanners.sources.console import Run
from vmjira.scanners.sources.files import keep
from vmjira.scanners.sources.rapid import ConsoleSource, ids
from vmjira.scanners.sources.rapid_files import answer, packed, sql, table, unheard
from vmjira.scanners.sources.rapid_queries import queries


def connect(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    return InsightVM(scanner, environ)


class InsightVM(ConsoleSource):
    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        site, number = ids(scan.id)
        self.console.tidy()
        run = self.finished(number)
        with TemporaryDirectory(prefix=".insightvm-", dir=into) as folder:
            files = self._asked(number, Path(folder), progress)
            if self.finished(number) != run:
                raise ScannerUnavailable(f"{self.who}: scan {number} changed while it was read")
            if run.assets and not any(table(self.console, files["hosts"], TABLES["hosts"])):
                raise ScannerRefused(f"{self.who}: scan {number} has {run.assets} assets, but the account sees none of "
                                     "them; give it access to the site")  # fmt: skip
            chunks, file = packed(self._chunks(site, run, files)), into / f"insightvm-{number}.csv.gz"
            return keep(chunks, file, who=self.who, limits=self.console.limits, progress=unheard)

    def _asked(self, number: int, folder: Path, progress: Progress) -> dict[str, Path]:
        """Table → file, as it came."""
        before, files = 0, {}

        def heard(done: int, _: int) -> None:
            progress(before + done, 0)

        for name, query in queries(number).items():
            files[name] = self.console.report(f"{name}-{number}", sql(query), folder, heard)
            before += files[name].stat().st_size
        return files

    def _chunks(self, site: int, run: Run, files: Mapping[str, Path]) -> Iterator[bytes]:
        times = [moment.isoformat() if moment else "" for moment in (run.started, run.finished)]
        first = io.StringIO()
        rows = csv.writer(first, lineterminator="\n")
        rows.writerows([(NAME, "scan"), TABLES["scan"]])
        rows.writerow([VERSION, self.console.host, site, run.id, run.name.replace("\0", ""), *times])
        yield first.getvalue().encode()
        for name, file in files.items():
            yield f"{NAME},{name}\n".encode()
            yield from answer(self.console, file, TABLES[name])
            yield b"\n"

    def _rights(self) -> Sequence[Check]:
        """Every query, about a scan that does not exist: the model of this console has all that is asked for."""
        with TemporaryDirectory(prefix="vmjira-") as folder:
            for name, file in self._asked(0, Path(folder), unheard).items():
                list(answer(self.console, file, TABLES[name]))
        return [Check(True, "reports can be made, and the console understands our queries")]
