"""FIRST's scores of the Exploit Prediction Scoring System, as CSV.

https://www.first.org/epss/data_stats: a comment line with model and date, a header, and one line per CVE.
"""

from __future__ import annotations

import re

import polars as pl
from polars.exceptions import PolarsError

from vmjira.enrichment.kev import CVE

COLUMNS = ("cve", "epss", "percentile")
_FACTS = re.compile(r"model_version:\s*([\w.+-]{1,40})\s*,\s*score_date:\s*(\d{4}-\d\d-\d\d)")


def read(content: bytes) -> tuple[pl.DataFrame, str]:
    """One row per CVE (cve, in capitals, and epss, 0 to 1), and model and date. ValueError in words otherwise."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    head, _, rest = content.partition(b"\n")
    comment = head.startswith(b"#")
    facts = _FACTS.search(head[:200].decode("ascii", "replace")) if comment else None
    rows = _rows(rest if comment else content)
    _check(rows, first=3 if comment else 2)
    scores = rows.group_by("cve").agg(pl.col("epss").max())
    return scores, f"{facts[1]} of {facts[2]}" if facts else ""


def _rows(table: bytes) -> pl.DataFrame:
    """cve, epss, percentile, and `told`: what the line says; null where that is not what it should be."""
    try:
        text = pl.read_csv(table, infer_schema=False, quote_char=None)
    except PolarsError as error:
        why = str(error).partition("\n")[0][:120]
        raise ValueError(f"is no CSV file of EPSS scores ({why}); fetch it again, as FIRST offers it") from error
    if missing := [name for name in COLUMNS if name not in text.columns]:
        raise ValueError(f"lacks the column {', '.join(missing)}; give the CSV file of EPSS scores as FIRST offers it")
    cve = pl.col("cve").str.strip_chars().str.to_uppercase()
    return text.select(
        pl.when(cve.str.contains(f"^{CVE}$")).then(cve).alias("cve"),
        *(_share(name) for name in COLUMNS[1:]),
        told=pl.concat_str(COLUMNS, separator=",", ignore_nulls=True),
    )


def _share(name: str) -> pl.Expr:
    number = pl.col(name).str.strip_chars().cast(pl.Float64, strict=False)
    return pl.when(number.is_between(0, 1)).then(number).alias(name)


def _check(rows: pl.DataFrame, *, first: int) -> None:
    if rows.is_empty():
        raise ValueError("holds no score; fetch it again")
    bad = rows.with_row_index("line", offset=first).filter(pl.any_horizontal(pl.col(COLUMNS).is_null()))
    if bad.height:
        line, told = bad.row(0, named=True)["line"], bad.row(0, named=True)["told"]
        raise ValueError(
            f"line {line}: {told[:60]!r} is no score (a CVE, then two numbers from 0 to 1); {bad.height} such lines: "
            "the file is incomplete or none of EPSS; fetch it again"
        )
