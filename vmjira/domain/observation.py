"""What a scan says of each finding: present, or absent and on what evidence."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from vmjira.domain.frames import Scan

_FACTS = ["at", "k", "to_range", "authenticated", "complete"]
#: Host and vulnerability as one number: it matches far faster than two texts. Null where either is not in the scan.
_PAIR = pl.col("h").cast(pl.UInt64) * 2**32 + pl.col("c")


@dataclass(frozen=True)
class Observation:
    """What the scan tells of the hosts of which it is the scanner's newest word.

    `hosts`: one row per host: host (its key), its number h, at, k, to_range, authenticated, complete, and the columns
    of HOSTS. `checks`: vulnerability_id and its number c. `findings`: pair, to_severity, to_ports. `unmade`: pairs of
    checks that were not made. `doubted`: ranges where the scan is not believed when it finds something missing.
    """

    scan: Scan
    hosts: pl.DataFrame
    checks: pl.DataFrame
    findings: pl.DataFrame
    unmade: pl.DataFrame
    doubted: frozenset[str] = frozenset()

    def match(self, lives: pl.DataFrame) -> pl.DataFrame:
        """Row by row as `lives` (LEDGER): h, c, and f of the finding in this scan, or nulls."""
        rows = pl.concat(
            [
                _beside(lives.select("host"), self.hosts.select("host", "h")),
                _beside(lives.select("vulnerability_id"), self.checks),
            ],
            how="horizontal",
        )
        pair = rows.select(pair=pl.when(lives["scanner"] == self.scan.scanner).then(_PAIR))
        return rows.hstack(_beside(pair, self.findings.select("pair").with_row_index("f")))

    def compare(self, heads: pl.DataFrame, matched: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
        """`heads` (LEDGER; `matched` as `match` says) with what is seen of each now.

        Adds at, k, present, fixed, authenticated, to_range, to_severity, to_ports, ours, scan, evidence_k (null), and
        `columns` of the host.
        `at` is null, and the rest means nothing, for a life that is not concerned: its host was not observed, or
        another scanner found it and its host is in the same range as before.
        """
        of_host = self.hosts.select(pl.col(*_FACTS, *columns).gather(matched["h"]))
        of_finding = self.findings.select(pl.col("to_severity", "to_ports").gather(matched["f"]))
        rows = pl.concat([heads, matched, of_host, of_finding], how="horizontal")
        rows = rows.with_columns(ours=pl.col("scanner") == self.scan.scanner, present=pl.col("f").is_not_null())
        moved = pl.col("range").ne_missing(pl.col("to_range"))
        return rows.with_columns(
            pl.when(pl.col("ours") | moved).then("at"),
            fixed=pl.col("ours") & ~pl.col("present") & self._proof(),
            scan=pl.lit(self.scan.id),
            evidence_k=pl.lit(None, pl.Int32),
            to_severity=pl.coalesce("to_severity", "severity"),
            to_ports=pl.coalesce("to_ports", "ports"),
        )

    def news(self, matched: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
        """The findings that have no life yet, with the same columns; `matched`: the lives of all observed hosts."""
        new = self.findings.with_row_index("f").join(matched.select("f"), on="f", how="anti")
        return (
            new.with_columns(h=(pl.col("pair") // 2**32).cast(pl.UInt32), c=(pl.col("pair") % 2**32).cast(pl.UInt32))
            .join(self.hosts.select("h", "host", *_FACTS, *columns), on="h")
            .join(self.checks, on="c")
            .with_columns(scanner=pl.lit(self.scan.scanner), scan=pl.lit(self.scan.id), present=pl.lit(value=True))
        )

    def counts(self) -> pl.DataFrame:
        """host, findings: how many it found on each host."""
        numbers = self.findings.group_by(h=(pl.col("pair") // 2**32).cast(pl.UInt32)).len("findings")
        hosts = self.hosts.select("h", "host").join(numbers, on="h", how="left")
        return hosts.select("host", pl.col("findings").fill_null(0).cast(pl.UInt32))

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
        if self.doubted:
            doubted = pl.col("range", "to_range").is_in(sorted(self.doubted)).fill_null(value=False)
            proof &= ~pl.any_horizontal(doubted)
        return proof & ~_PAIR.is_in(self.unmade["pair"].implode()).fill_null(value=False)


def observe(scan: Scan, identified: pl.DataFrame, hosts: pl.DataFrame) -> Observation:
    """The scan's word on `hosts` (columns as in `Observation`, without h).

    `identified`: HOSTS of the scan with `key`, the host's key. Findings of a host that occurs twice are united.
    """
    hosts = hosts.with_row_index("h")
    refs = identified.select("host", "key").unique().join(hosts.select("h", key="host"), on="key")
    refs = refs.select("host", "h", twice=pl.col("h").is_duplicated())
    named = pl.concat([scan.findings.select("vulnerability_id"), scan.unmade.lazy().select("vulnerability_id")])
    checks = named.unique().collect(engine="streaming").with_row_index("c")
    rows = (
        scan.findings.select("host", "vulnerability_id", to_severity="severity", to_ports="ports")
        .join(refs.lazy(), on="host")
        .join(checks.lazy(), on="vulnerability_id")
        .select("to_severity", "to_ports", "twice", pair=_PAIR)
        .collect(engine="streaming")
    )
    united = (
        rows.filter("twice")
        .group_by("pair")
        .agg(pl.col("to_severity").max(), pl.col("to_ports").explode().drop_nulls().unique().sort())
    )
    findings = pl.concat([rows.filter(~pl.col("twice")).select(united.columns), united], rechunk=True)
    unmade = scan.unmade.join(refs, on="host").join(checks, on="vulnerability_id").select(pair=_PAIR)
    return Observation(scan, hosts, checks, findings, unmade)


def _beside(keys: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """What `facts`, one row per key, tell of each of the `keys` (one column), in their order; nulls where nothing."""
    return keys.join(facts, on=keys.columns, how="left", maintain_order="left").drop(keys.columns)
