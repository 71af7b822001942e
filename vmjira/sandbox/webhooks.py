"""Webhooks: what is told to whom is decided with the change and kept in an outbox; threads deliver it."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from vmjira.sandbox import jql

if TYPE_CHECKING:
    from vmjira.sandbox.parts import Parts
    from vmjira.sandbox.store import Issue


def tell(desk: Parts, event: str, issue: Issue, more: dict[str, Any]) -> None:
    """Put the event into the outbox of every webhook that wants it; sent when the transaction has committed."""
    hooks = desk.tx.rows("SELECT * FROM webhooks WHERE active")
    wanted = [hook for hook in hooks if event in json.loads(hook["events"]) and _matches(desk, hook["jql"], issue)]
    if not wanted:
        return
    body = json.dumps(_body(desk, event, issue, more)).encode()
    for hook in wanted:
        content = b"" if hook["exclude_body"] else body
        sql = "INSERT INTO outbox (id, webhook, body, due) VALUES (?, ?, ?, 0)"
        desk.tx.run(sql, str(uuid.uuid4()), hook["id"], content)
    desk.tx.wrote_outbox = True


def _matches(desk: Parts, text: str, issue: Issue) -> bool:
    if not text.strip():
        return True
    query = jql.compile_query(text, desk.config, actor=desk.actor, now=desk.tx.now(), strict=False)
    return bool(desk.tx.row(f"SELECT 1 FROM issues WHERE id = ? AND ({query.where})", issue.id, *query.parameters))  # noqa: S608


def _body(desk: Parts, event: str, issue: Issue, more: dict[str, Any]) -> dict[str, Any]:
    head = {"timestamp": int(desk.tx.now() * 1000), "webhookEvent": event}
    if event.startswith("comment_"):
        if not desk.config.cloud:  # a Data Center does not say which issue; its id is in the comment's address
            return {**head, **more}
        fields = ("summary", "issuetype", "project", "assignee", "priority", "status")
        shape = desk.shapes.issue(issue, fields=fields)
        del shape["expand"]
        return {**head, **more, "issue": shape}
    shape = desk.shapes.issue(issue, fields=("*all", "-comment") if desk.config.cloud else ("*all",))
    del shape["expand"]
    return {**head, "user": desk.shapes.person(desk.actor), "issue": shape, **more}
