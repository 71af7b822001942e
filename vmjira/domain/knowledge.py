"""All that is known, as frames, and what an observation adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import polars as pl

from vmjira.domain.classify import newest
from vmjira.domain.frames import (
    BASELINE,
    CATALOGUE,
    CVES,
    EXPLOITATION,
    ITERATIONS,
    KNOWN_HOSTS,
    LEDGER,
    ROUNDS,
    Schema,
    empty,
)
from vmjira.domain.iterations import NO_RANGE

#: What is kept once for all ranges: part → columns of its frame. All other parts hold LEDGER rows of one range.
PARTS: Mapping[str, Schema] = {
    "_hosts": KNOWN_HOSTS,
    "_vulnerabilities": CATALOGUE,
    "_iterations": ITERATIONS,
    "_baseline": BASELINE,
    "_exploitation": EXPLOITATION,
    "_rounds": ROUNDS,
}


def conform(frame: pl.LazyFrame, part: str) -> pl.LazyFrame:
    """A part as an earlier program wrote it, with the columns of today: null where it did not keep them."""
    schema, found = PARTS.get(part, LEDGER), frame.collect_schema()
    if dict(found) == schema or not found.keys() <= schema.keys():
        return frame
    missing = [pl.lit(_BEFORE.get(name), kind).alias(name) for name, kind in schema.items() if name not in found]
    return frame.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in schema.items())


#: What the columns that an earlier program did not know were then, if not null.
_BEFORE = {"begun": True}


@dataclass(frozen=True)
class Knowledge:
    """All that is known. The order of rows carries no meaning anywhere."""

    lives: pl.DataFrame = field(default_factory=partial(empty, LEDGER))  # may be only the ranges that matter
    hosts: pl.DataFrame = field(default_factory=partial(empty, KNOWN_HOSTS))  # all
    vulnerabilities: pl.DataFrame = field(default_factory=partial(empty, CATALOGUE))  # all
    iterations: pl.DataFrame = field(default_factory=partial(empty, ITERATIONS))  # all
    baseline: pl.DataFrame = field(default_factory=partial(empty, BASELINE))  # all
    rounds: pl.DataFrame = field(default_factory=partial(empty, ROUNDS))  # all
    exploitation: pl.DataFrame = field(default_factory=partial(empty, EXPLOITATION))  # all; as of the newest change …
    cves: pl.DataFrame = field(default_factory=partial(empty, CVES))  # … and what the next one takes it from

    @property
    def texts(self) -> pl.DataFrame:
        """`vulnerabilities` with the columns EXPLOITED: all that is known of each check."""
        key = ["scanner", "vulnerability_id"]
        return self.vulnerabilities.join(self.exploitation, on=key, how="left", maintain_order="left")


def newer(hosts: pl.DataFrame, known: pl.DataFrame, scanner: str) -> pl.DataFrame:
    """Those of the merged `hosts` whose observation is newer than what is known of them from that scanner."""
    before = known.filter(pl.col("scanner") == scanner).select("host", "observed_at")
    return (
        hosts.join(before, on="host", how="left", maintain_order="left")
        .filter(pl.col("observed_at").is_null() | (pl.col("scanned_at") > pl.col("observed_at")))
        .drop("observed_at")
    )


def remember(known: pl.DataFrame, hosts: pl.DataFrame, scanner: str, scan: str) -> pl.DataFrame:
    """KNOWN_HOSTS after a `scan` (its id) observed the merged `hosts`, each newer than what its scanner knew of it."""
    nowhere = pl.lit([], pl.List(pl.String))
    seen = hosts.with_columns(
        scanner=pl.lit(scanner), scan=pl.lit(scan), observed_at="scanned_at", ranges=nowhere, gone=pl.lit(value=False)
    )
    rest = known.join(hosts, on="host", how="anti")
    before = known.join(hosts, on="host", how="semi").with_columns(gone=pl.lit(value=False))
    others = before.filter(pl.col("scanner") != scanner)
    ranges = before.group_by("host").agg(pl.col("ranges").explode())
    return pl.concat([rest, within_ranges(pl.concat([others, seen.select(*KNOWN_HOSTS)]), ranges)])


def within_ranges(rows: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """KNOWN_HOSTS rows with `ranges`: those of `before` (host, ranges), and the one that the host is in now."""
    now = newest(rows).select("host", ranges=pl.concat_list(pl.col("range").fill_null(NO_RANGE)))
    ranges = (
        pl.concat([before.select("host", "ranges"), now])
        .explode("ranges")
        .drop_nulls()
        .group_by("host")
        .agg(pl.col("ranges").unique().sort())
    )
    return rows.drop("ranges").join(ranges, on="host").select(*KNOWN_HOSTS)


def lost(known: pl.DataFrame, forget_after: timedelta | None, *, at: datetime) -> pl.Series:
    """Hosts that no scanner observed for that long, and that are not yet marked as gone."""
    if forget_after is None:
        return pl.Series("host", dtype=pl.String)
    by_host = known.group_by("host").agg(pl.col("observed_at").max(), pl.col("gone").fill_null(value=False).all())
    return by_host.filter((pl.col("observed_at") <= at - forget_after) & ~pl.col("gone"))["host"]


def learn(catalogue: pl.DataFrame, texts: pl.DataFrame, *, as_of: datetime) -> pl.DataFrame:
    """CATALOGUE with the texts (VULNERABILITIES) of a scan that ended `as_of`: the latest scan wins.

    A late scan adds only what is unknown.
    """
    key = ["scanner", "vulnerability_id"]
    news = texts.unique(key, keep="last", maintain_order=True).with_columns(as_of=pl.lit(as_of, CATALOGUE["as_of"]))
    newer = catalogue.join(news, on=key, how="semi").filter(pl.col("as_of") >= as_of)
    return pl.concat([catalogue.join(news, on=key, how="anti"), newer, news.join(newer, on=key, how="anti")])
