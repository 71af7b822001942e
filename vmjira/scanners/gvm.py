"""GVM and OpenVAS: reports in XML, bare or as the answer to get_reports, of OpenVAS 3 to GVM 22."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from lxml import etree

from vmjira.scanners import values
from vmjira.scanners.content import Content
from vmjira.scanners.format import Head, Observed
from vmjira.scanners.gvm_results import NO_NVT, nvt_text, port, severity
from vmjira.scanners.staging import Staging
from vmjira.scanners.xmlstream import elements

NAME = "gvm"
SCANNER = "gvm"
ANSWERS = ("get_reports_response", "get_report_response")
IN_REPORT = ("scan_run_status", "scan_start", "scan_end", "result_count", "host", "host_start", "host_end")
WANTED = (
    *(("report", name) for name in IN_REPORT),
    ("results", "result"),
    ("ports", "port"),
    ("errors", "error"),
    *((answer, "report") for answer in ANSWERS),
)
#: Elements that only a report of GVM has. Wapiti writes `report` too.
SIGNS = frozenset(
    {"results", "ports", "scan_run_status", "scan_start", "omp", "gmp", "filters", "report_format", "task"}
)


def recognise(head: Head) -> bool:
    if head.xml is None:
        return False
    return head.xml.root in ANSWERS or (head.xml.root == "report" and bool(SIGNS & head.xml.names))


def read(content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
    outline = Head(content.head).xml
    root = outline.attributes if outline else {}
    if root.get("status", "200") != "200":
        raise content.refuse(f"is an error of GVM, not a report: {root['status']} {root.get('status_text', '')[:200]}")
    if root.get("type") == "delta":
        raise content.refuse("is a delta report, which lists changes only; export the whole report")
    reader = _Reader(staging, zone)
    for element in elements(content, *WANTED):
        if element.tag == "report":
            reader.reports += 1
        elif element.tag != "port":
            getattr(reader, f"on_{element.tag}")(element)
    return reader.observed(content)


class _Reader:
    """References of hosts are the texts that the report has for them."""

    def __init__(self, staging: Staging, zone: ZoneInfo) -> None:
        self.staging, self.zone = staging, zone
        self.reports = self.results = 0
        self.expected = 0
        self.status: str | None = None
        self.start: datetime | None = None
        self.end: datetime | None = None
        self.hosts: dict[str, dict[str, Any]] = {}
        self.failed: set[str] = set()  # hosts with an error that names no NVT, or without an end

    def on_scan_run_status(self, element: etree._Element) -> None:
        self.status = values.text(element.text) or self.status

    def on_scan_start(self, element: etree._Element) -> None:
        self.start = values.time(element.text, self.zone) or self.start

    def on_scan_end(self, element: etree._Element) -> None:
        self.end = values.time(element.text, self.zone) or self.end

    def on_result_count(self, element: etree._Element) -> None:
        written = (element.findtext("filtered") or "").strip()
        self.expected = int(written) if written.isascii() and written.isdigit() else 0

    def on_host(self, element: etree._Element) -> None:
        reference = values.text(element.findtext("ip")) or values.text(element.text)
        if reference is None:
            return
        details = {detail.findtext("name"): detail.findtext("value") for detail in element.iterchildren("detail")}
        if (details.get("Host dead") or "0") != "0":
            self.staging.not_observed(reference)
        if values.text(element.findtext("start")) and not values.text(element.findtext("end")):
            self.failed.add(reference)  # begun, but never finished
        self._know(
            reference,
            hostname=values.text(details.get("hostname")),
            os=values.text(details.get("best_os_txt")),
            mac=values.mac(details.get("MAC")),
            scanned_at=values.time(element.findtext("end"), self.zone),
        )

    def on_host_start(self, element: etree._Element) -> None:
        reference = values.text(element.findtext("host"))
        if reference:
            self._know(reference)

    def on_host_end(self, element: etree._Element) -> None:
        host = element.find("host")
        if host is not None and (reference := values.text(host.text)):
            self._know(reference, scanned_at=values.time(host.tail, self.zone))

    def _know(self, reference: str, **columns: Any) -> None:
        known = self.hosts.setdefault(reference, {"ip": values.address(reference)})
        if known["ip"] is None:
            known.setdefault("hostname", reference)
        known.update({name: value for name, value in columns.items() if value is not None})

    def on_result(self, result: etree._Element) -> None:
        self.results += 1
        nvt, host = result.find("nvt"), values.text(result.findtext("host"))
        oid = nvt.get("oid", "") if nvt is not None else ""
        found = severity(result)
        self.staging.records[found or "unknown"] += 1
        if host is None or nvt is None or not oid or found is None:
            wrong = "no host" if host is None else "no NVT" if not oid else "no severity that makes sense"
            return self.staging.bad_record(f"line {result.sourceline}, NVT '{oid[:60]}': {wrong}")
        self._know(host, hostname=values.text(result.findtext("host/hostname")))
        if oid == NO_NVT:
            return None
        try:
            at = port(result.findtext("port"))
        except ValueError as error:
            return self.staging.bad_record(f"line {result.sourceline}, NVT '{oid[:60]}': {error}")
        if found == "error":
            return self.staging.unmade(host, oid)
        if found == "false positive":
            # Somebody's override, no proof of a repair.
            return self.staging.unmade(host, oid)
        if not self.staging.knows(oid):
            self.staging.vulnerability(oid, nvt_text(nvt, result))
        output = values.text(result.findtext("description"))
        return self.staging.finding(host, oid, port=at, severity=found, output=output)

    def on_error(self, error: etree._Element) -> None:
        host, nvt = values.text(error.findtext("host")), error.find("nvt")
        oid = nvt.get("oid", "") if nvt is not None else ""
        if host and oid and oid != NO_NVT:
            self.staging.unmade(host, oid)
        elif host:
            self.failed.add(host)

    def observed(self, content: Content) -> Observed:
        if self.reports > 1:
            raise content.refuse(f"holds {self.reports} reports; export them one by one, with details")
        ends = [host["scanned_at"] for host in self.hosts.values() if host.get("scanned_at")]
        done = self.status == "Done"
        finished = self.end or max(ends, default=None) or (self.start if done else None)
        if finished is None and self.start:
            raise content.refuse("has no end: it was exported while the scan was running; export it when it is done")
        if finished is None:
            raise content.refuse("nothing in it tells when this was; export the whole report, not its results only")
        self._tell_hosts(whole=done or self.status is None)
        return Observed(finished, self.start)

    def _tell_hosts(self, *, whole: bool) -> None:
        if self.results < self.expected:
            self.staging.warn(
                f"holds {self.results} of {self.expected} results, so nothing is taken as fixed; export it with rows=-1"
            )
        for reference, known in self.hosts.items():
            complete = whole and self.results >= self.expected and reference not in self.failed
            self.staging.host(reference, **known, complete=complete)
