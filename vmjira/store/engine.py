"""The engine of the database: one writer at a time, and readers that nobody blocks, on SQLite and on PostgreSQL.

SQLite has one writer anyway; asking for it at the beginning (BEGIN IMMEDIATE) means that no transaction has to be
given up half-way. On PostgreSQL an advisory lock does the same, so that units of ours never deadlock, and what a unit
has read stays true until it ends. Units are short; deliveries wait for the tracker's rate limit, not for this.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from vmjira.errors import VmjiraError

WAIT = 30  # seconds that a writer waits for its turn
_WRITERS = 0x766D6A697261  # "vmjira": the advisory lock of all who write, in PostgreSQL
_PLEASE = "use sqlite:///path/to/file or postgresql+psycopg://user:password@host/database"


def make_engine(database_url: str) -> Engine:
    """The engine for `database_url`. Connects to nothing."""
    url = _checked(database_url)
    # Values stay out of errors, hence out of logs: they may be anything that a scanner or a person wrote.
    common: dict[str, Any] = {
        "json_serializer": partial(json.dumps, default=dict, allow_nan=False),
        "hide_parameters": True,
    }
    if url.drivername == "sqlite":
        engine = create_engine(url, **common, connect_args={"timeout": WAIT})
        event.listen(engine, "connect", _open_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(url, **common, pool_pre_ping=True, connect_args={"connect_timeout": WAIT})
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def for_reading(connection: Connection) -> Connection:
    """`connection`, such that its next transaction sees one state of the database and can change nothing."""
    if connection.dialect.name == "sqlite":
        return connection.execution_options(reading=True)
    return connection.execution_options(reading=True, isolation_level="REPEATABLE READ", postgresql_readonly=True)


def sqlite_file(engine: Engine) -> Path | None:
    """The file of the database, None if it is not SQLite."""
    return Path(str(engine.url.database)) if engine.dialect.name == "sqlite" else None


def _checked(database_url: str) -> URL:
    try:
        url = make_url(database_url)
    except ArgumentError:  # its text would quote the URL, which may hold a password
        raise VmjiraError(f"VMJIRA_DATABASE_URL: this is no database URL; {_PLEASE}") from None
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in ("sqlite", "sqlite+pysqlite") and url.database not in (None, "", ":memory:"):
        return url.set(drivername="sqlite")
    raise VmjiraError(f"VMJIRA_DATABASE_URL: {url.render_as_string(hide_password=True)!r} cannot be used; {_PLEASE}")


def _open_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql(f"PRAGMA query_only = {int(reading)}")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get("reading", False):
        return
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT}s'")
    # A machine that hangs inside a unit must not stop all others for ever.
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '5min'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
