"""What the clock did, as the database tells it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, tuple_

from vmjira.flows.rows import FiringRow, FiringState
from vmjira.store import tables as t
from vmjira.store.statements import fetch, rows_of

_NEWEST = select(t.firings.c.job, func.max(t.firings.c.due).label("due")).group_by(t.firings.c.job)


def firings(connection: Connection, states: Sequence[FiringState], job: str, limit: int) -> list[FiringRow]:
    columns = t.firings.c
    query = rows_of(t.firings, FiringRow).order_by(columns.due.desc(), columns.job).limit(limit)
    query = query.where(columns.state.in_(states)) if states else query
    return fetch(connection, FiringRow, query.where(columns.job == job) if job else query)


def last_firings(connection: Connection) -> dict[str, FiringRow]:
    newest = _NEWEST.subquery()
    same = (t.firings.c.job == newest.c.job) & (t.firings.c.due == newest.c.due)
    return {row.job: row for row in fetch(connection, FiringRow, rows_of(t.firings, FiringRow).join(newest, same))}


def forget_firings(connection: Connection, before: datetime) -> int:
    columns = t.firings.c
    newest = _NEWEST.subquery()
    old = (columns.state != "queued") & (columns.due < before)
    kept = tuple_(columns.job, columns.due).in_(select(newest.c.job, newest.c.due))
    return connection.execute(delete(t.firings).where(old, ~kept)).rowcount
