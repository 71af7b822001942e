"""Files of the data store: in a folder on this machine, or in a bucket of an object store."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol
from uuid import uuid4

import polars as pl

from vmjira.errors import VmjiraError


class Data(Protocol):
    """A place for files, which `/`-separated paths name. Nobody ever sees half a Parquet file."""

    def prepare(self) -> None:
        """Make sure that it can be used; an error in words if not."""

    def location(self, path: str) -> str:
        """What polars, and people, call the file."""

    def write(self, path: str, frame: pl.LazyFrame) -> None: ...
    def exists(self, path: str) -> bool: ...
    def copy(self, source: Path, path: str) -> None:
        """Raises FileExistsError if there is something at `path`."""

    def files(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """Every file below `folder`, and when it was last changed."""

    def remove(self, path: str) -> None:
        """Already gone is done."""


def open_data(root: str) -> Data:
    """The data store at `root`: `s3://bucket/prefix`, else a folder. Connects to nothing and makes nothing."""
    if not root.startswith("s3://"):
        return Folder(Path(root))
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    if not bucket:
        raise VmjiraError(f"VMJIRA_DATA: {root!r} names no bucket; use s3://bucket/prefix, or the path of a folder")
    return Bucket(bucket, prefix.strip("/"))


def checked(path: str) -> str:
    """`path`, if it stays inside the data store and means the same everywhere; else ValueError, a fault of ours."""
    if not re.fullmatch(r"[\w.=@+~-]+(/[\w.=@+~-]+)*", path) or {".", ".."} & set(path.split("/")):
        raise ValueError(f"not a path inside the data store: {path!r}")
    return path


class Folder:
    """A folder on this machine. What was written is on the disk before anybody is told of it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def prepare(self) -> None:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=self._root).close()
        except OSError as error:
            raise VmjiraError(
                f"VMJIRA_DATA: cannot write to {str(self._root)!r}: {error.strerror}; "
                "name a folder that this user may write to"
            ) from error

    def location(self, path: str) -> str:
        return str(self._root / path)

    def write(self, path: str, frame: pl.LazyFrame) -> None:
        target = self._root / path
        with _temporary(target) as temporary:
            frame.sink_parquet(temporary, compression="zstd", sync_on_close="all")
            temporary.replace(target)

    def exists(self, path: str) -> bool:
        return (self._root / path).exists()

    def copy(self, source: Path, path: str) -> None:
        target = self._root / path
        with _temporary(target) as temporary:
            shutil.copyfile(source, temporary)
            _sync(temporary)
            target.touch(exist_ok=False)
            temporary.replace(target)

    def files(self, folder: str) -> Iterator[tuple[str, datetime]]:
        for parent, _, names in os.walk(self._root / folder):
            for file in (Path(parent, name) for name in names):
                with suppress(FileNotFoundError):  # somebody else removed it meanwhile
                    changed = datetime.fromtimestamp(file.lstat().st_mtime, UTC)
                    yield file.relative_to(self._root).as_posix(), changed

    def remove(self, path: str) -> None:
        (self._root / path).unlink(missing_ok=True)


class Bucket:
    """A bucket of an object store, where every file appears at once or not at all.

    polars and boto3 both take the address, the region and the credentials from the usual AWS_… environment.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @cached_property
    def _client(self) -> Any:
        try:
            boto3 = import_module("boto3")  # only installations with a bucket need it
        except ImportError:
            raise VmjiraError("VMJIRA_DATA: s3:// needs boto3; install `vmjira[s3]`") from None
        return boto3.client("s3")

    def prepare(self) -> None:
        client, errors = self._client, import_module("botocore.exceptions")
        try:
            client.head_bucket(Bucket=self._bucket)
        except (errors.BotoCoreError, errors.ClientError) as error:
            raise VmjiraError(
                f"VMJIRA_DATA: bucket {self._bucket!r} cannot be used: {error}; "
                "check its name, AWS_ENDPOINT_URL, AWS_REGION and the credentials"
            ) from error

    def location(self, path: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{path}"

    def write(self, path: str, frame: pl.LazyFrame) -> None:
        frame.sink_parquet(self.location(path), compression="zstd")

    def exists(self, path: str) -> bool:
        key = self._prefix + path
        found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1).get("Contents", ())
        return any(entry["Key"] == key for entry in found)

    def copy(self, source: Path, path: str) -> None:
        if self.exists(path):
            raise FileExistsError(self.location(path))
        self._client.upload_file(str(source), self._bucket, self._prefix + path)

    def files(self, folder: str) -> Iterator[tuple[str, datetime]]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/"):
            for entry in page.get("Contents", ()):
                yield entry["Key"].removeprefix(self._prefix), entry["LastModified"]

    def remove(self, path: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + path)


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A name beside `target` to write to first. It is gone afterwards, and what became of it is on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{uuid4().hex}.tmp"
    try:
        yield temporary
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
