"""The state of a sandbox in one SQLite file that several processes and threads may use at once."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from vmjira.sandbox.config import Config

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE counters (project TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE issues (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, project TEXT NOT NULL, issuetype TEXT NOT NULL,
    summary TEXT NOT NULL, description TEXT, status TEXT NOT NULL, resolution TEXT, priority TEXT, assignee TEXT,
    reporter TEXT NOT NULL, creator TEXT NOT NULL, duedate TEXT, labels TEXT NOT NULL, components TEXT NOT NULL,
    custom TEXT NOT NULL, watchers TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL, resolved REAL,
    written REAL NOT NULL);
CREATE INDEX issues_by_project ON issues (project, id);
CREATE INDEX issues_by_updated ON issues (updated);
CREATE TABLE past AS SELECT *, written AS until FROM issues WHERE 0;
CREATE INDEX past_until ON past (until);
CREATE TABLE old_keys (key TEXT PRIMARY KEY, issue INTEGER NOT NULL REFERENCES issues ON DELETE CASCADE);
CREATE TABLE comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, issue INTEGER NOT NULL REFERENCES issues ON DELETE CASCADE,
    author TEXT NOT NULL, editor TEXT NOT NULL, body TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL);
CREATE INDEX comments_of ON comments (issue);
CREATE TABLE attachments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, issue INTEGER NOT NULL REFERENCES issues ON DELETE CASCADE,
    author TEXT NOT NULL, filename TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL,
    created REAL NOT NULL, content BLOB NOT NULL);
CREATE INDEX attachments_of ON attachments (issue);
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT, issue INTEGER NOT NULL REFERENCES issues ON DELETE CASCADE,
    author TEXT NOT NULL, created REAL NOT NULL, items TEXT NOT NULL);
CREATE INDEX history_of ON history (issue);
CREATE TABLE properties (
    issue INTEGER NOT NULL REFERENCES issues ON DELETE CASCADE, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (issue, name));
CREATE TABLE link_types (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE COLLATE NOCASE, inward TEXT NOT NULL,
    outward TEXT NOT NULL);
CREATE TABLE links (
    id INTEGER PRIMARY KEY AUTOINCREMENT, type INTEGER NOT NULL REFERENCES link_types,
    source INTEGER NOT NULL REFERENCES issues ON DELETE CASCADE,
    target INTEGER NOT NULL REFERENCES issues ON DELETE CASCADE, UNIQUE (type, source, target));
CREATE INDEX links_to ON links (target);
CREATE INDEX links_from ON links (source);
CREATE TABLE remote_links (
    id INTEGER PRIMARY KEY AUTOINCREMENT, issue INTEGER NOT NULL REFERENCES issues ON DELETE CASCADE,
    global_id TEXT, object TEXT NOT NULL, UNIQUE (issue, global_id));
CREATE TABLE webhooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, url TEXT NOT NULL, events TEXT NOT NULL,
    jql TEXT NOT NULL, exclude_body INTEGER NOT NULL, secret TEXT, active INTEGER NOT NULL, updated REAL NOT NULL);
CREATE TABLE outbox (
    id TEXT PRIMARY KEY, webhook INTEGER NOT NULL REFERENCES webhooks ON DELETE CASCADE, body BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL, state TEXT NOT NULL DEFAULT 'waiting', answer TEXT);
CREATE INDEX outbox_due ON outbox (state, due);
CREATE TABLE calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    query TEXT NOT NULL, size INTEGER NOT NULL, status INTEGER NOT NULL, user TEXT, body TEXT);
CREATE TABLE faults (id INTEGER PRIMARY KEY AUTOINCREMENT, setting TEXT NOT NULL);
"""
TABLES = [line.split()[2] for line in SCHEMA.splitlines() if line.startswith("CREATE TABLE")]
FIRST_ID = 10_000  # Jira's ids of things that are no part of it begin here
PAST = 3600.0  # seconds that overwritten states are kept for a lagging search

_LISTS = ("labels", "components", "custom", "watchers")


@dataclass
class Issue:
    """A ticket as stored: people by name, status by name, components by name."""

    id: int
    key: str
    project: str
    issuetype: str
    summary: str
    status: str
    reporter: str
    creator: str
    created: float
    updated: float
    description: str | None = None
    resolution: str | None = None
    priority: str | None = None
    assignee: str | None = None
    duedate: str | None = None
    resolved: float | None = None
    labels: list[str] = field(default_factory=list)
    components: list[str] = field(default_factory=list)
    custom: dict[str, Any] = field(default_factory=dict)
    watchers: list[str] = field(default_factory=list)


_COLUMNS = [item.name for item in fields(Issue)]


