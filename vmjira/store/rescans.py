"""Rescans in SQL: what `vmjira.flows.ports.Rescans` promises."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, update

from vmjira.domain.rescan import RequestState, RescanRequest, RescanRow, RunState
from vmjira.store import tables as t
from vmjira.store.statements import add, change, fetch, rows_of

#: Ids in one statement: databases take only so many parameters.
AT_ONCE = 500


class SqlRescans:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ask(self, requests: Iterable[RescanRequest]) -> None:
        add(self._connection, t.rescan_requests, [_without_id(each) for each in requests])

    def forget(self, identifier: str) -> None:
        columns = t.rescan_requests.c
        left = (columns.identifier == identifier) & (columns.state != "running")
        self._connection.execute(delete(t.rescan_requests).where(left))

    def requests(
        self, *states: RequestState, scanner: str | None = None, identifier: str | None = None, run: int | None = None
    ) -> list[RescanRequest]:
        wanted = {"scanner": scanner, "identifier": identifier, "rescan": run}
        query = rows_of(t.rescan_requests, RescanRequest).order_by(t.rescan_requests.c.id)
        return fetch(self._connection, RescanRequest, query.where(*_where(t.rescan_requests, states, wanted)))

    def change_requests(self, ids: Collection[int], **changes: Any) -> None:
        wanted = sorted(ids)
        for start in range(0, len(wanted), AT_ONCE):
            some = t.rescan_requests.c.id.in_(wanted[start : start + AT_ONCE])
            self._connection.execute(update(t.rescan_requests).where(some).values(**changes))

    def begin_run(self, row: RescanRow) -> int:
        statement = insert(t.rescans).values(_without_id(row)).returning(t.rescans.c.id)
        return int(self._connection.execute(statement).scalar_one())

    def run(self, id: int) -> RescanRow | None:
        return next(iter(self._runs([t.rescans.c.id == id])), None)

    def runs(self, *states: RunState, scanner: str | None = None, since: datetime | None = None) -> list[RescanRow]:
        where = list(_where(t.rescans, states, {"scanner": scanner}))
        return self._runs(where if since is None else [*where, t.rescans.c.launched_at >= since])

    def change_run(self, id: int, **changes: Any) -> None:
        change(self._connection, t.rescans, {"id": id}, changes)

    def _runs(self, where: Iterable[Any]) -> list[RescanRow]:
        found = fetch(self._connection, RescanRow, rows_of(t.rescans, RescanRow).where(*where).order_by(t.rescans.c.id))
        return [replace(row, hosts=tuple(row.hosts), tickets=tuple(row.tickets)) for row in found]


def _where(table: Table, states: Collection[str], wanted: Mapping[str, Any]) -> Iterator[Any]:
    if states:
        yield table.c.state.in_(states)
    yield from (table.c[name] == value for name, value in wanted.items() if value is not None)


def _without_id(row: RescanRequest | RescanRow) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if name != "id"}
