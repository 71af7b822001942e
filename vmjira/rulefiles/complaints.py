"""What polars says of a condition, in words for a person."""

from __future__ import annotations

import re

import polars as pl
from polars.exceptions import ColumnNotFoundError

from vmjira.domain.frames import EXPLOITED, SEVERITIES, VULNERABILITIES, Schema
from vmjira.domain.rulebook import CONDITION_HOST_COLUMNS
from vmjira.rulefiles.words import meant, near, quoted

#: What a condition may name.
COLUMNS: Schema = (
    VULNERABILITIES
    | EXPLOITED
    | {"ports": pl.List(pl.String())}
    | {name: pl.String() for name in CONDITION_HOST_COLUMNS}
)
GLOSS = {
    "String": "text",
    "Float64": "a number",
    "Boolean": "true or false",
    "Date": "a date",
    "List": "a list of texts",
    "Enum": "a severity",
}


#: What polars' complaint holds → our words; those without a full stop are followed by the kinds of the columns.
COMPLAINTS = (
    ("close delimiter", "a double quote is left open; text stands in single quotes."),
    ("expected an expression|sql parser", "this is no SQL condition; check brackets, quotes and operators."),
    ("date/datetime/time", "a date is compared with text; write date '2026-01-31' instead of '2026-01-31'."),
    (
        "enum|categorical",
        "severity is compared with something else; compare it with a text "
        f"(allowed, lowest first: {', '.join(SEVERITIES)})",
    ),
    ("is_in", "IN compares values of different kinds"),
    (
        r"List|list\[",
        "a list is compared with one text; write array_contains(cves, 'CVE-2021-44228') "
        f"(lists: {', '.join(name for name, kind in COLUMNS.items() if isinstance(kind, pl.List))})",
    ),
    ("regex", "the regular expression cannot be read; check its brackets, and write \\( for a real bracket."),
    (r"numeric|bit|casting|arithmetic|division|Unknown\(", "values of different kinds are compared or combined"),
    ("conversion from", "CAST fails on text that is no number, and one such finding stops every scan; write TRY_CAST."),
    (r'\{|\("', "this kind of SQL is not known here"),
)


def kind_of(kind: pl.DataType) -> str:
    return GLOSS.get(type(kind).__name__, "something else")


def severities(literal: str) -> str:
    """What may be written instead of `literal`."""
    guess = near(literal.strip("'"), SEVERITIES)
    return (f"did you mean '{guess}'? " if guess else "") + f"allowed, lowest first: {', '.join(SEVERITIES)}"


def explained(error: BaseException, where: str, tokens: list[str]) -> str:
    """What is wrong with the condition, what is allowed, what to do; nothing of Rust's own notation."""
    text = str(error).partition("\n")[0][:200]
    if isinstance(error, ColumnNotFoundError):
        return _unknown_column(text, tokens)
    if found := re.search(r"unexpected token '(.+)'\)", text):
        return f"cannot read the condition from {quoted(found[1])} on; is AND or OR missing, or a quote?"
    if "unable to parse" in text:
        return f"{quoted(where)} is no SQL condition; check brackets, quotes and operators"
    for pattern, words in COMPLAINTS:
        if re.search(pattern, text):
            return words.rstrip(".") if words[-1] in ".)" else f"{words}; {_kinds(tokens)}"
    return f"the condition cannot be used: {text.replace('`', chr(39))}; {_kinds(tokens)}"


def _unknown_column(text: str, tokens: list[str]) -> str:
    found = re.search(r'"([^"]*)"', text)
    name = found[1] if found else "?"
    if name == "output":
        return (
            "'output' cannot be used: it differs from host to host and scan to scan, so findings would wander between "
            "tickets; use title, family, vulnerability_id or cves"
        )
    if f'"{name}"' in tokens:
        return f"\"{name}\" in double quotes is a column, and there is none; write text in single quotes: '{name}'"
    return f"unknown column {quoted(name)}; {meant(name, COLUMNS)}"


def _kinds(tokens: list[str]) -> str:
    used = sorted({token for token in tokens if token in COLUMNS})
    kinds = [f"{name} is {kind_of(COLUMNS[name])}" for name in used]
    return f"{', '.join(kinds) or 'no column is used'}; text stands in single quotes, a number in none"
