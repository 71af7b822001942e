"""Pages for people: the board, a ticket and what can be done to it, files as tables. No script, no outside resource."""

from __future__ import annotations

import csv
import hmac
import io
import secrets
from typing import Any

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from vmjira.sandbox import board
from vmjira.sandbox.config import User
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.fields import Reader, Wishes
from vmjira.sandbox.rest import desk
from vmjira.sandbox.rest_parts import download
from vmjira.sandbox.session import open_desk, sandbox
from vmjira.sandbox.store import Issue

PICTURES = {"image/png", "image/jpeg", "image/gif", "image/svg+xml"}
ROWS_SHOWN = 500
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ACTOR, _TOKEN = "sandbox_actor", "sandbox_csrf"

views = Blueprint("pages", __name__)


@views.before_request
def _enter() -> None:
    """Nobody logs in: whoever is on this machine acts as the person chosen in the corner, at first an admin."""
    config = sandbox().config
    chosen = config.user(request.cookies.get(_ACTOR, ""))
    admin = next((user for user in config.users if user.admin), config.users[0])
    g.token = request.cookies.get(_TOKEN) or secrets.token_urlsafe(24)
    if request.method == "POST" and not _same(request.form.get("token", ""), request.cookies.get(_TOKEN, "")):
        raise JiraError(403, "This form is out of date. Go back, reload the page and try again.")
    open_desk(chosen if chosen and chosen.active else admin)


def _same(given: str, kept: str) -> bool:
    return bool(kept) and hmac.compare_digest(given.encode(), kept.encode())


@views.after_request
def _protect(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Frame-Options"] = "DENY"
    if "token" in g and request.cookies.get(_TOKEN) != g.token:
        response.set_cookie(_TOKEN, g.token, httponly=True, samesite="Strict")
    return response


@views.context_processor
def _everywhere() -> dict[str, Any]:
    config = sandbox().config
    people = [user for user in config.users if user.active]
    return {
        "config": config,
        "people": people,
        "actor": desk().actor,
        "token": g.token,
        "avatar": board.avatar,
        "arrow": board.arrow,
    }


def show_error(error: JiraError) -> str:
    messages = [*error.messages, *(f"{name}: {text}" for name, text in error.errors.items())]
    if not g.get("desk"):
        open_desk(sandbox().config.users[0])
    return render_template("error.html", messages=messages, status=error.status)


@views.get("/")
def show_board() -> str:
    return render_template("board.html", board=board.board(desk(), request.args))


@views.get("/browse/<key>")
def ticket(key: str) -> str | AnyResponse:
    issue = desk().find(key)
    if issue.key != key:
        return redirect(url_for("pages.ticket", key=issue.key))
    return render_template("ticket.html", ticket=board.ticket(desk(), issue), edit=request.args.get("edit"))


def _back(issue: Issue) -> AnyResponse:
    return redirect(url_for("pages.ticket", key=issue.key), 303)


@views.post("/browse/<key>/transition")
def transition(key: str) -> AnyResponse:
    issue = desk().find(key)
    steps = sandbox().config.workflow_of(issue.project).possible(issue.status)
    step = next((step for step in steps if step.id == request.form.get("id")), None)
    if step is None:
        raise JiraError(409, "Somebody has changed the status meanwhile. Go back and reload the page.")
    wanted = request.form.get("resolution")
    fields = {"resolution": {"name": wanted}} if wanted and step.resolution != "no" else {}
    desk().transition(issue, step, fields)
    return _back(issue)


@views.post("/browse/<key>/comment")
def comment(key: str) -> AnyResponse:
    issue = desk().find(key)
    desk().comment(issue, _reader(issue).comment({"body": _text("body")}))
    return _back(issue)


@views.post("/browse/<key>/edit")
def edit(key: str) -> AnyResponse:
    """Whichever of description, labels, summary and assignee the form holds."""
    issue = desk().find(key)
    fields: dict[str, Any] = {name: _text(name) for name in ("summary", "description") if name in request.form}
    if "labels" in request.form:
        fields["labels"] = request.form["labels"].split()
    wishes = _reader(issue).read({"fields": fields})
    if "assignee" in request.form:
        wishes.values["assignee"] = _assignee(request.form["assignee"])
    desk().edit(issue, wishes)
    return _back(issue)


def _assignee(name: str) -> str | None:
    user = sandbox().config.user(name)
    return user.name if user and user.active and user.assignable else None


def _reader(issue: Issue) -> Reader:
    config = sandbox().config
    return Reader(config, config.project_of(issue.project), adf=False)


def _text(name: str) -> str:
    """Browsers send CRLF; tickets keep LF."""
    return request.form.get(name, "").replace("\r\n", "\n")


@views.post("/create")
def create() -> AnyResponse:
    config = sandbox().config
    project = next((project for project in config.projects if project.key == request.form.get("project")), None)
    if project is None:
        raise JiraError(400, "Choose a project.")
    values = {"summary": _text("summary"), "issuetype": {"name": project.issue_types[0]}}
    wishes: Wishes = Reader(config, project, adf=False).read({"fields": values})
    return _back(desk().create(project.key, wishes))


@views.post("/browse/<key>/move")
def move(key: str) -> AnyResponse:
    issue = desk().find(key)
    target = request.form.get("project", "")
    if target not in {project.key for project in sandbox().config.projects}:
        raise JiraError(400, "Choose a project.")
    desk().move(issue, target)
    return _back(issue)


@views.post("/browse/<key>/delete")
def delete(key: str) -> AnyResponse:
    issue = desk().find(key)
    desk().delete(issue)
    return redirect(url_for("pages.show_board", project=issue.project), 303)


@views.post("/acting-as")
def act_as() -> AnyResponse:
    user: User | None = sandbox().config.user(request.form.get("person", ""))
    response = redirect(request.form["back"] if _own_page(request.form.get("back", "")) else "/", 303)
    if user and user.active:
        response.set_cookie(_ACTOR, user.name, httponly=True, samesite="Strict")
    return response


def _own_page(path: str) -> bool:
    return path == "/" or path.startswith(("/browse/", "/?"))


@views.get("/secure/attachment/<int:id_>/<name>")
def attachment(id_: int, name: str) -> Response:
    """What others have uploaded is a file to keep; `name` is for people only."""
    return download(id_)


@views.get("/picture/<int:id_>")
def picture(id_: int) -> Response:
    row = desk().attachment(str(id_))
    if row["media_type"] not in PICTURES:
        raise JiraError(404, "This file is no picture.")
    response = make_response(row["content"])
    response.headers["Content-Type"] = row["media_type"]
    # An SVG that is opened by itself must not run anything in our name.
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return response


@views.get("/table/<int:id_>")
def table(id_: int) -> str:
    row = desk().attachment(str(id_))
    lines = csv.reader(io.StringIO(row["content"].decode("utf-8-sig", errors="replace"), newline=""))
    try:
        rows = list(lines)
    except csv.Error as error:
        raise JiraError(400, f"'{row['filename']}' is no CSV file: {error}") from None
    issue = desk().find(str(row["issue"]))
    shown = rows[1 : ROWS_SHOWN + 1]
    head = rows[0] if rows else []
    return render_template("table.html", file=row, issue=issue, head=head, rows=shown, total=max(len(rows) - 1, 0))
