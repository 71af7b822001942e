"""Checks calls and answers of Jira's REST against Atlassian's own OpenAPI documents, as far as those are sound.

The documents are no part of this project. They are looked for in `$VMJIRA_SHARED/contracts/jira`, else in
`../shared/contracts/jira` beside the repository; `available()` says whether they are there.

What is not checked, because the documents are wrong or silent there:
- multipart bodies (Cloud declares an upload as an array),
- on Data Center the insides of `fields` (typed as objects whatever the field), values of properties (typed as
  strings), the type of the query parameter `fields` (an array of objects), and query parameters that only the prose
  names (`expand` of transitions),
- the values of a history item (null in what Jira sends, not nullable in the documents),
- that an answer is a list where it should be one: several are declared as a single element,
- answers of status 429 and 5xx, which may come at any path, and admin webhooks, which no document has.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30Validator

SHARED = Path(os.environ.get("VMJIRA_SHARED", Path(__file__).resolve().parents[1] / ".." / "shared"))
CONTRACTS = SHARED / "contracts" / "jira"
FILES = {
    "cloud/3": "jira-cloud-v3.swagger.json",
    "cloud/2": "jira-cloud-v2.openapi.json",
    "datacenter/2": "jira-dc-10.3.24.swagger.json",
}
#: Named by the document's prose, missing from its list of parameters.
PROSE_PARAMETERS = {"datacenter": {"expand", "fields", "notifyUsers", "maxResults", "startAt", "username"}}
#: Members that the documents have wrong, as `path of the call > path in the JSON`.
_HISTORY = r"\.items\[\d+\]\.(from|to)(String)?$"  # null in every recorded answer, not nullable in the documents
UNSOUND = {
    "cloud": re.compile(rf"{_HISTORY}|/issueLink/\d+ > .*\.fields$"),  # says issueType, Jira sends issuetype
    "datacenter": re.compile(rf"{_HISTORY}|\.fields\b|\.properties\[\d+\]\.value|/properties/[^/]+ > "),
}
_ANYWHERE = {429, 500, 502, 503, 504}


class ContractBroken(AssertionError):
    """The message names each difference."""


def available() -> bool:
    return CONTRACTS.is_dir()


def validate_request(
    flavour: str, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
) -> None:
    """`path` begins with /rest/api/2 or /rest/api/3. Raises ContractBroken with every difference."""
    document, operation, parameters = _operation(flavour, method, path)
    known = {row["name"]: row for row in parameters if row["in"] == "query"}
    problems = [
        f"unknown query parameter {name!r}"
        for name in query or {}
        if name not in known and name not in PROSE_PARAMETERS.get(flavour, set())
    ]
    for name, value in (query or {}).items():
        if name in known and not (flavour == "datacenter" and name == "fields"):
            problems += _query_problems(document, known[name], value)
    schema = _schema(operation.get("requestBody", {}), document)
    if body is not None and schema is not None:
        problems += _problems(document, schema, body, (flavour, path))
    _complain(method, path, problems)


def validate_response(flavour: str, method: str, path: str, status: int, body: Any = None) -> None:
    """`body` is the decoded JSON, None for an empty answer. Raises ContractBroken with every difference."""
    if status in _ANYWHERE:
        return
    document, operation, _ = _operation(flavour, method, path)
    answers = operation["responses"]
    if str(status) not in answers:
        documented = ", ".join(answers)
        if status < 400:
            raise ContractBroken(f"{method} {path}: status {status} is not documented; documented: {documented}")
        _complain(method, path, _error_problems(body))
        return
    schema = _schema(_resolve(answers[str(status)], document), document)
    if schema is not None and body is not None:
        _complain(method, path, _problems(document, schema, body, (flavour, path)))
    if status >= 400 and status != 401:
        _complain(method, path, _error_problems(body))


def _error_problems(body: Any) -> list[str]:
    """The documents often leave an error's body open; Jira always uses this shape."""
    if isinstance(body, dict) and isinstance(body.get("errorMessages"), list) and isinstance(body.get("errors"), dict):
        return []
    if isinstance(body, dict) and "elementErrors" in str(body):
        return []
    return [f"an error must have errorMessages and errors, not {body!r}"]


def _complain(method: str, path: str, problems: list[str]) -> None:
    if problems:
        raise ContractBroken(f"{method} {path}: " + "; ".join(problems))


@cache
def _document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((CONTRACTS / FILES[name]).read_text(encoding="utf-8"))
    return document


def _operation(flavour: str, method: str, path: str) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    for name, asked in _candidates(flavour, path):
        document = _document(name)
        template = _template(name, asked)
        item = document["paths"].get(template, {})
        if method.lower() in item:
            operation = item[method.lower()]
            rows = [*item.get("parameters", []), *operation.get("parameters", [])]
            return document, operation, [_resolve(row, document) for row in rows]
    raise ContractBroken(f"{flavour} Jira documents no {method} {path}")


def _candidates(flavour: str, path: str) -> list[tuple[str, str]]:
    """Cloud's v2 document is older than some resources, which v3 has alike."""
    if flavour == "datacenter":
        return [("datacenter/2", path.removeprefix("/rest"))]
    if path.startswith("/rest/api/3/"):
        return [("cloud/3", path)]
    return [("cloud/2", path), ("cloud/3", path.replace("/rest/api/2/", "/rest/api/3/", 1))]


@cache
def _patterns(name: str) -> list[tuple[re.Pattern[str], str]]:
    """The most literal first, so that /issue/bulk is no issue named bulk."""
    templates = sorted(_document(name)["paths"], key=lambda text: (text.count("{"), -len(text)))
    return [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", text.replace(".", r"\."))), text) for text in templates]


def _template(name: str, path: str) -> str | None:
    return next((text for pattern, text in _patterns(name) if pattern.fullmatch(path)), None)


def _resolve(value: Any, document: dict[str, Any]) -> Any:
    while isinstance(value, dict) and "$ref" in value:
        target: Any = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        value = target
    return value


def _schema(holder: dict[str, Any], document: dict[str, Any]) -> dict[str, Any] | None:
    content = _resolve(holder, document).get("content", {})
    kind = next((kind for kind in content if kind.startswith(("application/json", "*/*"))), None)
    return content[kind].get("schema") if kind else None


def _query_problems(document: dict[str, Any], row: dict[str, Any], value: Any) -> list[str]:
    kind = _resolve(row.get("schema", {}), document).get("type")
    text = str(value)
    if kind == "integer" and not re.fullmatch(r"-?\d+", text):
        return [f"query parameter {row['name']!r} must be a number, not {text!r}"]
    if kind == "boolean" and text not in {"true", "false"}:
        return [f"query parameter {row['name']!r} must be true or false, not {text!r}"]
    return []


def _problems(document: dict[str, Any], schema: dict[str, Any], body: Any, call: tuple[str, str]) -> list[str]:
    flavour, path = call
    if isinstance(body, list) and _resolve(schema, document).get("type") == "object":
        schema = {"type": "array", "items": schema}
    validator = OAS30Validator({**schema, "components": document["components"]})
    return [
        f"{error.json_path}: {error.message[:300]}"
        for error in validator.iter_errors(body)
        if not UNSOUND[flavour].search(f"{path} > {error.json_path}")
    ]
