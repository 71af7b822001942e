"""Faults on demand, and a log of every call, so that tests can see how a client copes and how much it asks."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import asdict, dataclass
from typing import Any

from flask import Response, request

from vmjira.sandbox.config import Fault
from vmjira.sandbox.store import Store, Transaction


def plan(transaction: Transaction, row: dict[str, Any]) -> Fault:
    """Keep a fault for calls to come; raise ValueError or TypeError if it is none."""
    fault = Fault(**row)
    transaction.run("INSERT INTO faults (setting) VALUES (?)", json.dumps(asdict(fault)))
    return fault


def planned(transaction: Transaction) -> list[dict[str, Any]]:
    rows = transaction.rows("SELECT id, setting FROM faults ORDER BY id")
    return [{"id": row["id"], **json.loads(row["setting"])} for row in rows]


def take(store: Store, method: str, path: str) -> Fault | None:
    """The fault that strikes this call, used up by one."""
    with store.begin() as transaction:
        if not transaction.row("SELECT 1 FROM faults"):
            return None
        transaction.lock()
        for row in planned(transaction):
            id_ = row.pop("id")
            fault = Fault(**row)
            if fault.method not in ("", method) or not re.search(fault.path, path):
                continue
            if fault.skip:
                row["skip"] -= 1
            else:
                row["times"] -= 1
            _put(transaction, id_, row)
            if not fault.skip:
                return fault
    return None


def _put(transaction: Transaction, id_: int, row: dict[str, Any]) -> None:
    if row["times"]:
        transaction.run("UPDATE faults SET setting = ? WHERE id = ?", json.dumps(row), id_)
    else:
        transaction.run("DELETE FROM faults WHERE id = ?", id_)


def answer(fault: Fault) -> Response:
    """What the client gets instead of Jira's own answer."""
    if fault.drop:
        drop_connection()
    body = json.dumps({"errorMessages": [f"Sandbox fault {fault.status}"], "errors": {}})
    response = Response(body, status=fault.status or 500, mimetype="application/json")
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    if fault.status == 429:
        response.headers["RateLimit-Reason"] = fault.reason
    return response


def drop_connection() -> None:
    """Cut the line to the client, so that it never learns what happened."""
    for name in ("werkzeug.socket", "gunicorn.socket"):
        line = request.environ.get(name)
        if isinstance(line, socket.socket):
            line.shutdown(socket.SHUT_RDWR)
            return
    raise ConnectionAbortedError("the sandbox drops this connection")


@dataclass(frozen=True)
class Call:
    """One call of the tracker; credentials are never kept."""

    method: str
    path: str
    query: str
    size: int
    status: int
    user: str | None
    body: str | None


def log_call(store: Store, call: Call) -> None:
    with store.begin() as transaction:
        sql = "INSERT INTO calls (at, method, path, query, size, status, user, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        transaction.run(sql, transaction.now(), *asdict(call).values())
