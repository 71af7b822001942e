"""Nexpose and InsightVM: XML Export 2.0 and 1.0 (`NexposeReport`)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from lxml import etree

from vmjira.scanners import values
from vmjira.scanners.content import Content
from vmjira.scanners.format import Head, Observed
from vmjira.scanners.staging import Staging
from vmjira.scanners.xmlstream import elements

NAME = "nexpose"
SCANNER = "nexpose"
WANTED = (("scans", "scan"), ("nodes", "node"), ("VulnerabilityDefinitions", "vulnerability"))
FOUND = frozenset({"vulnerable-exploited", "vulnerable-version", "vulnerable-potential", "potential", "vulnerable"})
ABSENT = "not-vulnerable"


def recognise(head: Head) -> bool:
    return head.xml is not None and head.xml.root == "NexposeReport"


def read(content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
    reader = _Reader(staging, zone)
    for element in elements(content, *WANTED):
        {"scan": reader.scan, "node": reader.node, "vulnerability": reader.definition}[str(element.tag)](element)
    return reader.observed(content)


def band(score: int) -> str:
    """0 to 10, as the console groups them: Moderate, Severe, Critical."""
    return "info" if score <= 0 else "medium" if score <= 3 else "high" if score <= 7 else "critical"


class _Reader:
    def __init__(self, staging: Staging, zone: ZoneInfo) -> None:
        self.staging, self.zone = staging, zone
        self.nodes = 0
        self.starts: list[datetime] = []
        self.ends: dict[str, datetime] = {}  # by scan
        self.finished: dict[str, bool] = {}

    def scan(self, scan: etree._Element) -> None:
        key = scan.get("id", "")
        start, end = (values.time(scan.get(name), self.zone) for name in ("startTime", "endTime"))
        self.starts += [start] if start else []
        self.ends |= {key: end} if end else {}
        self.finished[key] = scan.get("status", "").lower() == "finished"

    def node(self, node: etree._Element) -> None:
        if node.get("status", "").lower() != "alive":
            return
        self.nodes += 1
        reference = str(self.nodes)
        tests = list(_tests(node))
        for port, test in tests:
            self._test(reference, port, test)
        scans = {test.get("scan-id", "") for _, test in tests} & self.finished.keys() or self.finished.keys()
        self.staging.host(
            reference,
            **_identity(node),
            scanned_at=max((self.ends[key] for key in scans if key in self.ends), default=None),
            complete=all(self.finished[key] for key in scans) if scans else None,
        )

    def _test(self, reference: str, port: etree._Element | None, test: etree._Element) -> None:
        key, status = test.get("id", "").lower(), test.get("status", "").lower()
        if status == ABSENT:
            return
        if status not in FOUND:
            # Error, skipped, unknown; or an accepted exception, which proves no repair either.
            self.staging.unmade(reference, key)
            return
        try:
            at = values.port(port.get("port"), port.get("protocol")) if port is not None else None
        except ValueError as error:
            self._bad(test, str(error))
            return
        if key:
            self.staging.finding(reference, key, port=at, severity=None, output=values.prose(test))
        else:
            self._bad(test, "has no id")

    def _bad(self, test: etree._Element, reason: str) -> None:
        self.staging.records["unknown"] += 1
        self.staging.bad_record(f"line {test.sourceline}, test '{test.get('id', '')[:80]}': {reason}")

    def definition(self, definition: etree._Element) -> None:
        key, severity = definition.get("id", "").lower(), definition.get("severity", "").strip()
        if key and severity.isascii() and severity.isdigit() and int(severity) <= 10:
            self.staging.rate(key, band(int(severity)))
        self.staging.vulnerability(key, _text(definition, key))

    def observed(self, content: Content) -> Observed:
        if not self.ends:
            raise content.refuse("no scan in it has an end that makes sense; export a finished scan")
        return Observed(max(self.ends.values()), min(self.starts, default=None))


def _tests(node: etree._Element) -> Iterator[tuple[etree._Element | None, etree._Element]]:
    for test in node.iterfind("tests/test"):
        yield None, test
    for endpoint in node.iterfind("endpoints/endpoint"):
        for test in endpoint.iter("test"):
            yield endpoint, test


def _identity(node: etree._Element) -> dict[str, Any]:
    address = node.get("address")
    systems = sorted(node.iterfind("fingerprints/os"), key=lambda system: values.score(system.get("certainty")) or 0)
    words = [systems[-1].get(name, "") for name in ("vendor", "product", "version")] if systems else []
    return {
        "ip": values.address(address),
        "hostname": values.text(node.findtext("names/name")),
        "mac": values.mac(node.get("hardware-address")),
        "os": " ".join(dict.fromkeys(filter(None, words))) or None,
    }


def _text(definition: etree._Element, key: str) -> dict[str, Any]:
    references = [(reference.get("source", ""), reference.text or "") for reference in definition.iter("reference")]
    exploits = [f"{item.get('type', '')}: {item.get('title', '')}".strip(": ") for item in definition.iter("exploit")]
    exploits += [
        f"malware: {item.get('name') or (item.text or '').strip()}" for item in definition.iterfind("malware/*")
    ]
    return {
        "title": definition.get("title") or key,
        "family": ", ".join(filter(None, ((tag.text or "").strip() for tag in definition.iterfind("tags/tag"))))
        or None,
        "cvss2": values.score(definition.get("cvssScore")),
        "cvss3": values.score(definition.get("cvssV3Score")),
        "cves": values.cves(*(text for source, text in references if source.upper() == "CVE")),
        "exploit_available": bool(exploits),
        "exploits": exploits,
        "solution": values.prose(definition.find("solution")),
        "description": values.prose(definition.find("description")),
        "published": values.day(definition.get("published")),
        "references": values.lines(text if source == "URL" else f"{source}:{text}" for source, text in references),
    }
