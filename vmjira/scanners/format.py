"""What a format is: one module that recognises its files by their content and reads them into a staging."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Protocol
from zoneinfo import ZoneInfo

from vmjira.scanners.content import Content
from vmjira.scanners.staging import Staging
from vmjira.scanners.xmlstream import Outline, outline


@dataclass(frozen=True)
class Head:
    """The first kilobytes of a file, seen as XML and as text. No name, no suffix: those lie."""

    raw: bytes

    @cached_property
    def xml(self) -> Outline | None:
        return outline(self.raw)

    @cached_property
    def text(self) -> str:
        encoding = "utf-16" if self.raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
        return self.raw.decode(encoding, errors="replace")

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The fields of the first line, were it the header of a CSV."""
        first = self.text.lstrip().splitlines()[:1]
        return tuple(name.strip() for name in next(csv.reader(first), [])) if self.xml is None else ()


@dataclass(frozen=True)
class Observed:
    """What a file tells about its scan as a whole."""

    finished_at: datetime
    started_at: datetime | None = None
    checks: frozenset[str] = frozenset()


class Format(Protocol):
    """A module with these names. To add a format, write one and enter it in `registry.FORMATS`."""

    NAME: str
    SCANNER: str

    def recognise(self, head: Head) -> bool:
        """Whether this is surely a file of this format."""

    def read(self, content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
        """Put everything into `staging`. Raises ScanUnreadable, by `content.refuse`, if it is no whole scan."""
