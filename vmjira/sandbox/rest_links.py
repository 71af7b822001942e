"""REST: links between tickets, their types, and links to things outside."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from vmjira.sandbox import rest
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.rest import Answer, desk, nothing, show
from vmjira.sandbox.shapes import Json
from vmjira.sandbox.store import Issue

views = rest.blueprint("links")


@views.post("/issueLink")
def link() -> Answer:
    """201 without a body; a link that exists already is 201 too. The link leads from inwardIssue to outwardIssue."""
    body = rest.body("type", "inwardIssue", "outwardIssue", "comment")
    kind = desk().link_type(body.get("type"))
    desk().link(kind, _end(body, "inwardIssue"), _end(body, "outwardIssue"))
    return nothing(201)


def _end(body: dict[str, Any], side: str) -> Issue:
    wish = body.get(side)
    if not isinstance(wish, dict) or not (wish.get("key") or wish.get("id")):
        raise JiraError(400, f"'{side}' must name an issue by its key or id.")
    return desk().find(str(wish.get("key") or wish.get("id")))


@views.get("/issueLink/<id_>")
def read_link(id_: str) -> Answer:
    row = desk().tx.row("SELECT * FROM links WHERE id = ?", id_)
    if row is None:
        raise JiraError(404, f"No issue link with id '{id_}' exists.")
    ends = {"inwardIssue": row["source"], "outwardIssue": row["target"]}
    shapes = {side: desk().shapes.brief(desk().find(str(end))) for side, end in ends.items()}
    kind = desk().shapes.link_type(desk().link_type({"id": row["type"]}))
    return show({"id": id_, "self": desk().shapes.url(f"issueLink/{id_}"), "type": kind, **shapes})


@views.delete("/issueLink/<id_>")
def unlink(id_: str) -> Answer:
    desk().unlink(id_)
    return nothing(204 if not rest.config().cloud else 200)


@views.get("/issueLinkType")
def link_types() -> Answer:
    rows = desk().tx.rows("SELECT * FROM link_types ORDER BY name")
    return show({"issueLinkTypes": [desk().shapes.link_type(row) for row in rows]})


@views.get("/issueLinkType/<id_>")
def link_type(id_: str) -> Answer:
    return show(desk().shapes.link_type(desk().link_type({"id": id_})))


@views.post("/issueLinkType")
def add_link_type() -> Answer:
    """For Jira admins; 404 without that right, or if the name is in use."""
    body = rest.body("name", "inward", "outward")
    values = [body.get(name) for name in ("name", "inward", "outward")]
    if not all(isinstance(value, str) and value for value in values):
        raise JiraError(400, "name, inward and outward are required.")
    if not desk().actor.admin or desk().tx.row("SELECT 1 FROM link_types WHERE name = ?", values[0]):
        raise JiraError(404, f"The link type '{values[0]}' cannot be made: no right, or the name is in use.")
    id_ = desk().tx.run("INSERT INTO link_types (name, inward, outward) VALUES (?, ?, ?)", *values)
    return show(desk().shapes.link_type(desk().link_type({"id": id_})), 201)


@views.get("/issue/<key>/remotelink")
def remote_links(key: str) -> Answer:
    issue = desk().find(key)
    rows = desk().tx.rows("SELECT * FROM remote_links WHERE issue = ? ORDER BY id", issue.id)
    return show([_remote(issue, row) for row in rows])


def _remote(issue: Issue, row: sqlite3.Row) -> Json:
    address = desk().shapes.url(f"issue/{issue.key}/remotelink/{row['id']}")
    known = {"globalId": row["global_id"]} if row["global_id"] else {}
    return {"id": row["id"], "self": address, **known, "object": json.loads(row["object"])}


@views.post("/issue/<key>/remotelink")
def put_remote_link(key: str) -> Answer:
    """One with a known `globalId` is replaced: 200. A new one is 201 on Cloud; a Data Center documents 200 only."""
    issue = desk().find(key)
    body = rest.body("globalId", "application", "relationship", "object")
    thing, global_id = body.get("object"), body.get("globalId")
    if not isinstance(thing, dict) or not thing.get("url") or not thing.get("title"):
        raise JiraError(400, errors={"object": "'url' and 'title' are required."})
    old = desk().tx.row("SELECT id FROM remote_links WHERE issue = ? AND global_id = ?", issue.id, global_id)
    if old:
        id_ = old["id"]
        desk().tx.run("UPDATE remote_links SET object = ? WHERE id = ?", json.dumps(thing), id_)
    else:
        sql = "INSERT INTO remote_links (issue, global_id, object) VALUES (?, ?, ?)"
        id_ = desk().tx.run(sql, issue.id, global_id, json.dumps(thing))
    status = 201 if rest.config().cloud and not old else 200
    return show({"id": id_, "self": desk().shapes.url(f"issue/{key}/remotelink/{id_}")}, status)
