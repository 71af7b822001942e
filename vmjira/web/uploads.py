"""`POST /api/scans`: whoever has a token hands in scan files, and is told what was read and what became of it.

The body goes to disk as it comes, is read like any other file, and folded in before the answer: a build that hands in
a scan learns at once whether it was understood. What cannot be read is kept aside, as with `vmjira ingest`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import structlog
from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.wsgi import get_input_stream

from vmjira.errors import VmjiraError
from vmjira.web.access import Refusal

ADDRESS = "/api/scans"
CHUNK = 1 << 20
FILES = 20  # in one multipart body
FORM = 1 << 20  # bytes of its other fields
#: Seconds after which a sender who found us reading another scan had best try again.
LATER = 30
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Taken:
    """What became of uploaded files."""

    read: Sequence[Mapping[str, Any]]  # each scan as `vmjira inspect` shows it, and its outcome
    refused: Sequence[str] = ()  # why files were not read
    new: bool = False  # something was not known before
    operations: int = 0  # planned for the tracker
    rules: str = ""  # what happened to changed rules, in words


#: Reads and folds in files of the holder of a token; VmjiraError if that cannot be done now.
Take = Callable[[Sequence[Path], str], Taken]


@dataclass(frozen=True)
class Tokens:
    """Who may upload: SHA-256 digests in hex, each with a name for the log."""

    digests: Mapping[str, str] = field(default_factory=dict)  # digest → name

    def holder(self, authorization: str) -> str:
        """The name of the token; Refusal if there is none, or a wrong one."""
        if not self.digests:
            raise Refusal(403, "nobody may upload: VMJIRA_UPLOAD_TOKENS is not set (docs/scanners/upload.md)")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refusal(401, "a token is missing; send it as Authorization: Bearer <token>")
        digest = hashlib.sha256(token.strip().encode()).hexdigest()
        names = [name for known, name in self.digests.items() if hmac.compare_digest(known, digest)]
        if not names:
            raise Refusal(403, "this token is not known here; is its SHA-256 in VMJIRA_UPLOAD_TOKENS?")
        return names[0]


def uploads(take: Take, tokens: Tokens, limit: int) -> Blueprint:
    """The address. `limit`: bytes that one body may have."""
    views = Blueprint("uploads", __name__)
    reading = threading.Lock()  # one at a time: reading and folding need memory

    @views.post(ADDRESS)
    def upload() -> tuple[Response, int]:
        holder = tokens.holder(request.headers.get("Authorization", ""))
        with TemporaryDirectory(prefix="vmjira-upload-") as folder:
            files = _received(Path(folder), limit)
            if not reading.acquire(timeout=LATER):
                raise Refusal(503, "another upload is being read; send it again later")
            try:
                taken = take(files, holder)
            except VmjiraError as error:
                log.error("upload not taken", holder=holder, why=str(error))
                raise Refusal(503, "it cannot be taken now, the reason is in our log; send it again later") from error
            finally:
                reading.release()
        log.info("upload", holder=holder, files=len(files), new=taken.new, refused=len(taken.refused))
        return _answer(taken)

    @views.errorhandler(Refusal)
    def refuse(refusal: Refusal) -> tuple[Response, int]:
        log.warning("upload refused", status=refusal.status, why=refusal.why, sender=request.remote_addr)
        response = jsonify(error=refusal.why)
        if refusal.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        if refusal.status == 503:
            response.headers["Retry-After"] = str(LATER)
        return response, refusal.status

    return views


def _answer(taken: Taken) -> tuple[Response, int]:
    content: dict[str, Any] = {"files": list(taken.read), "operations": taken.operations}
    if taken.rules:
        content["rules"] = taken.rules
    if taken.refused:
        return jsonify({"error": "; ".join(taken.refused), **content}), 400
    return jsonify(content), 201 if taken.new else 200


def _received(folder: Path, limit: int) -> list[Path]:
    """The files of the body, on disk; Refusal if it is too large, broken off, or none."""
    try:
        files = _parts(folder, limit) if request.mimetype == "multipart/form-data" else [_whole(folder, limit)]
    except RequestEntityTooLarge:
        raise Refusal(413, f"more than {limit:,} bytes, or {FILES} parts; see VMJIRA_UPLOAD_LIMIT") from None
    except (ClientDisconnected, ValueError, OSError) as error:
        raise Refusal(400, "the body is not whole; send it again") from error
    files = [file for file in files if file.stat().st_size]
    if not files:
        raise Refusal(400, "the body holds no file; e.g. curl --data-binary @scan.nessus, or -F file=@scan.nessus")
    return files


def _whole(folder: Path, limit: int) -> Path:
    """The body as it is. gunicorn takes a connection that was lost for the end: so it is counted."""
    stream = get_input_stream(request.environ, max_content_length=limit)
    file, done = folder / safe_name(request.args.get("name", "")), 0
    with file.open("wb") as out:
        while chunk := stream.read(CHUNK):
            out.write(chunk)
            done += len(chunk)
    if request.content_length is not None and done != request.content_length:
        raise ClientDisconnected
    return file


def _parts(folder: Path, limit: int) -> list[Path]:
    files: list[Path] = []

    def opened(
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        place = folder / str(len(files))
        place.mkdir()
        files.append(place / safe_name(filename or ""))
        return files[-1].open("w+b")

    parser = FormDataParser(opened, max_form_memory_size=FORM, silent=False, max_form_parts=FILES)
    stream = get_input_stream(request.environ, max_content_length=limit)
    _, _, parts = parser.parse(stream, request.mimetype, request.content_length, request.mimetype_params)
    for part in parts.values():
        part.close()
    return files


def safe_name(name: str) -> str:
    """A label, made from what the sender calls the file. It is shown; nothing is decided by it."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", re.split(r"[/\\]", name)[-1])[-80:].lstrip(".")
    return plain or "upload"
