"""Why a host, or a finding on it, is where it is."""

from __future__ import annotations

from typing import Any

import polars as pl

from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import identifier
from vmjira.errors import VmjiraError
from vmjira.flows.knowledge import (
    EXPLOITS,
    HOSTS,
    ITERATION_NAMES,
    VULNERABILITIES,
    iterations_of,
    load,
    part_name,
    running_of,
)
from vmjira.flows.ports import Outside
from vmjira.flows.rules import rules_in_force


def explain(outside: Outside, host: str, vulnerability: str | None = None) -> dict[str, Any]:
    """A host by key, address or name: what is known of it, and its findings (or one of them) with their lives."""
    base, rulebook = load(outside.store), rules_in_force(outside)
    wanted = host.lower()
    names = pl.any_horizontal(
        pl.col(name).str.to_lowercase() == wanted for name in ("host", "ip", "hostname", "netbios")
    )
    known = base.part(HOSTS).filter(names).sort("observed_at", descending=True)
    if known.is_empty():
        raise VmjiraError(f"host '{host}': no scan has observed it; give a key, an address or a host name")
    first = known.row(0, named=True)
    ranges = {name for each in known["ranges"] for name in each} | {first["range"] or ""}
    lives = pl.concat([base.part(part_name(name)) for name in sorted(ranges)]).filter(pl.col("host") == first["host"])
    if vulnerability:
        lives = lives.filter(pl.col("vulnerability_id") == vulnerability)
        if lives.is_empty():
            raise VmjiraError(f"host '{host}': vulnerability '{vulnerability}' was never found on it")
    key = ["scanner", "vulnerability_id"]
    titles = base.part(VULNERABILITIES).select(*key, "title", "family")
    rows = lives.join(titles, on=key, how="left").join(base.part(EXPLOITS), on=key, how="left")
    rows = rows.sort("vulnerability_id", "first_seen")
    iterations = base.part(ITERATION_NAMES)
    labels, running = iterations_of(iterations), running_of(iterations)
    return {
        "host": first["host"],
        "known": {
            **_identity(first, rulebook),
            "observations": [_observation(row) for row in known.iter_rows(named=True)],
        },
        "findings": [_finding(row, labels, running, rulebook) for row in rows.iter_rows(named=True)],
    }


def _identity(row: dict[str, Any], rulebook: Rulebook) -> dict[str, Any]:
    range_ = rulebook.range(row["range"]) if row["range"] else None
    networks = ", ".join(f"{each.first}-{each.last}" for each in range_.networks) if range_ else ""
    why = (
        f"{row['ip']} lies in its networks ({networks}); the smallest network that holds an address wins"
        if range_
        else "no range has a network that holds its address"
        if row["ip"]
        else "it has no address"
    )
    return {
        "range": row["range"],
        "range because": why,
        "identified by": ", ".join(range_.identity) if range_ else "what it has",
        **{name: row[name] for name in ("ip", "hostname", "netbios", "mac", "agent_uuid", "os")},
    }


def _observation(row: dict[str, Any]) -> str:
    credentials = {True: "with credentials", False: "without credentials", None: "credentials unknown"}
    complete = "" if row["complete"] is not False else ", incompletely"
    return f"{row['scanner']} {row['observed_at']:%Y-%m-%d %H:%M} UTC {credentials[row['authenticated']]}{complete}"


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
        "previous ticket": row["previous_ticket"],
        "opened as": row["opened_as"],
        "first seen": str(row["first_seen"]),
        "last seen": str(row["last_seen"]),
        "last seen in": label(row["last_iteration"]),
        "last seen with credentials": row["last_authenticated"],
        "ended at": str(row["ended_at"]) if row["ended_at"] else None,
        "ended in": label(row["ended_iteration"]),
        "ports": ", ".join(row["ports"] or []),
        "came back": row["reappeared"],
    }


def _state(row: dict[str, Any], running: int | None) -> str:
    if row["ended_as"]:
        return str(row["ended_as"])
    if running is None or row["last_iteration"] < running:
        return "unverified: open, but not seen in the running iteration"
    return "new" if row["first_iteration"] == running else "remaining"
