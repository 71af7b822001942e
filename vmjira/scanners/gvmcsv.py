"""CSV results of GVM and OpenVAS."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from vmjira.domain.frames import SEVERITIES
from vmjira.scanners import values
from vmjira.scanners.content import Content
from vmjira.scanners.format import Head, Observed
from vmjira.scanners.gvm_results import THREATS
from vmjira.scanners.rows import Row, rows
from vmjira.scanners.staging import Staging

NAME = "gvm-csv"
SCANNER = "gvm"


def recognise(head: Head) -> bool:
    return {"IP", "NVT Name", "NVT OID", "Timestamp"} <= set(head.columns)


def read(content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
    hosts: dict[str, dict[str, Any]] = {}
    ends: list[datetime] = []
    for number, row in rows(content):
        at = values.time(row.get("Timestamp"), zone)
        ends += [at] if at else []
        reference = row["IP"].strip() or row.get("Hostname", "").strip()
        known = hosts.setdefault(reference, {"ip": values.address(reference), "hostname": None, "scanned_at": None})
        known["hostname"] = known["hostname"] or values.text(row.get("Hostname"))
        known["scanned_at"] = values.higher(known["scanned_at"], at)
        _result(number, reference, row, staging)
    if not ends:
        raise content.refuse("holds no result with a time, so nobody knows when this was; export the report as XML")
    for reference, known in hosts.items():
        staging.host(reference, **known)
    return Observed(max(ends), min(ends))


def _result(number: int, host: str, row: Row, staging: Staging) -> None:
    oid, severity = row["NVT OID"].strip(), _severity(row)
    staging.records[severity or "unknown"] += 1
    try:
        port = values.port(row.get("Port"), row.get("Port Protocol"))
    except ValueError as error:
        return staging.bad_record(f"line {number}, NVT '{oid[:60]}': {error}")
    if not host or not oid or severity not in SEVERITIES:
        wrong = "no host" if not host else "no NVT" if not oid else "no severity that makes sense"
        return staging.bad_record(f"line {number}, NVT '{oid[:60]}': {wrong}")
    if not staging.knows(oid):
        staging.vulnerability(oid, _text(row))
    return staging.finding(host, oid, port=port, severity=severity, output=values.text(row.get("Specific Result")))


def _severity(row: Row) -> str | None:
    score = values.score(row.get("CVSS"))
    return values.cvss_band(score) if score is not None else THREATS.get(row.get("Severity", "").strip().lower())


def _text(row: Row) -> dict[str, Any]:
    parts = (row.get(name, "").strip() for name in ("Vulnerability Insight", "Impact", "Affected Software/OS"))
    return {
        "title": values.text(row["NVT Name"]),
        "cvss2": values.score(row.get("CVSS")),
        "cves": values.cves(row.get("CVEs")),
        "solution": values.text(row.get("Solution")),
        "description": "\n\n".join(filter(None, parts)) or None,
        "synopsis": values.text(row.get("Summary")),
        "references": values.lines([row.get("Other References", "").replace(",", "\n")]),
    }
