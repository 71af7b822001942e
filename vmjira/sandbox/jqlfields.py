"""The fields that our JQL knows: what values they have and how each clause becomes SQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vmjira.sandbox.config import Config, User
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.workflow import CATEGORIES

Condition = tuple[str, Sequence[object]]

_ALIASES = {
    "issuekey": "key", "issue": "key", "id": "key", "type": "issuetype", "component": "components",
    "due": "duedate", "createddate": "created", "updateddate": "updated", "resolutiondate": "resolved",
}  # fmt: skip
_TIMES = {"created", "updated", "resolved"}
_TEXTS = {"summary": ("summary",), "description": ("description",), "text": ("summary", "description")}
_LISTS = {"labels", "components"}
_EQUAL = {"=", "!=", "in", "not in", "is", "is not"}
_COMPARE = {"=", "!=", ">", ">=", "<", "<=", "is", "is not"}
_NEGATIVE = {"!=", "not in", "is not", "!~"}
_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60}
_ORDERS = {
    "key": "project {0}, CAST(substr(key, length(project) + 2) AS INTEGER)",
    "priority": "priority", "rank": "id", "lastviewed": "updated",
}  # fmt: skip
_COLUMNS = {"summary", "status", "created", "updated", "resolved", "duedate", "assignee", "reporter", "project"}


@dataclass(frozen=True)
class Term:
    kind: str  # text, function, empty
    value: str


@dataclass(frozen=True)
class Context:
    config: Config
    actor: User
    now: float
    find: Callable[[str], int | None]
    strict: bool  # a value that does not exist is an error, else it matches nothing


def compile_clause(field: str, operator: str, terms: list[Term], context: Context) -> Condition:
    name = _ALIASES.get(field.lower(), field.lower())
    if name in _TIMES or name == "duedate":
        _allow(field, operator, _COMPARE)
        return _time(name, operator, terms[0], context)
    if name in _TEXTS:
        _allow(field, operator, {"~", "!~", "is", "is not"})
        return _text(_TEXTS[name], operator, terms[0])
    custom = _custom(field, context.config)
    if custom:
        return _custom_clause(custom, operator, terms)
    if name not in {"key", "statuscategory", *_LISTS, *_KNOWN}:
        raise JiraError(400, f"Field '{field}' does not exist or you do not have permission to view it.")
    _allow(field, operator, _EQUAL)
    return _choice(name, operator, terms, context)


def _allow(field: str, operator: str, allowed: set[str]) -> None:
    if operator not in allowed:
        raise JiraError(400, f"The operator '{operator}' is not supported by the '{field}' field.")


def _choice(name: str, operator: str, terms: list[Term], context: Context) -> Condition:
    """Equality and lists. As in Jira a negation does not find issues that have no value at all."""
    values: list[object] = []
    empty = False
    for term in terms:
        if term.kind == "empty" or (name == "resolution" and term.value.lower() == "unresolved"):
            empty = True
        else:
            values.extend(_values(name, term, context))
    sql, negative = _member(name, values), operator in _NEGATIVE
    missing = f"{_column(name)} = '[]'" if name in _LISTS else f"{_column(name)} IS NULL"
    if negative:
        return f"NOT ({sql}) AND NOT ({missing})", values
    return (f"({sql}) OR {missing}" if empty else sql), values


def _member(name: str, values: Sequence[object]) -> str:
    marks = ", ".join("?" * len(values))
    if name in _LISTS:
        return f"EXISTS (SELECT 1 FROM json_each({name}) WHERE value COLLATE NOCASE IN ({marks}))"  # noqa: S608 - a column of ours
    return f"{_column(name)} IN ({marks})"


def _column(name: str) -> str:
    return {"key": "id", "statuscategory": "status"}.get(name, name)


def _values(name: str, term: Term, context: Context) -> Iterable[object]:
    """The stored values that a term means."""
    config, text = context.config, term.value
    if name in {"assignee", "reporter", "creator"}:
        found: list[object] = _people(term, context)
    elif name == "key":
        found = [id_ for id_ in (context.find(text),) if id_ is not None]
        if not found and context.strict:
            raise JiraError(400, f"An issue with key '{text}' does not exist for field 'key'.")
    elif name == "labels":
        return [text]
    elif name == "statuscategory":
        wanted = {key for key, (id_, label, _) in CATEGORIES.items() if text.lower() in {key, str(id_), label.lower()}}
        found = [status.name for status in config.statuses.values() if status.category in wanted]
    else:
        known = _KNOWN[name](config)
        found = [value for value, names in known if text.lower() in (label.lower() for label in names)]
    if not found and context.strict:
        raise JiraError(400, f"The value '{text}' does not exist for the field '{name}'.")
    return found


def _people(term: Term, context: Context) -> list[object]:
    if term.kind == "function" and term.value.lower() == "currentuser":
        return [context.actor.name]
    return [u.name for u in context.config.users if term.value in {u.name, u.account_id, u.email, u.display}]


_Known = Iterable[tuple[str, tuple[str, ...]]]
_KNOWN: dict[str, Callable[[Config], _Known]] = {
    "project": lambda config: ((p.key, (p.key, p.name, p.id)) for p in config.projects),
    "status": lambda config: ((s.name, (s.name, s.id)) for s in config.statuses.values()),
    "issuetype": lambda config: ((name, (name, id_)) for id_, name in config.issue_types.items()),
    "priority": lambda config: ((name, (name, str(n))) for n, name in enumerate(config.priorities, 1)),
    "resolution": lambda config: ((name, (name, str(n))) for n, name in enumerate(config.resolutions, 1)),
    "components": lambda config: ((name, (name, id_)) for id_, (_, name) in config.components.items()),
    "assignee": lambda config: (),
    "reporter": lambda config: (),
    "creator": lambda config: (),
}


def _time(name: str, operator: str, term: Term, context: Context) -> Condition:
    if term.kind == "empty":
        return f"{name} IS {'NOT ' if operator in _NEGATIVE else ''}NULL", ()
    at = _moment(term, context.now)
    if at is None:
        text = (
            f"Date value '{term.value}' for field '{name}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm',"
            " 'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'."
        )
        raise JiraError(400, text)
    if name == "duedate":
        return f"duedate {operator} ?", (datetime.fromtimestamp(at, UTC).date().isoformat(),)
    return f"{name} {operator} ?", (at,)


def _moment(term: Term, now: float) -> float | None:
    if term.kind == "function":
        today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return {"now": now, "startofday": today.timestamp(), "endofday": (today + timedelta(days=1)).timestamp()}.get(
            term.value.lower()
        )
    text = term.value.strip()
    if re.fullmatch(r"[+-]?(\s*\d+[wdhm])+", text):
        sign = -1 if text.startswith("-") else 1
        return now + sign * sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([wdhm])", text))
    for form in ("%Y-%m-%d %H:%M", "%Y-%m-%d"):
        try:
            return datetime.strptime(text.replace("/", "-"), form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None


def _text(columns: Sequence[str], operator: str, term: Term) -> Condition:
    if term.kind == "empty":
        negation = "NOT " if operator in _NEGATIVE else ""
        return " AND ".join(f"{column} IS {negation}NULL" for column in columns), ()
    words = re.findall(r"\w+", term.value) or [term.value]
    joined = " || ' ' || ".join(f"COALESCE({column}, '')" for column in columns)
    sql = " AND ".join(f"instr(lower({joined}), lower(?))" for _ in words)
    return (f"NOT ({sql})" if operator == "!~" else sql), words


def _custom(field: str, config: Config) -> str | None:
    number = re.fullmatch(r"cf\[(\d+)\]", field.lower())
    for custom in config.custom_fields:
        if field.lower() in {custom.name.lower(), custom.id} or (number and custom.id.endswith(f"_{number[1]}")):
            return custom.id
    return None


def _custom_clause(custom: str, operator: str, terms: list[Term]) -> Condition:
    column = f"json_extract(custom, '$.{custom}')"
    if operator in {"is", "is not"}:
        return f"{column} {operator} NULL", ()
    if operator in {"~", "!~"}:
        negation = "NOT " if operator == "!~" else ""
        return f"CAST({column} AS TEXT) {negation}LIKE '%' || ? || '%'", (terms[0].value,)
    if operator not in _EQUAL:
        return f"{column} {operator} CAST(? AS REAL)", (terms[0].value,)
    marks = ", ".join("?" * len(terms))
    negation = "NOT " if operator in _NEGATIVE else ""
    return f"CAST({column} AS TEXT) {negation}IN ({marks})", tuple(term.value for term in terms)


def order_by(field: str, direction: str) -> str:
    name = _ALIASES.get(field.lower(), field.lower())
    column = _ORDERS.get(name, name if name in _COLUMNS else None)
    if column is None:
        raise JiraError(400, f"Field '{field}' does not exist or you do not have permission to view it.")
    return f"{column.format(direction)} {direction}"
