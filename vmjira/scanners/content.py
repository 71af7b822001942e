"""Where scans come from: a file, plain or packed, as bytes that are counted, hashed and limited while they are read."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vmjira.errors import ScanUnreadable

HEAD = 64 * 1024
CHUNK = 1 << 20
PACKED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"PK\x03\x04": "zip", b"PK\x05\x06": "zip"}
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Limits:
    """What one scan may need. A bomb is told from a scan by both its size and its ratio."""

    bytes: int = 8 << 30  # of one scan, unpacked
    ratio: int = 250  # unpacked to packed; real scans stay under 60
    ratio_from: int = 64 << 20  # unpacked bytes from which the ratio is looked at
    members: int = 100  # scans in one zip


class Content(io.RawIOBase):
    """The unpacked bytes of one scan, read once from front to end. `where` names it in errors."""

    def __init__(self, where: str, stream: IO[bytes], limits: Limits, position: Callable[[], int]) -> None:
        self.where = where
        self.size = 0
        self._stream, self._limits, self._position = stream, limits, position
        self._hash = hashlib.sha256()
        self._head: bytes | None = None

    @property
    def head(self) -> bytes:
        """The first bytes, which stay unread."""
        if self._head is None:
            self._head = self._take(HEAD)
        return self._head

    @property
    def digest(self) -> str:
        """SHA-256 of all that was read."""
        return self._hash.hexdigest()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head or self._take(len(buffer))
        taken = min(len(data), len(buffer))
        buffer[:taken] = data[:taken]
        self._head = data[taken:]
        return taken

    def chunks(self) -> Iterator[bytes]:
        """What is left, each chunk unpacked and hashed while the one before is parsed."""
        first, self._head = self.head, b""
        if first:
            yield first
        with ThreadPoolExecutor(max_workers=1) as ahead:
            following = ahead.submit(self._take, CHUNK)
            while chunk := following.result():
                following = ahead.submit(self._take, CHUNK)
                yield chunk

    def drain(self) -> None:
        """Read what is left, so that `digest` covers everything."""
        for _ in self.chunks():
            pass

    def refuse(self, reason: str) -> ScanUnreadable:
        return ScanUnreadable(f"{self.where}: {reason}")

    def _take(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except BROKEN as error:
            raise self.refuse(f"the packed file is damaged or incomplete ({error}); copy or export it again") from error
        self.size += len(data)
        self._hash.update(data)
        self._check(self._position())
        return data

    def _check(self, packed: int) -> None:
        limits = self._limits
        if self.size > limits.bytes:
            raise self.refuse(f"unpacks to more than {limits.bytes:,} bytes; split the scan, or raise the limit")
        if self.size > limits.ratio_from and self.size > limits.ratio * max(packed, 1):
            raise self.refuse(f"unpacks to more than {limits.ratio} times its size, as only bombs do; export it again")


def packing(magic: bytes) -> str | None:
    return next((name for start, name in PACKED.items() if magic.startswith(start)), None)


def opened(path: Path, *, limits: Limits, progress: Progress | None = None) -> Iterator[Content]:
    """The scans in a file: one, or one for each member of a zip. Each is to be read before the next is asked for."""
    try:
        total = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        raise ScanUnreadable(f"{path}: cannot be opened ({error.strerror}); check the path and its rights") from error
    with file:

        def position() -> int:
            at = file.tell()
            if progress is not None:
                progress(min(at, total), total)
            return at

        kind = packing(file.read(8))
        file.seek(0)
        if kind == "zip":
            yield from _members(path, file, limits, position)
        else:
            with _unpacked(kind, file) as stream:
                yield Content(str(path), stream, limits, position)


@contextmanager
def _unpacked(kind: str | None, file: IO[bytes]) -> Iterator[IO[bytes]]:
    if kind == "gzip":
        with gzip.GzipFile(fileobj=file) as stream:
            yield stream  # type: ignore[misc]  # a GzipFile is no IO for typeshed
    elif kind == "xz":
        with lzma.LZMAFile(file) as stream:
            yield stream
    else:
        yield file


def _members(path: Path, file: IO[bytes], limits: Limits, position: Callable[[], int]) -> Iterator[Content]:
    try:
        archive = zipfile.ZipFile(file)
    except BROKEN as error:
        raise ScanUnreadable(f"{path}: the zip is damaged or incomplete ({error}); copy or pack it again") from error
    with archive:
        members = [member for member in archive.infolist() if not _is_clutter(member)]
        if not members:
            raise ScanUnreadable(f"{path}: the zip holds no file; put at least one scan into it")
        if len(members) > limits.members:
            raise ScanUnreadable(f"{path}: the zip holds {len(members)} files, at most {limits.members} are allowed")
        for member in members:
            where = f"{path}[{member.filename}]"
            if member.flag_bits & 1:
                raise ScanUnreadable(f"{where}: is encrypted; pack it without a password")
            try:
                stream = archive.open(member)
            except BROKEN as error:
                raise ScanUnreadable(f"{where}: cannot be unpacked ({error}); pack it again") from error
            with stream:
                yield Content(where, stream, limits, _packed(member, position))


def _packed(member: zipfile.ZipInfo, position: Callable[[], int]) -> Callable[[], int]:
    """All of its packed bytes count as read, since a member cannot have more than that."""

    def size() -> int:
        position()
        return member.compress_size

    return size


def _is_clutter(member: zipfile.ZipInfo) -> bool:
    """Folders, and what macOS and Windows put beside the files."""
    name = member.filename
    return member.is_dir() or name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1] in {".DS_Store", "Thumbs.db"}
