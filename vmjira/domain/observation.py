"""What a scan says of each finding: present, or absent and on what evidence."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from vmjira.domain.frames import Scan

_KEY = ["host", "vulnerability_id"]


@dataclass(frozen=True)
class Observation:
    """What the scan tells of the hosts of which it is the scanner's newest word.

    `hosts`: one row per host: host (its key), at, k, to_range, authenticated, complete, and the columns of HOSTS.
    `findings`: host, vulnerability_id, to_severity, to_ports. `unmade`: host, vulnerability_id.
    """

    scan: Scan
    hosts: pl.DataFrame
    findings: pl.DataFrame
    unmade: pl.DataFrame

    def compare(self, heads: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
        """Last lives (LEDGER) of the observed hosts, by any scanner, with what is seen of each now.

        Row by row as `heads`: at, k, present, fixed, authenticated, to_range, to_severity, to_ports, and `columns` of
        the host. A life that another scanner found is only concerned if its host is in another range now.
        """
        rows = (
            heads.join(self.hosts.select(*_FACTS, *columns), on="host", how="left", maintain_order="left")
            .with_columns(ours=pl.col("scanner") == self.scan.scanner)
            .join(self._ours(), on=[*_KEY, "ours"], how="left", maintain_order="left")
        )
        moved = pl.col("range").ne_missing(pl.col("to_range"))
        return rows.with_columns(
            pl.when(pl.col("ours") | moved).then("at"),
            pl.col("present").fill_null(value=False),
            pl.coalesce("to_severity", "severity").alias("to_severity"),
            pl.coalesce("to_ports", "ports").alias("to_ports"),
            fixed=pl.col("ours") & pl.col("present").is_null() & self._proof(),
        )

    def news(self, heads: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
        """Findings that have no life yet, with the same columns."""
        known = heads.filter(pl.col("scanner") == self.scan.scanner)
        return (
            self.findings.join(known, on=_KEY, how="anti")
            .join(self.hosts.select(*_FACTS, *columns), on="host")
            .with_columns(scanner=pl.lit(self.scan.scanner), present=pl.lit(value=True))
        )

    def _ours(self) -> pl.DataFrame:
        return self.findings.with_columns(present=pl.lit(value=True), ours=pl.lit(value=True))

    def _proof(self) -> pl.Expr:
        """Whether a finding that is open and absent is fixed: rule 3 of domain part 5."""
        if self.scan.unreadable:
            return pl.lit(value=False)
        now, then = pl.col("authenticated"), pl.col("last_authenticated")
        credentials = now.fill_null(value=False) | ~then.fill_null(value=True) | (now.is_null() & then.is_null())
        proof = (pl.col("at") > pl.col("last_seen")) & pl.col("complete").fill_null(value=True) & credentials
        if self.scan.checks:
            check = pl.col("vulnerability_id")
            plugin = check.str.splitn("/", 2).struct.field("field_0")  # compliance: enabled if its plugin is
            enabled = pl.lit(pl.Series(sorted(self.scan.checks)).implode())
            proof &= check.is_in(enabled) | plugin.is_in(enabled)
        if not self.unmade.is_empty():
            unmade = pl.lit(self.unmade.select(pl.struct(_KEY)).to_series().implode())
            proof &= ~pl.struct(_KEY).is_in(unmade)
        return proof


_FACTS = ["host", "at", "k", "to_range", "authenticated", "complete"]


def findings_of(scan: Scan, identified: pl.DataFrame, hosts: pl.DataFrame) -> pl.DataFrame:
    """The scan's findings on `hosts`: host (its key), vulnerability_id, to_severity, to_ports; one row each.

    `identified`: HOSTS of the scan with `key`. Findings of a host that occurs twice in the scan are united.
    """
    refs = identified.select("host", "key").unique().join(hosts, left_on="key", right_on="host", how="semi")
    rows = (
        scan.findings.select("host", "vulnerability_id", to_severity="severity", to_ports="ports")
        .join(refs.lazy(), on="host")
        .select("vulnerability_id", "to_severity", "to_ports", host="key")
        .collect()
    )
    twice = refs.filter(pl.col("key").is_duplicated()).select(host="key").unique()
    if twice.is_empty():
        return rows
    united = (
        rows.join(twice, on="host", how="semi")
        .group_by("host", "vulnerability_id")
        .agg(pl.col("to_severity").max(), pl.col("to_ports").explode().drop_nulls().unique().sort())
    )
    return pl.concat([rows.join(twice, on="host", how="anti"), united.select(rows.columns)])


def unmade_of(scan: Scan, identified: pl.DataFrame) -> pl.DataFrame:
    """The checks that were not made: host (its key), vulnerability_id."""
    refs = identified.select("host", "key").drop_nulls().unique()
    return scan.unmade.join(refs, on="host").select("vulnerability_id", host="key").unique().select(_KEY)
