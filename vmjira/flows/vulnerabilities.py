"""A vulnerability to look at: its text, and the hosts on which it is open, over all ranges."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import polars as pl

from vmjira.domain.frames import CATALOGUE, EXPLOITED, LEDGER, Time, empty
from vmjira.domain.lives import OPEN
from vmjira.domain.rulebook import Rulebook
from vmjira.errors import Unknown
from vmjira.flows.knowledge import EXPLOITS, HOSTS, VULNERABILITIES, lives_of
from vmjira.flows.ports import Store

HOSTS_SHOWN = 50
_ROW = ("host", "range", "category", "severity", "first_seen", "last_seen")


def vulnerability(store: Store, scanner: str, id: str, rulebook: Rulebook, page: int) -> dict[str, Any]:
    """Unknown if no scanner told of it. Hosts: those that have had it longest come first."""
    with store.reading() as unit:
        parts = unit.ledger_parts()
    texts = store.scan(parts[VULNERABILITIES]) if VULNERABILITIES in parts else empty(CATALOGUE).lazy()
    found = texts.filter(pl.col("scanner") == scanner, pl.col("vulnerability_id") == id).collect()
    if found.is_empty():
        raise Unknown(f"vulnerability '{id}': {scanner} never told of it; look for it in the search")
    if EXPLOITS in parts:
        found = found.join(store.scan(parts[EXPLOITS]).collect(), on=["scanner", "vulnerability_id"], how="left")
    rows = _open(store.scan, tuple(lives_of(parts)), scanner, id)
    shown = rows.slice((page - 1) * HOSTS_SHOWN, HOSTS_SHOWN)
    known = store.scan(parts[HOSTS]).filter(pl.col("host").is_in(shown["host"].implode()))
    names = known.sort("observed_at").group_by("host").agg(pl.col("ip", "hostname").last()).collect()
    counts = rows.group_by("range").len().sort("len", descending=True)
    return {
        **dict.fromkeys(EXPLOITED),
        **{name: value for name, value in found.row(0, named=True).items() if name not in ("as_of", "exploits")},
        "open": rows.height,
        "ranges": [
            {"range": name, "title": rule.title if name and (rule := rulebook.range(name)) else name, "hosts": count}
            for name, count in counts.iter_rows()
        ],
        "page": page,
        "pages": max(-(-rows.height // HOSTS_SHOWN), 1),
        "hosts": shown.join(names, on="host", how="left", maintain_order="left").to_dicts(),
    }


@lru_cache(maxsize=32)
def _open(scan: Callable[[str], pl.LazyFrame], paths: tuple[str, ...], scanner: str, id: str) -> pl.DataFrame:
    """What is written at a path never changes."""
    mine = (pl.col("vulnerability_id") == id) & (pl.col("scanner") == scanner) & OPEN
    rows = pl.collect_all([scan(path).filter(mine).select(_ROW) for path in paths])
    return pl.concat([empty(LEDGER).select(_ROW), *rows]).sort(pl.col("first_seen").cast(Time), "host")
