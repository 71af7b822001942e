"""One box: tickets, hosts (name, address, key), vulnerabilities (id, title, CVE). Each kind page by page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

import polars as pl

from vmjira.domain.frames import CATALOGUE, KNOWN_HOSTS, empty
from vmjira.domain.ticket import TicketRow
from vmjira.flows.knowledge import HOSTS, VULNERABILITIES
from vmjira.flows.looking import Page, Wanted
from vmjira.flows.ports import Store
from vmjira.flows.views import overdue

Kind = Literal["tickets", "hosts", "vulnerabilities"]
KINDS: tuple[Kind, ...] = ("tickets", "hosts", "vulnerabilities")
#: Found things of one kind, where it is the only one asked for, and where it is one of three.
ALONE, AMONG = 50, 10


def search(store: Store, text: str, kind: Kind | None, page: int, today: date) -> dict[str, Any]:
    """`text`: any part of a name, whatever its case. Of every kind the first, or of one `kind` a page."""
    text = text.strip()
    limit = ALONE if kind else AMONG
    cut = Page(limit, (page - 1) * limit)
    with store.reading() as unit:
        parts = unit.ledger_parts()
        rows, count = unit.look.tickets(Wanted(text=text), today, cut) if kind in (None, "tickets") else ([], 0)
    found: dict[str, Any] = {"q": text, "kind": kind, "page": page}
    if kind in (None, "tickets"):
        found["tickets"] = _page([brief(row, today) for row in rows], count, limit)
    if kind in (None, "hosts"):
        found["hosts"] = _hosts(store, parts, text, cut)
    if kind in (None, "vulnerabilities"):
        found["vulnerabilities"] = _vulnerabilities(store, parts, text, cut)
    return found


def brief(row: TicketRow, today: date) -> dict[str, Any]:
    """A ticket in a list."""
    names = ("identifier", "category", "range", "title", "key", "due", "closing")
    return {
        **{name: getattr(row, name) for name in names},
        "iteration": row.label,
        "status": "deleted" if row.gone else row.status,
        "overdue": overdue(row, today),
        "settled": row.own.settled,
        "verified": row.own.verified,
        "own": {name: getattr(row.own, name) for name in _OWN},
    }


_OWN = ("total", "fixed", "open", "unverified", "moved", "gone", "accepted")


def _page(items: list[dict[str, Any]], total: int, limit: int) -> dict[str, Any]:
    return {"total": total, "pages": max(-(-total // limit), 1), "items": items}


def _hosts(store: Store, parts: Mapping[str, str], text: str, cut: Page) -> dict[str, Any]:
    rows = store.scan(parts[HOSTS]) if HOSTS in parts else empty(KNOWN_HOSTS).lazy()
    columns = ("host", "ip", "hostname", "netbios", "mac")
    found = (
        rows.select(*columns, "range", "os", "observed_at")
        .filter(pl.any_horizontal(_has(name, text) for name in columns))
        .sort("observed_at", descending=True)
        .unique("host", keep="first", maintain_order=True)
        .sort(pl.coalesce("hostname", "ip", "host").str.to_lowercase(), "host")
        .collect()
    )
    return _page(found.slice(cut.offset, cut.limit).to_dicts(), found.height, cut.limit)


def _vulnerabilities(store: Store, parts: Mapping[str, str], text: str, cut: Page) -> dict[str, Any]:
    rows = store.scan(parts[VULNERABILITIES]) if VULNERABILITIES in parts else empty(CATALOGUE).lazy()
    cve = pl.col("cves").list.eval(pl.element().str.to_lowercase().str.contains(text.lower(), literal=True)).list.any()
    found = (
        rows.select("scanner", "vulnerability_id", "title", "family", "severity", "cves")
        .filter(_has("vulnerability_id", text) | _has("title", text) | cve.fill_null(value=False))
        .sort("severity", "title", "vulnerability_id", "scanner", descending=[True, False, False, False])
        .collect()
    )
    shown = [{**row, "cves": row["cves"] or []} for row in found.slice(cut.offset, cut.limit).to_dicts()]
    return _page(shown, found.height, cut.limit)


def _has(name: str, text: str) -> pl.Expr:
    return pl.col(name).str.to_lowercase().str.contains(text.lower(), literal=True).fill_null(value=False)
