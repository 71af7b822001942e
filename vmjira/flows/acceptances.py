"""Risks that are accepted: by the rules and by tickets, until when, and how many findings each holds now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from vmjira.domain.acceptance import accepted_until, ends_at
from vmjira.domain.classify import newest
from vmjira.domain.frames import CATALOGUE, KNOWN_HOSTS, LEDGER, Time, empty
from vmjira.domain.rulebook import Acceptance, Rulebook
from vmjira.domain.ticket import TicketRow
from vmjira.flows.knowledge import HOSTS, VULNERABILITIES, lives_of
from vmjira.flows.ports import Store
from vmjira.flows.rows import AcceptanceRow

#: Days before its end from which an acceptance is said to end soon.
SOON = 30


@dataclass(frozen=True)
class _Held:
    """The findings that are accepted now, and what scopes are compared with."""

    lives: pl.DataFrame
    hosts: pl.DataFrame
    catalogue: pl.DataFrame

    def count(self, which: pl.Expr) -> int:
        return int(self.lives.select(which.fill_null(value=False).sum()).item())


def all_acceptances(store: Store, rulebook: Rulebook, now: datetime) -> list[dict[str, Any]]:
    """Those of acceptances.yaml (ended ones too: they can be deleted there), and those of tickets that hold.

    What ends first comes first. `findings` had a ticket or would have had one before they were accepted; what was
    accepted before it was ever seen has no row to count.
    """
    with store.reading() as unit:
        parts, tickets = unit.ledger_parts(), {row.identifier: row for row in unit.tickets()}
        rows = [row for row in unit.acceptances() if row.ended_at is None and row.accepted_until > now]
    held = _held(store, parts, now)
    of_rules = [_of_rules(each, rulebook, held, now) for each in rulebook.acceptances]
    of_tickets = [_of_ticket(row, tickets.get(row.identifier), rulebook, held, now) for row in rows]
    return sorted([*of_rules, *of_tickets], key=lambda each: (each["until"], each["scope"]))


def _held(store: Store, parts: Mapping[str, str], now: datetime) -> _Held:
    told = pl.col("accepted_until").is_not_null()  # first, because Parquet tells at once where all are null
    accepted = told & (pl.col("ended_as") == "accepted") & ~pl.col("superseded") & (pl.col("accepted_until") > now)
    lives = [store.scan(path).filter(accepted).collect() for path in lives_of(parts)]
    found = pl.concat([empty(LEDGER), *lives])
    there = pl.col("host").is_in(found["host"].unique().implode())
    hosts = store.scan(parts[HOSTS]).filter(there).collect() if HOSTS in parts else empty(KNOWN_HOSTS)
    texts = pl.col("vulnerability_id").is_in(found["vulnerability_id"].unique().implode())
    catalogue = (
        store.scan(parts[VULNERABILITIES]).filter(texts).collect() if VULNERABILITIES in parts else empty(CATALOGUE)
    )
    return _Held(found, newest(hosts), catalogue)


def _of_rules(acceptance: Acceptance, rulebook: Rulebook, held: _Held, now: datetime) -> dict[str, Any]:
    zone = rulebook.policy.timezone
    scope = {name: value for name in _SCOPES if (value := getattr(acceptance, name)) is not None}
    if network := acceptance.network:
        scope["network"] = str(network.first) if network.size == 1 else f"{network.first}-{network.last}"
    named = accepted_until([acceptance], held.hosts, held.catalogue, zone).is_not_null()
    ends = ends_at(acceptance, zone)
    return {
        "source": "rules",
        "scope": ", ".join(f"{name} {value}" for name, value in scope.items()),
        **dict.fromkeys(("ticket", "key", "since")),
        "reason": acceptance.reason,
        "approver": acceptance.approver,
        **_ends(acceptance.until, ends, now, rulebook),
        "findings": held.count(named) if ends > now else 0,
    }


_SCOPES = ("category", "range", "host", "network", "vulnerability")


def _of_ticket(
    row: AcceptanceRow, ticket: TicketRow | None, rulebook: Rulebook, held: _Held, now: datetime
) -> dict[str, Any]:
    own = pl.lit(value=False)
    if ticket:
        own = (pl.col("category") == ticket.category) & (pl.col("range") == ticket.range)
        own &= (pl.col("first_iteration") == ticket.ordinal) & (pl.col("ended_at") == pl.lit(row.accepted_at, Time))
    until = row.accepted_until.astimezone(rulebook.policy.timezone).date()
    return {
        "source": "ticket",
        "scope": row.identifier,
        "ticket": row.identifier,
        "key": ticket.key if ticket else None,
        "since": row.accepted_at.isoformat(),
        "reason": row.reason,
        "approver": row.accepted_by,
        **_ends(until, row.accepted_until, now, rulebook),
        "findings": held.count(own),
    }


def _ends(until: date, ends: datetime, now: datetime, rulebook: Rulebook) -> dict[str, Any]:
    """The last day on which it holds, and how far away that is."""
    left = (until - now.astimezone(rulebook.policy.timezone).date()).days
    state = "ended" if ends <= now else "ends soon" if left <= SOON else "holds"
    return {"until": until.isoformat(), "days_left": max(left, 0), "state": state}


def summary(acceptances: Sequence[Mapping[str, Any]]) -> str:
    """In words, how many hold and how many end soon."""
    holding = [each for each in acceptances if each["state"] != "ended"]
    soon = sum(each["state"] == "ends soon" for each in holding)
    return f"{len(holding)} acceptances hold, {soon} of them end within {SOON} days"