class Store:
    """Opens transactions on the database file, which is made at the first one."""

    def __init__(self, database: Path, config: Config) -> None:
        self._database = database
        self._config = config
        # Kept open between transactions: whoever closes the last one has to fold the write-ahead log into the file.
        self._idle: deque[sqlite3.Connection] = deque()

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """Everything in it happens, or nothing; writers queue, readers do not wait for them."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        transaction = Transaction(connection, self._config)
        try:
            yield transaction
            transaction.commit()
        except BaseException:
            transaction.rollback()
            raise
        finally:
            self._idle.append(connection)

    def _connect(self) -> sqlite3.Connection:
        self._database.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._database, timeout=30, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        with _locked(self._database.parent):
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                self._create(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA.split(";\n"):
            connection.execute(statement)
        seed_state(connection, self._config)
        connection.execute("PRAGMA user_version = 1")
        connection.execute("COMMIT")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process, and one thread, at a time: the switch to write-ahead logging does not wait as a transaction does."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def seed_state(connection: sqlite3.Connection, config: Config) -> None:
    """The link types of the configuration, and ids as high as Jira's."""
    for table in ("issues", "comments", "attachments", "history", "link_types", "links", "remote_links"):
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, FIRST_ID))
    faults = [(json.dumps(asdict(fault)),) for fault in config.faults]
    connection.executemany("INSERT INTO faults (setting) VALUES (?)", faults)
    rows = [(kind.name, kind.inward, kind.outward) for kind in config.link_types]
    connection.executemany("INSERT INTO link_types (name, inward, outward) VALUES (?, ?, ?)", rows)


class Transaction:
    """One SQLite transaction; it takes the write lock at its first write."""

    def __init__(self, connection: sqlite3.Connection, config: Config) -> None:
        self._connection = connection
        self._config = config
        self.wrote_outbox = False

    def lock(self) -> None:
        """Be the only writer from here on; what is read from now on is what is written on."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A part that may fail: its writes are undone, those before stay."""
        self.lock()
        self._connection.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK TO attempt")
            raise
        finally:
            self._connection.execute("RELEASE attempt")

    def rows(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:
        return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, *parameters: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._connection.execute(sql, parameters).fetchone()
        return row

    def run(self, sql: str, *parameters: Any) -> int:
        """Write; the id of the new row, or of none in particular."""
        self.lock()
        return self._connection.execute(sql, parameters).lastrowid or 0

    def changed(self, sql: str, *parameters: Any) -> int:
        """Write; the number of rows changed."""
        self.lock()
        return self._connection.execute(sql, parameters).rowcount

    # time
    def now(self) -> float:
        """The sandbox's time; it may be set, because time is data."""
        row = self.row("SELECT value FROM meta WHERE name = 'clock_offset'")
        return time.time() + (float(row["value"]) if row else 0.0)

    def meta(self, name: str, value: str) -> None:
        self.run("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)

    # issues
    def issue(self, key_or_id: str) -> Issue | None:
        """By key, by a key that it had before it was moved, or by id."""
        if key_or_id.isdigit():
            row = self.row("SELECT * FROM issues WHERE id = ?", int(key_or_id))
        else:
            key = key_or_id.upper()
            row = self.row("SELECT * FROM issues WHERE key = ?", key) or self.row(
                "SELECT issues.* FROM issues JOIN old_keys ON old_keys.issue = issues.id WHERE old_keys.key = ?", key
            )
        return _issue(row) if row else None

    def issues(self, where: str = "1", parameters: Sequence[Any] = ()) -> list[Issue]:
        return [_issue(row) for row in self.rows(f"SELECT * FROM issues WHERE {where}", *parameters)]  # noqa: S608

    def next_key(self, project: str) -> str:
        sql = "INSERT INTO counters VALUES (?, 1) ON CONFLICT (project) DO UPDATE SET last = last + 1 RETURNING last"
        self.lock()
        return f"{project}-{self._connection.execute(sql, (project,)).fetchone()[0]}"

    def add_issue(self, issue: Issue) -> None:
        """Store a new issue; its id is set."""
        values = _values(issue)
        del values["id"]
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        issue.id = self.run(f"INSERT INTO issues ({names}) VALUES ({marks})", *values.values())  # noqa: S608

    def save_issue(self, issue: Issue) -> None:
        if self._config.index_lag:
            now = time.time()
            self.run("DELETE FROM past WHERE until < ?", now - PAST)
            self.run("INSERT INTO past SELECT *, ? FROM issues WHERE id = ?", now, issue.id)
        values = _values(issue)
        settings = ", ".join(f"{name} = ?" for name in values)
        self.run(f"UPDATE issues SET {settings} WHERE id = ?", *values.values(), issue.id)  # noqa: S608

    def reset(self) -> None:
        """Empty, as seeded."""
        self.lock()
        self._connection.execute("PRAGMA defer_foreign_keys = ON")
        for table in TABLES:
            self.run(f"DELETE FROM {table}")  # noqa: S608 - the names are ours
        self.run("DELETE FROM sqlite_sequence")
        seed_state(self._connection, self._config)


def _values(issue: Issue) -> dict[str, Any]:
    values = {name: getattr(issue, name) for name in _COLUMNS}
    return values | {name: json.dumps(values[name]) for name in _LISTS} | {"written": time.time()}


def _issue(row: sqlite3.Row) -> Issue:
    values = {name: row[name] for name in _COLUMNS}
    return Issue(**{**values, **{name: json.loads(values[name]) for name in _LISTS}})
