"""Long lists, page by page, as plain values: tickets, operations, events, scans, rules, what people did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

from vmjira.domain.frames import scan_id
from vmjira.domain.rulebook import Rulebook
from vmjira.errors import Problem
from vmjira.flows.history import difference
from vmjira.flows.history import page as periods
from vmjira.flows.jobs import crons
from vmjira.flows.looking import Act, Page, Wanted
from vmjira.flows.operations import RULES
from vmjira.flows.ports import Unit
from vmjira.flows.present import heard_json, operation_json
from vmjira.flows.rescanning import of_scanners
from vmjira.flows.rows import DeliveryState, EnrichmentRow, FiringRow, OperationRow, OperationState, RulesRow, ScanRow
from vmjira.flows.search import brief

SIZE, PERIODS = 50, 20
#: When a cron expression is due next; None: never, or nobody knows here.
NextDue = Callable[[str], datetime | None]


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


def events(unit: Unit, states: Sequence[DeliveryState], page: int) -> dict[str, Any]:
    """How many there are in all is not counted: there may be very many."""
    found = heard_json(unit, *states, limit=SIZE + 1, offset=(page - 1) * SIZE)
    return {"page": page, "more": len(found) > SIZE, "items": found[:SIZE]}


def scans(unit: Unit, page: int) -> dict[str, Any]:
    rows, total = unit.look.scans(_cut(page))
    return _paged([scan_json(row) for row in rows], total, page)


def scan_json(row: ScanRow) -> dict[str, Any]:
    names = (
        "id", "scanner", "format", "name", "started_at", "finished_at", "folded_at", "hosts", "findings", "records",
        "records_by_severity", "unreadable", "rescan", "state", "note", "digest",
    )  # fmt: skip
    told = {name: getattr(row, name) for name in names}
    return {**told, "scan": scan_id(row.digest), "warnings": list(row.warnings)}


def _catalogues(row: EnrichmentRow | None) -> list[dict[str, Any]]:
    """What tells of exploited vulnerabilities, as it was taken last."""
    if row is None:
        return []
    names = ("source", "edition", "cves")
    return [
        {"name": name, "taken_at": row.taken_at, **{each: told.get(each) for each in names}}
        for name, told in sorted(row.catalogues.items())
    ]


def scanners(unit: Unit, rulebook: Rulebook, next_due: NextDue) -> dict[str, Any]:
    """Those of the rules, those of which scans came in, the jobs of the clock, and rescans. Options of scanners may
    hold secrets: they are not shown."""
    last = unit.last_firings()
    return {
        "configured": [{"id": each.id, "type": each.type, "fetch": each.fetch} for each in rulebook.scanners],
        "heard": [vars(each) for each in unit.look.last_scans()],
        "catalogues": _catalogues(unit.enrichment()),
        "jobs": [
            {"job": job, "cron": cron, "next": next_due(cron), "last": _firing(last.get(job))}
            for job, cron in crons(rulebook).items()
        ],
        "rescans": of_scanners(unit),
    }


def _firing(row: FiringRow | None) -> dict[str, Any] | None:
    names = ("due", "state", "words", "started_at", "ended_at")
    return {name: getattr(row, name) for name in names} if row else None


def rules(unit: Unit, rulebook: Rulebook, problems: Sequence[Problem], page: int) -> dict[str, Any]:
    """What is in force, the problems of the files in the folder, what is held, and what each rule set changed."""
    in_force = unit.rules_in_force()
    held, _ = unit.look.operations(["held"], Page(limit=1), kinds=[RULES])
    history, total = periods(unit, PERIODS, (page - 1) * PERIODS)
    return {
        "digest": in_force.digest if in_force else None,
        "since": in_force.since if in_force else None,
        "files": dict(in_force.files) if in_force else {},
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
        "held": _held(unit, held[0], in_force) if held else None,
        "history": {"page": page, "pages": max(-(-total // PERIODS), 1), "total": total, "items": history},
    }  # fmt: skip


def _held(unit: Unit, row: OperationRow, in_force: RulesRow | None) -> dict[str, Any]:
    """A rule set that waits for a release: why, what it would do (`flows.preview.of_rules`), what differs in it."""
    offered = unit.offered_rules(row.details["digest"])
    return {
        "operation": row.id,
        "reason": row.reason,
        "since": row.planned_at,
        "preview": row.details.get("preview"),
        "changes": difference(in_force.files if in_force else {}, offered.files, "in force", "held") if offered else "",
    }


def _network(network: Any) -> str:
    return str(network.first) if network.size == 1 else f"{network.first}-{network.last}"


def _cut(page: int) -> Page:
    return Page(SIZE, (page - 1) * SIZE)


def _paged(items: list[dict[str, Any]], total: int, page: int) -> dict[str, Any]:
    return {"page": page, "pages": max(-(-total // SIZE), 1), "total": total, "items": items}
