"""A host to look at: who it is, who looked at it when, and every life of every finding on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

import polars as pl

from vmjira.domain.frames import CATALOGUE, ITERATIONS, KNOWN_HOSTS, LEDGER, empty
from vmjira.domain.iterations import NO_RANGE, running_ordinals
from vmjira.domain.lives import OPEN, ticket_of
from vmjira.domain.report import state_at
from vmjira.domain.rulebook import Rulebook
from vmjira.errors import Unknown
from vmjira.flows.evidence import finding, observation
from vmjira.flows.knowledge import HOSTS, ITERATION_NAMES, VULNERABILITIES, part_name
from vmjira.flows.ports import Store

FINDINGS_SHOWN = 100
#: Points of the line of open findings over time.
POINTS = 60


def host(store: Store, wanted: str, rulebook: Rulebook, page: int) -> dict[str, Any]:
    """By key, address or name. Unknown if no scan has observed it. The open findings come first."""
    with store.reading() as unit:
        parts = unit.ledger_parts()
    known = _known(store, parts, wanted)
    first = known.row(0, named=True)
    mine = known.filter(pl.col("host") == first["host"])
    lives = _lives(store, parts, mine, first["host"])
    rule = rulebook.range(first["range"]) if first["range"] else None
    return {
        **{name: first[name] for name in ("host", "ip", "hostname", "netbios", "mac", "agent_uuid", "os", "range")},
        "range_title": rule.title if rule else None,
        "identified_by": list(rule.identity) if rule else [],
        "gone": bool(first["gone"]),
        "also": sorted(set(known["host"]) - {first["host"]}),
        "observations": [observation(row) for row in mine.iter_rows(named=True)],
        "open": int(lives.select(OPEN.sum()).item()),
        "over_time": _over_time(lives),
        "total": lives.height,
        "page": page,
        "pages": max(-(-lives.height // FINDINGS_SHOWN), 1),
        "findings": _findings(store, parts, lives.slice((page - 1) * FINDINGS_SHOWN, FINDINGS_SHOWN)),
    }


def _known(store: Store, parts: Mapping[str, str], wanted: str) -> pl.DataFrame:
    """KNOWN_HOSTS rows, the newest first: of the host with that key, else of those with that address or name."""
    name = spelled(wanted)
    rows = store.scan(parts[HOSTS]) if HOSTS in parts else empty(KNOWN_HOSTS).lazy()
    columns = (pl.col("host"), pl.col("ip"), pl.col("hostname"), pl.col("netbios"))
    found = rows.filter(pl.any_horizontal(each.str.to_lowercase() == name for each in columns)).collect()
    exact = found.filter(pl.col("host").str.to_lowercase() == name)
    found = exact if exact.height else found
    if found.is_empty():
        raise Unknown(f"host '{wanted}': no scan has observed it; give a key, an address or a host name")
    return found.sort("observed_at", "host", descending=[True, False])


def spelled(wanted: str) -> str:
    """What a person calls a host, as keys, addresses and names in small letters are written."""
    name = wanted.strip().lower()
    address = name.removeprefix("ip:")
    try:
        return name.removesuffix(address) + str(ip_address(address))
    except ValueError:
        return name


def _lives(store: Store, parts: Mapping[str, str], known: pl.DataFrame, key: str) -> pl.DataFrame:
    """LEDGER rows of the host with `state` and `ticket`, the worst that is open first."""
    ranges = {name for each in known["ranges"] for name in each} | {each or NO_RANGE for each in known["range"]}
    paths = [parts[part_name(name)] for name in sorted(ranges) if part_name(name) in parts]
    lazy = [store.scan(path).filter(pl.col("host") == key) for path in paths]
    lives = pl.concat([empty(LEDGER), *pl.collect_all(lazy)])
    iterations = store.scan(parts[ITERATION_NAMES]).collect() if ITERATION_NAMES in parts else empty(ITERATIONS)
    now = running_ordinals(iterations)
    states = [
        part.with_columns(state=state_at(now.get(part["range"][0] or NO_RANGE, 0)))
        for part in lives.partition_by("range", maintain_order=True)
    ]
    told = pl.concat(states) if states else lives.with_columns(state=state_at(0))
    return told.with_columns(ticket=ticket_of(told, iterations)).sort(
        OPEN, "severity", "last_seen", "vulnerability_id", descending=[True, True, True, False]
    )


def _over_time(lives: pl.DataFrame) -> list[dict[str, Any]]:
    """Open findings after each day on which that number changed."""
    events = pl.concat(
        [
            lives.filter(pl.col("opened_as") != "moved").select(at="first_seen", n=pl.lit(1, pl.Int64)),
            lives.filter(pl.col("ended_as").is_in(["fixed", "gone", "accepted"])).select(
                at="ended_at", n=pl.lit(-1, pl.Int64)
            ),
        ]
    )
    days = events.group_by(pl.col("at").dt.date()).agg(pl.col("n").sum()).sort("at")
    return [
        {"day": day, "open": count} for day, count in days.select("at", pl.col("n").cum_sum()).tail(POINTS).iter_rows()
    ]


def _findings(store: Store, parts: Mapping[str, str], lives: pl.DataFrame) -> Sequence[dict[str, Any]]:
    wanted = pl.col("vulnerability_id").is_in(lives["vulnerability_id"].unique().implode())
    texts = store.scan(parts[VULNERABILITIES]) if VULNERABILITIES in parts else empty(CATALOGUE).lazy()
    titles = texts.filter(wanted).select("scanner", "vulnerability_id", "title").collect()
    rows = lives.join(titles, on=["scanner", "vulnerability_id"], how="left", maintain_order="left")
    names = ("category", "range", "ticket", "previous_ticket", "opened_as", "reappeared")
    return [{**finding(row), **{name: row[name] for name in names}} for row in rows.iter_rows(named=True)]
