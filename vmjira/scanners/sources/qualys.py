"""Type qualys: what finished scans of Qualys VM have found, from the list of host detections and the KnowledgeBase.

A round is a finished, processed scan; its hosts are those of its target whose last scan ended while it ran
(docs/adr/0014). Source: Qualys VM/PC API, https://docs.qualys.com/en/vm/api/ (scan list, host list detection,
KnowledgeBase), and recorded answers of a real platform.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from lxml import etree

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import Check, Listing, Progress, RemoteScan, Source
from vmjira.scanners import values
from vmjira.scanners.sources.files import keep, safe_name
from vmjira.scanners.sources.norescan import NoRescan
from vmjira.scanners.sources.options import oldest, resolved, wanted
from vmjira.scanners.sources.qualys_api import Api
from vmjira.scanners.sources.targets import names, networks, within

UTC = ZoneInfo("UTC")
#: Scans and hosts tell their times by different clocks, to the minute.
SLACK = timedelta(minutes=5)
#: Hosts in one answer. Qualys's own default; an answer of more may take it longer than we wait.
PAGE = 1000
DETECTIONS = "/api/2.0/fo/asset/host/vm/detection/"
SCANS = "/api/2.0/fo/scan/"
OPEN = b'<?xml version="1.0" encoding="UTF-8"?>\n<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE>\n'
CLOSE = b"</RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>\n"


def connect(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    return Qualys(scanner, resolved(scanner, environ))


@dataclass(frozen=True)
class Run:
    """A scan as the list of scans tells it."""

    reference: str
    title: str
    state: str
    processed: bool
    empty: bool  # it found no host alive
    start: datetime | None
    end: datetime | None
    target: str

    @property
    def whole(self) -> bool:
        return self.state == "Finished" and self.processed and not self.empty and self.end is not None


class Qualys(NoRescan):
    cannot_rescan = (
        "Qualys does not tell with which scanner appliance and authentication records a scan was run, so a scan of "
        "single hosts could see less than the round did"
    )

    def __init__(self, scanner: Scanner, options: Mapping[str, Any]) -> None:
        """ScannerRefused if the rule cannot work. Connects to nothing."""
        if missing := [name for name in ("username", "password") if not options.get(name)]:
            raise ScannerRefused(f"{scanner.id}: {' and '.join(missing)}: is missing")
        self.api = Api(scanner, options, str(options.get("url", "")))
        self.options, self.patterns = options, options.get("scans")

    def listing(self) -> Listing:
        runs = [run for run in self._runs(**self._recent()) if wanted(self.patterns, run.title, run.reference)]
        whole = sorted((run for run in runs if run.whole), key=lambda run: (str(run.end), run.reference))
        return Listing(
            tuple(RemoteScan(run.reference, run.title, run.end) for run in whole),
            tuple(_passed_over(run for run in runs if not run.whole)),
        )

    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        found = [run for run in self._runs(scan_ref=scan.id, **self._recent()) if run.reference == scan.id]
        if not found:
            raise ScannerRefused(f"{self.api.who}: there is no scan {scan.id[:60]} any more")
        if not found[0].whole:
            raise ScannerUnavailable(f"{self.api.who}: scan {scan.id[:60]} is {found[0].state}, or not processed yet")
        page, file = into / "qualys-page.part", into / f"qualys-{safe_name(scan.id)}.xml"
        try:
            return keep(
                self._document(found[0], page), file, who=self.api.who, limits=self.api.limits, progress=progress
            )
        finally:
            page.unlink(missing_ok=True)

    def settle(self, scan: RemoteScan, refused: str) -> None:
        """Scans stay in Qualys as they are."""

    def check(self) -> Sequence[Check]:
        try:
            runs = self._runs(**self._recent())
        except ScannerError as error:
            return [Check(False, str(error)), *self.api.certificate()]
        matching = sorted({run.title for run in runs if wanted(self.patterns, run.title, run.reference)})
        return [
            Check(True, f"{self.api.who}: logged in, {len(runs)} recent scans are visible"),
            *self.api.certificate(),
            self._may("list host detections", lambda: self.api.first_page(DETECTIONS, _asked(None, 1))),
            self._may("read the KnowledgeBase", lambda: list(self.api.knowledge.of(["6"]))),
            Check(
                bool(matching),
                f"{len(matching)} titles match: {', '.join(matching[:10])}",
                "" if matching else "correct scans, or let the user see the scans",
            ),
        ]

    # --- inside -------------------------------------------------------------------------------------------------------

    def _may(self, what: str, attempt: Any) -> Check:
        try:
            attempt()
        except ScannerError as error:
            return Check(False, f"may not {what}: {error}", "see the page on Qualys in the documentation")
        return Check(True, f"may {what}")

    def _recent(self) -> dict[str, str]:
        return {"launched_after_datetime": f"{oldest(self.options):%Y-%m-%dT%H:%M:%SZ}"}

    def _runs(self, **more: str) -> list[Run]:
        root = self.api.small(SCANS, {"action": "list", **more}, "SCAN_LIST_OUTPUT")
        return [_run(element) for element in root.iterfind("RESPONSE/SCAN_LIST/SCAN")]

    def _document(self, run: Run, page: Path) -> Iterator[bytes]:
        """One answer of all pages, only the hosts of this scan, and behind them what is known of their QIDs."""
        belongs = _hosts_of(run)
        qids: set[str] = set()
        moment = f"<DATETIME>{run.end:%Y-%m-%dT%H:%M:%SZ}</DATETIME>\n" if run.end else ""
        yield OPEN + moment.encode() + b"<HOST_LIST>\n"
        for host in self.api.pages(DETECTIONS, _asked(run.start, PAGE), page):
            if belongs(host):
                qids.update(qid for each in host.iterfind("DETECTION_LIST/DETECTION") if (qid := _text(each, "QID")))
                yield etree.tostring(host, encoding="utf-8", xml_declaration=False, with_tail=False) + b"\n"
        yield b"</HOST_LIST>\n<VULN_LIST>\n"
        for known in self.api.knowledge.of(sorted(qids)):
            yield known + b"\n"
        yield b"</VULN_LIST>\n" + CLOSE


def _asked(since: datetime | None, limit: int) -> dict[str, str]:
    """Fixed detections and information too: without them Qualys leaves out hosts on which nothing else is found."""
    asked = {
        "action": "list", "output_format": "XML", "show_igs": "1", "status": "New,Active,Re-Opened,Fixed",
        "truncation_limit": str(limit),
    }  # fmt: skip
    return asked | ({"vm_scan_since": f"{since - SLACK:%Y-%m-%dT%H:%M:%SZ}"} if since else {})


def _hosts_of(run: Run) -> Any:
    """Whether a host was looked at by this scan: by its target, and by the end of the host's last scan."""
    spans, called = networks(run.target), names(run.target)

    def belongs(host: etree._Element) -> bool:
        scanned = values.time(host.findtext("LAST_VM_SCANNED_DATE") or host.findtext("LAST_SCAN_DATETIME"), UTC)
        if scanned is None or run.start is None or run.end is None:
            return False
        if not run.start - SLACK <= scanned <= run.end + SLACK:
            return False
        written = values.address(host.findtext("IP")) or values.address(host.findtext("IPV6"))
        if written and within(ip_address(written), spans):
            return True
        return bool({_text(host, "DNS").lower(), _text(host, "NETBIOS").lower()} & called)

    return belongs


