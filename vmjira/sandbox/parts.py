"""What hangs on tickets - comments, files, links - and the trace that every change leaves: history and webhooks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from vmjira.sandbox import webhooks
from vmjira.sandbox.config import Config, User
from vmjira.sandbox.errors import JiraError, no_issue
from vmjira.sandbox.history import item
from vmjira.sandbox.shapes import Json, Shapes
from vmjira.sandbox.store import Issue, Transaction


class Parts:
    """One person's hand on what hangs on tickets, within one transaction."""

    def __init__(self, transaction: Transaction, config: Config, actor: User, shapes: Shapes) -> None:
        self.tx = transaction
        self.config = config
        self.actor = actor
        self.shapes = shapes

    def find(self, key_or_id: str) -> Issue:
        issue = self.tx.issue(key_or_id)
        if issue is None:
            raise no_issue()
        return issue

    def require(self, permission: str) -> None:
        if permission in self.config.denied and not self.actor.admin:
            raise JiraError(403, f"You do not have the permission {permission} to do this.")

    # comments
    def comment(self, issue: Issue, body: str) -> sqlite3.Row:
        self.require("ADD_COMMENTS")
        now, name = self.tx.now(), self.actor.name
        sql = "INSERT INTO comments (issue, author, editor, body, created, updated) VALUES (?, ?, ?, ?, ?, ?)"
        row = self.comment_row(issue, self.tx.run(sql, issue.id, name, name, body, now, now))
        self._commented("comment_created", "issue_commented", issue, row)
        return row

    def comment_row(self, issue: Issue, id_: int | str) -> sqlite3.Row:
        row = self.tx.row("SELECT * FROM comments WHERE issue = ? AND id = ?", issue.id, id_)
        if row is None:
            raise JiraError(404, f"Can not find a comment for the id: {id_}.")
        return row

    def edit_comment(self, issue: Issue, id_: str, body: str) -> sqlite3.Row:
        if self.comment_row(issue, id_)["author"] == self.actor.name:
            self.require("EDIT_OWN_COMMENTS")
        sql = "UPDATE comments SET body = ?, editor = ?, updated = ? WHERE id = ?"
        self.tx.run(sql, body, self.actor.name, self.tx.now(), id_)
        row = self.comment_row(issue, id_)
        self._commented("comment_updated", "issue_comment_edited", issue, row)
        return row

    def delete_comment(self, issue: Issue, id_: str) -> None:
        row = self.comment_row(issue, id_)
        self.tx.run("DELETE FROM comments WHERE id = ?", id_)
        self._commented("comment_deleted", "issue_comment_deleted", issue, row)

    def _commented(self, event: str, kind: str, issue: Issue, row: sqlite3.Row) -> None:
        """A Data Center also sends an update of the issue, because its comment event does not say of which."""
        self._touch(issue)
        shape = self.shapes.comment(row)
        webhooks.tell(self, event, issue, {"comment": shape})
        if not self.config.cloud:
            webhooks.tell(self, "jira:issue_updated", issue, {"issue_event_type_name": kind, "comment": shape})

    # files
    def attach(self, issue: Issue, filename: str, media_type: str, content: bytes) -> sqlite3.Row:
        self.require("CREATE_ATTACHMENTS")
        sql = (
            "INSERT INTO attachments (issue, author, filename, media_type, size, created, content)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) "
        )
        values = (self.actor.name, filename, media_type, len(content), self.tx.now(), content)
        id_ = self.tx.run(sql, issue.id, *values)
        self._record(issue, [item("Attachment", None, None, str(id_), filename)], "issue_updated")
        return self.attachment(str(id_))

    def attachment(self, id_: str) -> sqlite3.Row:
        row = self.tx.row("SELECT * FROM attachments WHERE id = ?", id_)
        if row is None:
            raise JiraError(404, f"The attachment with id '{id_}' does not exist")
        return row

    def detach(self, id_: str) -> None:
        self.require("DELETE_ALL_ATTACHMENTS")
        row = self.attachment(id_)
        issue = self.find(str(row["issue"]))
        self.tx.run("DELETE FROM attachments WHERE id = ?", id_)
        self._record(issue, [item("Attachment", id_, row["filename"], None, None)], "issue_updated")

    # links
    def link_from(self, issue: Issue, wish: Mapping[str, Any]) -> None:
        """A link as asked for inside of an issue: the other end says its side."""
        kind = self.link_type(wish.get("type"))
        if isinstance(wish.get("outwardIssue"), dict):
            self.link(kind, issue, self._end(wish["outwardIssue"]))
        elif isinstance(wish.get("inwardIssue"), dict):
            self.link(kind, self._end(wish["inwardIssue"]), issue)
        else:
            raise JiraError(400, errors={"issuelinks": "An outwardIssue or an inwardIssue is needed."})

    def _end(self, wish: Mapping[str, Any]) -> Issue:
        return self.find(str(wish.get("key") or wish.get("id") or ""))

    def link_type(self, wish: Any) -> sqlite3.Row:
        if not isinstance(wish, dict) or not (wish.get("name") or wish.get("id")):
            raise JiraError(400, "The issue link type is required.")
        column = "name" if wish.get("name") else "id"
        row = self.tx.row(f"SELECT * FROM link_types WHERE {column} = ?", wish[column])  # noqa: S608 - one of two
        if row is None:
            raise JiraError(404, f"No issue link type with {column} '{wish[column]}' found.")
        return row

    def link(self, kind: sqlite3.Row, source: Issue, target: Issue) -> None:
        """A link that exists already is simply kept, as in Jira."""
        self.require("LINK_ISSUES")
        sql = "INSERT OR IGNORE INTO links (type, source, target) VALUES (?, ?, ?)"
        if source.id == target.id:
            raise JiraError(400, "You cannot link an issue to itself.")
        if self.tx.changed(sql, kind["id"], source.id, target.id):
            self._linked(kind, source, target, made=True)

    def unlink(self, id_: str) -> None:
        self.require("LINK_ISSUES")
        row = self.tx.row("SELECT * FROM links WHERE id = ?", id_)
        if row is None:
            raise JiraError(404, f"No issue link with id '{id_}' exists.")
        kind = self.link_type({"id": row["type"]})
        self.tx.run("DELETE FROM links WHERE id = ?", id_)
        self._linked(kind, self.find(str(row["source"])), self.find(str(row["target"])), made=False)

    def _linked(self, kind: sqlite3.Row, source: Issue, target: Issue, *, made: bool) -> None:
        for issue, other, words in ((source, target, kind["outward"]), (target, source, kind["inward"])):
            text = f"This issue {words} {other.key}"
            sides = (None, None, other.key, text) if made else (other.key, text, None, None)
            self._record(issue, [item("Link", *sides)], "issue_updated")

    # traces
    def _touch(self, issue: Issue) -> None:
        issue.updated = self.tx.now()
        self.tx.save_issue(issue)

    def _record(self, issue: Issue, items: list[Json], event: str) -> None:
        self._touch(issue)
        sql = "INSERT INTO history (issue, author, created, items) VALUES (?, ?, ?, ?)"
        id_ = self.tx.run(sql, issue.id, self.actor.name, issue.updated, json.dumps(items))
        self._tell("jira:issue_updated", issue, event, items=items, history=id_)

    def _tell(
        self, event: str, issue: Issue, kind: str | None, *, items: list[Json] | None = None, history: int = 0
    ) -> None:
        more: Json = {"issue_event_type_name": kind} if kind else {}
        if items:
            more["changelog"] = {"id": str(history), "items": items}
        webhooks.tell(self, event, issue, more)
