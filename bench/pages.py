"""How long pages take to their first byte on a large ledger, served by gunicorn as in real life.

`python -m bench.pages --findings 10000000` makes a ledger of that many findings (100 a host, 20 categories, 8 ranges)
by two scans, starts the server on it, and asks for each page: first in a fresh process ("cold"), then again. `--keep
FOLDER` keeps the ledger there, and uses one that is there already.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from socket import socket
from typing import Any

import polars as pl

from bench.fold import PER_HOST, findings, scan
from vmjira import rulefiles
from vmjira.flows.ingest import ingest
from vmjira.flows.ports import Outside
from vmjira.flows.readahead import ReadAhead
from vmjira.rendering import Renderer
from vmjira.store import SqlStore, open_store

RULES = {
    "categories.yaml": "categories:\n"
    "  - {id: web, title: Web servers, where: \"severity = 'critical'\", due: 14d}\n"
    + "".join(
        f"  - {{id: c{i}, title: Family {i}, due: 30d, where: \"family = 'Family {i}' AND severity >= 'medium'\"}}\n"
        for i in range(19)
    ),
    "ranges.yaml": "ranges:\n"
    + "".join(f"  - {{id: range{i}, title: Range {i}, networks: [10.{i}.0.0/16]}}\n" for i in range(8)),
    "policy.yaml": "ticket: {project: VM}\nlimits: {create: 100000, close: 100000}\n",
}
TICKET = "c3.range3.2026-W23"
PAGES = (
    "/", "/tickets", "/cells/c3/range3", f"/tickets/{TICKET}", f"/tickets/{TICKET}?state=open&page=40",
    "/hosts/10.3.0.7", "/vulnerabilities/nessus/10042", "/search?q=10.3.0", "/search?q=Vulnerability%2042",
    "/operations", "/events", "/rules", "/scanners", "/acceptances", "/api/overview", f"/api/tickets/{TICKET}/findings",
    f"/tickets/{TICKET}/own.csv",
)  # fmt: skip


@dataclass
class Nowhere:
    """A queue that nobody works off."""

    waiting: list[str] = field(default_factory=list)

    def put(self, unit: Any, operations: Any) -> None:
        self.waiting += [row.id for row in operations]


def make(folder: Path, hosts: int) -> None:
    (folder / "rules").mkdir(parents=True)
    for name, text in RULES.items():
        (folder / "rules" / name).write_text(text)
    store = _store(folder)
    store.upgrade()
    outside = Outside(
        store=store, queue=Nowhere(), renderer=Renderer(), tracker=lambda: None, tickets=ReadAhead(store),
        rulebook=rulefiles.load_texts, clock=lambda: datetime.now(UTC),
    )  # type: ignore[arg-type]  # fmt: skip
    for week in range(2):
        file = folder / f"week{week}.parquet"
        findings(hosts, week).write_parquet(file)
        one = replace(scan(hosts, week, pl.scan_parquet(file)), digest=f"week{week}")
        began = time.perf_counter()
        report = ingest(outside, [file], lambda _, one=one: [one], lambda: rulefiles.load_texts(RULES))
        print(f"week {week}: {report.scans[0]['outcome']} in {time.perf_counter() - began:.0f} s", flush=True)
        file.unlink()
    store.close()


def _store(folder: Path) -> SqlStore:
    return open_store(f"sqlite:///{folder}/data/vmjira.db", str(folder / "data"))


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    settings = {"VMJIRA_DATA": str(folder / "data"), "VMJIRA_RULES": str(folder / "rules"), "VMJIRA_LOG": "error"}
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("JIRA_", "VMJIRA_"))}
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "32", "--log-level",
               "error", "vmjira.webapp:web_app()"]  # fmt: skip
    process = subprocess.Popen(command, env={**environ, **settings})
    try:
        while True:
            with suppress(OSError):
                if _ask(port, "/healthz")[0] == 200:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _ask(port: int, path: str) -> tuple[int, float, int]:
    """Status, seconds to the first byte, bytes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    began = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    first = answer.read(1)
    took = time.perf_counter() - began
    size = len(first) + len(answer.read())
    connection.close()
    return answer.status, took, size


def measure(folder: Path) -> None:
    cold: dict[str, list[float]] = {path: [] for path in PAGES}
    with serving(folder) as port:
        _ask(port, "/")  # the first request of a process opens the database and imports what is left
        for path in PAGES:
            cold[path].append(_ask(port, path)[1])
        print(f"{'page':45} {'first':>8} {'again':>8} {'bytes':>10}")
        for path in PAGES:
            answers = [_ask(port, path) for _ in range(5)]
            again = statistics.median(took for _, took, _ in answers)
            assert {status for status, _, _ in answers} == {200}, (path, answers)
            print(f"{path:45} {cold[path][0] * 1000:5.0f} ms {again * 1000:5.0f} ms {answers[0][2]:>10,}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vmjira-bench-") as name:
        folder = given.keep or Path(name)
        if not (folder / "data").exists():
            make(folder, given.findings // PER_HOST)
        measure(folder)


if __name__ == "__main__":
    main()
