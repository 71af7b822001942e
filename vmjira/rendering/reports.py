"""Reports as CSV: columns of domain part 9, safe to open in a spreadsheet, the same view giving the same bytes."""

from __future__ import annotations

import gzip
from io import BytesIO
from math import ceil

import polars as pl
import polars.selectors as cs

from vmjira.domain.ticket import TicketView
from vmjira.errors import VmjiraError
from vmjira.flows.ports import File

#: Header of the file → column of REPORT.
COLUMNS = {
    "ip-address": "ip",
    "hostname": "hostname",
    "category of vulnerability": "category",
    "vulnerability id": "vulnerability_id",
    "vulnerability title": "title",
    "vulnerability description": "description",
    "severity": "severity",
    "cvss": "cvss",
    "cves": "cves",
    "exploit available": "exploit_available",
    "ports": "ports",
    "solution": "solution",
    "state": "state",
    "first seen": "first_seen",
    "last seen": "last_seen",
    "fixed at": "fixed_at",
    "ticket": "ticket",
}

_LINE_ENDS = r"\r\n?"
_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
# https://owasp.org/www-community/attacks/CSV_Injection; an opening quote alone makes a cell text.
_FORMULA = r"^[=+\-@\t\r]"


def reports(view: TicketView, limit: int) -> list[File]:
    """`<identifier>.own.csv`, `.all.csv`, `.diff.csv`, as far as the view has them; each at most `limit` bytes."""
    frames = {"own": view.own_rows, "all": view.all_rows, "diff": view.diff_rows}
    files = []
    for kind, frame in frames.items():
        if frame is not None:
            files += _fit(f"{view.identifier}.{kind}", table(frame), limit)
    return files


def table(report: pl.DataFrame) -> pl.DataFrame:
    """A REPORT as the strings of the file."""
    return (
        report.select(pl.col(column).alias(header) for header, column in COLUMNS.items())
        .select(
            cs.by_dtype(pl.Boolean).replace_strict({True: "yes", False: "no"}, return_dtype=pl.String),
            cs.by_dtype(pl.List(pl.String)).list.join(", "),
            cs.datetime().dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            ~(cs.boolean() | cs.by_dtype(pl.List(pl.String)) | cs.datetime()),
        )
        .select(_safe(pl.col(header)) for header in COLUMNS)
    )


def _safe(column: pl.Expr) -> pl.Expr:
    text = column.cast(pl.String).str.replace_all(_LINE_ENDS, "\n").str.replace_all(_CONTROLS, "")
    return pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text)


def _fit(name: str, rows: pl.DataFrame, limit: int) -> list[File]:
    """Plain if it fits, else compressed, else in as many compressed parts as it takes."""
    content = _csv(rows)
    if len(content) <= limit:
        return [File(f"{name}.csv", content, "text/csv")]
    packed = _gzip(content)
    del content
    if len(packed) <= limit:
        return [File(f"{name}.csv.gz", packed, "application/gzip")]
    return [
        File(f"{name}.{number}.csv.gz", part, "application/gzip")
        for number, part in enumerate(_split(rows, len(packed), limit, name), 1)
    ]


def _split(rows: pl.DataFrame, size: int, limit: int, name: str) -> list[bytes]:
    """Parts of about the same number of rows, none larger than `limit`, when all together take `size`."""
    wanted = ceil(size / limit * 1.1)
    while wanted < 2 * rows.height:
        height = ceil(rows.height / wanted)
        parts = [_gzip(_csv(part)) for part in rows.iter_slices(height)]
        largest = max(map(len, parts))
        if largest <= limit:
            return parts
        wanted = max(ceil(wanted * largest / limit), wanted + 1)
    raise VmjiraError(
        f"{name}.csv: one row alone takes more than the {limit} bytes that the tracker allows an attachment; "
        "raise the tracker's limit for attachments"
    )


def _csv(rows: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    rows.write_csv(buffer, include_bom=True, line_terminator="\r\n")
    return buffer.getvalue()


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=6, mtime=0)  # without a time: the same rows, the same bytes
