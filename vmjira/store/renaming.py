"""Another identifier for everything of a ticket, in all tables: what an alias of the rules asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Column, Connection, bindparam, delete, insert, select, update

from vmjira.domain.renaming import Renaming
from vmjira.store import tables as t

#: Columns that hold an identifier, or nothing. Those of tickets and attachments refer to each other.
_IDENTIFIERS = (
    t.operations.c.identifier, t.acceptances.c.identifier, t.rescan_requests.c.identifier, t.moved.c.source,
    t.moved.c.target,
)  # fmt: skip


def rename(connection: Connection, names: Renaming) -> None:
    """In one transaction with what else the change of rules does. Nothing if no id is renamed."""
    if not names:
        return
    _tickets(connection, names)
    for column in _IDENTIFIERS:
        found = connection.scalars(select(column).distinct())
        _set(connection, column, dict(_renamed(found, names)))
    for old, new in names.categories.items():
        connection.execute(update(t.cell_numbers).where(t.cell_numbers.c.category == old).values(category=new))
    for old, new in names.ranges.items():
        connection.execute(update(t.cell_numbers).where(t.cell_numbers.c.range == old).values(range=new))
    _details(connection, names)


def _tickets(connection: Connection, names: Renaming) -> None:
    """The row under its new identifier takes the place of the old one; its attachments follow."""
    old_rows = {row["identifier"]: dict(row) for row in connection.execute(select(t.tickets)).mappings()}
    renamed = dict(_renamed(old_rows, names))
    if not renamed:
        return
    rows = []
    for old, new in renamed.items():
        row = old_rows[old]
        place = {"category": names.category(row["category"]), "range": names.range(row["range"])}
        rows.append({**row, **place, "identifier": new, "former": [*row["former"], old], "sent_ledger": 0})
    identifiers = list(renamed)
    for start in range(0, len(identifiers), 500):
        some = t.tickets.c.identifier.in_(identifiers[start : start + 500])
        connection.execute(update(t.tickets).where(some).values(key=None))  # unique: the new row bears it
    connection.execute(insert(t.tickets), rows)
    _set(connection, t.attachments.c.identifier, renamed)
    connection.execute(
        delete(t.tickets).where(t.tickets.c.identifier == bindparam("old")), [{"old": o} for o in renamed]
    )


def _set(connection: Connection, column: Column[Any], renamed: Mapping[str, str]) -> None:
    if renamed:
        statement = update(column.table).where(column == bindparam("old")).values({column.name: bindparam("new")})
        connection.execute(statement, [{"old": old, "new": new} for old, new in renamed.items()])


def _details(connection: Connection, names: Renaming) -> None:
    """Operations that name another ticket, and the tickets of rescans."""
    columns = t.operations.c
    waiting = select(columns.id, columns.details).where(columns.state.in_(["held", "waiting", "queued", "refused"]))
    for id, details in connection.execute(waiting).all():
        other = details.get("other")
        if other and (new := names.identifier(other)) != other:
            changed = {**details, "other": new}
            connection.execute(update(t.operations).where(columns.id == id).values(details=changed))
    for id, tickets in connection.execute(select(t.rescans.c.id, t.rescans.c.tickets)).all():
        new_tickets = [names.identifier(each) for each in tickets]
        if new_tickets != tickets:
            connection.execute(update(t.rescans).where(t.rescans.c.id == id).values(tickets=new_tickets))


def _renamed(identifiers: Iterable[str], names: Renaming) -> Iterator[tuple[str, str]]:
    """Old and new of those that change: identifiers of tickets, and ids of the ranges that notices are about."""
    for old in identifiers:
        new = names.identifier(old) if old.count(".") == 2 else names.range(old)
        if new != old:
            yield old, new
