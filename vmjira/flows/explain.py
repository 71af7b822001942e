"""Why a host, or a finding on it, is where it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from vmjira.domain.acceptance import accepted_until, ends_at
from vmjira.domain.classify import newest
from vmjira.domain.frames import Time
from vmjira.domain.iterations import BACKLOG, ZERO
from vmjira.domain.reasons import Look, conditions, evidence, identity, networks
from vmjira.domain.rulebook import Acceptance, Rulebook
from vmjira.domain.ticket import identifier
from vmjira.errors import VmjiraError
from vmjira.flows.hosts import spelled
from vmjira.flows.knowledge import (
    EXPLOITS,
    HOSTS,
    ITERATION_NAMES,
    VULNERABILITIES,
    Base,
    iterations_of,
    load,
    part_name,
    running_of,
)
from vmjira.flows.ports import Outside
from vmjira.flows.rows import AcceptanceRow, ScanRow
from vmjira.flows.rules import rules_in_force


def explain(outside: Outside, host: str, vulnerability: str | None = None) -> dict[str, Any]:
    """A host by key, address or name: what is known of it, and its findings (or one of them) with their lives."""
    base, rulebook = load(outside.store), rules_in_force(outside)
    known, others = _known(base, host)
    first = known.row(0, named=True)
    ranges = {name for each in known["ranges"] for name in each} | {first["range"] or ""}
    lives = pl.concat([base.part(part_name(name)) for name in sorted(ranges)]).filter(pl.col("host") == first["host"])
    if vulnerability:
        lives = lives.filter(pl.col("vulnerability_id") == vulnerability)
        if lives.is_empty():
            raise VmjiraError(f"host '{host}': vulnerability '{vulnerability}' was never found on it")
    looks = {row["scanner"]: _look(outside, row) for row in known.iter_rows(named=True)}
    rows = _rows(base, lives, newest(known).row(0, named=True), rulebook)
    return {
        "host": first["host"],
        "known": {
            **_identity(first, rulebook),
            "observations": [look.words for look in looks.values()],
            "other hosts of that name": others,
        },
        "findings": _findings(outside, base, rows, rulebook, looks),
    }


def _known(base: Base, host: str) -> tuple[pl.DataFrame, list[str]]:
    """KNOWN_HOSTS of one host, by scanner, the newest first; and the keys of others that are called so, too."""
    wanted = spelled(host)
    names = pl.any_horizontal(
        pl.col(name).str.to_lowercase() == wanted for name in ("host", "ip", "hostname", "netbios")
    )
    known = base.part(HOSTS).filter(names).sort("observed_at", descending=True)
    if known.is_empty():
        raise VmjiraError(f"host '{host}': no scan has observed it; give a key, an address or a host name")
    key, *others = known["host"].unique(maintain_order=True)
    return base.part(HOSTS).filter(pl.col("host") == key).sort("observed_at", descending=True), others


def _identity(row: dict[str, Any], rulebook: Rulebook) -> dict[str, Any]:
    range_ = rulebook.range(row["range"]) if row["range"] else None
    holding = networks(row["ip"], rulebook)
    why = (
        f"{row['ip']} lies in its networks ({holding[0].network}); the smallest network that holds an address wins"
        if holding
        else "no range has a network that holds its address"
        if row["ip"]
        else "it has no address"
    )
    return {
        "range": row["range"],
        "range because": why,
        "networks": [f"{each.network} of {each.range}: {'wins' if each.wins else 'holds it too'}" for each in holding],
        "identified by": ", ".join(range_.identity) if range_ else "what it has",
        "identity": identity(row, range_),
        **{name: row[name] for name in ("ip", "hostname", "netbios", "mac", "agent_uuid", "os")},
    }


def _look(outside: Outside, row: Mapping[str, Any]) -> Look:
    """The newest observation by one scanner (a row of KNOWN_HOSTS), with the scan that it comes from."""
    look = Look(row["scanner"], row["observed_at"], row["authenticated"], row["complete"], id=row["scan"] or "")
    with outside.store.reading() as unit:
        scans = [each for each in unit.scans("folded") if each.scanner == row["scanner"]]
    found = next((each for each in reversed(scans) if not _references(outside, each, row).is_empty()), None)
    if found is None:
        return look
    unmade = outside.store.scan(f"{found.path}/unmade.parquet")
    mine = _references(outside, found, row)
    there = unmade.filter(pl.col("host").is_in(mine.implode())).collect()["vulnerability_id"]
    checks = outside.store.scan(f"{found.path}/checks.parquet").collect()["vulnerability_id"]
    return Look(
        look.scanner, look.at, look.authenticated, look.complete, found.name, frozenset(checks), frozenset(there),
        found.unreadable, look.id,
    )  # fmt: skip


def _references(outside: Outside, scan: ScanRow, row: Mapping[str, Any]) -> pl.Series:
    """What the scan calls the host whose observation this is; none if it comes from another scan."""
    if scan.finished_at < row["observed_at"] or (scan.started_at and scan.started_at > row["observed_at"]):
        return pl.Series(dtype=pl.String)
    same = (pl.col("scanned_at") == pl.lit(row["observed_at"], Time)) & pl.col("ip").eq_missing(pl.lit(row["ip"]))
    return outside.store.scan(f"{scan.path}/hosts.parquet").filter(same).collect()["host"]


def _rows(base: Base, lives: pl.DataFrame, host: Mapping[str, Any], rulebook: Rulebook) -> pl.DataFrame:
    """The lives with everything that a condition may name, and the ends of the acceptances that name them."""
    key = ["scanner", "vulnerability_id"]
    texts = base.part(VULNERABILITIES).drop("severity", "as_of")
    rows = lives.join(texts, on=key, how="left").join(base.part(EXPLOITS), on=key, how="left")
    facts = {name: pl.lit(host[name], pl.String) for name in ("ip", "hostname", "netbios", "os")}
    return rows.with_columns(**facts).sort("vulnerability_id", "first_seen")


# --- findings ---------------------------------------------------------------------------------------------------------


def _findings(
    outside: Outside, base: Base, rows: pl.DataFrame, rulebook: Rulebook, looks: Mapping[str, Look]
) -> list[dict[str, Any]]:
    iterations = base.part(ITERATION_NAMES)
    labels, running = iterations_of(iterations), running_of(iterations)
    said = conditions(rows, rulebook.categories)
    named = _accepted(base, rows, rulebook)
    with outside.store.reading() as unit:
        of_tickets: dict[str, list[AcceptanceRow]] = {}
        for each in unit.acceptances():
            of_tickets.setdefault(each.identifier, []).append(each)
    found = []
    for row, asked, acceptances in zip(rows.iter_rows(named=True), said, named, strict=True):
        finding = _finding(row, labels, running, rulebook)
        ticket = base.tickets.get(finding["ticket"] or "")
        finding["conditions"] = asked
        if (now := next((each["category"] for each in asked if each["takes"]), None)) != row["category"]:
            finding["category because"] += (
                f"; by what is known now {now or 'none'} would take it, from its next life on"
            )
        finding["evidence"] = evidence(row, looks.get(row["scanner"]))
        finding["key"] = ticket.key if ticket else None
        finding["ticket status"] = ticket.status if ticket else None
        finding["acceptances"] = [
            *acceptances,
            *(_of_ticket(each) for each in of_tickets.get(finding["ticket"] or "", ()) if _ended_by(row, each)),
        ]
        found.append(finding)
    return found


def _accepted(base: Base, rows: pl.DataFrame, rulebook: Rulebook) -> list[list[str]]:
    """For each row, the acceptances of acceptances.yaml that name it, in words."""
    hosts = newest(base.part(HOSTS).join(rows, on="host", how="semi"))
    catalogue, zone = base.part(VULNERABILITIES), rulebook.policy.timezone
    found: list[list[str]] = [[] for _ in range(rows.height)]
    for number, each in enumerate(rulebook.acceptances, start=1):
        named = rows.select(accepted_until([each], hosts, catalogue, zone).is_not_null()).to_series()
        if named.len() == rows.height and named.any():
            for index in named.arg_true():
                found[index].append(_of_rules(number, each, ends_at(each, zone)))
    return found


def _of_rules(number: int, each: Acceptance, ends: datetime) -> str:
    return f"acceptances.yaml, number {number}: {each.reason} ({each.approver}), until {ends:%Y-%m-%d %H:%M} UTC"


def _ended_by(row: Mapping[str, Any], acceptance: AcceptanceRow) -> bool:
    return row["ended_as"] == "accepted" and bool(row["ended_at"] == acceptance.accepted_at)


def _of_ticket(row: AcceptanceRow) -> str:
    ended = f", ended {row.ended_at:%Y-%m-%d %H:%M} UTC" if row.ended_at else ""
    return (
        f"closed as {row.reason!r} by {row.accepted_by} at {row.accepted_at:%Y-%m-%d %H:%M} UTC, "
        f"until {row.accepted_until:%Y-%m-%d %H:%M} UTC{ended}"
    )


def _finding(
    row: dict[str, Any], labels: dict[tuple[str, int], Any], running: dict[str, int], rulebook: Rulebook
) -> dict[str, Any]:
    range_ = row["range"] or ""

    def label(ordinal: int | None) -> str | None:
        found = labels.get((range_, ordinal)) if ordinal is not None else None
        return found.label if found else None

    first = label(row["first_iteration"])
    cell = row["category"] and row["range"]
    category = rulebook.category(row["category"]) if row["category"] else None
    return {
        "vulnerability_id": row["vulnerability_id"],
        "title": row["title"],
        "family": row["family"],
        "severity": row["severity"],
        "known exploited": row["kev"],
        "known exploited due": str(row["kev_due"]) if row["kev_due"] else None,
        "epss": row["epss"],
        "category": row["category"],
        "category because": f"the first condition that holds: {category.where}"
        if category
        else "no condition takes it",
        "state": _state(row, running.get(range_)),
        "ticket": identifier(row["category"], row["range"], first) if cell and first else None,
        "ticket because": _ticket_because(row, first),
        "previous ticket": row["previous_ticket"],
        "opened as": row["opened_as"],
        "first seen": str(row["first_seen"]),
        "last seen": str(row["last_seen"]),
        "last seen in": label(row["last_iteration"]),
        "last seen with credentials": row["last_authenticated"],
        "last seen by scan": row["last_scan"],
        "ended at": str(row["ended_at"]) if row["ended_at"] else None,
        "ended by scan": row["ended_scan"],
        "ended in": label(row["ended_iteration"]),
        "ports": ", ".join(row["ports"] or []),
        "came back": row["reappeared"],
    }


def _ticket_because(row: dict[str, Any], first: str | None) -> str:
    if row["first_iteration"] == BACKLOG:
        return "none: it is backlog of iteration 0, which the policy's `adoption` only recorded"
    if not (row["category"] and row["range"]):
        return "none: no category takes it" if row["range"] else "none: its host is in no range"
    return "it was there when its range was adopted" if first == ZERO.label else f"first detected in {first}"


def _state(row: dict[str, Any], running: int | None) -> str:
    if row["ended_as"]:
        return str(row["ended_as"])
    if running is None or row["last_iteration"] < running:
        return "unverified: open, but not seen in the running iteration"
    return "new" if row["first_iteration"] == running else "remaining"
