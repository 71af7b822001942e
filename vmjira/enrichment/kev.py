"""CISA's catalogue of Known Exploited Vulnerabilities, as JSON.

https://www.cisa.gov/known-exploited-vulnerabilities-catalog
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import polars as pl
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

CVE = "CVE-[0-9]{4}-[0-9]{4,19}"
_SHOWN = 3  # problems that a refusal names
_ROWS = {"cve": pl.String(), "kev_due": pl.Date()}


class _Entry(Schema):
    class Meta:
        unknown = EXCLUDE  # names, texts and whatever is added: they are not used

    cveID = fields.String(required=True, validate=validate.Regexp(rf"{CVE}\Z", re.I, error="'{input:.40}' is no CVE"))
    dueDate = fields.Date(required=True)


class _File(Schema):
    class Meta:
        unknown = EXCLUDE

    catalogVersion = fields.String(load_default="", validate=validate.Length(max=100))
    count = fields.Integer(strict=True, load_default=None)
    vulnerabilities = fields.List(
        fields.Nested(_Entry), required=True, validate=validate.Length(min=1, error="is empty; fetch it again")
    )


def read(content: bytes) -> tuple[pl.DataFrame, str]:
    """One row per CVE (cve, in capitals, and kev_due), and the catalogue's version. ValueError in words otherwise."""
    try:
        loaded = _File().load(_json(content))
    except ValidationError as error:
        problems = list(_flat(error.messages, ""))
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise ValueError(f"is not the KEV catalogue as CISA writes it: {'; '.join(problems[:_SHOWN])}{more}") from error
    entries, count = loaded["vulnerabilities"], loaded["count"]
    if count is not None and count != len(entries):
        raise ValueError(f"says that it lists {count} vulnerabilities, but holds {len(entries)}; fetch it again")
    rows = pl.DataFrame([(each["cveID"].upper(), each["dueDate"]) for each in entries], schema=_ROWS, orient="row")
    return rows.group_by("cve").agg(pl.col("kev_due").min()), loaded["catalogVersion"]


def _json(content: bytes) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8; give the JSON file of the KEV catalogue as CISA offers it") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"is no JSON, or incomplete ({place}: {error.msg}); fetch the JSON file again") from error
    except RecursionError as error:
        raise ValueError("is nested far deeper than the KEV catalogue; fetch the JSON file from CISA") from error


def _flat(errors: Any, path: str) -> Iterator[str]:
    """Messages with where they belong; entries are counted from 1."""
    if isinstance(errors, dict):
        for key, inner in errors.items():
            name = f"entry {key + 1}" if isinstance(key, int) else "" if key == "_schema" else str(key)
            yield from _flat(inner, ": ".join(part for part in (path, name) if part))
    else:
        for message in errors:
            yield ": ".join(part for part in (path, str(message).rstrip(".")) if part)
