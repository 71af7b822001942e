"""What the views of one application share, and the desk of one request with its transaction."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass

from flask import current_app, g, request

from vmjira.sandbox.config import Config, User
from vmjira.sandbox.desk import Desk
from vmjira.sandbox.sender import Sender
from vmjira.sandbox.shapes import Shapes
from vmjira.sandbox.store import Store

_WRITES = {"POST", "PUT", "DELETE"}
_READS = re.compile(r"/search\b|/bulkfetch$")  # questions that are too long for an address


@dataclass(frozen=True)
class Sandbox:
    config: Config
    store: Store
    sender: Sender


def sandbox() -> Sandbox:
    found: Sandbox = current_app.extensions["sandbox"]
    return found


def open_desk(user: User) -> Desk:
    """The desk of this request; its transaction is committed if the answer is no error, else undone."""
    part = sandbox()
    g.stack = ExitStack()
    transaction = g.stack.enter_context(part.store.begin())
    if request.method in _WRITES and not _READS.search(request.path):
        request.get_data(parse_form_data=True)  # a slow upload must not hold the lock
        transaction.lock()  # before anything is read, so that no other writer's change is written over
    base = part.config.base_url.rstrip("/") or request.host_url.rstrip("/")
    shapes = Shapes(transaction, part.config, base=base, version=g.get("version", "2"))
    g.desk = Desk(transaction, part.config, user, shapes)
    desk: Desk = g.desk
    return desk


def release(_: BaseException | None) -> None:
    """At the end of a request: close what is open, undoing what was not committed."""
    stack = g.pop("stack", None)
    if stack:
        g.desk.tx.rollback()
        stack.close()
