"""Numbers for health and metrics, counted by the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, func, select

from vmjira.flows.rows import Tally
from vmjira.store import tables as t
from vmjira.store.looking import settled, verified

#: What the JSON of own findings and of hosts adds up.
OWN = ("fixed", "open", "unverified", "moved", "gone", "accepted")
HOSTS = ("new", "remaining", "safe", "unverified")


def waiting_since(connection: Connection) -> dict[str, datetime | None]:
    deliveries, operations = t.deliveries.c, t.operations.c
    oldest = {
        "react": select(func.min(deliveries.received_at)).where(deliveries.state == "queued"),
        "deliver": select(operations.planned_at)
        .where(operations.state == "queued")
        .order_by(operations.sequence)
        .limit(1),
        "job": select(func.min(t.firings.c.due)).where(t.firings.c.state == "queued"),
    }
    return {queue: connection.scalar(query) for queue, query in oldest.items()}


def last_scan(connection: Connection) -> datetime | None:
    at: datetime | None = connection.scalar(select(func.max(t.scans.c.finished_at)).where(t.scans.c.state == "folded"))
    return at


def tally(connection: Connection) -> Tally:
    kind, state = t.operations.c.operation, t.operations.c.state
    deliveries = {row[0]: row[1] for row in _count(connection, t.deliveries.c.state)}
    operations = {(row[0], row[1]): row[2] for row in _count(connection, kind, state)}
    firings = {(row[0], row[1]): row[2] for row in _count(connection, t.firings.c.job, t.firings.c.state)}
    queued = sum(count for (_, each), count in operations.items() if each == "queued")
    asked = t.rescan_requests.c
    waiting = select(asked.scanner, func.min(asked.asked_at)).where(asked.state == "waiting").group_by(asked.scanner)
    return Tally(
        deliveries=deliveries,
        operations=operations,
        tickets={row[0]: row[1] for row in _count(connection, _category())},
        endings={row[0]: row[1] for row in _count(connection, _ending())},
        findings=_sums(connection, t.tickets, t.tickets.c.own, OWN),
        hosts=_hosts(connection),
        queues={
            "react": deliveries.get("queued", 0),
            "deliver": queued,
            "job": sum(count for (_, each), count in firings.items() if each == "queued"),
        },
        firings=firings,
        rescans={(row[0], row[1]): row[2] for row in _count(connection, t.rescans.c.scanner, t.rescans.c.state)},
        rescan_hosts={(row[0], row[1]): row[2] for row in _count(connection, asked.scanner, asked.state) if row[0]},
        rescans_wait={row[0]: row[1] for row in connection.execute(waiting)},
    )


def _count(connection: Connection, *by: Any) -> Any:
    return connection.execute(select(*by, func.count()).group_by(*by))


def _category() -> Any:
    row = t.tickets.c
    return case(
        (row.gone, "deleted"), (row.key.is_(None), "waiting"), else_=func.coalesce(row.status_category, "new")
    ).label("category")


def _ending() -> Any:
    gone = t.tickets.c.gone
    return case((gone, "deleted"), (verified(), "verified"), (settled(), "settled"), else_="open").label("ending")


def _sums(connection: Connection, table: Any, column: Any, names: tuple[str, ...]) -> dict[tuple[str, str], int]:
    """By range and name: the sum of what the JSON in the column says."""
    total = [func.sum(func.coalesce(column[name].as_integer(), 0)) for name in names]
    rows = connection.execute(select(table.c.range, *total).group_by(table.c.range))
    return {(row[0], name): int(number) for row in rows for name, number in zip(names, row[1:], strict=True)}


def _hosts(connection: Connection) -> dict[tuple[str, str], int]:
    cells = t.cell_numbers
    newest = select(cells.c.range, func.max(cells.c.ordinal).label("ordinal")).group_by(cells.c.range).subquery()
    same = (cells.c.range == newest.c.range) & (cells.c.ordinal == newest.c.ordinal)
    rows = select(cells.c.range, cells.c.numbers).join(newest, same).subquery()
    return _sums(connection, rows, rows.c.numbers, HOSTS)
