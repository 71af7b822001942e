"""Findings to categories: the first condition that matches, in file order."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from vmjira.domain.frames import EXPLOITED, VULNERABILITIES
from vmjira.domain.rulebook import CONDITION_HOST_COLUMNS, Category

_PER_FINDING = {"ports", *CONDITION_HOST_COLUMNS}
_CHECK = ["scanner", "vulnerability_id", "severity"]
_OF_CHECK = {*VULNERABILITIES, *EXPLOITED} - {*_CHECK}


def categorise(findings: pl.DataFrame, catalogue: pl.DataFrame, categories: Sequence[Category]) -> pl.Series:
    """The category of each finding, null where none takes it.

    `findings`: scanner, vulnerability_id, severity (the finding's own), ports and `CONDITION_HOST_COLUMNS`, as far as
    `columns_needed` asks for them. Conditions on the check alone are asked once per check, not once per finding.
    """
    conditions = [pl.sql_expr(category.where) for category in categories]
    of_check = [i for i, condition in enumerate(conditions) if not _per_finding(condition)]
    of_finding = [i for i in range(len(conditions)) if i not in of_check]
    names = {column for condition in conditions for column in condition.meta.root_names()}
    texts = catalogue.select("scanner", "vulnerability_id", *(names & _OF_CHECK))
    checks = findings.select(_CHECK).unique().join(texts, on=_CHECK[:2], how="left")
    first = checks.select(*_CHECK, _first=_first(conditions, of_check))
    rows = findings.select(*_CHECK, *(names & _PER_FINDING)).join(first, on=_CHECK, how="left", maintain_order="left")
    if of_finding:
        rows = rows.join(texts, on=_CHECK[:2], how="left", maintain_order="left")
        rows = rows.with_columns(_first=pl.min_horizontal("_first", _first(conditions, of_finding)))
    ids = pl.Series([category.id for category in categories], dtype=pl.String)
    return ids.gather(rows["_first"])


def columns_needed(categories: Sequence[Category]) -> set[str]:
    """Columns of the host and the finding itself, beside the check, that the conditions name."""
    return {c for category in categories for c in pl.sql_expr(category.where).meta.root_names()} & _PER_FINDING


def _per_finding(condition: pl.Expr) -> bool:
    return not _PER_FINDING.isdisjoint(condition.meta.root_names())


def _first(conditions: list[pl.Expr], which: list[int]) -> pl.Expr:
    """The lowest of the indices `which` whose condition is true; null is no match."""
    matches = [pl.when(conditions[index]).then(pl.lit(index, pl.UInt32)) for index in which]
    return pl.coalesce([*matches, pl.lit(None, pl.UInt32)])
