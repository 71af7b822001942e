"""Checks calls and answers against Tenable's own OpenAPI document of its cloud, where that is at hand.

Not checked: members that are null, which real answers have and the document does not allow.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from openapi_schema_validator import OAS30Validator

from tests.sources.conftest import RECORDED
from tests.sources.stand import Call

FILE = RECORDED / "tenable-vulnerability-management-openapi.json"


def available() -> bool:
    return FILE.is_file()


@cache
def document() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def _operation(method: str, path: str) -> dict[str, Any]:
    templates = sorted(document()["paths"], key=lambda text: (text.count("{"), -len(text)))
    for template in templates:
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method.lower() in document()["paths"][template]:
            found: dict[str, Any] = document()["paths"][template][method.lower()]
            return found
    raise AssertionError(f"{method} {path} is not documented")


def problems(call: Call) -> list[str]:
    """What the document does not allow in a call that we made."""
    operation = _operation(call.method, call.path)
    known = {row["name"]: row for row in operation.get("parameters", []) if row["in"] == "query"}
    found = [f"unknown query parameter {name}" for name in call.query if name not in known]
    found += [f"missing query parameter {name}" for name, row in known.items() if row.get("required")
              and name not in call.query]  # fmt: skip
    for name, value in call.query.items():
        kind = known.get(name, {}).get("schema", {}).get("type")
        if (kind == "integer" and not value.isdigit()) or (kind == "boolean" and value not in ("true", "false")):
            found.append(f"{name} is {value!r}, not {kind}")
    body = operation.get("requestBody")
    if body:
        found += _differences(body["content"]["application/json"]["schema"], call.body)
    return [f"{call}: {each}" for each in found]


def answer_problems(method: str, path: str, status: int, content: Any) -> list[str]:
    """What the document does not allow in an answer of the stand-in."""
    answers = _operation(method, path)["responses"]
    if str(status) not in answers:
        return [f"{method} {path}: {status} is not documented"]
    schema = answers[str(status)].get("content", {}).get("application/json", {}).get("schema")
    return [f"{method} {path}: {each}" for each in _differences(schema, content)] if schema else []


def _differences(schema: dict[str, Any], content: Any) -> list[str]:
    validator = OAS30Validator({**schema, "components": document()["components"]})
    return [
        f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(content)
        if error.instance is not None
    ]  # fmt: skip
