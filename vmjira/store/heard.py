"""Webhooks for people to look through: only what a page shows of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields

from sqlalchemy import Connection, LargeBinary, func, select

from vmjira.flows.rows import DeliveryRow, DeliveryState
from vmjira.store import tables as t
from vmjira.store.statements import fetch

#: Bytes of a body. Bodies may have megabytes; what happened stands at their beginning.
BEGINNING = 2000


def heard(connection: Connection, states: Collection[DeliveryState], *, limit: int, offset: int) -> list[DeliveryRow]:
    columns = t.deliveries.c
    beginning = func.substr(columns.body, 1, BEGINNING, type_=LargeBinary)
    query = select(*(beginning if field.name == "body" else columns[field.name] for field in fields(DeliveryRow)))
    if states:
        query = query.where(columns.state.in_(states))
    return fetch(
        connection, DeliveryRow, query.order_by(columns.received_at.desc(), columns.id).limit(limit).offset(offset)
    )
