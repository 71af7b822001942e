"""The CSV that vmjira attaches to its tickets, read back."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from vmjira.domain.frames import ENDINGS, SEVERITIES
from vmjira.scanners import values
from vmjira.scanners.content import Content
from vmjira.scanners.format import Head, Observed
from vmjira.scanners.rows import Row, rows
from vmjira.scanners.staging import Staging

NAME = "vmjira-csv"
SCANNER = "csv"
COLUMNS = (
    "ip-address", "hostname", "category of vulnerability", "vulnerability id", "vulnerability title",
    "vulnerability description", "severity", "cvss", "cves", "exploit available", "ports", "solution", "state",
    "first seen", "last seen", "fixed at", "ticket",
)  # fmt: skip
#: What a spreadsheet would take for the start of a formula has a `'` before it.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def recognise(head: Head) -> bool:
    return head.columns == COLUMNS


def read(content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
    hosts: dict[tuple[str, str], dict[str, Any]] = {}
    ends: list[datetime] = []
    for number, escaped in rows(content):
        row = {name: _without_guard(value) for name, value in escaped.items()}
        seen = values.time(row.get("last seen"), zone)
        ends += [seen] if seen else []
        key = (row["ip-address"], row.get("hostname", ""))
        host = hosts.setdefault(key, {"reference": str(len(hosts) + 1), "scanned_at": None})
        host["scanned_at"] = values.higher(host["scanned_at"], seen)
        _row(number, host["reference"], row, staging)
    if not ends:
        raise content.refuse("no row has a readable `last seen`, so nobody knows when this was; attach the file afresh")
    for (ip, hostname), host in hosts.items():
        staging.host(**host, ip=values.address(ip), hostname=hostname or None)
    return Observed(max(ends))


def _without_guard(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def _row(number: int, host: str, row: Row, staging: Staging) -> None:
    key, severity = row.get("vulnerability id", ""), row.get("severity", "")
    staging.records[severity if severity in SEVERITIES else "unknown"] += 1
    try:
        ports = [_port(written) for written in _list(row.get("ports"))]
    except ValueError as error:
        return staging.bad_record(f"line {number}, vulnerability '{key[:60]}': {error}")
    if not key or severity not in SEVERITIES or not (row["ip-address"] or row.get("hostname")):
        wrong = f"severity '{severity[:40]}' is none" if key else "no vulnerability id"
        return staging.bad_record(f"line {number}, vulnerability '{key[:60]}': {wrong}")
    if row.get("state") in ENDINGS:
        return None
    if not staging.knows(key):
        staging.vulnerability(key, _text(row))
    for port in ports or [None]:
        staging.finding(host, key, port=port, severity=severity, output=None)
    return None


def _port(written: str) -> str | None:
    number, _, protocol = written.partition("/")
    return values.port(number, protocol)


def _list(cell: str | None) -> list[str]:
    return [part for part in (cell or "").split(", ") if part]


def _text(row: Row) -> dict[str, Any]:
    return {
        "title": row.get("vulnerability title") or row["vulnerability id"],
        "cvss3": values.score(row.get("cvss")),
        "cves": values.cves(row.get("cves")),
        "exploit_available": {"yes": True, "true": True, "no": False, "false": False}.get(
            row.get("exploit available", "").lower()
        ),
        "solution": row.get("solution") or None,
        "description": row.get("vulnerability description") or None,
    }
