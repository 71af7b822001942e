"""The sandbox's own switches for tests and demos: faults, call log, clock, webhooks, reset. No Jira has these."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from flask import Blueprint, jsonify, request

from vmjira.sandbox import faults
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.rest import Answer, nothing
from vmjira.sandbox.rest_webhooks import register
from vmjira.sandbox.sender import deliveries
from vmjira.sandbox.session import sandbox
from vmjira.sandbox.shapes import stamp
from vmjira.sandbox.store import Store

views = Blueprint("control", __name__, url_prefix="/sandbox")


def _store() -> Store:
    return sandbox().store


def _body() -> dict[str, Any]:
    """JSON only, and said to be: a form on some web page cannot send that."""
    value = request.get_json(silent=True)
    if not isinstance(value, dict):
        raise JiraError(400, "a JSON object is needed")
    return value


@views.get("/faults")
def list_faults() -> Answer:
    with _store().begin() as transaction:
        return jsonify(faults.planned(transaction))


@views.post("/faults")
def add_fault() -> Answer:
    with _store().begin() as transaction:
        try:
            faults.plan(transaction, _body())
        except (ValueError, TypeError) as error:
            raise JiraError(400, str(error)) from None
        return jsonify(faults.planned(transaction)), 201


@views.delete("/faults")
def clear_faults() -> Answer:
    return _clear("faults")


@views.get("/calls")
def calls() -> Answer:
    """Every REST call so far, oldest first."""
    with _store().begin() as transaction:
        return jsonify([dict(row) for row in transaction.rows("SELECT * FROM calls ORDER BY id")])


@views.delete("/calls")
def clear_calls() -> Answer:
    return _clear("calls")


def _clear(table: str) -> Answer:
    with _store().begin() as transaction:
        transaction.run(f"DELETE FROM {table}")  # noqa: S608 - one of ours
    return nothing()


@views.get("/clock")
def clock() -> Answer:
    with _store().begin() as transaction:
        return jsonify({"now": stamp(transaction.now())})


@views.put("/clock")
def set_clock() -> Answer:
    """`{"now": "2026-06-05T12:00:00+00:00"}`: from there on time goes its way; `{"now": null}`: the real time."""
    wanted = _body().get("now")
    try:
        offset = datetime.fromisoformat(wanted).timestamp() - time.time() if wanted else 0.0
    except (TypeError, ValueError):
        raise JiraError(400, f"now {wanted!r}: an ISO 8601 time with zone, or null") from None
    with _store().begin() as transaction:
        transaction.meta("clock_offset", str(offset))
    return clock()


@views.post("/webhooks")
def add_webhook() -> Answer:
    """`{"name", "url", "events", "jql", "secret"}`, without the admin rights that the REST resource needs."""
    with _store().begin() as transaction:
        return jsonify({"id": register(transaction, _body())}), 201


@views.get("/webhooks/deliveries")
def webhook_deliveries() -> Answer:
    return jsonify(deliveries(_store()))


@views.post("/reset")
def reset() -> Answer:
    """Empty, as seeded."""
    with _store().begin() as transaction:
        transaction.reset()
    return nothing()
