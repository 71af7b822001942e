"""Rows of a scan on their way to frames: in batches to Parquet, no object kept for a finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from vmjira.domain.frames import FINDINGS, HOSTS, SEVERITIES, UNMADE, VULNERABILITIES, Severity, check, empty

OUTPUT_LIMIT = 16 * 1024
CUT = "\n[… cut by vmjira]"
BATCH_ROWS = 25_000
BATCH_BYTES = 16 << 20
NAMED_WARNINGS = 20
RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}
_BLANK: dict[str, Any] = dict.fromkeys(VULNERABILITIES) | {"cves": [], "exploits": [], "references": []}
_ROW = {name: pl.String() if name == "ports" else FINDINGS[name] for name in FINDINGS if name != "scanner"}


class _Rows:
    """Findings on their way, column by column as in _ROW, which costs no object for a finding; ports with commas."""

    __slots__ = ("hosts", "ids", "outputs", "ports", "severities")

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.ids: list[str] = []
        self.ports: list[str | None] = []
        self.severities: list[str | None] = []
        self.outputs: list[str | None] = []

    def __len__(self) -> int:
        return len(self.ids)

    def merge(self, at: int, port: str | None, severity: str | None, output: str | None) -> None:
        """The same finding on another port."""
        if port:
            known = self.ports[at]
            self.ports[at] = f"{known},{port}" if known else port
        if severity and RANK[severity] > RANK[self.severities[at] or "info"]:
            self.severities[at] = severity
        self.outputs[at] = self.outputs[at] or output

    def frame(self) -> pl.DataFrame:
        columns = (self.hosts, self.ids, self.ports, self.severities, self.outputs)
        return pl.DataFrame(dict(zip(_ROW, columns, strict=True)), schema=_ROW)


class Staging:
    """Takes the rows of one scan in any order; frames come out when it is finished. Files lie in `into` only."""

    def __init__(self, into: Path, scanner: str) -> None:
        self.into, self.scanner = into, scanner
        self.records: Counter[str] = Counter()
        self.unreadable = 0
        self._warnings: list[str] = []
        self._more_warnings = 0
        self._hosts: list[dict[str, Any]] = []
        self._vulnerabilities: dict[str, dict[str, Any]] = {}
        self._unmade: set[tuple[str, str]] = set()
        self._dropped: set[str] = set()
        self._rows = _Rows()
        self._bytes = self._parts = 0
        self._ratings: dict[str, str] = {}
        self._unrated: Counter[str] = Counter()
        self._host: str | None = None  # whose findings come at present; where they are in `_rows`
        self._its: dict[str, int] = {}
        self._begun: set[str] = set()
        self._torn = False  # rows of one host may lie in several parts
        self._writer = ThreadPoolExecutor(max_workers=1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.shutdown(cancel_futures=True)

    # --- what formats call --------------------------------------------------------------------------------------------

    def host(self, reference: str, **columns: Any) -> None:
        """One host; what is not given is not known."""
        self._hosts.append(dict.fromkeys(HOSTS) | {"host": reference} | columns)

    def knows(self, vulnerability_id: str) -> bool:
        return vulnerability_id in self._vulnerabilities

    def vulnerability(self, vulnerability_id: str, columns: Mapping[str, Any]) -> None:
        """Keep its text; its severity will be the highest of its findings."""
        own = {"scanner": self.scanner, "vulnerability_id": vulnerability_id}
        self._vulnerabilities[vulnerability_id] = _BLANK | dict(columns) | own

    def more_cves(self, vulnerability_id: str, cves: list[str]) -> None:
        known = self._vulnerabilities[vulnerability_id]
        known["cves"] = sorted({*known["cves"], *cves})

    def rate(self, vulnerability_id: str, severity: str) -> None:
        """The severity of all its findings that came without one."""
        self._ratings[vulnerability_id] = severity

    def finding(
        self, host: str, vulnerability_id: str, *, port: str | None, severity: str | None, output: str | None
    ) -> None:
        """`port` as "443/tcp"; the same finding on other ports is merged with it. Fastest host by host.

        Without `severity` it waits for `rate`, and is a record of its own; else the caller counts `records`.
        """
        if severity is None:
            self._unrated[vulnerability_id] += 1
        if host != self._host:
            self._begin(host)
        if output and len(output) > OUTPUT_LIMIT:
            output = output[:OUTPUT_LIMIT] + CUT
        at = self._its.get(vulnerability_id)
        if at is not None:
            self._rows.merge(at, port, severity, output)
        else:
            rows = self._rows
            self._its[vulnerability_id] = len(rows.ids)
            rows.hosts.append(host)
            rows.ids.append(vulnerability_id)
            rows.ports.append(port)
            rows.severities.append(severity)
            rows.outputs.append(output)
            self._bytes += len(output) if output else 0
            if self._bytes > 2 * BATCH_BYTES or len(rows.ids) > 2 * BATCH_ROWS:
                self._flush()

    def not_observed(self, host: str) -> None:
        """Forget all rows of this host."""
        self._dropped.add(host)

    def unmade(self, host: str, vulnerability_id: str) -> None:
        self._unmade.add((host, vulnerability_id))

    def bad_record(self, what: str) -> None:
        """A result that cannot be read: counted, named, and the reason why this scan fixes nothing."""
        self.unreadable += 1
        self.warn(what)

    def warn(self, what: str) -> None:
        if len(self._warnings) < NAMED_WARNINGS:
            self._warnings.append(what)
        else:
            self._more_warnings += 1

    def adjust_hosts(self, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        """What is known of a host only at the end of the scan."""
        for host in self._hosts:
            host.update(change(host))

    # --- what comes out -----------------------------------------------------------------------------------------------

    @property
    def warnings(self) -> tuple[str, ...]:
        more = [f"and {self._more_warnings} more"] if self._more_warnings else []
        return (*self._warnings, *more)

    def hosts(self, finished_at: datetime) -> pl.DataFrame:
        """A host without a time has the scan's end."""
        rows = [row for row in self._hosts if row["host"] not in self._dropped]
        frame = pl.DataFrame(rows, schema=HOSTS)
        frame = frame.with_columns(pl.col("scanned_at").fill_null(pl.lit(finished_at, dtype=HOSTS["scanned_at"])))
        check(frame, HOSTS, "hosts")
        return frame

    def findings(self) -> pl.LazyFrame:
        """One row a finding, on disk."""
        self._flush()
        self._written()
        self._count_unrated()
        if not self._parts:
            empty(FINDINGS).write_parquet(self.into / "findings-0.parquet")
        elif self._torn or self._unrated:
            self._merge_parts()
        lazy = pl.scan_parquet(self.into / "findings-*.parquet")
        check(lazy, FINDINGS, "findings")
        return lazy

    def vulnerabilities(self, findings: pl.LazyFrame) -> pl.DataFrame:
        """Those with at least one finding."""
        highest = findings.group_by("vulnerability_id").agg(pl.col("severity").max()).collect()
        found = dict(highest.iter_rows())
        rows = [row | {"severity": found[key]} for key, row in self._vulnerabilities.items() if key in found]
        frame = pl.DataFrame(rows, schema=VULNERABILITIES)
        check(frame, VULNERABILITIES, "vulnerabilities")
        return frame

    def unmade_checks(self) -> pl.DataFrame:
        rows = sorted(row for row in self._unmade if row[0] not in self._dropped)
        return pl.DataFrame(rows, schema=UNMADE, orient="row")

    # --- inside -------------------------------------------------------------------------------------------------------

    def _begin(self, host: str) -> None:
        if self._bytes > BATCH_BYTES or len(self._rows) > BATCH_ROWS:
            self._flush()
        self._torn = self._torn or host in self._begun
        self._begun.add(host)
        self._host, self._its = host, {}

    def _flush(self) -> None:
        if not len(self._rows):
            return
        self._written()
        rows, self._rows, self._bytes, self._host = self._rows, _Rows(), 0, None
        self._writing = self._writer.submit(self._write, rows, self._parts, frozenset(self._dropped))
        self._parts += 1

    def _written(self) -> None:
        """At most one batch is on its way, while the next is being read."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, rows: _Rows, part: int, dropped: frozenset[str]) -> None:
        frame = rows.frame()
        frame = frame.filter(~pl.col("host").is_in(list(dropped))) if dropped else frame
        # Few texts are distinct, so each is made a list once.
        texts = frame["ports"].unique()
        lists = [sorted(set(text.split(","))) if text else [] for text in texts]
        ports = pl.DataFrame({"ports": texts, "list": pl.Series(lists, dtype=FINDINGS["ports"])})
        frame = frame.join(ports, on="ports", how="left", nulls_equal=True)
        frame = frame.with_columns(ports=pl.col("list"), scanner=pl.lit(self.scanner)).select(*FINDINGS)
        frame.write_parquet(self.into / f"findings-{part}.parquet", compression="lz4")

    def _count_unrated(self) -> None:
        for key, count in self._unrated.items():
            self.records[self._ratings.get(key, "unknown")] += count
            if key not in self._ratings:
                self.unreadable += count
                self.warn(f"vulnerability '{key[:80]}' is found {count} times, but nothing defines its severity")

    def _merge_parts(self) -> None:
        parts = sorted(self.into.glob("findings-*.parquet"))
        whole = self.into / "merged.parquet"
        rated = pl.col("vulnerability_id").replace_strict(self._ratings, default=None, return_dtype=Severity)
        merged = (
            pl.scan_parquet(parts)
            .with_columns(pl.col("severity").fill_null(rated))
            .filter(pl.col("severity").is_not_null())
            .filter(~pl.col("host").is_in(list(self._dropped)))
            .group_by("host", "scanner", "vulnerability_id", maintain_order=True)
            .agg(
                pl.col("ports").explode().drop_nulls().unique().sort(),
                pl.col("severity").max(),
                pl.col("output").drop_nulls().first(),
            )
        )
        merged.select(*FINDINGS).sink_parquet(whole, compression="lz4")
        for part in parts:
            part.unlink()
        whole.rename(self.into / "findings-0.parquet")
