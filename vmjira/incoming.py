"""Where downloads from scanners lie until they are ingested: one folder a scanner, for one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from vmjira.errors import ScannerUnavailable


@contextmanager
def incoming(data: str, scanner: str) -> Iterator[Path]:
    """An empty folder; what a killed process left in it is gone, and so is everything when the block ends.

    ScannerUnavailable while another process fetches from this scanner. Where `data` is a bucket, a temporary folder:
    then nobody is kept out, and of two who fetch the same the ledger believes the first.
    """
    if data.startswith("s3://"):
        with TemporaryDirectory(prefix=f"vmjira-{scanner}-") as temporary:
            yield Path(temporary)
        return
    folder = Path(data) / "incoming" / scanner
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ScannerUnavailable(f"{scanner}: another process is just fetching from it", retry_after=10) from None
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
