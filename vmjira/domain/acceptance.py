"""Risk acceptances: which findings they name, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from zoneinfo import ZoneInfo

import polars as pl

from vmjira.domain.frames import Time
from vmjira.domain.iterations import ordinals, running_ordinals
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.lives import OPEN, end
from vmjira.domain.rulebook import Acceptance, Network


def ends_at(acceptance: Acceptance, zone: ZoneInfo) -> datetime:
    """The moment from which it holds no more: the end of its last day in the policy's zone."""
    return datetime.combine(acceptance.until + timedelta(days=1), time(), zone).astimezone(UTC)


def accepted_until(
    acceptances: Sequence[Acceptance], hosts: pl.DataFrame, catalogue: pl.DataFrame, zone: ZoneInfo
) -> pl.Expr:
    """The latest end among the acceptances that name a finding, or null.

    An expression on host, scanner, vulnerability_id, category and range; `hosts` has one row per host (KNOWN_HOSTS).
    """
    scope = _Scopes(hosts, catalogue)
    ends = [
        pl.when(scope.named_by(acceptance)).then(pl.lit(ends_at(acceptance, zone), Time)) for acceptance in acceptances
    ]
    return pl.max_horizontal(ends) if ends else pl.lit(None, Time)


class _Scopes:
    """Turns the scopes of acceptances into conditions on findings, by what is known of hosts and vulnerabilities."""

    def __init__(self, hosts: pl.DataFrame, catalogue: pl.DataFrame) -> None:
        self._hosts, self._catalogue = hosts, catalogue

    def named_by(self, acceptance: Acceptance) -> pl.Expr:
        """Whether the acceptance names a finding: every scope that it gives must match."""
        scopes = [pl.lit(value=True)]
        if acceptance.category is not None:
            scopes.append(pl.col("category") == acceptance.category)
        if acceptance.range is not None:
            scopes.append(pl.col("range") == acceptance.range)
        if acceptance.host is not None:
            names = pl.col("host", "ip", "hostname").str.to_lowercase() == acceptance.host.lower()
            scopes.append(_is_one_of(self._hosts.filter(pl.any_horizontal(names))["host"]))
        if acceptance.network is not None:
            scopes.append(_is_one_of(self._inside(acceptance.network)))
        if acceptance.vulnerability is not None:
            scopes.append(self._is_vulnerability(acceptance.vulnerability))
        return pl.all_horizontal(scopes)

    @cached_property
    def _addresses(self) -> list[tuple[str, IPv4Address | IPv6Address]]:
        known = self._hosts.select("host", "ip").drop_nulls()
        return [(host, ip_address(ip)) for host, ip in known.iter_rows()]

    def _inside(self, network: Network) -> pl.Series:
        version, first, last = network.first.version, int(network.first), int(network.last)
        inside = [host for host, ip in self._addresses if ip.version == version and first <= int(ip) <= last]
        return pl.Series(inside, dtype=pl.String)

    def _is_vulnerability(self, name: str) -> pl.Expr:
        """The check of that id, or one that the catalogue knows to test for that CVE."""
        tests = self._catalogue.filter(pl.col("cves").list.contains(name.upper()))
        same = [
            (pl.col("scanner") == scanner) & _is_one_of(ids["vulnerability_id"], "vulnerability_id")
            for (scanner,), ids in tests.partition_by("scanner", as_dict=True).items()
        ]
        return pl.any_horizontal(pl.col("vulnerability_id") == name, *same)


def _is_one_of(names: pl.Series, column: str = "host") -> pl.Expr:
    return pl.col(column).is_in(names.implode())


def accept(knowledge: Knowledge, which: pl.Expr, *, at: datetime, until: datetime) -> Knowledge:
    """The open lives that `which` (an expression on LEDGER) selects end as accepted `at`; it holds before `until`."""
    at, until = at.astimezone(UTC), until.astimezone(UTC)
    accepted = OPEN & which
    lives = knowledge.lives.with_columns(
        accepted_until=pl.when(accepted).then(pl.lit(until, Time)).otherwise("accepted_until")
    )
    return replace(knowledge, lives=end(lives, which, "accepted", at=at, iterations=knowledge.iterations))


def reopen_accepted(knowledge: Knowledge, which: pl.Expr) -> Knowledge:
    """The accepted lives that `which` selects, and that did not begin anew since, are open; unverified until seen."""
    again = (pl.col("ended_as") == "accepted").fill_null(value=False) & ~pl.col("superseded") & which
    unseen = pl.min_horizontal("last_iteration", ordinals("range", running_ordinals(knowledge.iterations)) - 1)
    cleared = ("ended_at", "ended_iteration", "ended_as", "ended_scan", "accepted_until")
    lives = knowledge.lives.with_columns(
        *(pl.when(~again).then(column).alias(column) for column in cleared),
        last_iteration=pl.when(again).then(unseen).otherwise("last_iteration"),
    )
    back = pl.col("host").is_in(knowledge.lives.filter(again)["host"].unique().implode())
    return replace(knowledge, lives=lives, hosts=knowledge.hosts.with_columns(gone=pl.col("gone") & ~back))
