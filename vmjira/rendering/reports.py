"""Reports as CSV: columns of domain part 9, safe to open in a spreadsheet, the same view giving the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from gzip import GzipFile
from hashlib import sha256
from io import BytesIO
from math import floor

import polars as pl

from vmjira.domain.ticket import TicketView
from vmjira.errors import VmjiraError
from vmjira.flows.tracking import File

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

#: … and behind them, where catalogues of exploitation are in use.
ENRICHED = {"known exploited": "kev", "known exploited due": "kev_due", "epss": "epss"}

#: … and last, on what the state rests.
TRACED = {"scan": "scan", "credentials": "credentials"}

_PIECE = 50_000  # rows that are in memory as text at once
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
            report, tell = titled(frame, enriched=view.enriched), partial(told, goes_on=kind == "own")
            files += _fit(f"{view.identifier}.{kind}", report, limit, tell)
    return files


def told(report: pl.DataFrame, *, goes_on: bool) -> str:
    """Digest of what the rows tell, times of observation apart. `goes_on`: the list outlives its iteration, and then
    what was new is called remaining: no news either."""
    rows = report.drop("last seen", *TRACED)
    if goes_on:
        rows = rows.with_columns(pl.col("state").cast(pl.String).replace("remaining", "new"))
    digest = sha256(",".join(rows.columns).encode())
    for piece in rows.iter_slices(_PIECE):
        texts = piece.select(_text(name, kind).alias(name) for name, kind in rows.schema.items())
        digest.update(texts.write_csv().encode())
    return digest.hexdigest()


def titled(report: pl.DataFrame, *, enriched: bool) -> pl.DataFrame:
    """REPORT with the columns of the file."""
    columns = COLUMNS | (ENRICHED if enriched else {}) | TRACED
    return report.select(pl.col(column).alias(header) for header, column in columns.items())


def table(report: pl.DataFrame) -> pl.DataFrame:
    """The columns of the file as its strings."""
    return report.select(_safe(_text(name, kind)).alias(name) for name, kind in report.schema.items())


def _text(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    match kind:
        case pl.Boolean():
            return pl.when(column).then(pl.lit("yes")).when(~column).then(pl.lit("no"))
        case pl.List():
            return column.list.join(", ")
        case pl.Datetime():
            return column.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        case _:
            return column.cast(pl.String)


def _safe(text: pl.Expr) -> pl.Expr:
    clean = text.str.replace_all(_LINE_ENDS, "\n").str.replace_all(_CONTROLS, "")
    return pl.when(clean.str.contains(_FORMULA)).then(pl.lit("'") + clean).otherwise(clean)


def _fit(name: str, report: pl.DataFrame, limit: int, tell: Callable[[pl.DataFrame], str]) -> list[File]:
    """Plain if it fits, else compressed, else in as many compressed parts as it takes."""
    content = _csv(report, limit)
    if content is not None:
        return [File(f"{name}.csv", content, "text/csv", tell(report))]
    packed = _gzip(report)
    if len(packed) <= limit:
        return [File(f"{name}.csv.gz", packed, "application/gzip", tell(report))]
    return [
        File(f"{name}.{number}.csv.gz", content, "application/gzip", tell(rows))
        for number, (content, rows) in enumerate(_split(report, len(packed), limit, name), 1)
    ]


def _split(report: pl.DataFrame, size: int, limit: int, name: str) -> list[tuple[bytes, pl.DataFrame]]:
    """Parts of the same number of rows, each with the header, none larger than `limit`; all in one take `size`."""
    height = report.height
    largest = size
    while height > 1:
        height = min(floor(height * limit / largest * 0.9), height - 1) or 1
        parts = [(_gzip(rows), rows) for rows in report.iter_slices(height)]
        largest = max(len(content) for content, _ in parts)
        if largest <= limit:
            return parts
    raise VmjiraError(
        f"{name}.csv: one row alone takes more than the {limit} bytes that the tracker allows an attachment; "
        "raise the tracker's limit for attachments"
    )


def _csv(report: pl.DataFrame, limit: int) -> bytes | None:
    """None if it exceeds `limit`, found out without making all of it."""
    content = bytearray()
    for chunk in chunks(report):
        content += chunk
        if len(content) > limit:
            return None
    return bytes(content)


def _gzip(report: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    # Without a name and a time: the same rows, the same bytes.
    with GzipFile("", "wb", compresslevel=6, fileobj=buffer, mtime=0) as file:
        for chunk in chunks(report):
            file.write(chunk)
    return buffer.getvalue()


def chunks(report: pl.DataFrame) -> Iterator[bytes]:
    """The file piece by piece, so that a million long descriptions never are in memory at once."""
    yield f"{','.join(report.columns)}\r\n".encode("utf-8-sig")  # with the mark by which spreadsheets know UTF-8
    for rows in report.iter_slices(_PIECE):
        buffer = BytesIO()
        table(rows).write_csv(buffer, include_header=False, line_terminator="\r\n")
        yield buffer.getvalue()
