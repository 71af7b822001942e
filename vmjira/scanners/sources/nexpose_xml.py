"""InsightVM and Nexpose: each scan of a site as a report in XML Export 2.0, which `scanners.nexpose` reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerUnavailable, ScanUnreadable
from vmjira.flows.sources import Check, Progress, RemoteScan, Source
from vmjira.scanners.sources.console import Run
from vmjira.scanners.sources.files import keep
from vmjira.scanners.sources.rapid import ConsoleSource, ids
from vmjira.scanners.sources.rapid_files import packed, unheard, unpacked

FORMAT = "xml-export-v2"
_END = b"</NexposeReport>"
_TAIL = 1024  # the longest tag that may lie across two pieces
_ALIVE = re.compile(rb"<node\s[^>]*\bstatus\s*=\s*[\"']alive[\"']", re.IGNORECASE)
_TEST = re.compile(rb"<test[\s/>]")
_SCAN = re.compile(rb"<scan\b[^>]*>")
_TIMES = re.compile(rb'\s(?:startTime|endTime)\s*=\s*(?:"[^"]*"|\'[^\']*\')')


def connect(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    return NexposeXml(scanner, environ)


class NexposeXml(ConsoleSource):
    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        number = ids(scan.id)[1]
        self.console.tidy()
        run = self.finished(number)
        with TemporaryDirectory(prefix=".nexpose-", dir=into) as folder:
            raw = self.console.report(f"xml-{number}", _report(number), Path(folder), progress)
            if self.finished(number) != run:
                raise ScannerUnavailable(f"{self.who}: scan {number} changed while it was read")
            chunks, file = packed(self._chunks(run, raw)), into / f"nexpose-{number}.xml.gz"
            return keep(chunks, file, who=self.who, limits=self.console.limits, progress=unheard)

    def _chunks(self, run: Run, file: Path) -> Iterator[bytes]:
        """The report, whole, of this scan; with the times of the API, because those in it name no zone.

        ScanUnreadable if hosts answered and no check was made on any: it would look as if everything were repaired.
        """
        tail, answered, checked = b"", False, False
        for number, piece in enumerate(unpacked(self.console, file)):
            text = piece if number else self._dated(run, piece)
            answered = answered or _ALIVE.search(tail + text) is not None
            checked = checked or _TEST.search(tail + text) is not None
            tail = (tail + text)[-_TAIL:]
            yield text
        if not tail.rstrip().endswith(_END):
            raise self.console.session.truncated()
        if answered and not checked:
            raise ScanUnreadable(f"{self.who}: scan {run.id} has no result of any check, as a discovery scan has none")

    def _dated(self, run: Run, head: bytes) -> bytes:
        mine = [tag for tag in _SCAN.finditer(head) if re.search(rb"\bid\s*=\s*[\"']%d[\"']" % run.id, tag[0])]
        if b"<NexposeReport" not in head or not mine:
            raise self.console.session.unexpected(f"gives no XML Export 2.0 of scan {run.id}")
        times = {"startTime": run.started, "endTime": run.finished}
        said = "".join(f' {name}="{moment.isoformat()}"' for name, moment in times.items() if moment)
        tag = b"<scan" + said.encode() + _TIMES.sub(b"", mine[0][0]).removeprefix(b"<scan")
        return head[: mine[0].start()] + tag + head[mine[0].end() :]

    def _rights(self) -> Sequence[Check]:
        """The definition of a report can be made, of the newest scan; nothing is generated."""
        newest = max(self.listing().scans, key=lambda scan: ids(scan.id)[1], default=None)
        if newest is None:
            return [Check(True, "whether reports can be made is seen only when there is a finished scan")]
        with self.console.defined("check", _report(ids(newest.id)[1])):
            return [Check(True, "reports in XML Export 2.0 can be defined")]


def _report(number: int) -> dict[str, object]:
    return {"format": FORMAT, "scope": {"scan": number}}
