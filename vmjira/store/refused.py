"""Files that could not be used are kept aside, each with the reason beside it."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from vmjira.store.data import Data

LONGEST = 180  # bytes of a name; with the digest and `.reason.txt` it stays below the 255 that file systems take


def refuse(data: Data, file: Path, reason: str) -> str:
    """Copy `file` to `refused/<beginning of its SHA-256>-<its name>`; where. Refused again, it is kept once."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()[:16]
    path = f"refused/{digest}-{safe_name(file.name)}"
    with suppress(FileExistsError):
        data.copy(file, path)
    with suppress(FileExistsError):
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
