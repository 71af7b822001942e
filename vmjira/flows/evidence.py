"""A ticket to look at: what is known of it without its findings, and its own findings host by host, page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date
from functools import lru_cache
from typing import Any

import polars as pl

from vmjira.domain.frames import CATALOGUE, ITERATIONS, KNOWN_HOSTS, LEDGER, empty
from vmjira.domain.iterations import running
from vmjira.domain.lives import OPEN
from vmjira.domain.report import state_at
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.statistics import latest
from vmjira.domain.ticket import STATES, TicketRow
from vmjira.errors import Unknown
from vmjira.flows.knowledge import HOSTS, ITERATION_NAMES, VULNERABILITIES, part_name
from vmjira.flows.moved import moved_json
from vmjira.flows.ports import Store, Unit
from vmjira.flows.present import left_as_set, ticket_json
from vmjira.flows.rescanning import of_ticket
from vmjira.flows.views import HISTORY, overdue

#: Hosts of a page, and findings of a host that it lists; the host's own page has all.
HOSTS_SHOWN, FINDINGS_SHOWN = 25, 50
_LIFE = (
    "host", "scanner", "vulnerability_id", "severity", "ports", "first_seen", "first_iteration", "last_seen",
    "last_iteration", "last_authenticated", "last_scan", "ended_at", "ended_as", "ended_scan", "reappeared",
    "superseded",
)  # fmt: skip
_OPEN_STATES = ("new", "remaining", "unverified")


def find(unit: Unit, identifier: str) -> TicketRow:
    """By its identifier or its key; Unknown if there is none."""
    row = unit.ticket(identifier) or unit.ticket_of_issue(identifier.upper())
    if row is None:
        raise Unknown(f"ticket '{identifier}': there is none with this identifier or key; see `vmjira tickets`")
    return row


def ticket(store: Store, identifier: str, rulebook: Rulebook, today: date) -> dict[str, Any]:
    """What SQL knows of a ticket."""
    with store.reading() as unit:
        row = find(unit, identifier)
        cells = [each for each in unit.cell_numbers(ranges=[row.range]) if each.category == row.category]
        rows = [each for each in unit.tickets(ranges=[row.range]) if each.category == row.category]
        sent = [each.name for each in unit.attachments(row.identifier)]
        rescans = of_ticket(unit, row.identifier)
        moved = moved_json(unit, row.identifier)
    past = [each for each in cells if each.ordinal <= row.ordinal][-HISTORY:]
    mine = past[-1] if past and past[-1].ordinal == row.ordinal else None
    category = rulebook.category(row.category)
    return {
        **ticket_json(row, mine, rows),
        **moved,
        "created_at": row.created_at,
        "due": row.due,
        "overdue": overdue(row, today),
        "closing": row.closing,
        "closed_at": row.closed_at,
        "reopened": row.reopened,
        "left_as_set": left_as_set(row),
        "condition": category.where if category else None,
        "iterations": [{"iteration": each.label, "numbers": asdict(each.numbers)} for each in past],
        "attachments": sent,
        "rescans": rescans,
    }


def evidence(store: Store, row: TicketRow, state: str | None, page: int) -> dict[str, Any]:
    """The hosts of its own findings, those with open ones first; `state`: only findings in that state (or `open`)."""
    with store.reading() as unit:
        parts = unit.ledger_parts()
    now = running(_scan(store, parts, ITERATION_NAMES, ITERATIONS).collect())
    path = parts.get(part_name(row.range))
    lives = _own(store.scan, path, row.category, row.ordinal) if path else empty(LEDGER).select(_LIFE)
    k = now[row.range].ordinal if row.range in now else row.ordinal
    lives = lives.with_columns(state=state_at(k))
    counts = dict(lives["state"].value_counts().iter_rows())
    wanted = _OPEN_STATES if state == "open" else (state,) if state else STATES
    chosen = lives.filter(pl.col("state").is_in(wanted))
    hosts = (
        chosen.group_by("host")
        .agg(
            open=OPEN.sum(),
            worst=pl.col("severity").max(),
            total=pl.len(),
            worst_open=pl.col("severity").filter(OPEN).max(),
            last_seen=pl.col("last_seen").max(),
        )
        .sort("worst_open", "open", "worst", "host", descending=[True, True, True, False], nulls_last=True)
    )
    shown = hosts.slice((page - 1) * HOSTS_SHOWN, HOSTS_SHOWN)
    return {
        "identifier": row.identifier,
        "state": state,
        "counts": {name: counts.get(name, 0) for name in STATES},
        "total": hosts.height,
        "page": page,
        "pages": max(-(-hosts.height // HOSTS_SHOWN), 1),
        "hosts": _hosts(store, parts, shown, chosen),
    }


@lru_cache(maxsize=8)
def _own(scan: Callable[[str], pl.LazyFrame], path: str, category: str, ordinal: int) -> pl.DataFrame:
    """Own findings of a ticket: what is written at a path never changes, so a page after the first is at hand."""
    mine = (pl.col("category") == category) & (pl.col("first_iteration") == ordinal)
    return latest(scan(path).filter(mine).select(_LIFE).collect())


def _scan(store: Store, parts: Mapping[str, str], name: str, schema: Any) -> pl.LazyFrame:
    return store.scan(parts[name]) if name in parts else empty(schema).lazy()


def _hosts(store: Store, parts: Mapping[str, str], shown: pl.DataFrame, chosen: pl.DataFrame) -> list[dict[str, Any]]:
    keys = shown["host"].implode()
    known = _scan(store, parts, HOSTS, KNOWN_HOSTS).filter(pl.col("host").is_in(keys)).collect()
    known = known.sort("observed_at", descending=True)
    findings = chosen.filter(pl.col("host").is_in(keys))
    texts = pl.col("vulnerability_id").is_in(findings["vulnerability_id"].unique().implode())
    catalogue = _scan(store, parts, VULNERABILITIES, CATALOGUE).select("scanner", "vulnerability_id", "title")
    findings = findings.join(catalogue.filter(texts).collect(), on=["scanner", "vulnerability_id"], how="left")
    findings = findings.sort(OPEN, "severity", "vulnerability_id", descending=[True, True, False])
    return [_host(each, known, findings) for each in shown.iter_rows(named=True)]


def _host(each: Mapping[str, Any], known: pl.DataFrame, findings: pl.DataFrame) -> dict[str, Any]:
    seen = known.filter(pl.col("host") == each["host"]).rows(named=True)
    mine = findings.filter(pl.col("host") == each["host"])
    return {
        "host": each["host"],
        "ip": seen[0]["ip"] if seen else None,
        "hostname": seen[0]["hostname"] if seen else None,
        "open": each["open"],
        "total": each["total"],
        "severity": each["worst_open"] or each["worst"],
        "last_seen": each["last_seen"],
        "observations": [observation(row) for row in seen],
        "findings": [finding(row) for row in mine.head(FINDINGS_SHOWN).iter_rows(named=True)],
    }


def observation(row: Mapping[str, Any]) -> dict[str, Any]:
    """When a scanner looked at a host last, and how well."""
    return {name: row[name] for name in ("scanner", "observed_at", "authenticated", "complete", "scan")}


def finding(row: Mapping[str, Any]) -> dict[str, Any]:
    names = (
        "scanner", "vulnerability_id", "title", "severity", "state", "first_seen", "last_seen", "last_authenticated",
        "last_scan", "ended_at", "ended_scan",
    )  # fmt: skip
    return {**{name: row[name] for name in names}, "ports": row["ports"] or []}
