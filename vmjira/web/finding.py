"""Pages of what one looks for: the search, a host, a vulnerability."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from vmjira.flows.hosts import host as one_host
from vmjira.flows.search import KINDS, Kind
from vmjira.flows.search import search as find
from vmjira.flows.vulnerabilities import vulnerability as one_vulnerability
from vmjira.web.pages import page_number
from vmjira.web.site import Site

LONGEST = 200


def add_finding(views: Blueprint, site: Site) -> None:
    @views.get("/search")
    def search() -> str:
        text = request.args.get("q", "").strip()[:LONGEST]
        kind: Kind | None = next((each for each in KINDS if each == request.args.get("kind")), None)
        found = find(site.store(), text, kind, page_number(), site.today()) if text else None
        return render_template("search.html", q=text, found=found)

    @views.get("/hosts/<path:host>")
    def host(host: str) -> str:
        return render_template("host.html", host=one_host(site.store(), host, site.rules(), page_number()))

    @views.get("/vulnerabilities/<scanner>/<path:id>")
    def vulnerability(scanner: str, id: str) -> str:
        found = one_vulnerability(site.store(), scanner, id, site.rules(), page_number())
        return render_template("vulnerability.html", found=found)
