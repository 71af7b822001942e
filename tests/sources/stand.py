"""A stand-in for a scanner's API on loopback: it remembers what it was asked, and fails on demand."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

Fault = Callable[[Request], Response]


@dataclass
class Call:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Says nothing."""


@dataclass
class Stand:
    """Subclasses answer in `answer`. `fail` puts a fault before what the answer would be."""

    calls: list[Call] = field(default_factory=list)
    faults: list[tuple[str, Fault, int]] = field(default_factory=list)
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    def fail(self, where: str, fault: Fault, *, times: int = 1_000_000) -> None:
        """`where`: a pattern for `METHOD /path`."""
        self.faults.append((where, fault, times))

    def asked(self, pattern: str = "") -> list[str]:
        return [str(call) for call in self.calls if re.search(pattern, str(call))]

    def answer(self, request: Request) -> Response:
        raise NotImplementedError

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        body = request.get_data()
        content = json.loads(body) if body and "json" in request.mimetype else body
        self.calls.append(Call(request.method, request.path, request.args.to_dict(), dict(request.headers), content))
        return self._respond(request)(environ, start_response)

    def _respond(self, request: Request) -> Response:
        for index, (where, fault, times) in enumerate(self.faults):
            if times and re.search(where, f"{request.method} {request.path}"):
                self.faults[index] = (where, fault, times - 1)
                return fault(request)
        return self.answer(request)


@contextmanager
def listening(stand: Stand, tls: ssl.SSLContext | None = None) -> Iterator[Stand]:
    server = make_server("127.0.0.1", 0, stand, threaded=True, request_handler=Quiet, ssl_context=tls)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    stand.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    try:
        yield stand
    finally:
        stand.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


# --- answers and faults -----------------------------------------------------------------------------------------------


def told(content: Any, status: int = 200, **headers: str) -> Response:
    return Response(json.dumps(content), status, headers=headers, content_type="application/json")


def status(code: int, said: Any = None, **headers: str) -> Fault:
    return lambda request: told(said if said is not None else {"error": "as told"}, code, **headers)


def garbage(request: Request) -> Response:
    return Response("<html><body>Welcome to the proxy</body></html>", content_type="text/html")


def unexpected(content: Any) -> Fault:
    return lambda request: told(content)


def silent(stand: Stand) -> Fault:
    """No answer until the stand-in ends."""

    def fault(request: Request) -> Response:
        stand.released.wait(20)
        return Response("")

    return fault


def lost(stand: Stand) -> Fault:
    """It is done, but the answer is cut off."""

    def fault(request: Request) -> Response:
        stand.answer(request)
        return cut_off(b"{", 100)(request)

    return fault


def cut_off(content: bytes, announced: int) -> Fault:
    """A body that ends before the length that its header announces."""

    def fault(request: Request) -> Response:
        response = Response(iter([content]))
        response.headers["Content-Length"] = str(announced)
        return response

    return fault


def ends_early(content: bytes) -> Fault:
    """Whole for HTTP, but not for whoever knows what it should be."""
    return lambda request: Response(content)


def dripping(stand: Stand, pause: float = 0.02) -> Fault:
    """A byte now and then, for ever."""

    def drops() -> Iterator[bytes]:
        while not stand.released.is_set():
            yield b"x"
            time.sleep(pause)

    return lambda request: Response(drops(), direct_passthrough=True)


def endless(stand: Stand) -> Fault:
    def flood() -> Iterator[bytes]:
        while not stand.released.is_set():
            yield b"x" * 65536

    return lambda request: Response(flood(), direct_passthrough=True)


def redirect(to: str, code: int = 302) -> Fault:
    return lambda request: Response("", code, headers={"Location": to})
