"""On which scans the numbers of a range and the endings of findings rest, and which hosts no scan covered."""

from __future__ import annotations

import polars as pl

from vmjira.domain.classify import newest
from vmjira.domain.ticket import CREDENTIALS, Proof, Source, Unscanned, UnscannedHost

#: Hosts without a scan that are named.
NAMED = 5
_SAID = pl.Enum(CREDENTIALS)


def sources(hosts: pl.DataFrame, rounds: pl.DataFrame) -> tuple[Source, ...]:
    """The scans of an iteration of a range, the newest first: each host counts for the newest that covered it.

    `hosts` (KNOWN_HOSTS): of the range; `rounds` (ROUNDS): of that iteration of it. What an earlier program wrote
    names no scan, and is a source without a name.
    """
    ends = rounds.unique("scan").select("scan", "ended_at")
    found = (
        hosts.join(ends, on="scan", how="left")
        .filter(pl.col("ended_at").is_not_null() | pl.col("scan").is_null())
        .group_by("scanner", "scan")
        .agg(
            pl.coalesce("ended_at", "observed_at").max().alias("finished_at"),
            hosts=pl.len(),
            authenticated=pl.col("authenticated").sum(),
            unknown=pl.col("authenticated").is_null().sum(),
        )
        .sort("finished_at", "scanner", descending=[True, False])
    )
    return tuple(Source(**{**row, "scan": row["scan"] or ""}) for row in found.iter_rows(named=True))


def unscanned(hosts: pl.DataFrame, rounds: pl.DataFrame) -> Unscanned:
    """The hosts of a range that no scan of an iteration covered; frames as for `sources`. Hosts that are gone are not
    expected, and of those that an earlier program recorded nobody can tell.
    """
    covered = hosts.filter(pl.col("scan").is_null() | pl.col("scan").is_in(rounds["scan"].implode()))
    missing = newest(hosts.join(covered, on="host", how="anti")).filter(~pl.col("gone").fill_null(value=False))
    first = missing.sort("observed_at", "hostname", "ip", "host", descending=[True, False, False, False]).head(NAMED)
    names = tuple(
        UnscannedHost(" ".join(filter(None, (row["hostname"], row["ip"]))) or row["host"], row["observed_at"])
        for row in first.iter_rows(named=True)
    )
    return Unscanned(missing.height, names)


def traced(lives: pl.DataFrame, hosts: pl.DataFrame) -> pl.DataFrame:
    """LEDGER rows with `scan`, on which the state rests, and `credentials`: whether that observation had them.

    `hosts` (KNOWN_HOSTS) tells of a host's newest observation by each scanner. Of an older one that proved a finding
    fixed, it is sure only that it had credentials if the finding had been seen with them.
    """
    looked = hosts.select("host", "scanner", ended_scan="scan", _fixed_with="authenticated").drop_nulls("ended_scan")
    rows = lives.join(looked, on=["host", "scanner", "ended_scan"], how="left", maintain_order="left")
    fixed = (pl.col("ended_as") == "fixed").fill_null(value=False)
    proven = pl.coalesce("_fixed_with", pl.when("last_authenticated").then(pl.lit(value=True)))
    had = pl.when(fixed).then(proven).otherwise("last_authenticated")
    said = pl.when(had).then(pl.lit("yes")).when(~had).then(pl.lit("no")).otherwise(pl.lit("unknown"))
    scan = pl.when(fixed).then("ended_scan").otherwise("last_scan")
    return rows.with_columns(scan=scan, credentials=said.cast(_SAID)).drop("_fixed_with")


def proofs(own: pl.DataFrame) -> tuple[Proof, ...]:
    """The scans that proved findings of a ticket fixed, the newest first. `own` (REPORT): its findings."""
    fixed = own.filter(pl.col("state").cast(pl.String) == "fixed")
    found = (
        fixed.group_by("scanner", "scan")
        .agg(
            pl.col("fixed_at").max(),
            findings=pl.len(),
            hosts=pl.col("host").n_unique(),
            authenticated=pl.col("host").filter(pl.col("credentials") == "yes").n_unique(),
            without=pl.col("host").filter(pl.col("credentials") == "no").n_unique(),
        )
        .sort("fixed_at", "scanner", descending=[True, False])
    )
    return tuple(
        Proof(
            Source(
                row["scanner"] or "", row["fixed_at"], row["hosts"], row["authenticated"],
                row["hosts"] - row["authenticated"] - row["without"], row["scan"] or "",
            ),
            row["findings"],
        )
        for row in found.iter_rows(named=True)
    )  # fmt: skip
