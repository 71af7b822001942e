"""Deciding upon a deleted ticket: pages that ask whether it is meant, and the same for programs."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from marshmallow import Schema, ValidationError, fields, validate
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as Answer

from vmjira.flows import deleted
from vmjira.flows.operations import Person
from vmjira.flows.rows import AcceptanceRow
from vmjira.web.site import Site, asking

WORDS = {"again": "Make it again", "forget": "Forget its findings"}
LONGEST = 500


class Forgetting(Schema):
    """The body of a program's request."""

    reason = fields.String(required=True, validate=validate.Length(min=1, max=LONGEST))


def add_deleted(views: Blueprint, site: Site) -> None:
    def ask(action: str, identifier: str) -> str:
        with site.store().reading() as unit:
            row = deleted.decidable(unit, identifier)
        policy = site.rules().policy
        until = (site.clock() + policy.accept_for).astimezone(policy.timezone).date()
        return render_template("deleted.html", action=action, words=WORDS[action], row=row, until=until)

    @views.get("/tickets/<identifier>/again", endpoint="again")
    def ask_again(identifier: str) -> str:
        return ask("again", identifier)

    @views.get("/tickets/<identifier>/forget", endpoint="forget")
    def ask_forget(identifier: str) -> str:
        return ask("forget", identifier)

    @views.post("/tickets/<identifier>/again", endpoint="do_again")
    def again(identifier: str) -> Answer:
        deleted.again(site.outside(), [identifier], by=_person("page"))
        return redirect(url_for("pages.ticket", identifier=identifier), 303)

    @views.post("/tickets/<identifier>/forget", endpoint="do_forget")
    def forget(identifier: str) -> Answer:
        deleted.forget(site.outside(), identifier, request.form.get("reason", "")[:LONGEST], by=_person("page"))
        return redirect(url_for("pages.ticket", identifier=identifier), 303)


def deciding(site: Site) -> Blueprint:
    """POST for programs: what the pages do, without asking back."""
    views = Blueprint("deciding", __name__, url_prefix="/api")

    @views.post("/tickets/<identifier>/again")
    def again(identifier: str) -> tuple[Response, int]:
        return jsonify(operations=deleted.again(site.outside(), [identifier], by=_person("api"))), 201

    @views.post("/tickets/<identifier>/forget")
    def forget(identifier: str) -> tuple[Response, int]:
        try:
            given: Any = Forgetting().load(request.get_json(silent=True) or {})
        except ValidationError as error:
            raise BadRequest(
                f"reason: {'; '.join(map(str, error.messages_dict.get('reason', ['is missing'])))}"
            ) from None
        return jsonify(_shown(deleted.forget(site.outside(), identifier, given["reason"], by=_person("api")))), 201

    return views


def _shown(row: AcceptanceRow) -> dict[str, str]:
    return {"identifier": row.identifier, "reason": row.reason, "accepted_by": row.accepted_by,
            "accepted_until": row.accepted_until.isoformat()}  # fmt: skip


def _person(via: str) -> Person:
    return Person(asking().name, via)
