"""The OpenAPI document of the API (https://spec.openapis.org/oas/v3.1.0), made from the schemas that it checks with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, Literal

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from vmjira.web.schemas import Failure

LOGIN = {
    "password": {"type": "http", "scheme": "basic"},
    "token": {"type": "http", "scheme": "bearer"},
}
FAILURES = {
    400: "The query is wrong",
    401: "Nobody who may look, or a wrong password or token",
    403: "Not allowed",
    429: "Too many failed log-ins",
    503: "The database cannot be read",
}


@dataclass(frozen=True)
class Operation:
    """One address; `path` names its parts in braces. One that answers POST changes something: for operators."""

    name: str
    path: str
    summary: str
    query: type[Schema]
    answer: type[Schema]
    method: Literal["get", "post"] = "get"

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.path)


@cache
def document(operations: Iterable[Operation]) -> dict[str, Any]:
    spec = APISpec(
        title="vmjira",
        version=version("vmjira"),
        openapi_version="3.1.0",
        plugins=[MarshmallowPlugin(schema_name_resolver=_named)],
        info={"description": "All that the pages show, to read. Times are UTC (ISO 8601)."},
        security=[{name: []} for name in LOGIN] + [{}],
    )
    for name, scheme in LOGIN.items():
        spec.components.security_scheme(name, scheme)
    spec.components.schema("Failure", schema=Failure)
    for each in operations:
        spec.path(path=f"/api{each.path}", operations={each.method: _operation(each)})
    return spec.to_dict()


def _operation(each: Operation) -> dict[str, Any]:
    path = [
        {"in": "path", "name": name, "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in each.parameters
    ]
    failures = FAILURES | ({404: "There is none"} if path else {})
    failures |= {409: "It cannot be done as things are"} if each.method == "post" else {}
    return {
        "operationId": each.name,
        "summary": each.summary,
        "parameters": [*path, *([] if each.query.__name__ == "NoQuery" else [{"in": "query", "schema": each.query}])],
        "responses": {
            "200": {"description": "Found", "content": {"application/json": {"schema": each.answer}}},
            **{str(code): _failure(why) for code, why in sorted(failures.items())},
        },
    }


def _failure(why: str) -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/Failure"}
    return {"description": why, "content": {"application/json": {"schema": reference}}}


def _named(schema: Any) -> str:
    name = schema if isinstance(schema, str) else (schema if isinstance(schema, type) else type(schema)).__name__
    return str(name).rpartition(".")[2]
