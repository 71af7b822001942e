"""What all REST views share: the desk of the caller, bodies, paging, and answers in Jira's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from vmjira.sandbox.config import Config, Project
from vmjira.sandbox.desk import Desk
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.fields import Reader

Answer = Response | tuple[Response, int]


def blueprint(name: str) -> Blueprint:
    """Views below /rest/api/2, /3 and /latest; `g.version` says which."""
    views = Blueprint(name, __name__, url_prefix="/rest/api/<any('2', '3', latest):version>")

    @views.url_value_preprocessor
    def take_version(_: str | None, values: dict[str, Any] | None) -> None:
        version = (values or {}).pop("version", "2")
        g.version = "3" if version == "3" else "2"

    return views


def desk() -> Desk:
    found: Desk = g.desk
    return found


def config() -> Config:
    return desk().config


def only_on(flavour: str) -> None:
    """The other flavour does not have this resource."""
    if config().flavour != flavour:
        raise JiraError(404, "null for uri: " + request.path)


def body(*allowed: str) -> dict[str, Any]:
    """The JSON object of the request; members that Jira does not know are refused, as Jira does."""
    value = request.get_json(silent=True)
    if not isinstance(value, dict):
        raise JiraError(400, "Invalid request payload. Refer to the REST API documentation and try again.")
    for name in value.keys() - set(allowed) if allowed else ():
        raise JiraError(400, f'Unrecognized field "{name}", not marked as ignorable')
    return value


def show(value: Any, status: int = 200) -> Answer:
    return jsonify(value), status


def nothing(status: int = 204) -> Answer:
    answer = Response(status=status)
    answer.headers.pop("Content-Type", None)
    return answer


def number(name: str, default: int, *, top: int = 1000) -> int:
    """A paging parameter of the query."""
    text = request.args.get(name, str(default))
    if not text.isdigit():
        raise JiraError(400, f"The query parameter '{name}' must be a number, not '{text}'")
    return min(int(text), top)


def flag(name: str, *, default: bool) -> bool:
    text = request.args.get(name, "true" if default else "false")
    if text not in {"true", "false"}:
        raise JiraError(400, f"The query parameter '{name}' must be true or false, not '{text}'")
    return text == "true"


def fields(default: str) -> list[str]:
    return [name for name in request.args.get("fields", default).split(",") if name]


def reader(project: Project) -> Reader:
    return Reader(config(), project, adf=g.version == "3")


def project_named(wish: Any) -> Project:
    """By `{"key"}` or `{"id"}`."""
    wish = wish if isinstance(wish, Mapping) else {}
    for project in config().projects:
        if wish.get("key") == project.key or wish.get("id") == project.id:
            return project
    text = "Specify a valid project ID or key" if config().cloud else "valid project is required"
    raise JiraError(400, errors={"project": text})


def project_at(key_or_id: str) -> Project:
    for project in config().projects:
        if key_or_id.upper() == project.key or key_or_id == project.id:
            return project
    raise JiraError(404, f"No project could be found with key '{key_or_id}'.")
