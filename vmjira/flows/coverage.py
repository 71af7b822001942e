"""Which scanner looks at which hosts: who may scan one again, and when its next scan is due."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

import polars as pl

from vmjira.domain.frames import Time
from vmjira.domain.rulebook import Scanner
from vmjira.domain.statistics import TICKET
from vmjira.domain.ticket import TicketRow
from vmjira.flows.knowledge import HOSTS, part_name
from vmjira.flows.ports import Outside, Store
from vmjira.flows.rows import ScanRow

#: Whose checks the types of scanners.yaml run; through `folder` and `upload` those of any product come.
PRODUCTS: Mapping[str, str] = {
    "nessus": "nessus", "tenable": "nessus", "tenable-sc": "nessus", "insightvm": "nexpose", "nexpose-xml": "nexpose",
    "gvm": "gvm", "qualys": "qualys", "withsecure": "withsecure",
}  # fmt: skip
#: Types that can scan single hosts; whether a scanner itself may, `Source.cannot_rescan` says.
LAUNCHING = frozenset({"nessus", "tenable", "tenable-sc", "insightvm", "nexpose-xml", "gvm"})
#: Past scans of a product that are looked through, and rounds from which the next one is foretold.
LOOK_BACK, ROUNDS = 60, 9

OPEN_HOSTS = {
    "host": pl.String(),
    "product": pl.String(),  # the scanner whose checks found something
    "ip": pl.String(),
    "observed_at": Time,  # its newest word on that host
}


def open_hosts(store: Store, row: TicketRow) -> pl.DataFrame:
    """OPEN_HOSTS: the hosts on which findings of the ticket are open, one row a host and product."""
    with store.reading() as unit:
        parts = unit.ledger_parts()
    if part_name(row.range) not in parts:
        return pl.DataFrame(schema=OPEN_HOSTS)
    own = [pl.col(name) == value for name, value in zip(TICKET, (row.category, row.range, row.ordinal), strict=True)]
    lives = store.scan(parts[part_name(row.range)]).filter(*own, pl.col("ended_as").is_null())
    hosts = store.scan(parts[HOSTS]).select("host", "ip", "observed_at", product="scanner")
    found = lives.select("host", product="scanner").unique().join(hosts, on=["host", "product"], how="left")
    return found.select(*OPEN_HOSTS).sort("host", "product").collect()


@dataclass(frozen=True)
class Launcher:
    """What can scan a host again: a scanner of scanners.yaml, and the part of it that covers the host."""

    scanner: str
    part: str


def launchers(
    outside: Outside, scanners: Sequence[Scanner], product: str, addresses: Collection[str]
) -> dict[str, Launcher]:
    """By address; an address that none can scan again, or of which nobody knows which one, is missing.

    It is the scanner, and that scan or site of it, from which the newest round came that looked there. Where that one
    cannot, or the round was handed in as a file, it is the only one of that product that can.
    """
    able = {each.id for each in scanners if PRODUCTS.get(each.type) == product and each.type in LAUNCHING}
    found = {address: each for address, each in _newest(outside, product, addresses).items() if each.scanner in able}
    only = {address: Launcher(next(iter(able)), "") for address in addresses} if len(able) == 1 else {}
    return only | found


def _newest(outside: Outside, product: str, addresses: Collection[str]) -> dict[str, Launcher]:
    with outside.store.reading() as unit:
        sources = {digest: (row.scanner, row.remote) for row in unit.taken() for digest in row.digest.split()}
    found: dict[str, Launcher] = {}
    for row, looked_at in rounds(outside.store, product, addresses) if sources else ():
        scanner, remote = sources.get(row.digest, ("", ""))
        found = dict.fromkeys(looked_at, Launcher(scanner, remote.rpartition("/")[0])) | found
        if len(found) == len(addresses):
            break
    return found


def rounds(store: Store, product: str, addresses: Collection[str]) -> Iterator[tuple[ScanRow, set[str]]]:
    """Scans of a product that looked at some of these addresses, the newest first, and at which; no rescans."""
    with store.reading() as unit:
        scans = [row for row in unit.scans("folded") if row.scanner == product and not row.rescan]
    wanted = pl.col("ip").is_in(list(addresses))
    for row in sorted(scans, key=lambda row: row.finished_at, reverse=True)[:LOOK_BACK]:
        path = f"{row.path}/hosts.parquet"
        if store.exists(path):  # those of old scans may be swept away
            looked_at = set(store.scan(path).filter(wanted).select("ip").collect()["ip"])
            if looked_at:
                yield row, looked_at


def next_round(outside: Outside, product: str, addresses: Collection[str]) -> datetime | None:
    """When the next scan of these addresses is due, if scans go on as before; None if that cannot be said.

    Several scans of one day are parts of one round.
    """
    seen: dict[object, datetime] = {}
    for row, _ in rounds(outside.store, product, addresses):
        seen.setdefault(row.finished_at.date(), row.finished_at)
        if len(seen) == ROUNDS:
            break
    ends = list(seen.values())
    gaps = [(later - earlier).total_seconds() for later, earlier in pairwise(ends)]
    due = ends[0] + timedelta(seconds=median(gaps)) if gaps else None
    return due if due and due > outside.clock() else None
