"""The overview as values: the matrix of cells with numbers, trend and ticket, and totals. SQL only: it stays quick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from vmjira.domain.rulebook import Category, Range, Rulebook
from vmjira.domain.ticket import CellNumbers, TicketRow
from vmjira.flows.looking import Cell
from vmjira.flows.ports import Unit

#: Iterations in a trend, and ranges beside each other.
TREND, RANGES = 12, 10
_NOTHING = dict.fromkeys(("tickets", "living", "overdue", "settled", "verified", "open", "unverified", "fixed"), 0)


def overview(unit: Unit, rulebook: Rulebook, today: date, *, page: int = 1) -> dict[str, Any]:
    """Totals of all, and the matrix of `RANGES` ranges: those of the page."""
    sums = unit.look.cells(today)
    categories = in_order({each.category for each in sums}, rulebook.categories)
    ranges = in_order({each.range for each in sums}, rulebook.ranges)
    shown = ranges[(page - 1) * RANGES : page * RANGES]
    return {
        "totals": _totals(sums),
        "categories": [named(id, rulebook.category(id)) for id in categories],
        "ranges": [named(id, rulebook.range(id)) for id in shown],
        "page": page,
        "pages": max(-(-len(ranges) // RANGES), 1),
        "cells": cells(unit, sums, categories, shown),
    }


def cells(unit: Unit, sums: Sequence[Cell], categories: Sequence[str], ranges: Sequence[str]) -> list[dict[str, Any]]:
    """One value a cell that has numbers or tickets: as it stands at its latest iteration."""
    history: dict[tuple[str, str], list[CellNumbers]] = {}
    for each in unit.look.recent_numbers(TREND, categories=categories, ranges=ranges):
        history.setdefault((each.category, each.range), []).append(each)
    newest = {(row.category, row.range): row for row in unit.look.newest_tickets(categories=categories, ranges=ranges)}
    wanted = set(ranges)
    return [
        _cell(each, history.get((each.category, each.range), []), newest.get((each.category, each.range)))
        for each in sums
        if each.range in wanted
    ]


def _cell(sums: Cell, history: Sequence[CellNumbers], ticket: TicketRow | None) -> dict[str, Any]:
    last = history[-1] if history else None
    return {
        "category": sums.category,
        "range": sums.range,
        "iteration": last.label if last else None,
        "numbers": asdict(last.numbers) if last else None,
        "state": state(sums, last),
        "trend": [{"iteration": each.label, "vulnerable": each.numbers.vulnerable} for each in history],
        "tickets": {name: getattr(sums, name) for name in _NOTHING},
        "ticket": {"identifier": ticket.identifier, "key": ticket.key, "status": ticket.status} if ticket else None,
    }


def state(sums: Cell, last: CellNumbers | None) -> str:
    """What matters most: overdue, new, unverified, remaining. Else clean if all that ended was fixed, or settled."""
    if sums.overdue:
        return "overdue"
    for name in ("new", "unverified", "remaining"):
        if last and getattr(last.numbers, name):
            return name
    if sums.open:  # of hosts that the numbers of the latest iteration do not count
        return "unverified" if sums.unverified else "remaining"
    return "settled" if sums.settled > sums.verified else "clean"


def _totals(sums: Iterable[Cell]) -> dict[str, int]:
    total = dict(_NOTHING)
    for each in sums:
        for name in total:
            total[name] += getattr(each, name)
    return total


def in_order(used: set[str], rules: Iterable[Category | Range]) -> list[str]:
    """Those in use in the order of the rules; what the rules no longer have comes last."""
    known = [each.id for each in rules if each.id in used]
    return known + sorted(used - set(known))


def named(id: str, rule: Category | Range | None) -> dict[str, str]:
    return {"id": id, "title": rule.title if rule else id}


def titles(rulebook: Rulebook) -> Mapping[str, str]:
    """Titles of categories and ranges by their ids."""
    rules: list[Category | Range] = [*rulebook.categories, *rulebook.ranges]
    return {each.id: each.title for each in rules}
