"""How Jira shows its things as JSON; Cloud and Data Center differ in people, addresses and long texts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any
from urllib.parse import quote

from vmjira.sandbox.adf import to_adf
from vmjira.sandbox.config import Config, CustomField, Project, User, id_of
from vmjira.sandbox.store import Issue, Transaction
from vmjira.sandbox.workflow import CATEGORIES, Status, Transition

Json = dict[str, Any]

#: Fields that only `*all` or their own name bring.
NOT_NAVIGABLE = frozenset({"comment", "attachment"})


def stamp(at: float | None) -> str | None:
    """Jira's way to write a time."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")


class Shapes:
    """Shows things for one answer; `version` is the REST version, `base` the address of the sandbox."""

    def __init__(self, transaction: Transaction, config: Config, *, base: str, version: str = "2") -> None:
        self._tx = transaction
        self._config = config
        self._base = base
        self._version = version

    def url(self, path: str) -> str:
        return f"{self._base}/rest/api/{self._version}/{path}"

    def text(self, text: str | None) -> Any:
        return to_adf(text) if self._version == "3" else text

    # people
    def user(self, name: str | None) -> Json | None:
        user = self._config.user(name) if name else None
        return self.person(user) if user else None

    def person(self, user: User) -> Json:
        shared = {"displayName": user.display, "active": user.active, "timeZone": "Etc/UTC", "avatarUrls": {}}
        if self._config.cloud:
            own = {"accountId": user.account_id, "accountType": "atlassian"}
            return {"self": self.url(f"user?accountId={user.account_id}"), **own, **shared}
        own = {"name": user.name, "key": user.name, "emailAddress": user.email}
        return {"self": self.url(f"user?username={quote(user.name)}"), **own, **shared}

    # what a site is made of
    def project(self, project: Project) -> Json:
        own = {"id": project.id, "key": project.key, "name": project.name, "projectTypeKey": "software"}
        return {"self": self.url(f"project/{project.id}"), **own, "avatarUrls": {}}

    def issue_type(self, id_: str) -> Json:
        name = self._config.issue_types[id_]
        own = {"id": id_, "name": name, "description": "", "subtask": False, "iconUrl": f"{self._base}/static/type.svg"}
        return {"self": self.url(f"issuetype/{id_}"), **own}

    def issue_type_named(self, name: str) -> Json:
        return self.issue_type(next(id_ for id_, known in self._config.issue_types.items() if known == name))

    def priority(self, name: str | None) -> Json | None:
        if name is None:
            return None
        id_ = id_of(self._config.priorities, name)
        icon = f"{self._base}/static/priority.svg"
        return {"self": self.url(f"priority/{id_}"), "id": id_, "name": name, "iconUrl": icon}

    def resolution(self, name: str | None) -> Json | None:
        if name is None:
            return None
        id_ = id_of(self._config.resolutions, name)
        return {"self": self.url(f"resolution/{id_}"), "id": id_, "name": name, "description": ""}

    def status(self, status: Status) -> Json:
        category_id, name, color = CATEGORIES[status.category]
        category = {"id": category_id, "key": status.category, "name": name, "colorName": color}
        own = {"id": status.id, "name": status.name, "description": "", "iconUrl": f"{self._base}/"}
        address = self.url(f"statuscategory/{category_id}")
        return {"self": self.url(f"status/{status.id}"), **own, "statusCategory": {"self": address, **category}}

    def status_named(self, name: str) -> Json:
        return self.status(self._config.statuses[self._config.status_ids[name]])

    def component(self, id_: str) -> Json:
        return {"self": self.url(f"component/{id_}"), "id": id_, "name": self._config.components[id_][1]}

    def _components(self, issue: Issue) -> list[Json]:
        pairs = {pair: id_ for id_, pair in self._config.components.items()}
        return [self.component(pairs[issue.project, name]) for name in issue.components]

    def transition(self, step: Transition, *, with_fields: bool) -> Json:
        shape: Json = {"id": step.id, "name": step.name, "to": self.status_named(step.target)}
        if self._config.cloud:
            shape |= {"hasScreen": step.resolution != "no", "isGlobal": False, "isInitial": False, "isAvailable": True}
        if with_fields:
            shape["fields"] = {} if step.resolution == "no" else {"resolution": self._resolution_field(step)}
        return shape

    def _resolution_field(self, step: Transition) -> Json:
        return {
            "required": step.resolution == "required",
            "schema": {"type": "resolution", "system": "resolution"},
            "name": "Resolution",
            "key" if self._config.cloud else "fieldId": "resolution",
            "operations": ["set"],
            "allowedValues": [self.resolution(name) for name in self._config.resolutions],
        }

    # an issue
    def issue(self, issue: Issue, *, fields: Sequence[str] = ("*all",), expand: str = "") -> Json:
        address = self.url(f"issue/{issue.id}")
        shape: Json = {"expand": "", "id": str(issue.id), "self": address, "key": issue.key}
        shape["fields"] = self._fields(issue, fields)
        if "changelog" in expand:
            shape["changelog"] = self.changelog(issue)
        if "transitions" in expand.split(","):
            steps = self._config.workflow_of(issue.project).possible(issue.status)
            shape["transitions"] = [self.transition(step, with_fields=False) for step in steps]
        return shape

    def _fields(self, issue: Issue, wanted: Sequence[str]) -> Json:
        makers: dict[str, Callable[[], Any]] = {
            "summary": lambda: issue.summary,
            "description": lambda: self.text(issue.description),
            "issuetype": lambda: self.issue_type_named(issue.issuetype),
            "project": lambda: self.project(self._config.project_of(issue.project)),
            "status": lambda: self.status_named(issue.status),
            "resolution": lambda: self.resolution(issue.resolution),
            "resolutiondate": lambda: stamp(issue.resolved),
            "priority": lambda: self.priority(issue.priority),
            "assignee": lambda: self.user(issue.assignee),
            "reporter": lambda: self.user(issue.reporter),
            "creator": lambda: self.user(issue.creator),
            "labels": lambda: issue.labels,
            "components": lambda: self._components(issue),
            "duedate": lambda: issue.duedate,
            "created": lambda: stamp(issue.created),
            "updated": lambda: stamp(issue.updated),
            "issuelinks": lambda: self.links(issue),
            "watches": lambda: self.watches(issue),
            "attachment": lambda: [self.attachment(row) for row in attachments(self._tx, issue)],
            "comment": lambda: self.comments(issue),
            "fixVersions": list,
            "versions": list,
            "subtasks": list,
        }
        for custom in self._config.custom_fields:
            makers[custom.id] = partial(issue.custom.get, custom.id)
        return {name: makers[name]() for name in chosen(makers, wanted)}

    def brief(self, issue: Issue) -> Json:
        """An issue as shown inside of another one."""
        shape = self.issue(issue, fields=("summary", "status", "priority", "issuetype"))
        del shape["expand"]
        return shape

    def links(self, issue: Issue) -> list[Json]:
        sql = "SELECT * FROM links WHERE source = ? OR target = ? ORDER BY id"
        return [self.link(row, issue.id) for row in self._tx.rows(sql, issue.id, issue.id)]

    def link(self, row: sqlite3.Row, seen_from: int) -> Json:
        """A link as its one end shows it: the source (`inwardIssue` of the call) shows the other as outward."""
        kind = self._tx.rows("SELECT * FROM link_types WHERE id = ?", row["type"])[0]
        side, other = ("outwardIssue", "target") if row["source"] == seen_from else ("inwardIssue", "source")
        (issue,) = self._tx.issues("id = ?", [row[other]])
        shape = {"id": str(row["id"]), "self": self.url(f"issueLink/{row['id']}"), "type": self.link_type(kind)}
        return {**shape, side: self.brief(issue)}

    def link_type(self, row: sqlite3.Row) -> Json:
        own = {"id": str(row["id"]), "name": row["name"], "inward": row["inward"], "outward": row["outward"]}
        return {**own, "self": self.url(f"issueLinkType/{row['id']}")}

    def watches(self, issue: Issue) -> Json:
        address = self.url(f"issue/{issue.key}/watchers")
        return {"self": address, "watchCount": len(issue.watchers), "isWatching": False}

    def attachment(self, row: sqlite3.Row) -> Json:
        id_, name = row["id"], row["filename"]
        cloud, own = self.url(f"attachment/content/{id_}"), f"{self._base}/secure/attachment/{id_}/{quote(name)}"
        return {
            "self": self.url(f"attachment/{id_}"),
            "id": str(id_),
            "filename": name,
            "author": self.user(row["author"]),
            "created": stamp(row["created"]),
            "size": row["size"],
            "mimeType": row["media_type"],
            "content": cloud if self._config.cloud else own,
        }

    def comments(self, issue: Issue) -> Json:
        rows = self._tx.rows("SELECT * FROM comments WHERE issue = ? ORDER BY id", issue.id)
        shapes = [self.comment(row) for row in rows]
        return {"comments": shapes, "maxResults": len(shapes), "total": len(shapes), "startAt": 0}

    def comment(self, row: sqlite3.Row) -> Json:
        return {
            "self": self.url(f"issue/{row['issue']}/comment/{row['id']}"),
            "id": str(row["id"]),
            "author": self.user(row["author"]),
            "updateAuthor": self.user(row["editor"]),
            "body": self.text(row["body"]),
            "created": stamp(row["created"]),
            "updated": stamp(row["updated"]),
        }

    def changelog(self, issue: Issue) -> Json:
        """Cloud shows the newest first here, a Data Center the oldest."""
        histories = self.histories(issue)
        shown = histories[:-101:-1] if self._config.cloud else histories
        return {"startAt": 0, "maxResults": len(shown), "total": len(histories), "histories": shown}

    def histories(self, issue: Issue) -> list[Json]:
        """Oldest first."""
        rows = self._tx.rows("SELECT * FROM history WHERE issue = ? ORDER BY id", issue.id)
        return [
            {
                "id": str(row["id"]),
                "author": self.user(row["author"]),
                "created": stamp(row["created"]),
                "items": json.loads(row["items"]),
            }
            for row in rows
        ]


