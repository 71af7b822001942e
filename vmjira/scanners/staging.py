"""Rows of a scan on their way to frames: columns in batches, batches to Parquet, no object kept for a finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from vmjira.domain.frames import FINDINGS, HOSTS, UNMADE, VULNERABILITIES, Severity, check, empty

OUTPUT_LIMIT = 16 * 1024
CUT = "\n[… cut by vmjira]"
BATCH_ROWS = 50_000
BATCH_BYTES = 16 << 20
NAMED_WARNINGS = 20


class Staging:
    """Takes the rows of one scan in any order; frames come out when it is finished. Files lie in `into` only."""

    def __init__(self, into: Path, scanner: str) -> None:
        self.into, self.scanner = into, scanner
        self.records: Counter[str] = Counter()
        self.unreadable = 0
        self._warnings: list[str] = []
        self._hosts: list[dict[str, Any]] = []
        self._vulnerabilities: dict[str, dict[str, Any]] = {}
        self._unmade: list[tuple[str, str]] = []
        self._columns: tuple[list[Any], ...] = ([], [], [], [], [])
        self._bytes = self._parts = 0
        self._dropped: set[str] = set()
        self._torn = False  # rows of one host may lie in several parts
        into.mkdir(parents=True, exist_ok=True)

    # --- what formats call --------------------------------------------------------------------------------------------

    def host(self, reference: str, **columns: Any) -> None:
        self._hosts.append({"host": reference, **columns})

    def knows(self, vulnerability_id: str) -> bool:
        return vulnerability_id in self._vulnerabilities

    def vulnerability(self, vulnerability_id: str, columns: Mapping[str, Any]) -> None:
        """Keep its text; its severity is the highest of its findings."""
        self._vulnerabilities[vulnerability_id] = dict(columns)

    def finding(self, host: str, vulnerability_id: str, *, port: str | None, severity: str, output: str | None) -> None:
        """`port` as "443/tcp"; the same finding on other ports is merged with it."""
        if output and len(output) > OUTPUT_LIMIT:
            output = output[:OUTPUT_LIMIT] + CUT
        hosts, ids, ports, severities, outputs = self._columns
        hosts.append(host)
        ids.append(vulnerability_id)
        ports.append(port)
        severities.append(severity)
        outputs.append(output)
        self._bytes += len(output) if output else 0
        if len(hosts) >= 2 * BATCH_ROWS or self._bytes >= 2 * BATCH_BYTES:
            self._torn = True
            self._flush()

    def host_done(self) -> None:
        """No more findings of the hosts so far will come."""
        if len(self._columns[0]) >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
            self._flush()

    def not_observed(self, host: str) -> None:
        """Forget all rows of this host."""
        self._dropped.add(host)

    def unmade(self, host: str, vulnerability_id: str) -> None:
        self._unmade.append((host, vulnerability_id))

    def bad_record(self, what: str) -> None:
        """A result that cannot be read: counted, named, and the reason why this scan fixes nothing."""
        self.unreadable += 1
        self.warn(what)

    def warn(self, what: str) -> None:
        self._warnings.append(what) if len(self._warnings) < NAMED_WARNINGS else self._count_more()

    def adjust_hosts(self, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        """What is known of a host only at the end of the scan."""
        for host in self._hosts:
            host.update(change(host))

    # --- what comes out -----------------------------------------------------------------------------------------------

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)

    def hosts(self, finished_at: datetime) -> pl.DataFrame:
        rows = [row for row in self._hosts if row["host"] not in self._dropped]
        frame = pl.DataFrame(rows, schema=HOSTS) if rows else empty(HOSTS)
        frame = frame.with_columns(pl.col("scanned_at").fill_null(pl.lit(finished_at, dtype=HOSTS["scanned_at"])))
        check(frame, HOSTS, "hosts")
        return frame

    def findings(self) -> pl.LazyFrame:
        """One row a finding, on disk."""
        self._flush()
        if not self._parts:
            empty(FINDINGS).write_parquet(self.into / "findings-0.parquet")
        elif self._torn:
            self._merge_parts()
        lazy = pl.scan_parquet(self.into / "findings-*.parquet")
        check(lazy, FINDINGS, "findings")
        return lazy

    def vulnerabilities(self, findings: pl.LazyFrame) -> pl.DataFrame:
        """Those with at least one finding."""
        highest = findings.group_by("vulnerability_id").agg(pl.col("severity").max()).collect()
        found = dict(highest.iter_rows())
        rows = [
            {"scanner": self.scanner, "vulnerability_id": key, **columns, "severity": found[key]}
            for key, columns in self._vulnerabilities.items()
            if key in found
        ]
        frame = pl.DataFrame(rows, schema=VULNERABILITIES) if rows else empty(VULNERABILITIES)
        check(frame, VULNERABILITIES, "vulnerabilities")
        return frame

    def unmade_checks(self) -> pl.DataFrame:
        rows = sorted({row for row in self._unmade if row[0] not in self._dropped})
        return pl.DataFrame(rows, schema=UNMADE, orient="row") if rows else empty(UNMADE)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _count_more(self) -> None:
        """The last warning says how many more there were."""
        if len(self._warnings) == NAMED_WARNINGS:
            self._warnings.append("and 0 more")
        self._warnings[-1] = f"and {int(self._warnings[-1].split()[1]) + 1} more"

    def _flush(self) -> None:
        if not self._columns[0]:
            return
        hosts, ids, ports, severities, outputs = self._columns
        rows = pl.DataFrame(
            {"host": hosts, "vulnerability_id": ids, "ports": ports, "severity": severities, "output": outputs},
            schema={
                "host": pl.String,
                "vulnerability_id": pl.String,
                "ports": pl.String,
                "severity": Severity,
                "output": pl.String,
            },
        )
        for column in self._columns:
            column.clear()
        self._bytes = 0
        merged = self._merged(rows.lazy().with_columns(pl.concat_list("ports"))).collect()
        merged.write_parquet(self.into / f"findings-{self._parts}.parquet", compression="lz4")
        self._parts += 1

    def _merged(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        return (
            rows.filter(~pl.col("host").is_in(list(self._dropped)))
            .group_by("host", "vulnerability_id", maintain_order=True)
            .agg(
                pl.col("ports").explode().drop_nulls().unique().sort(),
                pl.col("severity").max(),
                pl.col("output").drop_nulls().first(),
            )
            .with_columns(scanner=pl.lit(self.scanner))
            .select(*FINDINGS)
        )

    def _merge_parts(self) -> None:
        parts = sorted(self.into.glob("findings-*.parquet"))
        whole = self.into / "merged.parquet"
        self._merged(pl.scan_parquet(parts)).sink_parquet(whole, compression="lz4")
        for part in parts:
            part.unlink()
        whole.rename(self.into / "findings-0.parquet")
