"""Where the circuit breaker cannot tell a loss from noise, because there was too little before. In words for people."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from vmjira.domain.breaker import FEWEST_FINDINGS, FEWEST_HOSTS
from vmjira.domain.operation import count

#: Ranges that a list of sentences names.
FEW = 5
OFF = "The loss check is off: `breaker` in policy.yaml is 1."


def unguarded(baseline: pl.DataFrame) -> pl.DataFrame:
    """range, scanner, hosts, findings: what the next scan is compared with, where it is too little for a check.

    `baseline`: BASELINE. 0 hosts: the scanner looked at the hosts of this range only while they were in another one.
    """
    newest = (pl.col("round") == pl.col("round").max().over("range", "scanner")).fill_null(value=False)
    return (
        baseline.filter(pl.col("range").is_not_null())
        .with_columns(newest=newest)
        .group_by("range", "scanner")
        .agg(
            hosts=pl.col("newest").sum().cast(pl.Int64),
            findings=pl.col("findings").filter("newest").sum().cast(pl.Int64),
        )
        .filter((pl.col("hosts") < FEWEST_HOSTS) | (pl.col("findings") < FEWEST_FINDINGS))
        .sort("range", "scanner")
    )


def words(range_: str, scanner: str, hosts: int, findings: int) -> str:
    """Of one row of `unguarded`."""
    had_hosts, had_findings = count(hosts, "host"), count(findings, "finding")
    if not hosts:
        return (
            f"The loss check does not apply to range {range_} yet: {scanner} has not scanned it as this range before."
        )
    if hosts >= FEWEST_HOSTS:
        return (
            f"Lost findings are not checked in range {range_}: {scanner} had {had_findings} there before, "
            f"{FEWEST_FINDINGS} are needed."
        )
    if findings >= FEWEST_FINDINGS:
        return (
            f"Lost hosts are not checked in range {range_}: {scanner} had {had_hosts} there before, {FEWEST_HOSTS} are "
            "needed."
        )
    return (
        f"The loss check does not apply to range {range_}: {scanner} had {had_hosts} and {had_findings} there before, "
        f"{FEWEST_HOSTS} hosts or {FEWEST_FINDINGS} findings are needed."
    )


def of_scan(baseline: pl.DataFrame, scanner: str, ranges: Collection[str], *, share: float) -> list[str]:
    """What the breaker does not check in a scan of these `ranges`. `share`: the policy's `breaker`."""
    if share >= 1:
        return [OFF] if ranges else []
    mine = baseline.filter(pl.col("scanner") == scanner)
    rows = unguarded(mine).filter(pl.col("range").is_in(sorted(ranges))).rows()
    new = sorted({*ranges} - {*mine["range"].drop_nulls()} | {row[0] for row in rows if not row[2]})
    said = [words(*row) for row in rows if row[2]]
    said = [*said[:FEW], *([f"The same holds for {count(len(said) - FEW, 'more range')}."] if len(said) > FEW else [])]
    if new:
        more = f" and {len(new) - FEW} more" if len(new) > FEW else ""
        said.append(
            f"The loss check does not apply yet to {', '.join(new[:FEW])}{more}: this is the first scan by {scanner} "
            "there."
        )
    return said
