"""REST: search by JQL; Cloud's pages by token and may lag behind, a Data Center's counts."""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from flask import request

from vmjira.sandbox import jql, rest
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.rest import Answer, desk, show
from vmjira.sandbox.shapes import Json
from vmjira.sandbox.store import Issue

views = rest.blueprint("search")
CLOUD_LIMIT, DC_LIMIT, RECONCILE_LIMIT = 5000, 1000, 50
REMOVED = (
    "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. A full migration guideline"
    " is available at https://developer.atlassian.com/changelog/#CHANGE-2046"
)


@views.route("/search", methods=["GET", "POST"])
def search() -> Answer:
    if rest.config().cloud:
        raise JiraError(410, REMOVED)
    asked = _asked("jql", "startAt", "maxResults", "fields", "expand", "validateQuery")
    strict = str(asked.get("validateQuery", "true")).lower() in {"true", "strict"}
    query = _compile(asked.get("jql", ""), strict=strict)
    start, limit = _whole(asked, "startAt", 0), min(_whole(asked, "maxResults", 50), DC_LIMIT)
    found = _find(query, limit=limit, start=start)
    total = desk().tx.rows(f"SELECT count(*) AS n FROM issues WHERE {query.where}", *query.parameters)  # noqa: S608
    shapes = [_shape(issue, asked, "*navigable") for issue in found]
    page = {"startAt": start, "maxResults": limit, "total": total[0]["n"]}
    return show({"expand": "names,schema", **page, "issues": shapes})


@views.route("/search/jql", methods=["GET", "POST"])
def search_jql() -> Answer:
    rest.only_on("cloud")
    asked = _asked(
        "jql", "nextPageToken", "maxResults", "fields", "expand", "properties", "fieldsByKeys", "failFast",
        "reconcileIssues",
    )  # fmt: skip
    query = _bounded(asked)
    start, limit = _offset(asked.get("nextPageToken")), min(_whole(asked, "maxResults", 50), CLOUD_LIMIT)
    found = _find(query, limit=limit + 1, start=start, reconcile=_reconcile(asked))
    shapes = [_shape(issue, asked, "id") for issue in found[:limit]]
    if len(found) <= limit:
        return show({"issues": shapes, "isLast": True})
    token = urlsafe_b64encode(str(start + limit).encode()).decode()
    return show({"issues": shapes, "isLast": False, "nextPageToken": token})


@views.post("/search/approximate-count")
def count() -> Answer:
    rest.only_on("cloud")
    query = _bounded(rest.body("jql"))
    return show({"count": len(_find(query, limit=10**9))})


def _asked(*allowed: str) -> dict[str, Any]:
    """Parameters of the query, or of the body; lists in a query are joined by commas."""
    if request.method == "POST":
        return rest.body(*allowed)
    asked: dict[str, Any] = {name: value for name, value in request.args.items() if name in allowed}
    for name in ("fields", "reconcileIssues"):
        if name in asked:
            asked[name] = [part for text in request.args.getlist(name) for part in text.split(",") if part]
    return asked


def _compile(text: Any, *, strict: bool = True) -> jql.Query:
    if not isinstance(text, str):
        raise JiraError(400, "'jql' must be a string")
    actor, transaction = desk().actor, desk().tx

    def find(key: str) -> int | None:
        issue = transaction.issue(key)
        return issue.id if issue else None

    return jql.compile_query(text, rest.config(), actor=actor, now=transaction.now(), find=find, strict=strict)


def _bounded(asked: dict[str, Any]) -> jql.Query:
    query = _compile(asked.get("jql", ""))
    if not query.bounded:
        text = "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
        raise JiraError(400, text)
    return query


def _find(query: jql.Query, *, limit: int, start: int = 0, reconcile: Sequence[int] = ()) -> list[Issue]:
    """Issues that the index knew `index_lag` seconds ago, and those to reconcile as they are now."""
    where, parameters = query.where, list(query.parameters)
    lag = rest.config().index_lag
    if lag:
        then = time.time() - lag
        marks = ", ".join(str(int(id_)) for id_ in reconcile)
        where = (
            f"id IN (SELECT id FROM issues WHERE written <= ? AND ({where})"  # noqa: S608 - values are parameters
            f" UNION SELECT id FROM past WHERE written <= ? AND until > ? AND ({where})"
            f" UNION SELECT id FROM issues WHERE id IN ({marks}) AND ({where}))"
        )
        parameters = [then, *query.parameters, then, then, *query.parameters, *query.parameters]
    return desk().tx.issues(f"({where}) ORDER BY {query.order} LIMIT ? OFFSET ?", [*parameters, limit, start])


def _reconcile(asked: dict[str, Any]) -> list[int]:
    wanted = asked.get("reconcileIssues") or []
    if len(wanted) > RECONCILE_LIMIT or not all(str(id_).isdigit() for id_ in wanted):
        raise JiraError(400, f"'reconcileIssues' takes up to {RECONCILE_LIMIT} numeric issue ids.")
    return [int(id_) for id_ in wanted]


def _shape(issue: Issue, asked: dict[str, Any], default: str) -> Json:
    fields = asked.get("fields") or [default]
    if fields == ["id"]:
        return {"id": str(issue.id)}
    expand = asked.get("expand") or ""
    shape = desk().shapes.issue(issue, fields=fields, expand=expand if isinstance(expand, str) else ",".join(expand))
    if not shape["fields"]:
        del shape["fields"]
    return shape


def _whole(asked: dict[str, Any], name: str, default: int) -> int:
    text = str(asked.get(name, default))
    if not text.isdigit():
        raise JiraError(400, f"'{name}' must be a number, not '{text}'")
    return int(text)


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(urlsafe_b64decode(token))
    except ValueError:
        raise JiraError(400, "The nextPageToken is invalid or expired.") from None
