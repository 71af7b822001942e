"""Long lists, page by page, as plain values: tickets, operations, events, scans, rules, what people did."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import zip_longest
from typing import Any

from vmjira.domain.rulebook import Rulebook
from vmjira.errors import Problem
from vmjira.flows.looking import Act, Page, Wanted
from vmjira.flows.ports import OperationRow, OperationState, RulesRow, ScanRow, Unit
from vmjira.flows.present import heard_json, operation_json
from vmjira.flows.search import brief

SIZE = 50


def tickets(unit: Unit, wanted: Wanted, today: date, page: int) -> dict[str, Any]:
    rows, total = unit.look.tickets(wanted, today, _cut(page))
    return _paged([brief(row, today) for row in rows], total, page)


def operations(
    unit: Unit, states: Sequence[OperationState], page: int, *, identifier: str | None = None
) -> dict[str, Any]:
    """The newest first."""
    rows, total = unit.look.operations(states, _cut(page), identifier=identifier)
    return _paged(with_acts(unit, rows), total, page)


def with_acts(unit: Unit, rows: Sequence[OperationRow]) -> list[dict[str, Any]]:
    """Operations as plain values; `acts`: what people did to each, the oldest first."""
    found = unit.look.acts_on([row.id for row in rows])
    return [{**operation_json(row), "acts": [act_json(act) for act in found.get(row.id, [])]} for row in rows]


def acts(unit: Unit, page: int) -> dict[str, Any]:
    rows, total = unit.look.acts(_cut(page))
    return _paged([act_json(row) for row in rows], total, page)


def act_json(act: Act) -> dict[str, Any]:
    return {
        "at": act.at.isoformat(),
        "actor": act.actor,
        "via": act.via,
        "action": act.action,
        "operation": act.operation,
    }


def events(unit: Unit, page: int) -> dict[str, Any]:
    """How many there are in all is not counted: there may be very many."""
    found = heard_json(unit, limit=SIZE + 1, offset=(page - 1) * SIZE)
    return {"page": page, "more": len(found) > SIZE, "items": found[:SIZE]}


def scans(unit: Unit, page: int) -> dict[str, Any]:
    rows, total = unit.look.scans(_cut(page))
    return _paged([scan_json(row) for row in rows], total, page)


def scan_json(row: ScanRow) -> dict[str, Any]:
    names = (
        "id", "scanner", "format", "name", "started_at", "finished_at", "folded_at", "hosts", "findings", "records",
        "records_by_severity", "unreadable", "rescan",
    )  # fmt: skip
    return {**{name: getattr(row, name) for name in names}, "warnings": list(row.warnings)}


def scanners(unit: Unit, rulebook: Rulebook) -> dict[str, Any]:
    """Those of the rules, and those of which scans came in. Options may hold secrets: they are not shown."""
    return {
        "configured": [{"id": each.id, "type": each.type, "fetch": each.fetch} for each in rulebook.scanners],
        "heard": [vars(each) for each in unit.look.last_scans()],
    }


def rules(unit: Unit, rulebook: Rulebook, problems: Sequence[Problem], page: int) -> dict[str, Any]:
    """What is in force, the problems of the files in the folder, and what each rule set changed."""
    rows, total = unit.look.rules(Page(SIZE + 1, (page - 1) * SIZE))
    history = [_change(row, old) for row, old in zip_longest(rows, rows[1:])][:SIZE]
    return {
        "digest": rulebook.digest or None,
        "since": history[0]["since"] if history and page == 1 else None,
        "files": dict(rows[0].files) if rows and page == 1 else {},
        "categories": [
            {"id": each.id, "title": each.title, "where": each.where, "priority": each.priority,
             "due_days": each.due.days if each.due else None}
            for each in rulebook.categories
        ],
        "ranges": [
            {"id": each.id, "title": each.title, "iteration": each.iteration, "identity": list(each.identity),
             "networks": [_network(one) for one in each.networks], "project": each.ticket.project}
            for each in rulebook.ranges
        ],
        "problems": [vars(each) for each in problems],
        "history": _paged(history, total, page),
    }  # fmt: skip


def _network(network: Any) -> str:
    return str(network.first) if network.size == 1 else f"{network.first}-{network.last}"


def _change(row: RulesRow, before: RulesRow | None) -> dict[str, Any]:
    return {"digest": row.digest, "since": row.since, "changes": _diff(before.files if before else None, row.files)}


def _diff(before: Mapping[str, str] | None, now: Mapping[str, str]) -> str:
    """What changed, as a unified diff; empty for the first rules."""
    if before is None:
        return ""
    names = sorted({*before, *now})
    lines = (
        line
        for name in names
        for line in difflib.unified_diff(
            before.get(name, "").splitlines(), now.get(name, "").splitlines(), name, name, lineterm="", n=2
        )
    )
    return "\n".join(lines)


def _cut(page: int) -> Page:
    return Page(SIZE, (page - 1) * SIZE)


def _paged(items: list[dict[str, Any]], total: int, page: int) -> dict[str, Any]:
    return {"page": page, "pages": max(-(-total // SIZE), 1), "total": total, "items": items}
