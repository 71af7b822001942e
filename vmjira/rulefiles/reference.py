"""docs/rules.md from the schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import polars as pl
from marshmallow import Schema, fields

from vmjira.rulefiles.complaints import COLUMNS, kind_of
from vmjira.rulefiles.conditions import FUNCTIONS, MAX_OPERATORS
from vmjira.rulefiles.examples import CONDITIONS, EXAMPLES, INTRODUCTION, NOTES
from vmjira.rulefiles.fields import Choice, Flag, ListOf, Section, Switch
from vmjira.rulefiles.scanner_schema import COMMON, TYPES
from vmjira.rulefiles.schemas import FILES


def reference() -> str:
    """Every key of every rule file, with what it means, whether it is needed, and an example."""
    parts = [INTRODUCTION]
    for name, schema in FILES.items():
        parts += [f"## {name}", schema.__doc__ or "", _yaml(EXAMPLES[name]), *_tables(schema(), "")]
        parts += NOTES.get(name, ())
        parts += _conditions() if name == "categories.yaml" else _types() if name == "scanners.yaml" else []
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _yaml(text: str) -> str:
    return f"```yaml\n{text.strip()}\n```"


def _tables(schema: Schema, path: str) -> Iterator[str]:
    """A table of the keys, then those of each section below."""
    below = []
    rows = ["| key | what it says | example | if left out |", "|---|---|---|---|"]
    for name, field in schema.fields.items():
        rows.append(_row(name, field))
        inner = field.inner if isinstance(field, ListOf) else field
        if isinstance(inner, Section):
            mark = "[]" if isinstance(field, ListOf) else ""
            below.append((f"{path}.{name}{mark}".lstrip("."), inner))
    if path or not below or len(rows) > 3:  # a file that holds one list needs no table of its own
        yield "\n".join(rows)
    for title, inner in below:
        if title == "ranges[].ticket":
            yield "`ranges[].ticket` has the keys of `ticket` in policy.yaml."
            continue
        yield f"### `{title}`"
        yield from _tables(inner.schema, title)


def _row(name: str, field: fields.Field[Any]) -> str:
    about = field.metadata["description"]
    inner = field.inner if isinstance(field, ListOf) else field
    if isinstance(inner, Choice):
        about += f" One of {', '.join(f'`{choice}`' for choice in inner.of)}."
    if isinstance(inner, Switch):
        about += f" One of {', '.join(f'`{choice}`' for choice in ('false', *inner.of))}."
    example = "" if isinstance(inner, Section) else f"`{_example(field)}`"
    default = field.metadata["default"]
    shown = str(default).lower() if isinstance(field, Flag | Switch) else default
    left_out = "must be given" if field.required else shown if shown is not None else ""
    return _line(f"`{name}`", about, example, str(left_out))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def _example(field: fields.Field[Any]) -> str:
    if isinstance(field, ListOf):
        return f"[{field.inner.metadata['example']}]"
    example = field.metadata["example"]
    return example if isinstance(example, str) else json.dumps(example)


def _conditions() -> Iterator[str]:
    yield CONDITIONS.format(operators=MAX_OPERATORS, functions=", ".join(f"`{name}`" for name in FUNCTIONS))
    rows = [_line(f"`{name}`", _kind(kind)) for name, kind in COLUMNS.items()]
    yield "\n".join(["| column | holds |", "|---|---|", *rows])


def _kind(kind: pl.DataType) -> str:
    if isinstance(kind, pl.Enum):
        return f"a severity, lowest first: {_keys(kind.categories)}"
    return kind_of(kind)


def _types() -> Iterator[str]:
    rows = []
    for name, (needed, possible) in TYPES.items():
        optional = [key for key in possible if key not in needed]
        rows.append(_line(f"`{name}`", _keys(needed), _keys(optional)))
    yield f"Beside {_keys(COMMON)}, each type has its own keys:"
    yield "\n".join(["| type | must have | may have |", "|---|---|---|", *rows])


def _keys(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)
