"""Reads the fields of a create or an edit as strictly as Jira does, and gathers every complaint."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from vmjira.sandbox.adf import from_adf
from vmjira.sandbox.config import Config, Project, User
from vmjira.sandbox.errors import JiraError, not_on_screen

SUMMARY_LIMIT = 255


class Wrong(Exception):
    """One value is refused, in Jira's words."""


@dataclass
class Wishes:
    """What a body asks for: new values by field, and things to add."""

    values: dict[str, Any] = field(default_factory=dict)
    added: dict[str, list[Any]] = field(default_factory=dict)
    removed: dict[str, list[Any]] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    links: list[Mapping[str, Any]] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    def apply(self, name: str, old: Any) -> Any:
        """The new value of a field."""
        value = self.values.get(name, old)
        if name in self.added or name in self.removed:
            gone = self.removed.get(name, [])
            value = list(dict.fromkeys(item for item in [*value, *self.added.get(name, [])] if item not in gone))
        return value

    @property
    def touched(self) -> list[str]:
        return list(dict.fromkeys([*self.values, *self.added, *self.removed]))


class Reader:
    """Reads bodies for one project; `adf` says that long texts come as documents (REST v3)."""

    def __init__(self, config: Config, project: Project, *, adf: bool) -> None:
        self._config = config
        self._project = project
        self._adf = adf
        self._parsers: dict[str, Callable[[Any], Any]] = {
            "summary": self._summary,
            "description": lambda value: self.text("description", value),
            "issuetype": self._issue_type,
            "priority": lambda value: _pick("Priority", value, _numbered(config.priorities)),
            "assignee": self.assignee,
            "reporter": lambda value: self._user(value).name,
            "duedate": _date,
            "labels": _list_of(_label),
            "components": _list_of(self._component),
        }
        for custom in config.custom_fields:
            self._parsers[custom.id] = _CUSTOM[custom.type]

    def read(self, body: Mapping[str, Any]) -> Wishes:
        """All that `fields` and `update` ask for; what is refused is in `errors`."""
        wishes = Wishes()
        given, update = _object(body, "fields"), _object(body, "update")
        for name in given.keys() & update.keys():
            wishes.errors[name] = f"Field '{name}' cannot be in both 'fields' and 'update'."
        for name, value in given.items():
            if name != "project":
                self._guard(self._set, wishes, name, value)
        for name, operations in update.items():
            self._guard(self._update, wishes, name, operations)
        return wishes

    def _guard(self, step: Callable[[Wishes, str, Any], None], wishes: Wishes, name: str, value: Any) -> None:
        try:
            step(wishes, name, value)
        except Wrong as wrong:
            wishes.errors[name] = str(wrong)
        except JiraError as error:
            wishes.errors |= error.errors

    def _set(self, wishes: Wishes, name: str, value: Any) -> None:
        if name not in self._parsers:
            raise Wrong(not_on_screen(name))
        wishes.values[name] = self._parsers[name](value)

    def _update(self, wishes: Wishes, name: str, operations: Any) -> None:
        if not isinstance(operations, list):
            raise Wrong("data was not an array")
        for operation in operations:
            if not isinstance(operation, dict) or len(operation) != 1:
                raise Wrong("expected one operation such as {'add': value}")
            ((verb, value),) = operation.items()
            self._operate(wishes, name, verb, value)

    def _operate(self, wishes: Wishes, name: str, verb: str, value: Any) -> None:
        if verb == "set":
            self._set(wishes, name, value)
        elif name == "comment" and verb == "add" and isinstance(value, dict):
            wishes.comments.append(self.comment(value))
        elif name == "issuelinks" and verb == "add" and isinstance(value, dict):
            wishes.links.append(value)
        elif name in {"labels", "components"} and verb in {"add", "remove"}:
            wanted = wishes.added if verb == "add" else wishes.removed
            wanted.setdefault(name, []).extend(self._parsers[name]([value]))
        elif name in self._parsers or name in {"comment", "issuelinks"}:
            raise Wrong(f"Field '{name}' does not support operation '{verb}'.")
        else:
            raise Wrong(not_on_screen(name))

    def text(self, name: str, value: Any) -> str | None:
        """A long text within the limit."""
        if value is None:
            return None
        text = from_adf(name, value) if self._adf else _string(value)
        if len(text) > self._config.text_limit:
            limit = f"{self._config.text_limit:,}"
            raise Wrong(f"The entered text is too long. It exceeds the allowed limit of {limit} characters.")
        return text

    def comment(self, body: Mapping[str, Any]) -> str:
        """The text of a comment, refused with 400 as a whole."""
        try:
            text = self.text("comment", body.get("body"))
        except Wrong as wrong:
            raise JiraError(400, errors={"comment": str(wrong)}) from None
        if not text or not text.strip():
            raise JiraError(400, errors={"comment": "Comment body can not be empty!"})
        return text

    def _summary(self, value: Any) -> str:
        text = _string(value).strip()
        if not text:
            raise Wrong("You must specify a summary of the issue.")
        if len(text) > SUMMARY_LIMIT:
            raise Wrong("Summary must be less than 255 characters.")
        if "\n" in text or "\r" in text:
            raise Wrong("The summary is invalid because it contains newline characters.")
        return text

    def _issue_type(self, value: Any) -> str:
        known = {id_: name for id_, name in self._config.issue_types.items() if name in self._project.issue_types}
        if not isinstance(value, dict) or not (value.get("id") or value.get("name")):
            raise Wrong("Specify an issue type")
        for id_, name in known.items():
            if id_ == value.get("id") or name == value.get("name"):
                return name
        raise Wrong("Specify a valid issue type")

    def assignee(self, value: Any) -> str | None:
        if value is None:
            return None
        user = self._user(value)
        if not (user.active and user.assignable):
            raise Wrong(f"User '{user.name}' cannot be assigned issues.")
        return user.name

    def _user(self, value: Any) -> User:
        """Cloud knows people by accountId only, a Data Center by name."""
        member = "accountId" if self._config.cloud else "name"
        if not isinstance(value, dict) or not isinstance(value.get(member), str):
            raise Wrong("expected Object containing an accountId" if self._config.cloud else "expected Object")
        for user in self._config.users:
            if value[member] == (user.account_id if self._config.cloud else user.name):
                return user
        raise Wrong(f"User '{value[member]}' does not exist.")

    def _component(self, value: Any) -> str:
        own = {id_: name for id_, (key, name) in self._config.components.items() if key == self._project.key}
        return _pick("Component", value, own)


