"""A site as it looks after an export into another one: keys, labels and texts stay, every id is another."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

#: Columns that hold ids which the new site gives anew.
_IDS = {
    "issues": ("id",),
    "comments": ("id", "issue"),
    "attachments": ("id", "issue"),
    "history": ("id", "issue"),
    "properties": ("issue",),
    "links": ("id", "source", "target"),
    "remote_links": ("id", "issue"),
    "old_keys": ("issue",),
}
#: What does not come along: an import brings issues, not the site's own settings.
_LEFT = ("properties", "remote_links", "webhooks", "outbox", "calls", "faults", "past")


def move(source: Path, target: Path, *, offset: int, fields: Mapping[str, str], people: Mapping[str, str]) -> None:
    """Copy the state in `source` to `target` with all ids higher by `offset`.

    `fields`: new ids of custom fields by the old ones; `people`: new names by the old ones.
    """
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA foreign_keys = OFF")
        for table in _LEFT:
            new.execute(f"DELETE FROM {table}")  # noqa: S608 - one of ours
        for table, columns in _IDS.items():
            _shift(new, table, columns, offset)
        new.execute("UPDATE sqlite_sequence SET seq = seq + ?", (offset,))
        _rename(new, fields, people)
        new.commit()


def _shift(connection: sqlite3.Connection, table: str, columns: tuple[str, ...], offset: int) -> None:
    """By way of negative numbers, because the new ids may be old ones of other rows."""
    away = ", ".join(f"{name} = -{name} - {offset}" for name in columns)
    back = ", ".join(f"{name} = -{name}" for name in columns)
    connection.execute(f"UPDATE {table} SET {away}")  # noqa: S608 - ours
    connection.execute(f"UPDATE {table} SET {back}")  # noqa: S608 - ours


def _rename(connection: sqlite3.Connection, fields: Mapping[str, str], people: Mapping[str, str]) -> None:
    rows = connection.execute("SELECT id, custom, watchers FROM issues").fetchall()
    for id_, custom, watchers in rows:
        values = {fields.get(name, name): value for name, value in json.loads(custom).items()}
        named = [people.get(name, name) for name in json.loads(watchers)]
        changed = (json.dumps(values), json.dumps(named), id_)
        connection.execute("UPDATE issues SET custom = ?, watchers = ? WHERE id = ?", changed)
    columns = [("issues", name) for name in ("assignee", "reporter", "creator")]
    columns += [("comments", "author"), ("comments", "editor"), ("attachments", "author"), ("history", "author")]
    for old, new in people.items():
        for table, column in columns:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (new, old))  # noqa: S608 - ours
