"""How long the preview of a change of rules takes on a large ledger, and the change itself, with the memory they need.

`python bench/preview.py --findings 10000000`: 100 findings a host, 8 ranges, 20 categories, Parquet on disk. The change
makes a range of a part of another one and takes a family out of its category, so that about a sixth of all move.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import polars as pl

from bench.fold import FIRST, PER_HOST, RULES, findings, scan
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.ledger import fold
from vmjira.domain.rulebook import Category, Network, Range
from vmjira.flows.foresee import foresee_rules
from vmjira.flows.knowledge import BEFORE, HOSTS, ITERATION_NAMES, VULNERABILITIES, Base
from vmjira.flows.preview import of_rules

LAB = Range("lab", "Laboratory", (Network(ip_address("10.1.0.0"), ip_address("10.1.127.255")),))
CHANGED = replace(
    RULES,
    digest="changed",
    ranges=(*RULES.ranges, LAB),
    categories=tuple(
        Category(each.id, each.title, each.where.replace("'medium'", "'high'")) if each.id in ("c1", "c2") else each
        for each in RULES.categories
    ),
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--findings", type=int, default=1_000_000)
    hosts = options.parse_args().findings // PER_HOST
    with tempfile.TemporaryDirectory() as folder:
        base = stored(Path(folder), hosts)
        began = time.perf_counter()
        outcome = foresee_rules(
            base, CHANGED, lambda category, range_, iteration, name: "", at=FIRST + timedelta(days=9), before=RULES
        )
        changed = time.perf_counter()
        said = of_rules(base, outcome, CHANGED, RULES)
        done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    sys.stdout.write(
        f"{hosts * PER_HOST} findings, {said['moves']['findings']} move: change {changed - began:.1f} s, "
        f"what the preview adds {done - changed:.1f} s; peak {peak:.1f} GiB with making the data\n"
    )


def stored(folder: Path, hosts: int) -> Base:
    """The knowledge after one scan, as files; read again whenever it is asked for."""
    known = fold(Knowledge(), scan(hosts, 0, findings(hosts, 0).lazy()), RULES).knowledge
    parts = {
        HOSTS: known.hosts,
        VULNERABILITIES: known.vulnerabilities,
        ITERATION_NAMES: known.iterations,
        BEFORE: known.baseline,
        **{name or "": frame for (name,), frame in known.lives.partition_by("range", as_dict=True).items()},
    }
    for name, frame in parts.items():
        frame.write_parquet(folder / f"{name}.parquet")
    empty = known.lives.clear()
    paths = {name: folder / f"{name}.parquet" for name in parts}
    return Base(1, lambda name: pl.read_parquet(paths[name]) if name in paths else empty, frozenset(parts))


if __name__ == "__main__":
    main()
