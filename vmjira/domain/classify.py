"""Hosts to keys and ranges."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import ip_address

import polars as pl

from vmjira.domain.frames import KNOWN_HOSTS, Scan
from vmjira.domain.rulebook import IdentityKind, Network, Rulebook

#: What identifies a host in no range, in this order.
DEFAULT_IDENTITY: tuple[IdentityKind, ...] = ("ip", "hostname", "netbios", "mac", "agent_uuid")

#: What an observation may lack although the host has it.
_NAMES = ["hostname", "netbios", "mac", "agent_uuid", "os"]


class RangeFinder:
    """Finds the range of an address: the network with the fewest addresses wins, then file order."""

    def __init__(self, rulebook: Rulebook) -> None:
        networks = [(network, range_.id) for range_ in rulebook.ranges for network in range_.networks]
        self._tables = {
            version: _segments([pair for pair in networks if pair[0].first.version == version]) for version in (4, 6)
        }

    def __call__(self, address: str) -> str | None:
        ip = ip_address(address)
        starts, ranges = self._tables[ip.version]
        return ranges[bisect_right(starts, int(ip))]


def ranges_of(addresses: pl.Series, rulebook: Rulebook) -> pl.Series:
    """The range of each address (canonical text or null); null where none owns it."""
    find = RangeFinder(rulebook)
    distinct = addresses.drop_nulls().unique()
    found = [find(address) for address in distinct]
    return addresses.replace_strict(distinct, pl.Series(found, dtype=pl.String), default=None, return_dtype=pl.String)


def identify(scan: Scan, rulebook: Rulebook) -> pl.DataFrame:
    """HOSTS of the scan, plus `range` and `key` (null: the host has nothing that identifies it in its range)."""
    hosts = scan.hosts.with_columns(range=ranges_of(scan.hosts["ip"], rulebook))
    key = _key(DEFAULT_IDENTITY)
    for identity in {range_.identity for range_ in rulebook.ranges}:
        ids = pl.Series([range_.id for range_ in rulebook.ranges if range_.identity == identity])
        key = pl.when(pl.col("range").is_in(ids.implode())).then(_key(identity)).otherwise(key)
    return hosts.with_columns(key=key)


def merge(identified: pl.DataFrame) -> pl.DataFrame:
    """One row per key, named `host`: time, address and range of the later; credentials and completeness if one has."""
    return (
        identified.filter(pl.col("key").is_not_null())
        .sort("scanned_at", maintain_order=True)
        .group_by(pl.col("key").alias("host"), maintain_order=True)
        .agg(
            pl.col("scanned_at", "ip", "range").last(),
            pl.col(_NAMES).drop_nulls().last(),
            pl.col("authenticated", "complete").max(),
        )
    )


def newest(known_hosts: pl.DataFrame) -> pl.DataFrame:
    """One row per host of KNOWN_HOSTS: its newest observation by any scanner; names from the newest that has them."""
    rest = [column for column in KNOWN_HOSTS if column not in ("host", "ranges", *_NAMES)]
    return (
        known_hosts.sort("observed_at", "scanner")
        .group_by("host", maintain_order=True)
        .agg(pl.col(rest).last(), pl.col(_NAMES).drop_nulls().last(), pl.col("ranges").explode().unique())
        .select(*KNOWN_HOSTS)
    )


def _key(identity: Iterable[IdentityKind]) -> pl.Expr:
    return pl.coalesce([pl.format(f"{kind}:{{}}", _identifier(kind)) for kind in identity])


def _identifier(kind: IdentityKind) -> pl.Expr:
    """The host's identifier of that kind in one spelling, or null."""
    text = pl.col(kind).str.strip_chars().str.to_lowercase()
    if kind == "mac":  # several in one text, in any of the usual spellings: 00-11-…, 0011.2233.4455
        text = text.str.replace_all("[-.:]", "").str.extract_all("[0-9a-f]{12}").list.sort().list.first()
        return text.str.replace("^(..)(..)(..)(..)(..)(..)$", "$1:$2:$3:$4:$5:$6")
    return pl.when(text != "").then(text)


def _segments(networks: list[tuple[Network, str]]) -> tuple[list[int], list[str | None]]:
    """Numbers where the owner changes, and the owner from there on, with one more in front: before the first."""
    begins = sorted(((int(network.first), order) for order, (network, _) in enumerate(networks)), reverse=True)
    borders = sorted({edge for network, _ in networks for edge in (int(network.first), int(network.last) + 1)})
    active: list[tuple[int, int]] = []  # size, file order
    owners: list[str | None] = [None]
    for border in borders:
        while begins and begins[-1][0] <= border:
            order = begins.pop()[1]
            heapq.heappush(active, (networks[order][0].size, order))
        while active and int(networks[active[0][1]][0].last) < border:
            heapq.heappop(active)
        owners.append(networks[active[0][1]][1] if active else None)
    return borders, owners
