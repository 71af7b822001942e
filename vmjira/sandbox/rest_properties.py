"""REST: properties of tickets, the place where programs keep their own marks."""

from __future__ import annotations

import json
from typing import Any

from flask import request

from vmjira.sandbox import rest
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.rest import Answer, desk, nothing, show
from vmjira.sandbox.store import Issue

views = rest.blueprint("properties")
KEY_LIMIT, VALUE_LIMIT = 255, 32_768


def put_property(issue: Issue, name: str, value: Any) -> bool:
    """Set it; whether it is new."""
    text = json.dumps(value)
    if not isinstance(name, str) or not 0 < len(name) <= KEY_LIMIT:
        raise JiraError(400, f"The property key must have 1 to {KEY_LIMIT} characters.")
    if value in (None, "") or len(text) > VALUE_LIMIT:
        raise JiraError(400, f"The value of the property must be JSON of 1 to {VALUE_LIMIT} characters.")
    new = _value(issue, name) is None
    sql = "INSERT INTO properties VALUES (?, ?, ?) ON CONFLICT (issue, name) DO UPDATE SET value = excluded.value"
    desk().tx.run(sql, issue.id, name, text)
    return new


def _value(issue: Issue, name: str) -> str | None:
    row = desk().tx.row("SELECT value FROM properties WHERE issue = ? AND name = ?", issue.id, name)
    return row["value"] if row else None


@views.get("/issue/<key>/properties")
def names(key: str) -> Answer:
    rows = desk().tx.rows("SELECT name FROM properties WHERE issue = ? ORDER BY name", desk().find(key).id)
    address = desk().shapes.url(f"issue/{key}/properties/")
    return show({"keys": [{"self": address + row["name"], "key": row["name"]} for row in rows]})


@views.get("/issue/<key>/properties/<name>")
def read(key: str, name: str) -> Answer:
    value = _value(desk().find(key), name)
    if value is None:
        raise JiraError(404, f"The property {name} does not exist.")
    return show({"key": name, "value": json.loads(value)})


@views.put("/issue/<key>/properties/<name>")
def put(key: str, name: str) -> Answer:
    desk().require("EDIT_ISSUES")
    new = put_property(desk().find(key), name, request.get_json(silent=True))
    return nothing(201 if new else 200)


@views.delete("/issue/<key>/properties/<name>")
def delete(key: str, name: str) -> Answer:
    issue = desk().find(key)
    if not desk().tx.changed("DELETE FROM properties WHERE issue = ? AND name = ?", issue.id, name):
        raise JiraError(404, f"The property {name} does not exist.")
    return nothing()