def _run(element: etree._Element) -> Run:
    start = values.time(_text(element, "LAUNCH_DATETIME"), UTC)
    took = _duration(_text(element, "DURATION"))
    return Run(
        reference=_text(element, "REF"),
        title=_text(element, "TITLE"),
        state=_text(element, "STATUS/STATE") or "of no known state",
        processed=_text(element, "PROCESSED") == "1",
        empty=_text(element, "STATUS/SUB_STATE") == "No_Host",
        start=start,
        end=start + took if start and took is not None else None,
        target=_text(element, "TARGET"),
    )


def _duration(text: str) -> timedelta | None:
    """`00:29:43`, `2 days 01:10:00`; None if it is none."""
    days, _, rest = text.rpartition("day")
    parts = rest.lstrip("s").strip().split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    count = days.strip()
    hours, minutes, seconds = (int(part) for part in parts)
    return timedelta(days=int(count) if count.isdigit() else 0, hours=hours, minutes=minutes, seconds=seconds)


def _passed_over(runs: Iterable[Run]) -> Iterator[str]:
    reasons = Counter((run.title, _reason(run)) for run in runs)
    for (title, reason), count in sorted(reasons.items()):
        yield f"{title}: {count} {'scan' if count == 1 else 'scans'}: {reason}"


def _reason(run: Run) -> str:
    if run.state != "Finished":
        return f"{run.state}, not Finished"
    if run.empty:
        return "found no host alive"
    return "not processed yet" if not run.processed else "tells no duration"


def _text(element: etree._Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
