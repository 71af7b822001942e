"""Pages to look at: the matrix of cells, one cell, tickets, one ticket with its evidence and its lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from vmjira.domain.ticket import STATES as FINDING_STATES
from vmjira.flows import lists
from vmjira.flows.attention import needs_a_person
from vmjira.flows.cells import cell as one_cell
from vmjira.flows.evidence import evidence, find
from vmjira.flows.evidence import ticket as one_ticket
from vmjira.flows.looking import Page, Wanted, Which
from vmjira.flows.overview import overview as matrix
from vmjira.flows.unplaced import known as unplaced
from vmjira.flows.views import Report, report_rows
from vmjira.web.site import LAST, Site

KINDS: dict[str, Report] = {"own": "own", "all": "all", "diff": "diff"}
WHICH: dict[str, Which] = {"living": "living", "overdue": "overdue", "all": "all"}


def add_pages(views: Blueprint, site: Site) -> None:
    @views.get("/")
    def overview() -> str:
        rules = site.rules()
        with site.store().reading() as unit:
            found = matrix(unit, rules, site.today(), page=page_number())
            items = needs_a_person(unit, rules, site.problems(), site.clock())
            scans, count = unit.look.scans(Page(limit=5), "folded")
            states = unit.look.operation_states()
        cells = {(each["category"], each["range"]): each for each in found["cells"]}
        return render_template(
            "overview.html", found=found, cells=cells, items=items, scans=scans, scan_count=count, states=states,
            unplaced=unplaced(site.store()),
        )  # fmt: skip

    @views.get("/cells/<category>/<range_>")
    def cell(category: str, range_: str) -> str:
        return render_template("cell.html", cell=one_cell(site.store(), category, range_, site.rules(), site.clock()))

    @views.get("/tickets")
    def tickets() -> str:
        which = WHICH.get(request.args.get("which", ""), "living")
        wanted = Wanted(which, request.args.get("category") or None, request.args.get("range") or None)
        with site.store().reading() as unit:
            found = lists.tickets(unit, wanted, site.today(), page_number())
        return render_template("tickets.html", found=found, wanted=wanted, which=list(WHICH))

    @views.get("/tickets/<identifier>")
    def ticket(identifier: str) -> str | Answer:
        state = request.args.get("state")
        state = state if state in (*FINDING_STATES, "open") else None
        with site.store().reading() as unit:
            row = find(unit, identifier)
            done = lists.operations(unit, [], 1, identifier=row.identifier)
        if row.identifier != identifier:
            return redirect(url_for("pages.ticket", identifier=row.identifier))
        return render_template(
            "ticket.html",
            ticket=one_ticket(site.store(), identifier, site.rules(), site.today()),
            evidence=evidence(site.store(), row, state, page_number()),
            operations=done,
        )

    @views.get("/tickets/<identifier>/<kind>.csv")
    def report(identifier: str, kind: str) -> Response:
        if kind not in KINDS:
            abort(404)
        with site.store().reading() as unit:
            row, enriched = find(unit, identifier), unit.enrichment() is not None
        outside = site.outside()
        rows = report_rows(site.store(), row, site.rules(), KINDS[kind])
        content: Iterator[bytes] = outside.renderer.csv(rows, enriched=enriched)
        name = {"Content-Disposition": f'attachment; filename="{row.identifier}.{kind}.csv"'}
        return Response(content, content_type="text/csv; charset=utf-8", headers=name)


def page_number() -> int:
    return min(max(request.args.get("page", 1, type=int), 1), LAST)


def with_args(**changes: Any) -> str:
    """The address of this page with some of its arguments changed; None removes one."""
    kept = {**request.view_args, **request.args.to_dict(), **changes} if request.view_args else {
        **request.args.to_dict(), **changes
    }  # fmt: skip
    return url_for(str(request.endpoint), **{name: value for name, value in kept.items() if value is not None})
