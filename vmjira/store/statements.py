"""The few SQL statements that every table needs, on rows that are dataclasses with the names of the columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, Table, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

Row = TypeVar("Row")
INSERT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def rows_of(table: Table, row: type[Any]) -> Select[Any]:
    """Select the columns of `table` that `row` has, in its order."""
    return select(*(table.c[field.name] for field in fields(row)))


def fetch(connection: Connection, row: type[Row], query: Select[Any]) -> list[Row]:
    return [row(*values) for values in connection.execute(query)]


def fetch_one(connection: Connection, row: type[Row], query: Select[Any]) -> Row | None:
    values = connection.execute(query).first()
    return None if values is None else row(*values)


def greatest(connection: Connection, table: Table, column: str) -> int:
    """The greatest value of a counter; 0 where there is no row."""
    return int(connection.scalar(select(func.coalesce(func.max(table.c[column]), 0))) or 0)


def add(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def add_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Add a row unless its key is there already: False, and nothing changed."""
    statement = INSERT[connection.dialect.name](table).values(row).on_conflict_do_nothing()
    return connection.execute(statement.execution_options(preserve_rowcount=True)).rowcount == 1


def put(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, only: Collection[str] | None = None
) -> None:
    """Add rows; those whose primary key is there already take the place of the old ones (or change `only` some)."""
    if not rows:
        return
    statement = INSERT[connection.dialect.name](table)
    values = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    values = {name: value for name, value in values.items() if only is None or name in only}
    keys = [column.name for column in table.primary_key]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values), rows)


def change(connection: Connection, table: Table, key: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Update the one row that `key` names. TypeError on a column that cannot be changed, LookupError without a row."""
    allowed = {column.name for column in table.c if not column.primary_key} - key.keys()
    if unknown := changes.keys() - allowed:
        raise TypeError(f"{table.name}: cannot change {sorted(unknown)}; allowed are {sorted(allowed)}")
    if not changes:
        return
    where = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*where).values(**changes)).rowcount != 1:
        raise LookupError(f"{table.name}: there is no row {dict(key)}")
