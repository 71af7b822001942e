"""The circuit breaker: a scan that lost too much of a range is not believed when it finds something missing there.

What a range had lies in the baseline: how much each scanner found on each host when it was last believed, and in which
round that was. A scan that is not believed leaves the baseline as it is, beside it what it found (`pending`). So the
next scan is compared with the same past, until one has it again, or a person says that it is gone for good.

A rescan of a few hosts trips nothing by itself if it says of each whether it got in: then the evidence of its findings
is enough. Where an earlier scan of that scanner is in doubt, it is in doubt with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from vmjira.domain.frames import BASELINE
from vmjira.domain.iterations import ordinals

#: With less before, a loss is noise.
FEWEST_HOSTS, FEWEST_FINDINGS = 10, 20


@dataclass(frozen=True)
class Trip:
    """What a scan lost of a range, by numbers: more than the policy allows."""

    range: str
    scanner: str
    hosts: int  # that the round before had …
    hosts_lost: int  # … and that nobody has looked at in this one
    findings: int  # that the hosts of the range had, informational ones included …
    findings_lost: int  # … and that are missing where the scanner looked

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def words(self) -> str:
        said = [
            f"{lost} of {before} {what} ({lost / before:.0%})"
            for lost, before, what in (
                (self.hosts_lost, self.hosts, "hosts"),
                (self.findings_lost, self.findings, "findings"),
            )
            if lost
        ]
        return f"{' and '.join(said)} that {self.scanner} had in {self.range} before are missing"


@dataclass(frozen=True)
class Vanished:
    """More hosts of a range than the policy allows that no scanner has observed for so long that they count as gone."""

    range: str
    hosts: int  # that are not gone yet …
    hosts_lost: int  # … and those of them that would be

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def words(self) -> str:
        share = self.hosts_lost / self.hosts
        return f"{self.hosts_lost} of {self.hosts} hosts ({share:.0%}) of {self.range} were not seen for so long"


def vanished(hosts: pl.DataFrame, lost: pl.Series, *, share: float) -> list[Vanished]:
    """Ranges with more `lost` hosts than that share. `hosts`: one row a host (KNOWN_HOSTS)."""
    by_range = (
        hosts.filter(pl.col("range").is_not_null(), ~pl.col("gone").fill_null(value=False))
        .group_by("range")
        .agg(hosts=pl.len().cast(pl.Int64), hosts_lost=pl.col("host").is_in(lost.implode()).sum().cast(pl.Int64))
        .filter(pl.col("hosts") >= FEWEST_HOSTS, pl.col("hosts_lost") / pl.col("hosts") > share)
        .sort("range")
    )
    return [Vanished(**row) for row in by_range.iter_rows(named=True)]


def found(hosts: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    """host, range, authenticated, findings: what a scan found on each of its merged `hosts` that has a range.

    `numbers` (host, findings): of those of which the scan is the newest word; findings is null for others.
    """
    seen = hosts.filter(pl.col("range").is_not_null()).select("host", "range", "authenticated")
    return seen.join(numbers, on="host", how="left")


def untold(seen: pl.DataFrame) -> set[str]:
    """Ranges with a host of which the scan does not say whether it got in: there, the evidence alone is too weak."""
    return set(seen.filter(pl.col("authenticated").is_null())["range"])


def tripped(
    baseline: pl.DataFrame, seen: pl.DataFrame, rounds: Mapping[str, int], *, scanner: str, share: float
) -> list[Trip]:
    """Where a scan lost more than `share` of the hosts, or of the findings, of a range. `seen`: as `found` says.

    Hosts are counted by rounds: those of the round before which were not looked at in this one, be it by this scan or
    by another part of the round. So a scan of a few hosts once more loses none.
    """
    lost = _losses(baseline, seen, rounds, scanner)
    hosts = (pl.col("hosts") >= FEWEST_HOSTS) & (pl.col("hosts_lost") / pl.col("hosts") > share)
    findings = (pl.col("findings") >= FEWEST_FINDINGS) & (pl.col("findings_lost") / pl.col("findings") > share)
    over = lost.filter(hosts | findings).sort("range")
    return [Trip(scanner=scanner, **row) for row in over.iter_rows(named=True)]


def _losses(baseline: pl.DataFrame, seen: pl.DataFrame, rounds: Mapping[str, int], scanner: str) -> pl.DataFrame:
    """range, hosts, hosts_lost, findings, findings_lost: against the round before (or this one, if it is the first)."""
    number = pl.col("round")
    before = pl.coalesce(number.filter(number < pl.col("k")).max().over("range"), "k")
    looked = pl.col("here") | pl.col("pending").is_not_null()
    now = pl.coalesce("now", "pending").cast(pl.Int64)
    return (
        baseline.filter(pl.col("scanner") == scanner)
        .join(seen.select("host", there="range", now="findings", here=pl.lit(value=True)), on="host", how="left")
        .with_columns(pl.col("here").fill_null(value=False), k=ordinals("range", rounds))
        .filter(number.is_not_null() & pl.col("k").is_not_null() & (pl.coalesce("there", "range") == pl.col("range")))
        .with_columns(expected=(number == before) & (number < pl.col("k")), recent=number >= before)
        .group_by("range")
        .agg(
            hosts=pl.col("expected").sum().cast(pl.Int64),
            hosts_lost=(pl.col("expected") & ~looked).sum().cast(pl.Int64),
            findings=pl.col("findings").filter("recent").sum().cast(pl.Int64),
            findings_lost=(pl.col("findings").cast(pl.Int64) - now).filter("recent").clip(lower_bound=0).sum(),
        )
    )


def remember(
    baseline: pl.DataFrame, seen: pl.DataFrame, rounds: Mapping[str, int], *, scanner: str, trips: Collection[Trip]
) -> pl.DataFrame:
    """BASELINE after the scan: where it is not believed, only `pending` tells what it found."""
    newest = seen.filter(pl.col("findings").is_not_null()).select("host", there="range", now="findings")
    mine = pl.col("scanner") == scanner
    believed = ~pl.col("there").is_in([trip.range for trip in trips])
    same = (pl.col("there") == pl.col("range")).fill_null(value=False)
    rows = newest.join(baseline.filter(mine).drop("scanner"), on="host", how="left").select(
        "host",
        scanner=pl.lit(scanner),
        range="there",
        round=pl.when(believed).then(ordinals("there", rounds)).when(same).then("round"),
        findings=pl.when(believed).then("now").otherwise("findings"),
        pending=pl.when(~believed).then("now"),
    )
    rest = baseline.join(newest.select("host", scanner=pl.lit(scanner)), on=["host", "scanner"], how="anti")
    return pl.concat([rest, rows.select(*BASELINE)])


def in_doubt(baseline: pl.DataFrame, scanner: str | None = None) -> set[str]:
    """Ranges in which a scan (of that scanner) is not believed yet."""
    of_scanner = pl.lit(value=True) if scanner is None else pl.col("scanner") == scanner
    return set(baseline.filter(of_scanner & pl.col("pending").is_not_null())["range"])


def believe(baseline: pl.DataFrame, hosts: pl.DataFrame, scanner: str, running: Mapping[str, int]) -> pl.DataFrame:
    """BASELINE when what is pending of these hosts counts after all, in the `running` rounds of their ranges."""
    which = (pl.col("scanner") == scanner) & pl.col("host").is_in(hosts["host"].implode())
    which &= pl.col("pending").is_not_null()
    return baseline.with_columns(
        round=pl.when(which).then(ordinals("range", running)).otherwise("round"),
        findings=pl.when(which).then("pending").otherwise("findings"),
        pending=pl.when(~which).then("pending"),
    )


def within(baseline: pl.DataFrame, known_hosts: pl.DataFrame) -> pl.DataFrame:
    """BASELINE under new rules: hosts that are in another range of KNOWN_HOSTS now were in no round of that one."""
    there = known_hosts.select("host", "scanner", there="range")
    rows = baseline.join(there, on=["host", "scanner"], how="left").filter(pl.col("there").is_not_null())
    same = pl.col("there") == pl.col("range")
    return rows.with_columns(round=pl.when(same).then("round"), range="there").select(*BASELINE)