class Page:
    """A slice of a list, with the members by which Jira says which."""

    def __init__(self, items: Sequence[Any], *, start: int, limit: int) -> None:
        self.items = items[start : start + limit]
        self.frame = {"startAt": start, "maxResults": limit, "total": len(items)}
        self.last = start + limit >= len(items)

    @cached_property
    def is_last(self) -> Json:
        return {**self.frame, "isLast": self.last}


def attachments(transaction: Transaction, issue: Issue) -> list[sqlite3.Row]:
    """All about the files of an issue but what is in them."""
    sql = "SELECT id, issue, author, filename, media_type, size, created FROM attachments WHERE issue = ? ORDER BY id"
    return transaction.rows(sql, issue.id)


def chosen(names: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """The fields that a `fields` parameter chooses: names, *all, *navigable, and -name to leave out."""
    names = list(names)
    if all(item.startswith("-") for item in wanted):
        wanted = ("*all", *wanted)
    picked = set(wanted)
    return [
        name
        for name in names
        if f"-{name}" not in picked
        and (name in picked or "*all" in picked or ("*navigable" in picked and name not in NOT_NAVIGABLE))
    ]


def custom_schema(custom: CustomField) -> Json:
    number = int(custom.id.rpartition("_")[2])
    items = {"items": "string"} if custom.type == "array" else {}
    kind = {"string": "textfield", "number": "float", "array": "labels"}[custom.type]
    full = f"com.atlassian.jira.plugin.system.customfieldtypes:{kind}"
    return {"type": custom.type, **items, "custom": full, "customId": number}
