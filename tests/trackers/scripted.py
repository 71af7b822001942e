"""A server that answers what a test tells it to, for answers that no well-behaved Jira would give."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "tok-3f9d-secret"

#: What a test does not script.
USUAL: dict[str, Any] = {
    "GET /rest/api/2/serverInfo": {"deploymentType": "Cloud", "version": "1001.0.0"},
    "GET /rest/api/2/myself": {"accountId": "5b10a2844c20165700ede21a", "displayName": "vmjira"},
    "GET /rest/api/2/attachment/meta": {"enabled": True, "uploadLimit": 1000},
}


@dataclass
class Answer:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False  # read the request, then close the connection
    hang: bool = False  # read the request, then say nothing until the test ends


@dataclass
class Seen:
    method: str
    path: str
    query: str
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Script:
    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self.dawdle = 0.0  # seconds before a request's body is read
        self.ended = threading.Event()
        self._answers: list[tuple[str, Answer]] = []

    def say(self, request: str, answer: Answer | Any, *, times: int = 1) -> None:
        """`request` is a pattern like `POST .*/issue`; answers to the same request are given in the order of `say`."""
        answer = answer if isinstance(answer, Answer) else Answer(body=answer)
        self._answers += [(request, answer)] * times

    def calls(self, pattern: str) -> list[Seen]:
        return [seen for seen in self.seen if re.fullmatch(pattern, f"{seen.method} {seen.path}")]

    def take(self, line: str) -> Answer:
        for entry in self._answers:
            if re.fullmatch(entry[0], line):
                self._answers.remove(entry)
                return entry[1]
        return Answer(body=USUAL[line]) if line in USUAL else Answer(500, {"errorMessages": [f"unscripted: {line}"]})


@contextmanager
def scripted() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            time.sleep(script.dawdle)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            script.seen.append(Seen(self.command, parts.path, parts.query, body, dict(self.headers)))
            self._answer(script.take(f"{self.command} {parts.path}"))

        def _answer(self, answer: Answer) -> None:
            if answer.hang:
                script.ended.wait(10)
            if answer.hang or answer.silent:
                self.close_connection = True
                return
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            body = b"" if answer.body is None else body
            self.send_response(answer.status)
            headers = {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(body))}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield script
    finally:
        script.ended.set()
        server.shutdown()
        server.server_close()
