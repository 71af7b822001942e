"""Answers of a Rapid7 console on disk: unpacked, seen to be whole, and packed again."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vmjira.errors import ScannerUnavailable
from vmjira.scanners.sources import rapid_queries
from vmjira.scanners.sources.console import Console
from vmjira.scanners.sources.http import CHUNK

HEAD = 64 * 1024
PLACES = ("site_id", "ip_address", "finished", "kind")
_LAST = re.compile(rb',"?end"?\s*\Z')
_BOM = b"\xef\xbb\xbf"


def sql(query: str) -> dict[str, Any]:
    """The report that asks it. All its times are in UTC."""
    return {"format": "sql-query", "version": rapid_queries.MODEL, "query": query, "timezone": "UTC"}


def unpacked(console: Console, file: Path) -> Iterator[bytes]:
    """What it holds, gzip or not, first HEAD bytes of it. ScannerUnavailable if it is damaged, or huge."""
    with file.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        content: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        done, size = 0, HEAD
        try:
            while piece := content.read(size):
                done, size = done + len(piece), CHUNK
                if done > console.limits.file:
                    raise ScannerUnavailable(f"{console.who}: a report has more than {console.limits.file:,} bytes")
                yield piece
        except (OSError, EOFError, zlib.error) as error:
            raise console.session.truncated() from error


def answer(console: Console, file: Path, columns: Sequence[str]) -> Iterator[bytes]:
    """The CSV that a query gave: it has these columns, and ends with its row of kind `end`."""
    tail = b""
    for number, piece in enumerate(unpacked(console, file)):
        text = piece.removeprefix(_BOM) if number == 0 else piece
        if number == 0 and _names(text) != tuple(columns):
            raise console.session.unexpected(f"answers no CSV as asked for, but '{text[:60].decode(errors='replace')}'")
        tail = (tail + text)[-64:]
        yield text
    if not _LAST.search(tail):
        raise console.session.truncated()


def table(console: Console, file: Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """The rows of a small answer."""
    text = b"".join(answer(console, file, columns)).decode(errors="replace")
    try:
        rows = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise console.session.unexpected(f"answers broken CSV ({error})") from error
    return (row for row in rows[1:] if len(row) == len(columns) and row[-1] != "end")


def packed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """gzip, the same for the same content."""
    compressor = zlib.compressobj(level=3, wbits=31)
    for chunk in chunks:
        if piece := compressor.compress(chunk):
            yield piece
    yield compressor.flush()


def unheard(done: int, total: int) -> None:
    """Progress that nobody listens to."""


def _names(text: bytes) -> tuple[str, ...]:
    first = text.splitlines()[:1]
    return tuple(name.strip().strip('"').lower() for name in b"".join(first).decode(errors="replace").split(","))
