"""Conditions of categories: SQL that is checked in words before polars sees any finding."""

from __future__ import annotations

import re
from datetime import date

import polars as pl
from polars.exceptions import PanicException, PolarsError

from vmjira.domain.frames import SEVERITIES
from vmjira.rulefiles.complaints import COLUMNS, explained, kind_of, severities
from vmjira.rulefiles.words import quoted

ALLOWED = """
    abs any array_contains array_length array_to_string cast ceil char_length coalesce concat date date_part ends_with
    extract floor greatest ifnull least left length lower ltrim nullif position regexp_like replace right round rtrim
    starts_with strpos substr substring trim try_cast upper
"""
BEFORE_BRACKETS = "and or not in is like ilike rlike regexp between case when then else on from for as"
OF_QUERIES = "select from over exists with union table values"
OF_CLOCKS = "current_date current_time current_timestamp localtime localtimestamp now"

#: Functions that look at one finding alone, know no clock, and touch nothing outside.
FUNCTIONS = tuple(ALLOWED.split())
#: Words that may stand before a bracket without being a function.
KEYWORDS = frozenset(BEFORE_BRACKETS.split())
QUERIES = frozenset(OF_QUERIES.split())
CLOCK = frozenset(OF_CLOCKS.split())

MAX_LENGTH = 40_000
MAX_OPERATORS = 100  # planning a chain of AND takes time by the cube of its length (polars 2.1)

TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--|/\*|[A-Za-z_]\w*|\d+(?:\.\d+)?|[<>=!~|*^@]+|\S")

SAMPLE: dict[str, object] = {
    "String": "text",
    "Float64": 9.8,
    "Boolean": True,
    "Date": date(2026, 1, 1),
    "List": ["text"],
    "Enum": "high",
}


def check(where: str) -> str:
    """`where` itself. Raise ValueError with words for a person unless it is a condition on one finding."""
    tokens = TOKEN.findall(where)
    _check_size(where, tokens)
    _check_words(tokens)
    _check_literals(tokens)
    _check_shares(tokens)
    try:
        expression = parsed(where)
        _check_result(expression)
    except (PolarsError, PanicException) as error:
        raise ValueError(explained(error, where, tokens)) from None
    return where


def parsed(where: str) -> pl.Expr:
    return pl.sql_expr(where)


def _frames() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    sample = {name: [SAMPLE[type(kind).__name__]] for name, kind in COLUMNS.items()}
    unknown = {name: [None] for name in COLUMNS}
    return tuple(pl.DataFrame(data, schema=COLUMNS) for data in (None, sample, unknown))  # type: ignore[return-value]


def _check_size(where: str, tokens: list[str]) -> None:
    operators = sum(bool(re.fullmatch(r"and|or|not|[+\-*/%|<>=!~^]+", token, re.I)) for token in tokens)
    if len(where) > MAX_LENGTH or operators > MAX_OPERATORS:
        raise ValueError(
            f"the condition is too long; at most {MAX_OPERATORS} operators and {MAX_LENGTH} characters: use "
            "IN ('…', '…') or a regular expression, or make two categories"
        )


def _check_words(tokens: list[str]) -> None:
    for token, following in zip(tokens, [*tokens, ""][1:], strict=True):
        word = token.casefold()
        if token in ("'",):
            raise ValueError("a single quote is left open; close it, and write '' for a quote inside text")
        if token in ("--", "/*"):
            raise ValueError("SQL comments are not allowed; write a YAML comment, # like this, above the condition")
        if word in CLOCK:
            raise ValueError(
                f"{quoted(token)} changes from day to day, a category must not; write a date: date '2026-01-31'"
            )
        if word in QUERIES and not (word == "from" and "extract" in map(str.casefold, tokens)):
            raise ValueError(
                f"{quoted(token)}: a condition looks at one finding alone; queries and windows are not allowed"
            )
        is_call = following == "(" and re.fullmatch(r"[A-Za-z_]\w*", token) and word not in KEYWORDS
        if is_call and word not in FUNCTIONS:
            raise ValueError(f"unknown function {quoted(token)}; allowed: {', '.join(FUNCTIONS)}")


def _check_literals(tokens: list[str]) -> None:
    """`severity` and yes/no columns against text that they never hold: polars would silently match nothing."""
    for index, token in enumerate(tokens):
        kind = COLUMNS.get(token.strip('"'))
        if not isinstance(kind, (pl.Enum, pl.Boolean)):
            continue
        for literal in _compared(tokens, index):
            if isinstance(kind, pl.Boolean):
                raise ValueError(f"'{token}' is true or false, not {literal}; write {token} or NOT {token}")
            if literal.strip("'") not in SEVERITIES:
                raise ValueError(f"no severity is {literal}; {severities(literal)}")


def _check_shares(tokens: list[str]) -> None:
    """`epss` against a percentage: it would never, or always, hold."""
    for name, operator, number in zip(tokens, tokens[1:], tokens[2:], strict=False):
        compared = name.strip('"') == "epss" and re.fullmatch(r"[<>=!]+", operator)
        if compared and re.fullmatch(r"\d+(\.\d+)?", number) and float(number) > 1:
            raise ValueError(f"'epss' is a probability from 0 to 1, not {number}; write {float(number) / 100:g}")


def _compared(tokens: list[str], index: int) -> list[str]:
    """Text literals that the column at `index` is compared with."""
    rest = [token.casefold() if not token.startswith("'") else token for token in tokens[index + 1 :]]
    rest = rest[1:] if rest[:1] == ["not"] else rest
    if rest[:1] == ["in"]:
        end = rest.index(")") if ")" in rest else len(rest)
        found = rest[2:end]
    elif rest[:1] == ["between"]:
        found = [rest[place] for place in (1, 3) if place < len(rest)]
    elif rest and re.fullmatch(r"[<>=!]+", rest[0]):
        found = rest[1:2]
    else:
        found = []
    if index >= 2 and re.fullmatch(r"[<>=!]+", tokens[index - 1]):
        found = [*found, tokens[index - 2]]
    return [token for token in found if token.startswith("'")]


def _check_result(expression: pl.Expr) -> None:
    plain = expression.meta.undo_aliases()
    if not expression.meta.eq(plain):
        name = quoted(expression.meta.output_name(raise_if_undetermined=False))
        raise ValueError(f"{name} stands there like a new name (AS …); is AND, OR or an operator missing before it?")
    for frame in _frames():
        result = frame.lazy().select(expression.alias("result")).collect()["result"]
        if result.dtype != pl.Boolean():
            raise ValueError(
                f"the condition gives {kind_of(result.dtype)}, not true or false; compare it, for instance with = or >="
            )
