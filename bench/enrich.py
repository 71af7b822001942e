"""What enrichment costs: python -m bench.enrich [--findings N] [--vulnerabilities N] [--cves N]

Joins the exploitation of CVEs to the catalogue, and folds a second scan with and without it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl

from vmjira.domain.exploitation import by_cve, renew
from vmjira.domain.frames import CATALOGUE, FINDINGS, HOSTS, UNMADE, VULNERABILITIES, Scan, Schema, empty
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.ledger import fold
from vmjira.rulefiles import load_texts

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
CATEGORIES = """
categories:
  - {{id: first, title: First, where: "{where}"}}
  - {{id: other, title: Other, where: severity >= 'low'}}
"""
RANGES = "ranges: [{id: all, title: All, networks: [10.0.0.0/8], ticket: {project: VM}}]\n"
PER_VULNERABILITY = 3  # CVEs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, default=1_000_000)
    parser.add_argument("--vulnerabilities", type=int, default=50_000)
    parser.add_argument("--cves", type=int, default=300_000)
    given = parser.parse_args()
    texts, cves = vulnerabilities(given.vulnerabilities, given.cves), catalogues(given.cves)
    known = Knowledge(vulnerabilities=texts.with_columns(as_of=pl.lit(START)).cast(CATALOGUE), cves=cves)
    seconds, _ = measured(lambda: renew(renew(known)))
    print(f"join of {given.vulnerabilities:,} vulnerabilities with {given.cves:,} CVEs: {seconds / 2:.3f} s")
    for name, where, data in (
        ("without", "exploit_available", cves.clear()),
        ("with", "kev OR epss >= 0.3", cves),
    ):
        rules = load_texts({"categories.yaml": CATEGORIES.format(where=where), "ranges.yaml": RANGES})
        first = fold(Knowledge(cves=data), scan(0, texts, given.findings), rules).knowledge
        second = scan(1, texts, given.findings)
        seconds, _ = measured(lambda first=first, second=second, rules=rules: fold(first, second, rules))
        print(f"fold of {given.findings:,} findings {name}: {seconds:.2f} s")


def measured(work: Callable[[], object]) -> tuple[float, object]:
    """The best of three, in seconds."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        found = work()
        best = min(best, time.perf_counter() - began)
    return best, found


def catalogues(count: int) -> pl.DataFrame:
    cve = pl.format("CVE-2030-{}", pl.int_range(count) + 100_000)
    scores = pl.select(cve=cve, epss=(pl.int_range(count) % 997) / 1000)
    return by_cve(scores.head(1_500).select("cve", kev_due=pl.lit(START.date())), scores)


def vulnerabilities(count: int, cves: int) -> pl.DataFrame:
    at = pl.int_range(count)
    names = [pl.format("CVE-2030-{}", (at * 7 + step * 13) % cves + 100_000) for step in range(PER_VULNERABILITY)]
    return _frame(
        {
            "scanner": pl.repeat("nessus", count),
            "vulnerability_id": at.cast(pl.String),
            "severity": pl.repeat("high", count),
            "cves": pl.concat_list(names),
            "exploit_available": at % 30 == 0,
            "description": pl.repeat("Described in so many words. " * 40, count),
        },
        VULNERABILITIES,
    )


def scan(number: int, texts: pl.DataFrame, findings: int) -> Scan:
    hosts, end = findings // 100, START + timedelta(days=number)
    address = pl.format("10.{}.{}.1", pl.int_range(hosts) // 256, pl.int_range(hosts) % 256)
    at = pl.int_range(hosts * 100)
    host = pl.format("10.{}.{}.1", at // 100 // 256, at // 100 % 256)
    found = {
        "host": host,
        "scanner": pl.repeat("nessus", hosts * 100),
        "vulnerability_id": (at * 31 % texts.height).cast(pl.String),
        "severity": pl.repeat("high", hosts * 100),
        "ports": pl.concat_list(pl.repeat("445/tcp", hosts * 100)),
    }
    about = {"host": address, "ip": address, "scanned_at": pl.repeat(end, hosts)}
    return Scan(
        scanner="nessus", format="nessus", digest=str(number), started_at=None, finished_at=end,
        hosts=_frame(about, HOSTS), vulnerabilities=texts, findings=_frame(found, FINDINGS).lazy(),
        unmade=empty(UNMADE),
    )  # fmt: skip


def _frame(columns: dict[str, pl.Expr], schema: Schema) -> pl.DataFrame:
    rows = pl.select(**columns)
    missing = [pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in columns]
    return rows.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in schema.items())


if __name__ == "__main__":
    main()
