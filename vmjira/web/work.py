"""Pages of what was done and why, of what the tracker told, and the buttons with which people step in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from vmjira.flows import lists, operations
from vmjira.flows.attention import held_plans
from vmjira.flows.operations import Person
from vmjira.flows.ports import Unit
from vmjira.flows.rows import OperationRow, OperationState
from vmjira.web.forms import Forms
from vmjira.web.gate import Denied
from vmjira.web.pages import page_number
from vmjira.web.site import EVENT_STATES, STATES, Site, asking

#: What a person may do to operations in which states.
ACTIONS: dict[str, tuple[OperationState, ...]] = {
    "retry": ("refused",),
    "release": ("held",),
    "drop": ("held", "refused", "queued"),
}
DO: dict[str, Callable[..., list[str]]] = {
    "retry": operations.retry, "release": operations.release, "drop": operations.drop,
}  # fmt: skip
#: Operations of a plan that are shown before one says yes.
SAMPLE = 20


def add_work(views: Blueprint, site: Site, forms: Forms) -> None:
    @views.get("/operations", endpoint="operations")
    def listed() -> str:
        ticket, state = request.args.get("ticket") or None, request.args.get("state")
        states = [each for each in STATES if each == state]
        with site.store().reading() as unit:
            found = lists.operations(unit, states, page_number(), identifier=ticket)
            counts = unit.look.operation_states()
            plans = held_plans(unit)
        return render_template(
            "operations.html", found=found, counts=counts, plans=plans, ticket=ticket, state=state if states else None,
            actions=ACTIONS,
        )  # fmt: skip

    @views.get("/operations/<action>")
    def confirm(action: str) -> str:
        if action not in ACTIONS:
            abort(404)
        wanted = request.args.get("id", "")
        with site.store().reading() as unit:
            rows = _chosen(unit, wanted, ACTIONS[action])
        kinds = {kind: sum(row.operation == kind for row in rows) for kind in sorted({row.operation for row in rows})}
        return render_template(
            "confirm.html", action=action, wanted=wanted, rows=rows[:SAMPLE], count=len(rows), kinds=kinds
        )

    @views.post("/operations/<action>")
    def act(action: str) -> Answer:
        if action not in ACTIONS:
            abort(404)
        if not (wanted := request.form.get("id", "")):
            raise Denied(400, "Nothing was chosen.")
        user = asking()
        with site.store().reading() as unit:
            ids = [row.id for row in _chosen(unit, wanted, ACTIONS[action])]
        done = DO[action](site.outside(), ids, by=Person(user.name, "page")) if ids else []
        if action == "release":
            site.settled()
        return redirect(url_for("pages.operations", did=f"{action} {len(done)}", **_back()), 303)

    @views.get("/audit")
    def audit() -> str:
        with site.store().reading() as unit:
            return render_template("audit.html", found=lists.acts(unit, page_number()))

    @views.get("/events")
    def events() -> str:
        state = request.args.get("state")
        states = [each for each in EVENT_STATES if each == state]
        with site.store().reading() as unit:
            found = lists.events(unit, states, page_number())
        return render_template("events.html", found=found, state=state if states else None, states=EVENT_STATES)

    @views.post("/events/retry")
    def retry_event() -> Answer:
        if not (id := request.form.get("id", "")):
            raise Denied(400, "Nothing was chosen.")
        user = asking()
        done = operations.retry_events(site.outside(), [] if id == "failed" else [id], by=Person(user.name, "page"))
        return redirect(url_for("pages.events", did=len(done), **_back()), 303)

    @views.app_template_global()
    def form_token() -> str:
        return forms.token(asking())


def _back() -> dict[str, Any]:
    names = ("state", "ticket")
    return {name: value for name in names if (value := request.form.get(name))}


def _chosen(unit: Unit, wanted: str, states: Sequence[OperationState]) -> list[OperationRow]:
    """Operations in these states by id, plan or ticket; `refused`, `held`: all that are."""
    rows = unit.operations(*states)
    return [row for row in rows if wanted in (row.id, row.plan, row.identifier, row.state)]
