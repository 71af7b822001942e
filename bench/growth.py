"""What a scan costs from its frames to the queued operations, step by step, as ledger and scan grow.

`python -m bench.growth` folds weekly scans of 10 thousand to 1 million findings into a real store (`--findings` for
more) and measures the second, which meets a ledger of the same size: of 100 findings a host 95 are seen again, 5 are
gone, 5 are new. `--cells` does so with 40 ranges and 100 categories instead of 8 and 20, hence 4,000 tickets a week.
Nothing is delivered, everything is queued. Every size is a process of its own; making the frames is not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import wraps
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from bench.fold import CHANGED, CHECKS, FIRST, PER_HOST, _frame, exponent
from vmjira.bootstrap import Application, configure_logging
from vmjira.domain import ledger
from vmjira.domain.frames import FINDINGS, HOSTS, SEVERITIES, UNMADE, VULNERABILITIES, Scan, empty
from vmjira.domain.rulebook import Category, Network, Policy, Range, Rulebook
from vmjira.flows import foresee, ingest
from vmjira.flows.queue import Queue
from vmjira.flows.rows import RulesRow
from vmjira.settings import load_settings
from vmjira.store import SqlStore


@dataclass(frozen=True)
class Size:
    findings: int
    ranges: int = 8
    categories: int = 20

    @property
    def hosts(self) -> int:
        return self.findings // PER_HOST

    def rules(self) -> Rulebook:
        """The first category asks for ports too, the others take a family of vulnerabilities each."""
        families = [
            Category(f"c{i}", f"Family {i}", f"family = 'Family {i}' AND severity >= 'medium'")
            for i in range(1, self.categories)
        ]
        networks = [Network(ip_address(f"10.{i}.0.0"), ip_address(f"10.{i}.255.255")) for i in range(self.ranges)]
        return Rulebook(
            categories=(Category("c0", "Web", "array_contains(ports, '8443/tcp') AND family = 'Family 0'"), *families),
            ranges=tuple(Range(f"range{i}", f"Range {i}", (network,)) for i, network in enumerate(networks)),
            policy=Policy(limit_create=1_000_000, limit_close=1_000_000),
            digest="bench",
        )

    def address(self, host: pl.Series) -> pl.Expr:
        return pl.format("10.{}.{}.{}", host % self.ranges, host // self.ranges // 250, host // self.ranges % 250)


def scan(size: Size, week: int, folder: Path) -> Scan:
    """The scan of that week; its findings lie in a file, as after reading a real one."""
    end, number = FIRST + timedelta(weeks=week), pl.int_range(size.hosts, eager=True)
    hosts = {
        "host": size.address(number), "ip": size.address(number), "hostname": pl.format("pc{}.example.com", number),
        "os": pl.lit("Windows 11"), "scanned_at": pl.lit(end), "authenticated": pl.lit(value=True),
    }  # fmt: skip
    file = folder / f"{week}.parquet"
    findings(size, week).write_parquet(file)
    return Scan(
        "nessus", "nessus", f"{week + 1:016x}", None, end, _frame(hosts, HOSTS), checks(size), pl.scan_parquet(file),
        empty(UNMADE),
    )  # fmt: skip


def checks(size: Size) -> pl.DataFrame:
    number = pl.int_range(CHECKS, eager=True)
    facts = {
        "scanner": pl.lit("nessus"), "vulnerability_id": (10_000 + number).cast(pl.String),
        "title": pl.format("Vulnerability {}", number), "family": pl.format("Family {}", number % size.categories),
        "severity": _severity(number),
    }  # fmt: skip
    return _frame(facts, VULNERABILITIES)


def findings(size: Size, week: int) -> pl.DataFrame:
    row = pl.int_range(size.hosts * PER_HOST, eager=True)
    host = row // PER_HOST
    number = (host * 37 + (row % PER_HOST + week * CHANGED) * 41) % CHECKS
    ports = pl.Series(["443/tcp", "445/tcp", "8443/tcp"])
    facts = {
        "host": size.address(host), "scanner": pl.lit("nessus"), "vulnerability_id": (10_000 + number).cast(pl.String),
        "severity": _severity(number), "ports": pl.concat_list(ports.gather(host % 3)),
    }  # fmt: skip
    return _frame(facts, FINDINGS)


def _severity(number: pl.Series) -> pl.Series:
    return pl.Series(SEVERITIES[2:]).gather(number // 7 % 3)


# --- one size, in a process of its own --------------------------------------------------------------------------------


@dataclass
class Steps:
    """Seconds by step. Steps are functions of the product, wrapped while they are measured; none calls another."""

    seconds: dict[str, float] = field(default_factory=dict)

    def watch(self, step: str, owner: Any, name: str) -> None:
        inner: Callable[..., Any] = getattr(owner, name)

        @wraps(inner)
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - began

        setattr(owner, name, timed)


STEPS = {
    "load": [(ingest, "load")],
    "fold": [(ledger, "touched"), (ledger, "fold")],
    "numbers": [(foresee, "_cells"), (foresee, "_facts")],
    "plan": [(foresee, "make_plan")],
    "write": [(SqlStore, "keep_scan"), (SqlStore, "write")],
    "queue": [(Queue, "put")],
}


@contextmanager
def outside_of(size: Size) -> Iterator[tuple[Path, Any]]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        app = Application(load_settings({"VMJIRA_DATA": str(folder / "data")}, dotenv=folder / "none"))
        rules = size.rules()
        outside = replace(app.outside, rulebook=lambda files: rules)
        with outside.store.begin() as unit:
            unit.put_rules(RulesRow(rules.digest, {}, FIRST))
        yield folder, outside


def measure(size: Size) -> dict[str, Any]:
    configure_logging("error")
    with outside_of(size) as (folder, outside):
        report = ingest.Report()
        ingest.fold_in(outside, folder / "first", scan(size, 0, folder), report)
        second = scan(size, 1, folder)
        steps, before = Steps(), len(report.operations)
        for step, places in STEPS.items():
            for owner, name in places:
                steps.watch(step, owner, name)
        began = time.perf_counter()
        ingest.fold_in(outside, folder / "second", second, report)
        total = time.perf_counter() - began
        with outside.store.reading() as unit:
            tickets = len(unit.tickets())
    rest = {"rest": total - sum(steps.seconds.values())}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "total": total, "steps": steps.seconds | rest, "gib": peak, "tickets": tickets,
        "operations": len(report.operations) - before,
    }  # fmt: skip


# --- all sizes --------------------------------------------------------------------------------------------------------


def in_own_process(size: Size) -> dict[str, Any]:
    arguments = [str(size.findings), str(size.ranges), str(size.categories)]
    command = [sys.executable, "-m", "bench.growth", "--measure", *arguments]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return found


def row(size: Size) -> float:
    found = in_own_process(size)
    steps = " ".join(f"{found['steps'].get(step, 0.0):>8.2f}" for step in (*STEPS, "rest"))
    print(
        f"{size.findings:>11,} {found['tickets']:>8,} {found['operations']:>11,} {steps} {found['total']:>8.2f} "
        f"{found['gib']:>6.2f}",
        flush=True,
    )
    return float(found["total"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, default=1_000_000, help="the largest scan; the others are tenths of it")
    parser.add_argument("--cells", action="store_true", help="40 ranges and 100 categories")
    parser.add_argument("--measure", nargs=3, type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(Size(*given.measure))))
        return
    shape = {"ranges": 40, "categories": 100} if given.cells else {}
    sizes = [Size(given.findings, **shape)]
    while sizes[0].findings >= 100_000:
        sizes.insert(0, Size(sizes[0].findings // 10, **shape))
    print(
        "   findings  tickets  operations " + " ".join(f"{step:>8}" for step in (*STEPS, "rest", "all s")) + "    GiB"
    )
    times = [row(size) for size in sizes]
    if len(sizes) > 1:
        print(
            f"growth: findings to the power of {exponent([size.findings for size in sizes], times):.2f} (target 1.10)"
        )


if __name__ == "__main__":
    main()
