"""Rapid7's own description of its API, and answers recorded from a real console: no part of this project.

They are looked for in `$VMJIRA_SHARED/contracts/insightvm`, else in `../shared/contracts/insightvm` beside it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator

SHARED = Path(os.environ.get("VMJIRA_SHARED", Path(__file__).resolve().parents[3] / "shared"))
FOLDER = SHARED / "contracts" / "insightvm"
#: The description says integer or boolean; a query string holds text.
KINDS = {"integer": re.compile(r"-?\d+"), "boolean": re.compile("true|false")}


def available() -> bool:
    return FOLDER.is_dir()


def problems(method: str, path: str, query: Mapping[str, str], body: Any) -> list[str]:
    """What is wrong with a call by the description; `path` begins with /api/3. Nothing if there is no description."""
    if not available():
        return []
    found = next((each for each in _operations() if each[0] == method and each[1].fullmatch(path)), None)
    if found is None:
        return [f"there is no {method} {path}"]
    return _query_problems(found[2], query) + _body_problems(found[2], body)


def answer_problems(definition: str, answer: Any) -> list[str]:
    return _schema_problems({"$ref": f"#/definitions/{definition}"}, answer) if available() else []


def recorded(name: str) -> list[Any]:
    """The JSON answers of a recording, in order."""
    (file,) = FOLDER.glob(f"recordings/{name}_*.har")
    entries = json.loads(file.read_text())["log"]["entries"]
    return [json.loads(entry["response"]["content"]["text"]) for entry in entries]


def _query_problems(operation: Mapping[str, Any], query: Mapping[str, str]) -> list[str]:
    known = {row["name"]: row for row in operation.get("parameters", []) if row["in"] == "query"}
    wrong = [f"query parameter {name} is unknown" for name in query if name not in known]
    for name, value in query.items():
        kind = KINDS.get(known.get(name, {}).get("type", ""))
        if kind and not kind.fullmatch(value):
            wrong.append(f"query parameter {name} is {value!r}")
    if int(query.get("size", 10)) > 500:
        wrong.append("size is over 500")
    return wrong


def _body_problems(operation: Mapping[str, Any], body: Any) -> list[str]:
    schema = next((row["schema"] for row in operation.get("parameters", []) if row["in"] == "body"), None)
    if schema is None:
        return ["takes no body"] if body is not None else []
    members = _document()["definitions"][schema["$ref"].rpartition("/")[2]]["properties"]
    unknown = [f"body: {name} is unknown" for name in body or {} if name not in members]
    return unknown + _schema_problems(schema, body or {})


def _schema_problems(schema: Mapping[str, Any], value: Any) -> list[str]:
    validator = Draft4Validator({**schema, "definitions": _document()["definitions"]})
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(value)]


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / "console-swagger-v3.json").read_text())
    return document


@cache
def _operations() -> list[tuple[str, re.Pattern[str], dict[str, Any]]]:
    return [
        (method.upper(), re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), operation)
        for path, operations in _document()["paths"].items()
        for method, operation in operations.items()
    ]
