"""Type `folder`: scan files that people and programs drop into a folder.

A file is taken when nobody has written to it for a while: claimed by a rename into `taking/`, which only one process
can win, and held there by a lock that dies with its process, so that after a crash another takes it up. In the end it
lies in `done/`, or in `refused/` with the reason beside it. Links and special files are never followed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import Check, Listing, Progress, RemoteScan, Source
from vmjira.scanners.sources.files import keep
from vmjira.scanners.sources.norescan import NoRescan
from vmjira.scanners.sources.options import LIMITS, Limits

TAKING, DONE, REFUSED = "taking", "done", "refused"
#: Names that programs give to what they are still writing.
UNFINISHED = ("*.part", "*.partial", "*.tmp", "*.temp", "*.filepart", "*.crdownload", ".*", "~*")
#: Seconds without a write after which a file counts as complete.
QUIET = 10.0
CHUNK = 1 << 20


def connect(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    """A path that is not absolute is one in VMJIRA_DATA; where that is no local folder, one in the working folder."""
    data = environ.get("VMJIRA_DATA") or "var"
    base = Path() if "://" in data else Path(data)
    return Folder(scanner.id, base / scanner.options["path"], scanner.options.get("pattern", "*"))


class Folder(NoRescan):
    cannot_rescan = "files come from a folder; which scanner made them, and how to start it, is not known"

    def __init__(
        self, id: str, path: Path, pattern: str = "*", *, quiet: float = QUIET, limits: Limits = LIMITS
    ) -> None:
        self.id, self.path, self.pattern, self.quiet, self.limits = id, path, pattern, quiet, limits
        self._held: dict[str, IO[bytes]] = {}  # id → open file whose lock says that it is ours; it ends with us

    # --- what there is ------------------------------------------------------------------------------------------------

    def listing(self) -> Listing:
        """Complete files, and those whose taker died. When their scans ended only they themselves tell: the time of
        change of a copy says nothing, and a scan that is folded after a newer one counts for nothing."""
        self._prepare()
        found: list[RemoteScan] = []
        passed: list[str] = []
        for entry in sorted(self.path.iterdir()):
            if entry.name in (TAKING, DONE, REFUSED) or not fnmatch(entry.name.lower(), self.pattern.lower()):
                continue
            scan = _scan(entry)
            if scan is None:
                passed.append(f"{entry.name}: is no plain file (a folder, a link, a device): such are not taken")
            elif any(fnmatch(entry.name.lower(), pattern) for pattern in UNFINISHED):
                passed.append(f"{entry.name}: by its name it is not complete yet")
            elif not self._quiet(entry):
                passed.append(f"{entry.name}: was written to less than {self.quiet:g} s ago; it may still grow")
            else:
                found.append(scan)
        found += self._abandoned()
        return Listing(tuple(sorted(found, key=lambda scan: scan.name)), tuple(passed))

    def _prepare(self) -> None:
        try:
            self.path.mkdir(exist_ok=True)
            for name in (TAKING, DONE, REFUSED):
                (self.path / name).mkdir(exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def _quiet(self, file: Path) -> bool:
        """A time in the future is the clock of another machine, and as good as one long ago."""
        found = file.lstat()
        return abs(time.time() - max(found.st_mtime, found.st_ctime)) >= self.quiet

    def _abandoned(self) -> Iterator[RemoteScan]:
        for folder in sorted((self.path / TAKING).iterdir()):
            file = self._taken(folder.name)
            if file is None or folder.name in self._held or not self._quiet(file):
                continue
            if (scan := _scan(file)) and (lock := _lock(file)):
                lock.close()
                yield scan

    # --- taking one ---------------------------------------------------------------------------------------------------

    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        """A copy in `into`; the file itself stays in `taking/`, ours, until `settle`."""
        self._prepare()
        file = self._claim(scan)
        try:
            return keep(
                _chunks(file), into / file.name, who=self.id, limits=self.limits, total=file.stat().st_size,
                progress=progress,
            )  # fmt: skip
        except BaseException as error:
            self._release(scan.id)
            if isinstance(error, OSError):
                raise self._unusable(error) from error
            raise

    def _claim(self, scan: RemoteScan) -> Path:
        file = self._taken(scan.id)
        if file is None:
            place = self.path / TAKING / scan.id
            place.mkdir(exist_ok=True)
            try:
                file = (self.path / scan.name).rename(place / scan.name)
            except FileNotFoundError:
                with suppress(OSError):
                    place.rmdir()
                raise ScannerUnavailable(f"{self.id}: '{scan.name}' is gone, or somebody else has taken it") from None
        found = _scan(file)
        if found is None or found.id != scan.id:
            self._put_aside(file, found)
            raise ScannerUnavailable(f"{self.id}: '{scan.name}' was changed while it was taken; it is looked at again")
        if scan.id not in self._held:
            lock = _lock(file)
            if lock is None:
                raise ScannerUnavailable(f"{self.id}: '{scan.name}' is being read by somebody else")
            self._held[scan.id] = lock
        return file

    def _put_aside(self, file: Path, found: RemoteScan | None) -> None:
        """It is another file now, to be taken as such; or no file at all, which is not."""
        if found:
            file.parent.rename(file.parent.with_name(found.id))
        else:
            file.rename(self.path / REFUSED / f"{file.parent.name[:8]}-{file.name}")
            file.parent.rmdir()

    def _taken(self, id: str) -> Path | None:
        return next(iter((self.path / TAKING / id).glob("*")), None)

    def _release(self, id: str) -> None:
        if lock := self._held.pop(id, None):
            lock.close()

    def settle(self, scan: RemoteScan, refused: str) -> None:
        """Into `done/`, or with its reason into `refused/`. Settled already is done."""
        self._prepare()
        file = self._taken(scan.id)
        if file is None and (found := _scan(self.path / scan.name)) and found.id == scan.id:
            file = self.path / scan.name  # it was dropped once more
        try:
            if file is not None:
                target = self.path / (REFUSED if refused else DONE) / f"{scan.id[:8]}-{scan.name}"
                if refused:
                    target.with_name(f"{target.name}.reason.txt").write_text(refused + "\n", encoding="utf-8")
                file.rename(target)
            (self.path / TAKING / scan.id).rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            self._release(scan.id)

    # --- the rest -----------------------------------------------------------------------------------------------------

    def check(self) -> Sequence[Check]:
        try:
            listing = self.listing()
        except ScannerRefused as error:
            return [Check(False, str(error), "make the folder, or mend path in scanners.yaml")]
        writable = os.access(self.path, os.R_OK | os.W_OK | os.X_OK)
        how = "" if writable else "let the account of vmjira read and write it: taken files are moved away"
        matches = f"{len(listing.scans)} files wait, {len(listing.passed_over)} are passed over"
        return [Check(writable, f"folder {self.path}", how), Check(True, matches)]

    def _unusable(self, error: OSError) -> ScannerRefused:
        return ScannerRefused(f"{self.id}: the folder '{self.path}' cannot be used: {error.strerror or error}")


def _scan(file: Path) -> RemoteScan | None:
    """None if it is no plain file. Moving it does not change its id; writing to it does."""
    try:
        found = file.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    id = hashlib.sha256(f"{file.name}\0{found.st_size}\0{found.st_mtime_ns}".encode()).hexdigest()[:24]
    return RemoteScan(id, file.name)


def _lock(file: Path) -> IO[bytes] | None:
    """The open file, locked; None if somebody else holds it. The lock ends when it is closed, so with its process."""
    opened = os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW), "rb")
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        opened.close()
        return None
    return opened


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            yield chunk
