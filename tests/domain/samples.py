"""Small scans and rule books for the tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import polars as pl

from vmjira.domain.frames import FINDINGS, HOSTS, UNMADE, VULNERABILITIES, Scan
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.ledger import fold
from vmjira.domain.rulebook import Category, Network, Range, Rulebook

START = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a Monday, in week 23


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def network(first: str, last: str | None = None) -> Network:
    return Network(ip_address(first), ip_address(last or first))


BOSTON = Range("boston", "Boston Office", (network("10.1.0.0", "10.1.255.255"),))
LAB = Range("lab", "Laboratory", (network("10.1.5.0", "10.1.5.255"),))
WINDOWS = Category("windows", "Windows", "family = 'Windows'")
HIGH = Category("high", "High and worse", "severity >= 'high'")
RULES = Rulebook(categories=(WINDOWS, HIGH), ranges=(BOSTON, LAB))


def host(ref: str, **facts: Any) -> dict[str, Any]:
    return {"host": ref, "ip": ref, "authenticated": True, **facts}


def finding(host: str, vulnerability: str, severity: str = "high", ports: Iterable[str] = ()) -> dict[str, Any]:
    return {"host": host, "vulnerability_id": vulnerability, "severity": severity, "ports": sorted(ports)}


def scan(
    end: datetime,
    hosts: Iterable[dict[str, Any] | str],
    findings: Iterable[dict[str, Any]] = (),
    *,
    scanner: str = "nessus",
    texts: Mapping[str, Mapping[str, Any]] | None = None,
    unmade: Iterable[tuple[str, str]] = (),
    **facts: Any,
) -> Scan:
    """Hosts without a time were scanned at the end; checks without text belong to the family Windows."""
    rows = [{"scanned_at": end, **(host(one) if isinstance(one, str) else one)} for one in hosts]
    found = [{"scanner": scanner, **one} for one in findings]
    about = {one["vulnerability_id"]: {"family": "Windows", "severity": one["severity"]} for one in found}
    about |= {id: {**about.get(id, {}), **text} for id, text in (texts or {}).items()}
    vulnerabilities = [{"scanner": scanner, "vulnerability_id": id, **text} for id, text in about.items()]
    return Scan(
        scanner=scanner,
        format=scanner,
        digest=f"{scanner} {end}",
        started_at=None,
        finished_at=end,
        hosts=pl.DataFrame(rows, schema=HOSTS),
        vulnerabilities=pl.DataFrame(vulnerabilities, schema=VULNERABILITIES),
        findings=pl.DataFrame(found, schema=FINDINGS).lazy(),
        unmade=pl.DataFrame(list(unmade), schema=UNMADE, orient="row"),
        **facts,
    )


def fold_all(*scans: Scan, rules: Rulebook = RULES, start: Knowledge | None = None) -> Knowledge:
    knowledge = start or Knowledge()
    for one in scans:
        knowledge = fold(knowledge, one, rules).knowledge
    return knowledge
