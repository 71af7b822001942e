"""Pages: the matrix of cells with their numbers, the chain of tickets of a cell, and what was done and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, render_template, request

from vmjira.domain.rulebook import Category, Range, Rulebook
from vmjira.flows.acceptances import all_acceptances, summary
from vmjira.flows.ports import OperationState, Store
from vmjira.flows.present import heard_json, operation_json, tickets_json

PAGE, EVENTS, LAST = 200, 50, 1_000_000
STATES: tuple[OperationState, ...] = ("held", "waiting", "queued", "done", "refused", "dropped")


def pages(
    store: Callable[[], Store], rulebook: Callable[[], Rulebook | None], browse_url: str, clock: Callable[[], datetime]
) -> Blueprint:
    views = Blueprint("pages", __name__)

    @views.app_context_processor
    def common() -> dict[str, Any]:
        rules = rulebook() or Rulebook()
        names = {each.id: each.title for each in rules.categories} | {each.id: each.title for each in rules.ranges}
        return {"browse": lambda key: f"{browse_url}/browse/{key}", "named": lambda id: names.get(id, id)}

    @views.get("/")
    def overview() -> str:
        with store().reading() as unit:
            tickets = tickets_json(unit.tickets(), unit.cell_numbers())
            cells = unit.cell_numbers()
            states = {state: unit.count_operations(state) for state in STATES}
            scans = unit.scans()[-10:]
        rules = rulebook() or Rulebook()
        newest = {(cell.category, cell.range): cell for cell in cells}  # in the order of their iterations
        return render_template(
            "overview.html",
            cells=newest,
            categories=_in_order({category for category, _ in newest}, rules.categories),
            ranges=_in_order({range_ for _, range_ in newest}, rules.ranges),
            tickets=tickets,
            states=states,
            scans=reversed(scans),
        )

    @views.get("/cells/<category>/<range_>")
    def cell(category: str, range_: str) -> str:
        with store().reading() as unit:
            numbers = [each for each in unit.cell_numbers(ranges=[range_]) if each.category == category]
            rows = [each for each in unit.tickets(ranges=[range_]) if each.category == category]
        if not numbers:
            abort(404)
        return render_template(
            "cell.html", category=category, range=range_, numbers=numbers, tickets=tickets_json(rows, numbers)
        )

    @views.get("/operations")
    def operations() -> str:
        page = max(request.args.get("page", 1, type=int), 1)
        ticket = request.args.get("ticket") or None
        with store().reading() as unit:
            rows = unit.operations(identifier=ticket)
        rows = rows[::-1]
        shown = [operation_json(row) for row in rows[(page - 1) * PAGE : page * PAGE]]
        return render_template(
            "operations.html", operations=shown, page=page, more=len(rows) > page * PAGE, total=len(rows), ticket=ticket
        )

    @views.get("/events")
    def events() -> str:
        page = min(max(request.args.get("page", 1, type=int), 1), LAST)
        with store().reading() as unit:
            found = heard_json(unit, limit=EVENTS + 1, offset=(page - 1) * EVENTS)
        return render_template("events.html", events=found[:EVENTS], page=page, more=len(found) > EVENTS)

    @views.get("/acceptances")
    def acceptances() -> str:
        found = all_acceptances(store(), rulebook() or Rulebook(), clock())
        return render_template("acceptances.html", acceptances=found, summary=summary(found))

    return views


def _in_order(used: set[str], rules: Iterable[Category | Range]) -> list[str]:
    """Those in use in the order of the rules; what the rules no longer have comes last."""
    known = [each.id for each in rules if each.id in used]
    return known + sorted(used - set(known))
