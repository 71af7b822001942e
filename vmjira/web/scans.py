"""The page that asks before a scan is withdrawn, or counted again, and shows what that would change in the tracker."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from vmjira.flows import withdraw as flow
from vmjira.flows.operations import Person
from vmjira.web.site import Site, asking

#: Changes that are shown before one says yes; and the length of a reason.
SAMPLE, REASON = 20, 500


def add_scans(views: Blueprint, site: Site) -> None:
    @views.get("/scans/<id>/<action>")
    def change_scan(id: str, action: str) -> str:
        found = flow.preview(site.outside(), id, _known(action))
        kinds = {each["operation"] for each in found.operations}
        counts = {kind: sum(each["operation"] == kind for each in found.operations) for kind in sorted(kinds)}
        return render_template(
            "scan_change.html", action=action, scan=found.scan, exceeds=found.exceeds, counts=counts,
            count=len(found.operations), operations=found.operations[:SAMPLE],
        )  # fmt: skip

    @views.post("/scans/<id>/<action>")
    def scan_changed(id: str, action: str) -> Answer:
        act = flow.withdraw if _known(action) == "withdraw" else flow.restore
        reason = request.form.get("reason", "").strip()[:REASON]
        act(site.outside(), id, by=Person(asking().name, "page"), reason=reason)
        return redirect(url_for("pages.scanners"), 303)


def _known(action: str) -> flow.What:
    if action not in ("withdraw", "restore"):
        abort(404)
    return "withdraw" if action == "withdraw" else "restore"