def resolution(config: Config, value: Any) -> str:
    return _pick("Resolution", value, _numbered(config.resolutions))


def _numbered(names: tuple[str, ...]) -> dict[str, str]:
    return {str(n): name for n, name in enumerate(names, 1)}


def _pick(kind: str, value: Any, known: Mapping[str, str]) -> str:
    if not isinstance(value, dict) or not (value.get("id") or value.get("name")):
        raise Wrong("expected Object containing an id or a name")
    if "id" in value:
        if value["id"] not in known:
            raise Wrong(f"{kind} with id '{value['id']}' is not valid")
        return known[value["id"]]
    if value["name"] not in known.values():
        raise Wrong(f"{kind} name '{value['name']}' is not valid")
    return str(value["name"])


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise JiraError(400, f"'{name}' must be an object")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong("Operation value must be a string")
    return value


def _label(value: Any) -> str:
    text = _string(value)
    if not text or re.search(r"\s", text):
        raise Wrong(f"The label '{text}' contains spaces which is invalid.")
    if len(text) > SUMMARY_LIMIT:
        raise Wrong(f"The label '{text}' exceeds the maximum length of 255 characters.")
    return text


def _date(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(_string(value)).isoformat()
    except ValueError:
        raise Wrong(f"Error parsing date string: {value}") from None


def _number(value: Any) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise Wrong("Operation value must be a number")
    return value


def _list_of(parse: Callable[[Any], str]) -> Callable[[Any], list[str]]:
    def read(value: Any) -> list[str]:
        if not isinstance(value, list):
            raise Wrong("data was not an array")
        return list(dict.fromkeys(parse(item) for item in value))

    return read


_CUSTOM: dict[str, Callable[[Any], Any]] = {
    "string": lambda value: None if value is None else _string(value),
    "number": _number,
    "array": _list_of(_string),
}
