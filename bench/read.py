"""Reading a large .nessus file against a bare expat pass over the same bytes: `python -m bench.read --size-mb 300`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.make_nessus import document

EXPAT = """
import pyexpat
def work(path, into):
    with open(path, 'rb') as file:
        pyexpat.ParserCreate().ParseFile(file)
"""
READ = """
from pathlib import Path
from zoneinfo import ZoneInfo
from vmjira.scanners.registry import read_scan
def work(path, into):
    read_scan(Path(path), Path(into), timezone=ZoneInfo('UTC'))
"""
MEASURE = """
import json, resource, sys, time
began = time.perf_counter()
work(*sys.argv[1:])
seconds = time.perf_counter() - began
print(json.dumps({'seconds': seconds, 'mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def measured(code: str, path: Path, into: Path) -> dict[str, float]:
    """One run in a process of its own; imports are not counted, as expat has none."""
    done = subprocess.run(
        [sys.executable, "-c", code + MEASURE, path, into], check=True, capture_output=True, text=True
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def best(runs: list[dict[str, float]]) -> tuple[float, float]:
    return min(run["seconds"] for run in runs), max(run["mib"] for run in runs)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size-mb", type=int, default=300)
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.nessus"
        with path.open("w", encoding="utf-8") as out:
            out.writelines(document(chosen.size_mb * 1_000_000))
        expat, reading = [], []
        for run in range(chosen.runs):
            expat.append(measured(EXPAT, path, Path(folder)))
            reading.append(measured(READ, path, Path(folder) / f"run-{run}"))
        seconds, mib = best(expat)
        our_seconds, our_mib = best(reading)
        print(f"{path.stat().st_size / 1e6:.0f} MB, best of {chosen.runs}")
        print(f"bare expat  {seconds:6.2f} s  {mib:6.0f} MiB")
        print(f"read_scan   {our_seconds:6.2f} s  {our_mib:6.0f} MiB   {our_seconds / seconds:.2f} times expat")


if __name__ == "__main__":
    main()
