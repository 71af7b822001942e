"""Files that could not be used are kept aside, each with the reason beside it."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from vmjira.store.data import Data

LONGEST = 180  # bytes of a name; with the time and `.reason.txt` it stays below the 255 that file systems take


def refuse(data: Data, file: Path, reason: str) -> str:
    """Copy `file` to `refused/<UTC time>-<its name>`; where. Nothing there is ever overwritten."""
    while True:
        path = f"refused/{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{safe_name(file.name)}"
        try:
            data.copy(file, path)
        except FileExistsError:  # the same name in the same microsecond
            continue
        _explain(data, f"{path}.reason.txt", reason)
        return data.location(path)


def safe_name(name: str) -> str:
    """`name` with letters, digits and `.-_` only, and its end (which tells the format) if it is too long."""
    plain = re.sub(r"[^\w.-]", "_", unicodedata.normalize("NFC", name))
    return plain.encode()[-LONGEST:].decode(errors="ignore")


def _explain(data: Data, path: str, reason: str) -> None:
    with TemporaryDirectory() as folder:
        text = Path(folder, "reason.txt")
        text.write_text(reason.rstrip() + "\n", encoding="utf-8", errors="replace")
        data.copy(text, path)
