"""What pages ask of the database: one page of a table, or sums."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from datetime import date, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, and_, case, func, or_, select, tuple_

from vmjira.domain.rescan import RescanRow
from vmjira.domain.ticket import CellNumbers, HostNumbers, OwnNumbers, TicketRow
from vmjira.flows.looking import Act, Cell, LastScan, Page, Wanted
from vmjira.flows.rows import AcceptanceRow, OperationRow, OperationState, ScanRow, ScanState
from vmjira.store import tables as t
from vmjira.store.statements import fetch, rows_of

Row = TypeVar("Row")
#: Values in one statement at most: databases have their limits.
TOGETHER = 1_000


class SqlLooking:
    """Implements `vmjira.flows.looking.Looking`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # cells and tickets

    def recent_numbers(self, n: int, *, categories: Collection[str], ranges: Collection[str]) -> list[CellNumbers]:
        columns = t.cell_numbers.c
        names = [columns[field.name] for field in fields(CellNumbers) if field.name != "top"]
        newest = func.row_number().over(partition_by=[columns.category, columns.range], order_by=columns.ordinal.desc())
        inner = (
            select(*names, newest.label("age"))
            .where(columns.category.in_(categories), columns.range.in_(ranges))
            .subquery()
        )
        query = (
            select(*(inner.c[each.name] for each in names))
            .where(inner.c.age <= n)
            .order_by(inner.c.category, inner.c.range, inner.c.ordinal)
        )
        return [
            CellNumbers(**{**row, "numbers": HostNumbers(**row["numbers"])})
            for row in self._connection.execute(query).mappings()
        ]

    def cells(self, today: date) -> list[Cell]:
        numbers, row = t.cell_numbers.c, t.tickets.c
        keys = select(numbers.category, numbers.range).distinct().union(select(row.category, row.range)).subquery()
        sums = (func.count(row.identifier), *_sums(today))
        query = (
            select(keys.c.category, keys.c.range, *sums)
            .join_from(keys, t.tickets, and_(row.category == keys.c.category, row.range == keys.c.range), isouter=True)
            .group_by(keys.c.category, keys.c.range)
            .order_by(keys.c.category, keys.c.range)
        )
        return [
            Cell(*values[:2], *(int(value or 0) for value in values[2:])) for values in self._connection.execute(query)
        ]

    def newest_tickets(self, *, categories: Collection[str], ranges: Collection[str]) -> list[TicketRow]:
        columns, key = t.tickets.c, (t.tickets.c.category, t.tickets.c.range)
        newest = (
            select(*key, func.max(columns.ordinal))
            .where(columns.category.in_(categories), columns.range.in_(ranges))
            .group_by(*key)
        )
        query = rows_of(t.tickets, TicketRow).where(tuple_(*key, columns.ordinal).in_(newest))
        return self._tickets(query)

    def tickets(self, wanted: Wanted, today: date, page: Page) -> tuple[list[TicketRow], int]:
        columns = t.tickets.c
        where: list[Any] = [
            columns[name] == value for name in ("category", "range") if (value := getattr(wanted, name))
        ]
        if wanted.which != "all":
            where += [_own("open") > 0, columns.gone.is_(False)]
        if wanted.which == "overdue":
            where.append(columns.due < today)
        if wanted.text:
            parts = (columns.identifier, columns.key, columns.title)
            where.append(or_(*(part.icontains(wanted.text, autoescape=True) for part in parts)))
        living = case((_own("open") > 0, 0), else_=1)
        unknown = case((columns.due.is_(None), 1), else_=0)
        query = (
            rows_of(t.tickets, TicketRow)
            .where(*where)
            .order_by(living, unknown, columns.due, columns.ordinal.desc(), columns.identifier)
        )
        count = self._connection.scalar(select(func.count()).select_from(t.tickets).where(*where))
        return self._tickets(_cut(query, page)), int(count or 0)

    def deleted(self, page: Page) -> tuple[list[TicketRow], int]:
        columns = t.tickets.c
        where = (columns.gone, columns.key.is_not(None), _own("open") > 0)
        query = rows_of(t.tickets, TicketRow).where(*where).order_by(columns.ordinal.desc(), columns.identifier)
        count = self._connection.scalar(select(func.count()).select_from(t.tickets).where(*where))
        return self._tickets(_cut(query, page)), int(count or 0)

    # operations and what people did to them

    def operations(
        self,
        states: Sequence[OperationState],
        page: Page,
        *,
        identifier: str | None = None,
        kinds: Collection[str] = (),
    ) -> tuple[list[OperationRow], int]:
        columns = t.operations.c
        where: list[Any] = []
        if states:
            where.append(columns.state.in_(states))
        if identifier is not None:
            where.append(columns.identifier == identifier)
        if kinds:
            where.append(columns.operation.in_(kinds))
        query = rows_of(t.operations, OperationRow).where(*where).order_by(columns.sequence.desc())
        return self._page(t.operations, OperationRow, query, where, page)

    def operation_states(self) -> dict[str, int]:
        state = t.operations.c.state
        return {row[0]: row[1] for row in self._connection.execute(select(state, func.count()).group_by(state))}

    def held_plans(self) -> dict[str, dict[str, int]]:
        row = t.operations.c
        query = select(row.plan, row.operation, func.count()).where(row.state == "held")
        found: dict[str, dict[str, int]] = {}
        for plan, kind, count in self._connection.execute(query.group_by(row.plan, row.operation).order_by(row.plan)):
            found.setdefault(plan, {})[kind] = count
        return found

    def failed_deliveries(self) -> int:
        query = select(func.count()).where(t.deliveries.c.state == "failed")
        return int(self._connection.scalar(query) or 0)

    def acts(self, page: Page) -> tuple[list[Act], int]:
        return self._page(t.audit, Act, rows_of(t.audit, Act).order_by(t.audit.c.sequence.desc()), [], page)

    def acts_on(self, operations: Collection[str]) -> dict[str, list[Act]]:
        found: dict[str, list[Act]] = {}
        ids = list(operations)
        for some in (ids[start : start + TOGETHER] for start in range(0, len(ids), TOGETHER)):
            query = rows_of(t.audit, Act).where(t.audit.c.operation.in_(some)).order_by(t.audit.c.sequence)
            for act in fetch(self._connection, Act, query):
                found.setdefault(act.operation, []).append(act)
        return found

    # scans, rules, acceptances, marks

    def scans(self, page: Page, *states: ScanState) -> tuple[list[ScanRow], int]:
        where = [t.scans.c.state.in_(states)] if states else []
        query = rows_of(t.scans, ScanRow).where(*where).order_by(t.scans.c.id.desc())
        rows, count = self._page(t.scans, ScanRow, query, where, page)
        return [replace(row, warnings=tuple(row.warnings)) for row in rows], count

    def last_scans(self) -> list[LastScan]:
        columns, ended = t.scans.c, t.scans.c.finished_at
        query = select(columns.scanner, func.count(), func.min(ended), func.max(ended))
        query = query.where(columns.state == "folded")
        return fetch(self._connection, LastScan, query.group_by(columns.scanner).order_by(columns.scanner))

    def ended_rescans(self, page: Page) -> list[RescanRow]:
        ended = t.rescans.c.state.in_(["done", "failed"])
        query = rows_of(t.rescans, RescanRow).where(ended).order_by(t.rescans.c.id.desc())
        return fetch(self._connection, RescanRow, _cut(query, page))

    def holding_acceptances(self, now: datetime) -> list[AcceptanceRow]:
        columns = t.acceptances.c
        holds = (columns.ended_at.is_(None), columns.accepted_until > now)
        query = rows_of(t.acceptances, AcceptanceRow).where(*holds).order_by(columns.accepted_until)
        return fetch(self._connection, AcceptanceRow, query)

    # what some of the above share

    def _page(
        self, table: Any, row: type[Row], query: Select[Any], where: list[Any], page: Page
    ) -> tuple[list[Row], int]:
        count = self._connection.scalar(select(func.count()).select_from(table).where(*where))
        return fetch(self._connection, row, _cut(query, page)), int(count or 0)

    def _tickets(self, query: Select[Any]) -> list[TicketRow]:
        found = self._connection.execute(query).mappings()
        return [TicketRow(**{**row, "own": OwnNumbers(**row["own"])}) for row in found]


def _cut(query: Select[Any], page: Page) -> Select[Any]:
    return query.limit(page.limit).offset(page.offset)


def _own(name: str) -> Any:
    return func.coalesce(t.tickets.c.own[name].as_integer(), 0)


def settled() -> Any:
    """As `OwnNumbers.settled`."""
    return and_(_own("total") > 0, _own("open") == 0)


def verified() -> Any:
    """As `OwnNumbers.verified`."""
    return and_(settled(), _own("fixed") == _own("total"))


def _sums(today: date) -> list[Any]:
    """living, overdue, settled, verified, open, unverified, fixed."""
    row = t.tickets.c
    living = and_(_own("open") > 0, ~row.gone)
    return [
        func.sum(case((living, 1), else_=0)),
        func.sum(case((and_(living, row.due < today), 1), else_=0)),
        func.sum(case((settled(), 1), else_=0)),
        func.sum(case((verified(), 1), else_=0)),
        *(func.sum(_own(name)) for name in ("open", "unverified", "fixed")),
    ]
