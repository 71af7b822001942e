"""How long folding a scan into the ledger takes, and how much memory, beside the least that any program must do.

`python bench/fold.py --findings 1000000` folds a scan of that many findings into a ledger of as many (100 a host, 95
seen again, 5 absent, 5 new) and writes the new ledger as Parquet. The floor, in the same run: the bare full join of the
same frames, written the same way. `--growth` repeats it from 10 thousand findings on and fits the exponent of the
growth. Every measurement is a process of its own; the times exclude reading the input.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import polars as pl

from vmjira.domain.frames import FINDINGS, HOSTS, SEVERITIES, UNMADE, VULNERABILITIES, Scan, empty
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.ledger import fold
from vmjira.domain.rulebook import Category, Network, Range, Rulebook

PER_HOST, CHANGED, CHECKS = 100, 5, 5_000
FIRST = datetime(2026, 6, 1, 12, tzinfo=UTC)
PARTS = ("lives", "hosts", "vulnerabilities", "iterations")

RULES = Rulebook(
    categories=(
        Category("web", "Web servers", "array_contains(ports, '8443/tcp') AND severity = 'critical'"),
        *(Category(f"c{i}", f"Family {i}", f"family = 'Family {i}' AND severity >= 'medium'") for i in range(19)),
    ),
    ranges=tuple(
        Range(f"range{i}", f"Range {i}", (Network(ip_address(f"10.{i}.0.0"), ip_address(f"10.{i}.255.255")),))
        for i in range(8)
    ),
)


def scan(hosts: int, week: int, findings: pl.LazyFrame) -> Scan:
    end = FIRST + timedelta(weeks=week)
    return Scan(
        "nessus", "nessus", f"week {week}", None, end, hosts_at(end, hosts), checks(), findings, empty(UNMADE)
    )  # fmt: skip


def hosts_at(end: datetime, hosts: int) -> pl.DataFrame:
    number = pl.int_range(hosts, eager=True)
    facts = {
        "host": _address(number), "ip": _address(number), "hostname": pl.format("pc{}.example.com", number),
        "os": pl.lit("Windows 11"), "scanned_at": pl.lit(end), "authenticated": pl.lit(value=True),
    }  # fmt: skip
    return _frame(facts, HOSTS)


def checks() -> pl.DataFrame:
    number = pl.int_range(CHECKS, eager=True)
    facts = {
        "scanner": pl.lit("nessus"), "vulnerability_id": _check(number), "title": pl.format("Vulnerability {}", number),
        "family": pl.format("Family {}", number % 23), "severity": pl.Series(SEVERITIES[1:]).gather(number % 4),
    }  # fmt: skip
    return _frame(facts, VULNERABILITIES)


def findings(hosts: int, week: int) -> pl.DataFrame:
    """The findings of that week: each host loses `CHANGED` and gets as many new ones, week by week."""
    row = pl.int_range(hosts * PER_HOST, eager=True)
    host = row // PER_HOST
    number = (host * 37 + (row % PER_HOST + week * CHANGED) * 41) % CHECKS
    ports = pl.Series(["443/tcp", "445/tcp", "8443/tcp"])
    facts = {
        "host": _address(host), "scanner": pl.lit("nessus"), "vulnerability_id": _check(number),
        "severity": pl.Series(SEVERITIES[1:]).gather(number % 4), "ports": pl.concat_list(ports.gather(number % 3)),
    }  # fmt: skip
    return _frame(facts, FINDINGS)


def _address(number: pl.Series) -> pl.Expr:
    return pl.format("10.{}.{}.{}", number % 8, number // 8 // 250, number // 8 % 250)


def _check(number: pl.Series) -> pl.Series:
    return (10_000 + number).cast(pl.String)


def _frame(columns: dict[str, pl.Series | pl.Expr], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    rows = pl.select(**columns)
    missing = [pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in columns]
    return rows.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in schema.items())


# --- what is measured, each in a process of its own


def prepare(folder: Path, hosts: int) -> float:
    """The knowledge after the first scan, and the findings of the second."""
    knowledge = fold(Knowledge(), scan(hosts, 0, findings(hosts, 0).lazy()), RULES).knowledge
    for part in PARTS:
        getattr(knowledge, part).write_parquet(folder / f"{part}.parquet")
    findings(hosts, 1).write_parquet(folder / "findings.parquet")
    return 0.0


def ours(folder: Path, hosts: int) -> float:
    knowledge = Knowledge(*(pl.read_parquet(folder / f"{part}.parquet") for part in PARTS))
    second = scan(hosts, 1, pl.read_parquet(folder / "findings.parquet").lazy())
    began = time.perf_counter()
    fold(knowledge, second, RULES).knowledge.lives.write_parquet(folder / "ours.parquet", compression="zstd")
    return time.perf_counter() - began


def floor(folder: Path, hosts: int) -> float:
    heads = pl.read_parquet(folder / "lives.parquet")
    found = pl.read_parquet(folder / "findings.parquet").select("host", "vulnerability_id", "severity", "ports")
    began = time.perf_counter()
    joined = heads.join(found, on=["host", "vulnerability_id"], how="full", coalesce=True)
    joined.write_parquet(folder / "floor.parquet", compression="zstd")
    return time.perf_counter() - began


def measure(name: str, folder: Path, hosts: int) -> tuple[float, float]:
    """Seconds, and the peak of the process' memory in GiB."""
    command = [
        sys.executable,
        __file__,
        "--measure",
        name,
        "--folder",
        str(folder),
        "--findings",
        str(hosts * PER_HOST),
    ]
    answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return answer["seconds"], answer["gib"]


def compare(findings: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder, hosts = Path(name), findings // PER_HOST
        measure("prepare", folder, hosts)
        (least, least_gib), (seconds, gib) = (measure(which, folder, hosts) for which in ("floor", "ours"))
    print(f"{findings:>12,} {least:>9.2f} s {least_gib:>7.2f} {seconds:>9.2f} s {gib:>7.2f} {seconds / least:>7.2f}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, default=1_000_000)
    parser.add_argument("--growth", action="store_true", help="from 10 thousand findings on, times ten")
    parser.add_argument("--measure", choices=["prepare", "ours", "floor"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        seconds = globals()[given.measure](given.folder, given.findings // PER_HOST)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"seconds": seconds, "gib": peak}))
        return
    print("    findings       floor     GiB        ours     GiB   ratio")
    sizes = [given.findings]
    while given.growth and sizes[0] >= 100_000:
        sizes.insert(0, sizes[0] // 10)
    times = [compare(size) for size in sizes]
    if len(sizes) > 1:
        print(f"growth: findings to the power of {exponent(sizes, times):.2f}")


def exponent(sizes: list[int], times: list[float]) -> float:
    """The slope of the line through the logarithms."""
    points = [(math.log(size), math.log(seconds)) for size, seconds in zip(sizes, times, strict=True)]
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


if __name__ == "__main__":
    main()
