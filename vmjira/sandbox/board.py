"""What the pages show, gathered from the tickets as plain values."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from vmjira.sandbox import wiki
from vmjira.sandbox.desk import Desk
from vmjira.sandbox.shapes import attachments
from vmjira.sandbox.store import Issue
from vmjira.sandbox.workflow import Transition

CARDS = 60  # shown in a column; the rest is counted
ARROWS = {"Highest": "⇈", "High": "↑", "Medium": "=", "Low": "↓", "Lowest": "⇊"}
COLORS = 6


@dataclass(frozen=True)
class Column:
    name: str
    category: str
    cards: list[Issue]
    total: int


@dataclass(frozen=True)
class Board:
    project: str
    text: str
    projects: list[tuple[Any, int]]  # with the number of their tickets
    columns: list[Column]


def board(desk: Desk, asked: Mapping[str, str]) -> Board:
    """The tickets of one project by status, newest first; `q` narrows them by key, summary or label."""
    counts = {row["project"]: row["n"] for row in desk.tx.rows("SELECT project, count(*) AS n FROM issues GROUP BY 1")}
    projects = desk.config.projects
    first = next((project.key for project in projects if counts.get(project.key)), projects[0].key)
    wanted = asked.get("project", first)
    key = wanted if wanted in {project.key for project in projects} else first
    text = asked.get("q", "").strip()
    columns = [
        _column(desk, key, status, text)
        for status in desk.config.workflow_of(key).categories.items()
    ]  # fmt: skip
    return Board(key, text, [(project, counts.get(project.key, 0)) for project in projects], columns)


def _column(desk: Desk, project: str, status: tuple[str, str], text: str) -> Column:
    name, category = status
    where = "project = ? AND status = ? AND instr(lower(key || ' ' || summary || ' ' || labels), lower(?))"
    parameters = [project, name, text]
    (count,) = desk.tx.rows(f"SELECT count(*) AS n FROM issues WHERE {where}", *parameters)  # noqa: S608 - constant
    return Column(name, category, desk.tx.issues(f"{where} ORDER BY id DESC LIMIT {CARDS}", parameters), count["n"])


@dataclass(frozen=True)
class Change:
    who: str
    at: str
    items: list[Mapping[str, Any]]


@dataclass(frozen=True)
class Said:
    who: str
    at: str
    body: Markup


@dataclass(frozen=True)
class File:
    id: int
    name: str
    size: str
    at: str
    kind: str  # table, picture, other


@dataclass(frozen=True)
class LinkRow:
    words: str
    issue: Issue
    category: str


@dataclass(frozen=True)
class Ticket:
    issue: Issue
    category: str
    created: str
    updated: str
    resolved: str
    description: Markup
    steps: list[Transition]
    files: list[File]
    links: list[LinkRow]
    comments: list[Said]
    history: list[Change]


def ticket(desk: Desk, issue: Issue) -> Ticket:
    files = [_file(row) for row in attachments(desk.tx, issue)]
    around = _surroundings(desk, files)
    return Ticket(
        issue=issue,
        category=_category(desk, issue),
        created=when(issue.created),
        updated=when(issue.updated),
        resolved=when(issue.resolved),
        description=wiki.render(issue.description, around),
        steps=desk.config.workflow_of(issue.project).possible(issue.status),
        files=files,
        links=_links(desk, issue),
        comments=_comments(desk, issue, around),
        history=_history(desk, issue),
    )


def _category(desk: Desk, issue: Issue) -> str:
    return desk.config.workflow_of(issue.project).categories[issue.status]


def _surroundings(desk: Desk, files: list[File]) -> wiki.Surroundings:
    def address(key: str) -> str | None:
        return f"/browse/{key}" if desk.tx.issue(key) else None

    def person(name: str) -> str | None:
        user = next((user for user in desk.config.users if name in {user.name, user.account_id}), None)
        return user.display if user else None

    # The last of several files with one name is the one meant, as in Jira.
    return wiki.Surroundings({file.name: _address(file) for file in files}, person, address)


def _address(file: File) -> str:
    ways = {"table": f"/table/{file.id}", "picture": f"/picture/{file.id}"}
    return ways.get(file.kind, f"/secure/attachment/{file.id}/{quote(file.name, safe='')}")


def _file(row: Any) -> File:
    name, media = row["filename"], row["media_type"]
    kind = "table" if name.lower().endswith(".csv") else "picture" if media.startswith("image/") else "other"
    return File(row["id"], name, _size(row["size"]), when(row["created"]), kind)


def _size(size: int) -> str:
    return f"{size} bytes" if size < 1000 else f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1e6:.1f} MB"


def _links(desk: Desk, issue: Issue) -> list[LinkRow]:
    sql = (
        "SELECT links.source, links.target, inward, outward FROM links JOIN link_types ON link_types.id = type"
        " WHERE source = ? OR target = ? ORDER BY links.id"
    )
    rows = []
    for row in desk.tx.rows(sql, issue.id, issue.id):
        leads_out = row["source"] == issue.id
        other = desk.find(str(row["target" if leads_out else "source"]))
        rows.append(LinkRow(row["outward" if leads_out else "inward"], other, _category(desk, other)))
    return rows


def _comments(desk: Desk, issue: Issue, around: wiki.Surroundings) -> list[Said]:
    rows = desk.tx.rows("SELECT * FROM comments WHERE issue = ? ORDER BY id", issue.id)
    return [Said(_name(desk, row["author"]), when(row["created"]), wiki.render(row["body"], around)) for row in rows]


def _history(desk: Desk, issue: Issue) -> list[Change]:
    rows = desk.tx.rows("SELECT * FROM history WHERE issue = ? ORDER BY id DESC LIMIT 100", issue.id)
    return [Change(_name(desk, row["author"]), when(row["created"]), json.loads(row["items"])) for row in rows]


def _name(desk: Desk, name: str) -> str:
    user = desk.config.user(name)
    return user.display if user else name


def when(at: float | None) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M") if at is not None else ""


def arrow(priority: str) -> str:
    return ARROWS.get(priority, "•")


def avatar(name: str) -> Markup:
    """A disc with the initials, in a colour of one's own."""
    initials = "".join(word[0] for word in name.replace("-", " ").split()[:2]).upper()
    color = zlib.crc32(name.encode()) % COLORS
    return Markup("<span class='avatar avatar-{}' aria-hidden='true'>{}</span>").format(color, initials)
