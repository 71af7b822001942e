"""REST: admin webhooks, in the two shapes there are - Cloud and Data Center 8/9, and Data Center 10."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from flask import Blueprint, request

from vmjira.sandbox import rest
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.rest import Answer, desk, nothing, show
from vmjira.sandbox.shapes import Json, stamp
from vmjira.sandbox.store import Transaction

views = Blueprint("webhooks", __name__)
OLD, NEW = "/rest/webhooks/1.0/webhook", "/rest/jira-webhook/1.0/webhooks"
SECTION = "issue-related-events-section"
NEW_SINCE = 10  # Data Center 10 moved the resource and changed its shape


def register(transaction: Transaction, hook: Json) -> int:
    """Keep a webhook; raises JiraError if it makes no sense."""
    name, url, events = hook.get("name"), hook.get("url"), hook.get("events")
    if not isinstance(name, str) or not name:
        raise JiraError(400, "The webhook's name is required.")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise JiraError(400, f"The webhook's url must begin with http:// or https://, not '{url}'.")
    if not isinstance(events, list) or not events:
        raise JiraError(400, "At least one event is required.")
    # Jira has more events than this stand-in sends; asking for one of them is no mistake.
    sql = (
        "INSERT INTO webhooks (name, url, events, jql, exclude_body, secret, active, updated)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    )
    jql, quiet, secret, active = (hook.get(key) for key in ("jql", "exclude_body", "secret", "active"))
    now = transaction.now()
    return transaction.run(sql, name, url, json.dumps(events), jql or "", bool(quiet), secret, active is not False, now)


def _resource(path: str) -> None:
    """Only an admin, and only where this version of Jira has it."""
    config = rest.config()
    right = NEW if not config.cloud and config.version_numbers[0] >= NEW_SINCE else OLD
    if path != right:
        raise JiraError(404, "null for uri: " + request.path)
    if not desk().actor.admin:
        raise JiraError(
            401 if path == NEW else 403, "You do not have permission to manage webhooks. Only Jira administrators have."
        )


@views.post(OLD)
def add_old() -> Answer:
    _resource(OLD)
    body = rest.body()
    filters = body.get("filters") or {}
    own = {"jql": filters.get(SECTION), "exclude_body": body.get("excludeBody"), "active": body.get("enabled")}
    return show(_old(_row(register(desk().tx, {**body, **own}))), 201)


@views.post(NEW)
def add_new() -> Answer:
    """What stands outside of `configuration`, a secret too, is silently ignored, as Jira 10 does."""
    _resource(NEW)
    body = rest.body()
    inner = body.get("configuration") or {}
    own = {"jql": inner.get("FILTERS"), "secret": inner.get("SECRET")}
    quiet = str(inner.get("EXCLUDE_BODY", "false")).lower() == "true"
    return show(_new(_row(register(desk().tx, {**body, **own, "exclude_body": quiet}))), 201)


@views.get(OLD)
def list_old() -> Answer:
    _resource(OLD)
    return show([_old(row) for row in _rows()])


@views.get(NEW)
def list_new() -> Answer:
    _resource(NEW)
    return show([_new(row) for row in _rows()])


@views.get(f"{OLD}/<int:id_>")
def read_old(id_: int) -> Answer:
    _resource(OLD)
    return show(_old(_row(id_)))


@views.get(f"{NEW}/<int:id_>")
def read_new(id_: int) -> Answer:
    _resource(NEW)
    return show(_new(_row(id_)))


@views.delete(f"{OLD}/<int:id_>")
def delete_old(id_: int) -> Answer:
    _resource(OLD)
    return _delete(id_)


@views.delete(f"{NEW}/<int:id_>")
def delete_new(id_: int) -> Answer:
    _resource(NEW)
    return _delete(id_)


def _delete(id_: int) -> Answer:
    _row(id_)
    desk().tx.run("DELETE FROM webhooks WHERE id = ?", id_)
    return nothing()


def _rows() -> list[sqlite3.Row]:
    return desk().tx.rows("SELECT * FROM webhooks ORDER BY id")


def _row(id_: int) -> sqlite3.Row:
    row = desk().tx.row("SELECT * FROM webhooks WHERE id = ?", id_)
    if row is None:
        raise JiraError(404, f"No webhook with id {id_}.")
    return row


def _base() -> str:
    return desk().shapes.url("").partition("/rest/")[0]


def _old(row: sqlite3.Row) -> Json:
    """The secret cannot be read back."""
    signed: dict[str, Any] = {"isSigned": bool(row["secret"])} if rest.config().cloud else {}
    return {
        "name": row["name"],
        "url": row["url"],
        "excludeBody": bool(row["exclude_body"]),
        "filters": {SECTION: row["jql"]},
        "events": json.loads(row["events"]),
        "enabled": bool(row["active"]),
        "self": f"{_base()}{OLD}/{row['id']}",
        "lastUpdated": int(row["updated"] * 1000),
        **signed,
    }


def _new(row: sqlite3.Row) -> Json:
    quiet = "true" if row["exclude_body"] else "false"
    return {
        "id": row["id"],
        "name": row["name"],
        "url": row["url"],
        "events": json.loads(row["events"]),
        "active": bool(row["active"]),
        "configuration": {"FILTERS": row["jql"], "EXCLUDE_BODY": quiet},
        "updatedDate": stamp(row["updated"]),
        "self": f"{_base()}{NEW}/{row['id']}",
    }
