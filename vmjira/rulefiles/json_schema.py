"""JSON Schema of the rule files, for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from vmjira.rulefiles.fields import Keys, ListOf, Section, Value
from vmjira.rulefiles.schemas import FILES

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(file: str | None = None) -> dict[str, Any]:
    """The schema of one rule file; without `file`, one document with all of them under `$defs`."""
    if file is not None:
        return {"$schema": DRAFT, "title": file, **_keys(FILES[file]())}
    definitions = {name: {"title": name, **_keys(schema())} for name, schema in FILES.items()}
    return {"$schema": DRAFT, "title": "vmjira rule files", "$defs": definitions}


def _keys(schema: Keys) -> dict[str, Any]:
    about = {"description": schema.__doc__} if schema.__class__.__doc__ != Keys.__doc__ and schema.__doc__ else {}
    return {
        **about,
        "type": "object",
        "properties": {name: _field(field) for name, field in schema.fields.items()},
        "required": [name for name, field in schema.fields.items() if field.required],
        "additionalProperties": False,
        **schema.TOGETHER,
    }


def _field(field: fields.Field[Any]) -> dict[str, Any]:
    about = {"description": field.metadata["description"]} if field.metadata["description"] else {}
    match field:
        case ListOf():
            kind = "array" if field.least else ["array", "null"]
            return {**about, "type": kind, "items": _field(field.inner), "minItems": field.least}
        case Section(schema=Keys() as below):
            return {**_keys(below), **about}
        case Value():
            return {**about, **field.json(), "examples": [field.metadata["example"]]}
        case _:
            raise TypeError(f"no JSON Schema for {field!r}")
