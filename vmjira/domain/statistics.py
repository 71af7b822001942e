"""Ledger → numbers: hosts at an iteration of a range, own findings of a ticket, the most vulnerable hosts."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from vmjira.domain.frames import SEVERITIES
from vmjira.domain.iterations import ordinals
from vmjira.domain.lives import OPEN

#: What an open finding adds to the score of its host.
WEIGHTS = dict(zip(SEVERITIES, (0, 1, 2, 5, 10), strict=True))

MEMBERSHIPS = ("new", "remaining", "safe", "unverified")
Membership = pl.Enum(MEMBERSHIPS)

FINDING = ("host", "scanner", "vulnerability_id")
TICKET = ("category", "range", "first_iteration")

_IN_CELL = pl.col("category").is_not_null() & pl.col("range").is_not_null()


def host_lists(lives: pl.DataFrame, k: int) -> pl.DataFrame:
    """category, host, membership (new, remaining, safe, unverified) at iteration `k` of the range of the `lives`.

    `lives` (LEDGER): all of one range; `k` its running iteration. Hosts that count in none of the four are left out.
    """
    fixed_since = (pl.col("ended_as") == "fixed").fill_null(value=False) & (pl.col("ended_iteration") >= k)
    before = (pl.col("first_iteration") < k) | (pl.col("opened_as") == "moved unverified")
    last = before & (OPEN | fixed_since)
    hosts = (
        lives.lazy()
        .filter(_IN_CELL)
        .group_by("category", "host")
        .agg(open=OPEN.any(), seen=(OPEN & (pl.col("last_iteration") == k)).any(), last=last.any())
    )
    membership = (
        pl.when(pl.col("seen") & ~pl.col("last"))
        .then(pl.lit("new"))
        .when("seen")
        .then(pl.lit("remaining"))
        .when(pl.col("last") & ~pl.col("open"))
        .then(pl.lit("safe"))
        .when("last")
        .then(pl.lit("unverified"))
    )
    return (
        hosts.select("category", "host", membership=membership.cast(Membership))
        .filter(pl.col("membership").is_not_null())
        .sort("category", "membership", "host")
        .collect()
    )


def host_numbers(lives: pl.DataFrame, k: int) -> pl.DataFrame:
    """category, vulnerable, last, new, remaining, safe, unverified: numbers of hosts, as `host_lists` has them."""
    counts = [(pl.col("membership") == name).sum().cast(pl.Int64).alias(name) for name in MEMBERSHIPS]
    return (
        host_lists(lives, k)
        .group_by("category")
        .agg(counts)
        .select(
            "category",
            (pl.col("new") + pl.col("remaining")).alias("vulnerable"),
            (pl.col("remaining") + pl.col("safe") + pl.col("unverified")).alias("last"),
            *MEMBERSHIPS,
        )
        .sort("category")
    )


def latest(lives: pl.DataFrame, *within: str) -> pl.DataFrame:
    """Each finding once for each value of `within`: as its latest life there."""
    key = [*FINDING, *within]
    heads, older = lives.filter(~pl.col("superseded")), lives.filter("superseded")
    older = older.sort("reappeared", "last_seen", "ended_at").unique(key, keep="last", maintain_order=True)
    return pl.concat([heads, older.join(heads, on=key, how="anti", nulls_equal=True)])


def own_numbers(lives: pl.DataFrame, running: Mapping[str, int]) -> pl.DataFrame:
    """Numbers of own findings by ticket, now: category, range, first_iteration, and then
    total, fixed, open, unverified, moved, gone, accepted, hosts, open_hosts.

    `lives` (LEDGER): all of some ranges; `running`: the ordinal of the running iteration of each.
    """
    unverified = OPEN & (pl.col("last_iteration") < ordinals("range", running))
    endings = [
        (pl.col("ended_as") == name).sum().cast(pl.Int64).alias(name) for name in ("fixed", "moved", "gone", "accepted")
    ]
    return (
        latest(lives.filter(_IN_CELL), *TICKET)
        .group_by(TICKET)
        .agg(
            *endings,
            total=pl.len().cast(pl.Int64),
            open=OPEN.sum().cast(pl.Int64),
            unverified=unverified.sum().cast(pl.Int64),
            hosts=pl.col("host").n_unique().cast(pl.Int64),
            open_hosts=pl.col("host").filter(OPEN).n_unique().cast(pl.Int64),
        )
        .select(*TICKET, "total", "fixed", "open", "unverified", "moved", "gone", "accepted", "hosts", "open_hosts")
        .sort(TICKET)
    )


def refuted(lives: pl.DataFrame, closed: pl.DataFrame) -> pl.DataFrame:
    """category, range, first_iteration, refuted: open own findings of closed tickets that were seen after the closing.

    `lives` (LEDGER): all of some ranges; `closed`: category, range, first_iteration, closed_at of tickets. Each finding
    has the time at which its own host was looked at.
    """
    return (
        lives.lazy()
        .filter(OPEN)
        .join(closed.lazy(), on=TICKET)
        .group_by(TICKET)
        .agg(refuted=(pl.col("last_seen") > pl.col("closed_at")).sum().cast(pl.Int64))
        .sort(TICKET)
        .collect()
    )


def top_hosts(lives: pl.DataFrame, k: int, hosts: pl.DataFrame, n: int) -> pl.DataFrame:
    """category, host, ip, hostname, score, findings: the `n` most vulnerable hosts of each category, worst first.

    Counts findings open and seen in `k`. `lives` (LEDGER): all of one range; `hosts`: one row per host
    (`classify.newest`). The score adds `WEIGHTS` by severity; ties go by count, name or else address, key.
    """
    weight = pl.col("severity").replace_strict(WEIGHTS, return_dtype=pl.Int64)
    return (
        lives.filter(_IN_CELL, OPEN, pl.col("last_iteration") == k)
        .group_by("category", "host")
        .agg(score=weight.sum(), findings=pl.len().cast(pl.Int64))
        .join(hosts.select("host", "ip", "hostname"), on="host", how="left")
        .with_columns(_name=pl.coalesce("hostname", "ip"))
        .sort("category", "score", "findings", "_name", "host", descending=[False, True, True, False, False])
        .group_by("category", maintain_order=True)
        .head(n)
        .select("category", "host", "ip", "hostname", "score", "findings")
    )


def uncategorised(lives: pl.DataFrame, catalogue: pl.DataFrame) -> pl.DataFrame:
    """range, family, severity, findings, hosts: what is open without a cell, as no category or no range takes it."""
    families = catalogue.select("scanner", "vulnerability_id", "family")
    return (
        lives.filter(OPEN, ~_IN_CELL)
        .join(families, on=["scanner", "vulnerability_id"], how="left")
        .group_by("range", "family", "severity")
        .agg(findings=pl.len().cast(pl.Int64), hosts=pl.col("host").n_unique().cast(pl.Int64))
        .sort("range", "family", "severity", descending=[False, False, True])
    )
