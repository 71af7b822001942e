"""Result files on their way to disk: whole or not at all, within limits."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from vmjira.errors import ScannerUnavailable
from vmjira.flows.sources import Progress
from vmjira.scanners.sources.options import Limits

PART = ".part"


def keep(chunks: Iterable[bytes], file: Path, *, who: str, limits: Limits, total: int = 0, progress: Progress) -> Path:
    """Stream `chunks` to `<file>.part`, and give it its name when they have ended. `total`: bytes announced, if any.

    Time is looked at between chunks, so let each be what one read gives. Whatever goes wrong, nothing is left.
    Raises ScannerUnavailable (too large, too slow), what `chunks` raises, and OSError of our own disk.
    """
    part = file.with_name(file.name + PART)
    done, deadline = 0, time.monotonic() + limits.download
    try:
        with part.open("wb") as out:
            for chunk in chunks:
                done += len(chunk)
                if max(done, total) > limits.file:
                    raise ScannerUnavailable(f"{who}: the result has more than {limits.file:,} bytes")
                if time.monotonic() > deadline:
                    raise ScannerUnavailable(f"{who}: in {limits.download:g} s only {done:,} bytes came")
                out.write(chunk)
                progress(done, max(done, total) if total else 0)
            out.flush()
            os.fsync(out.fileno())
        part.rename(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return file


def ends_with(file: Path, ending: bytes) -> bool:
    """Whether the last thing in a file, blanks apart, is `ending`: else it was cut off."""
    with file.open("rb") as content:
        content.seek(max(file.stat().st_size - len(ending) - 1024, 0))
        return content.read().rstrip().endswith(ending)


def safe_name(text: str) -> str:
    """A file name from an id of others."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text)[:80] or "scan"
