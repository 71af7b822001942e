"""The sandbox as a WSGI application: one transaction a request, faults around it, a log of every call."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from vmjira.sandbox import (
    control,
    faults,
    pages,
    rest_issues,
    rest_links,
    rest_meta,
    rest_parts,
    rest_properties,
    rest_search,
    rest_site,
    rest_webhooks,
)
from vmjira.sandbox.auth import caller
from vmjira.sandbox.config import Config, Flavour, load
from vmjira.sandbox.desk import Desk
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.sender import Sender
from vmjira.sandbox.session import Sandbox, open_desk, release, sandbox
from vmjira.sandbox.store import Store

OPEN_TO_ALL = ("/serverInfo", "/applinks/1.0/manifest")  # Jira tells anybody what it is
UPLOAD_FACTOR = 61  # as many files as a call may have, of the largest size, and some more


def create_app(database: Path, flavour: Flavour = "cloud", *, seed: Path | None = None, **settings: Any) -> Flask:
    """A stand-in for Jira whose state is in `database`.

    `seed` is a JSON file that replaces parts of the default seed, `settings` are further members of `Config`, e.g.
    `tokens`, `version`, `index_lag`. Nothing is opened before the first request.
    """
    config = load(seed, **{"flavour": flavour, **settings})
    store = Store(Path(database), config)
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["MAX_CONTENT_LENGTH"] = UPLOAD_FACTOR * config.attachment_limit + 1024 * 1024
    app.extensions["sandbox"] = Sandbox(config, store, Sender(store, config))
    app.before_request(_open)
    app.after_request(_close)
    app.teardown_request(release)
    app.register_error_handler(JiraError, _refused)
    app.register_error_handler(HTTPException, _http_error)
    parts = (
        rest_issues,
        rest_properties,
        rest_parts,
        rest_links,
        rest_search,
        rest_meta,
        rest_site,
        rest_webhooks,
        control,
        pages,
    )
    for part in parts:
        app.register_blueprint(part.views)
    return app


def _is_rest() -> bool:
    return request.path.startswith("/rest/")


def _open() -> Response | None:
    """A fault may answer at once; else the caller gets a desk within one transaction."""
    g.fault = g.desk = None
    if not _is_rest():
        return None
    part = sandbox()
    g.fault = faults.take(part.store, request.method, request.path)
    if g.fault:
        time.sleep(g.fault.delay)
        if g.fault.when == "before" and (g.fault.status or g.fault.drop):
            return faults.answer(g.fault)
    user = caller(request, part.config)
    if user is None and (request.authorization or not request.path.endswith(OPEN_TO_ALL)):
        return _unauthorised(part.config)
    if "/api/3/" in request.path and not part.config.cloud:
        raise JiraError(404, "null for uri: " + request.path)
    open_desk(user or part.config.users[0])
    return None


def _close(response: Response) -> Response:
    """Commit, then let a planned fault take the answer away, then log."""
    desk: Desk | None = g.get("desk")
    if desk:
        if response.status_code < 400:
            desk.tx.commit()
        else:
            desk.tx.rollback()
        if desk.tx.wrote_outbox:
            sandbox().sender.wake()
    if not _is_rest():
        return response
    fault = g.get("fault")
    try:
        if fault and fault.when == "after":
            response = faults.answer(fault)
    finally:
        _log(response.status_code)
    if response.mimetype == "application/json":
        response.headers["Content-Type"] = "application/json;charset=UTF-8"  # exactly as Jira writes it
    return response


def _log(status: int) -> None:
    part = sandbox()
    body = request.get_data(as_text=True) if part.config.record_bodies and request.is_json else None
    query = request.query_string.decode()
    size = request.content_length or 0
    user = g.desk.actor.name if g.desk else None
    faults.log_call(part.store, faults.Call(request.method, request.path, query, size, status, user, body))


def _unauthorised(config: Config) -> Response:
    text = "Client must be authenticated to access this resource."
    if config.cloud:
        response = Response(text, status=401, mimetype="text/plain")
    else:
        response = jsonify({"message": text, "status-code": 401})
        response.status_code = 401
    response.headers["WWW-Authenticate"] = 'Basic realm="Sandbox"'
    return response


def _refused(error: JiraError) -> tuple[Response | str, int]:
    """In JSON for programs, as a page for people."""
    if request.blueprint == pages.views.name:
        return pages.show_error(error), error.status
    return jsonify(error.body()), error.status


def _http_error(error: HTTPException) -> Response | HTTPException:
    """Unknown paths and methods below /rest answer in JSON too."""
    if not _is_rest():
        return error
    response = jsonify(JiraError(error.code or 500, error.description or "").body())
    response.status_code = error.code or 500
    return response
