"""Pages of what admins decide: rules in force and their problems, scanners, accepted risks."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request

from vmjira.errors import VmjiraError
from vmjira.flows import lists
from vmjira.flows.acceptances import all_acceptances, summary
from vmjira.flows.explain import explain
from vmjira.web.finding import LONGEST
from vmjira.web.pages import page_number
from vmjira.web.site import Site


def add_ruling(views: Blueprint, site: Site) -> None:
    @views.get("/rules")
    def rules() -> str:
        host = request.args.get("host", "").strip()[:LONGEST]
        vulnerability = request.args.get("vulnerability", "").strip()[:LONGEST]
        explained, wrong = _explained(site, host, vulnerability)
        with site.store().reading() as unit:
            found = lists.rules(unit, site.rules(), site.problems(), page_number())
        return render_template(
            "rules.html", found=found, host=host, vulnerability=vulnerability, explained=explained, wrong=wrong
        )

    @views.get("/scanners")
    def scanners() -> str:
        with site.store().reading() as unit:
            found = lists.scanners(unit, site.rules(), site.due)
            scans = lists.scans(unit, page_number())
        return render_template("scanners.html", found=found, scans=scans)

    @views.get("/acceptances")
    def acceptances() -> str:
        found = all_acceptances(site.store(), site.rules(), site.clock())
        return render_template("acceptances.html", acceptances=found, summary=summary(found))


def _explained(site: Site, host: str, vulnerability: str) -> tuple[dict[str, Any] | None, str]:
    """What the form asks for, or why there is no answer."""
    if not host:
        return None, "Name a host: its key, an address or a name." if vulnerability else ""
    try:
        return explain(site.outside(), host, vulnerability or None), ""
    except VmjiraError as error:
        return None, str(error)
