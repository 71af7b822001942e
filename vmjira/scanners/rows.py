"""CSV from strangers, row by row, in flat memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from vmjira.scanners.content import Content

#: Characters in one field, and in one line. No scanner writes more into a cell.
FIELD = 10_000_000
BLANK = 100_000

Row = dict[str, str]


def rows(content: Content) -> Iterator[tuple[int, Row]]:
    """Each row that says anything, with the number of its last line, by the names in the header."""
    found = records(content)
    names = [name.strip() for name in next(found, (0, []))[1]]
    for number, fields in found:
        yield number, dict(zip(names, fields, strict=False))


def records(content: Content) -> Iterator[tuple[int, list[str]]]:
    """The fields of each line that says anything, the header too, with the number of its last line."""
    reader = csv.reader(lines(content), strict=True)
    before = csv.field_size_limit(FIELD)
    try:
        blank = 0
        for fields in reader:
            if any(map(str.strip, fields)):
                blank = 0
                yield reader.line_num, fields
            elif (blank := blank + 1) > BLANK:
                raise content.refuse(f"line {reader.line_num}: more than {BLANK:,} rows are empty; export it again")
    except csv.Error as error:
        raise content.refuse(
            f"line {reader.line_num}: is no CSV as scanners write it ({error}); export it again"
        ) from error
    finally:
        csv.field_size_limit(before)


def lines(content: Content) -> Iterator[str]:
    """Each line of a text, none of them longer than memory can hold."""
    encoding = "utf-16" if content.head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = io.TextIOWrapper(io.BufferedReader(content), encoding=encoding, newline="")
    number = 0
    try:
        while line := text.readline(FIELD):
            number += 1
            if len(line) == FIELD or "\0" in line:
                raise content.refuse(
                    f"line {number}: is too long or holds a NUL; this is no CSV, export the scan again"
                )
            yield line
    except UnicodeError as error:
        raise content.refuse(f"near line {number + 1}: is not {encoding} ({error}); save it as UTF-8") from error
