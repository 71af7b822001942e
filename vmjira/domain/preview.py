"""What rules mean for what is known: hosts without an owner, ranges without hosts, overlaps, findings without category.

All of it is counted over whole frames; nothing costs a Python object a finding.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

import polars as pl

from vmjira.domain.classify import newest, ranges_of
from vmjira.domain.frames import SEVERITIES, Schema, Severity, Time
from vmjira.domain.rulebook import Category, Network, Range, Rulebook

#: How many addresses one line about hosts without owner stands for: prefix lengths by IP version.
_BLOCK = {4: 24, 6: 64}

#: Ranges as scans know them.
COVERAGE: Schema = {"range": pl.String(), "hosts": pl.UInt32(), "observed_at": Time}
#: Hosts that no range owns, by the network around them (null: without an address).
UNOWNED: Schema = {"network": pl.String(), "hosts": pl.UInt32(), "examples": pl.List(pl.String())}
#: Open findings that no category takes, by check family.
UNTAKEN: Schema = {
    "family": pl.String(),
    "findings": pl.UInt32(),
    "hosts": pl.UInt32(),  # summed over ranges
    **{severity: pl.UInt32() for severity in SEVERITIES},  # findings by severity
    "lowest": Severity,
}


@dataclass(frozen=True)
class Overlap:
    """Two networks of different ranges that share addresses; those belong to `winner`."""

    network: Network
    range: str
    winner: Network
    winner_range: str
    hosts: int  # known hosts with an address in both


def placed(known_hosts: pl.DataFrame, rulebook: Rulebook) -> pl.DataFrame:
    """host, ip, observed_at, range: one row per host of KNOWN_HOSTS, with its range by these rules."""
    hosts = newest(known_hosts).select("host", "ip", "observed_at")
    return hosts.with_columns(range=ranges_of(hosts["ip"], rulebook))


def coverage(hosts: pl.DataFrame, rulebook: Rulebook) -> pl.DataFrame:
    """COVERAGE of every range, in file order. `hosts` as `placed` gives them."""
    ranges = pl.DataFrame({"range": [each.id for each in rulebook.ranges]}, schema={"range": pl.String()})
    seen = hosts.group_by("range").agg(hosts=pl.len(), observed_at=pl.col("observed_at").max())
    rows = ranges.join(seen, on="range", how="left", maintain_order="left").with_columns(pl.col("hosts").fill_null(0))
    return rows.select(pl.col(name).cast(kind) for name, kind in COVERAGE.items())


def unowned(hosts: pl.DataFrame, *, examples: int = 3) -> pl.DataFrame:
    """UNOWNED, the most hosts first. `hosts` as `placed` gives them."""
    rows = hosts.filter(pl.col("range").is_null())
    addresses = rows["ip"].drop_nulls().unique()
    blocks = pl.Series([_block(address) for address in addresses], dtype=pl.String)
    network = rows["ip"].replace_strict(addresses, blocks, default=None, return_dtype=pl.String)
    return (
        rows.with_columns(network=network)
        .group_by("network")
        .agg(hosts=pl.len(), examples=pl.col("host").sort().head(examples))
        .sort("hosts", "network", descending=[True, False])
        .select(pl.col(name).cast(kind) for name, kind in UNOWNED.items())
    )


def _block(address: str) -> str:
    return str(ip_network(f"{address}/{_BLOCK[ip_address(address).version]}", strict=False))


def overlaps(rulebook: Rulebook, addresses: Iterable[str]) -> list[Overlap]:
    """Networks of different ranges that share addresses, those with the most known hosts first.

    `addresses`: of the known hosts. The network with the fewest addresses wins, then file order.
    """
    known: dict[int, list[int]] = {4: [], 6: []}
    for address in addresses:
        ip = ip_address(address)
        known[ip.version].append(int(ip))
    for numbers in known.values():
        numbers.sort()

    def hosts(one: Network, other: Network) -> int:
        numbers = known[one.first.version]
        first, last = max(int(one.first), int(other.first)), min(int(one.last), int(other.last))
        return bisect_right(numbers, last) - bisect_left(numbers, first)

    owners = [(network, range_.id) for range_ in rulebook.ranges for network in range_.networks]
    found = []
    for one, other in _pairs([network for network, _ in owners]):
        first, second = sorted((one, other), key=lambda index: (owners[index][0].size, index))
        (winner, winner_range), (loser, range_) = owners[first], owners[second]
        if range_ != winner_range:
            found.append(Overlap(loser, range_, winner, winner_range, hosts(loser, winner)))
    return sorted(found, key=lambda each: -each.hosts)


def _pairs(networks: list[Network]) -> Iterator[tuple[int, int]]:
    """Indices of every two networks that share an address."""
    for version in (4, 6):
        order = sorted(
            (int(network.first), index) for index, network in enumerate(networks) if network.first.version == version
        )
        active: list[int] = []
        for first, index in order:
            active = [other for other in active if int(networks[other].last) >= first]
            yield from ((other, index) for other in active)
            active.append(index)


def untaken(lives: pl.LazyFrame, catalogue: pl.DataFrame) -> pl.DataFrame:
    """UNTAKEN of some `lives` (LEDGER; needs host, scanner, vulnerability_id, category, severity, ended_as)."""
    families = catalogue.lazy().select("scanner", "vulnerability_id", "family")
    return (
        lives.filter(pl.col("ended_as").is_null() & pl.col("category").is_null())
        .join(families, on=["scanner", "vulnerability_id"], how="left")
        .group_by("family")
        .agg(
            findings=pl.len(),
            hosts=pl.col("host").n_unique(),
            **{severity: (pl.col("severity") == severity).sum() for severity in SEVERITIES},
            lowest=pl.col("severity").min(),
        )
        .select(pl.col(name).cast(kind) for name, kind in UNTAKEN.items())
        .collect()
    )


def untaken_total(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """UNTAKEN of several parts of the ledger together: what is worst first."""
    counts = ["findings", "hosts", *SEVERITIES]
    return (
        pl.concat(parts)
        .group_by("family")
        .agg(pl.col(counts).sum(), pl.col("lowest").min())
        .sort(*reversed(SEVERITIES), "family", descending=[*(True for _ in SEVERITIES), False])
        .select(pl.col(name).cast(kind) for name, kind in UNTAKEN.items())
    )


def condition(family: str | None, lowest: str) -> str:
    """A `where` that takes the findings of a family from a severity on; as the last category it takes nothing else."""
    if family is None:
        return f"family IS NULL AND severity >= '{lowest}'"
    quoted = family.replace("'", "''")
    return f"family = '{quoted}' AND severity >= '{lowest}'"


def notes(before: Rulebook, after: Rulebook) -> list[str]:
    """What a person should know of the change beside its numbers."""
    found = [
        *_renamed("category", before.categories, after.categories),
        *_renamed("range", before.ranges, after.ranges),
    ]
    for old in before.ranges:
        new = after.range(old.id)
        if new is None:
            continue
        if old.identity != new.identity:
            found.append(
                f"range '{new.id}': identity changes from {', '.join(old.identity)} to {', '.join(new.identity)}: a "
                "host recognised by something else is another host from the next scan on; its old findings stay open"
            )
        if old.ticket.project != new.ticket.project:
            found.append(
                f"range '{new.id}': new tickets go to project {new.ticket.project}; those that exist stay in "
                f"{old.ticket.project}"
            )
    for name in ("create", "close", "move"):
        was, now = (getattr(policy, f"limit_{name}") for policy in (before.policy, after.policy))
        if now > was:
            found.append(f"limits.{name} rises from {was} to {now}; this change itself is judged by {was}")
    return found


def _renamed(kind: str, before: Sequence[Category | Range], after: Sequence[Category | Range]) -> Iterator[str]:
    known, ids = {each.id for each in before}, {each.id for each in after}
    for new in after:
        if new.id in known:
            continue
        alias = next((each for each in new.aliases if each in known), None)
        twin = next((old.id for old in before if old.id not in ids and _same(old, new)), None)
        if alias:
            yield f"{kind} '{alias}' is renamed to '{new.id}': its tickets continue under new identifiers"
        elif twin:
            yield (
                f"{kind} '{twin}' is now called '{new.id}', so all its findings move to new tickets. To keep its "
                f"tickets, add `aliases: [{twin}]` to {kind} '{new.id}'"
            )


def _same(one: Category | Range, other: Category | Range) -> bool:
    """The same condition, or the same networks."""
    if isinstance(one, Category) and isinstance(other, Category):
        return one.where == other.where
    return isinstance(one, Range) and isinstance(other, Range) and one.networks == other.networks
