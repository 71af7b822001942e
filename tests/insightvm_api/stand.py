"""A stand-in for the security console: its API over HTTP, its reporting data model in PostgreSQL, faults on demand."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from tests.insightvm_api import contract
from tests.insightvm_api.model import END, START, Model

USER, PASSWORD, TOKEN = "vmjira", "hunter2-ü", "135790"
#: What a fault makes of an answer; None leaves it as it is.
Fault = Callable[[Response], Response | None]


def status(code: int, message: str = "An error has occurred.", **headers: str) -> Fault:
    return lambda _: Response(
        json.dumps({"status": str(code), "message": message}), code, headers, mimetype="application/json"
    )


def body(content: bytes, **headers: str) -> Fault:
    return lambda _: Response(content, 200, headers)


def cut(answer: Response) -> Response:
    """The second half gets lost, and nothing says so."""
    whole = answer.get_data()
    return Response(whole[: len(whole) // 2], 200)


def cut_plain(answer: Response) -> Response:
    """The same of what is packed in it."""
    whole = gzip.decompress(answer.get_data())
    return Response(whole[: len(whole) // 2], 200)


def unpacked(answer: Response) -> Response:
    return Response(gzip.decompress(answer.get_data()), 200)


@dataclass
class Console:
    """What the console has; tests change it as they please."""

    model: Model
    url: str = ""
    sites: list[dict[str, Any]] = field(default_factory=list)
    scans: dict[int, dict[str, Any]] = field(default_factory=dict)
    xml: dict[int, bytes] = field(default_factory=dict)
    reports: dict[int, dict[str, Any]] = field(default_factory=dict)
    states: list[str] = field(default_factory=lambda: ["running", "complete"])  # of a report, poll by poll
    page: int = 500  # the largest page that it gives
    calls: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # calls against the description
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))  # by a pattern of the call
    before: dict[str, Callable[[], None]] = field(default_factory=dict)  # what happens just before a call
    silent: threading.Event = field(default_factory=threading.Event)  # ends the silence of a fault
    _number: int = 100

    def number(self) -> int:
        self._number += 1
        return self._number

    def site(self, id: int = 1, name: str = "Boston", assets: int = 2, kind: str = "static") -> None:
        self.sites.append({"id": id, "name": name, "assets": assets, "type": kind, "scanTemplate": "full-audit"})

    def scan(self, id: int = 7, site: int = 1, status: str = "finished", **members: Any) -> None:
        """As a real console answers: `startedByUsername`, which the description does not have."""
        self.scans[id] = {
            "id": id, "siteId": site, "scanName": "Weekly", "scanType": "Scheduled", "status": status, "assets": 2,
            "startTime": START, "endTime": END, "startedByUsername": "N/A", "engineId": 3, **members,
        }  # fmt: skip

    def fault(self, pattern: str, *faults: Fault) -> None:
        """The next calls that match (`GET /reports/\\d+/history/.*`) get these, one each."""
        self.faults[pattern] += faults

    def silence(self, _: Response) -> None:
        """A fault: no answer for a long time."""
        self.silent.wait(30)

    def called(self, pattern: str) -> int:
        return sum(bool(re.fullmatch(pattern, f"{method} {path}")) for method, path in self.calls)


@contextmanager
def serving(model: Model) -> Iterator[Console]:
    console = Console(model)
    server = make_server("127.0.0.1", 0, _app(console), threaded=True)
    console.url = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield console
    finally:
        console.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _app(console: Console) -> Flask:  # noqa: PLR0915  one line a route
    app = Flask(__name__)
    lock = threading.Lock()

    @app.before_request
    def look() -> Response | None:
        path = request.path.removeprefix("/api/3")
        content = request.get_json(silent=True)
        with lock:
            console.calls.append((request.method, path))
            console.bodies += [content] if content else []
            wrong = contract.problems(request.method, request.path, request.args, content)
            console.broken += [f"{request.method} {request.path}: {each}" for each in wrong]
        for pattern, act in console.before.items():
            if re.fullmatch(pattern, f"{request.method} {path}"):
                act()
        given = request.authorization
        if given is None or (given.username, given.password) != (USER, PASSWORD):
            return error(401, "Unauthorized")
        return None

    @app.after_request
    def spoil(answer: Response) -> Response:
        for pattern, faults in console.faults.items():
            if faults and re.fullmatch(pattern, f"{request.method} {request.path.removeprefix('/api/3')}"):
                return faults.pop(0)(answer) or answer
        return answer

    @app.errorhandler(HTTPException)
    def failed(problem: HTTPException) -> Response:
        return error(problem.code or 500, problem.name)

    def error(code: int, message: str) -> Response:
        return Response(json.dumps({"status": str(code), "message": message}), code, mimetype="application/json")

    def page(resources: list[dict[str, Any]]) -> dict[str, Any]:
        number, size = int(request.args.get("page", 0)), min(int(request.args.get("size", 10)), console.page)
        resources = sorted(resources, key=lambda each: each["id"])
        pages = -(-len(resources) // size)
        return {
            "resources": resources[number * size : (number + 1) * size],
            "page": {"number": number, "size": size, "totalResources": len(resources), "totalPages": pages},
            "links": [],
        }

    @app.get("/api/3/administration/info")
    def info() -> dict[str, Any]:
        return {"version": {"semantic": "6.6.210"}, "superuser": True}

    @app.get("/api/3/sites")
    def sites() -> dict[str, Any]:
        return page(console.sites)

    @app.get("/api/3/sites/<int:site>/scans")
    def scans(site: int) -> dict[str, Any]:
        going = {"running", "integrating", "dispatched", "paused"}
        active = request.args.get("active") == "true"
        all_ = [scan for scan in console.scans.values() if scan["siteId"] == site]
        return page([scan for scan in all_ if (scan["status"] in going) == active])

    @app.post("/api/3/sites/<int:site>/scans")
    def start(site: int) -> Any:
        if any(scan["siteId"] == site and scan["status"] == "running" for scan in console.scans.values()):
            return error(400, "The site is already being scanned.")
        id = console.number()
        console.scan(id, site, "running", scanName=request.get_json()["name"], scanType="Manual", endTime=None)
        return {"id": id, "links": []}, 201

    @app.get("/api/3/scans/<int:id>")
    def scan(id: int) -> Any:
        return console.scans[id] if id in console.scans else error(404, "The resource does not exist.")

    @app.post("/api/3/scans/<int:id>/<action>")
    def control(id: int, action: str) -> Any:
        if console.scans[id]["status"] not in {"running", "paused"}:
            return error(400, "The scan is not running.")
        console.scans[id]["status"] = {"stop": "stopped"}[action]
        return {"links": []}, 202

    @app.get("/api/3/reports")
    def reports() -> dict[str, Any]:
        return page([{"id": id, "name": each["name"]} for id, each in console.reports.items()])

    @app.post("/api/3/reports")
    def define() -> Any:
        asked = request.get_json()
        if any(each["name"] == asked["name"] for each in console.reports.values()):
            return error(400, "A report of that name exists.")
        id = console.number()
        console.reports[id] = {**asked, "polls": list(console.states)}
        return {"id": id, "links": []}, 201

    @app.delete("/api/3/reports/<int:id>")
    def delete(id: int) -> Any:
        return {"links": []} if console.reports.pop(id, None) else error(404, "The resource does not exist.")

    @app.post("/api/3/reports/<int:id>/generate")
    def generate(id: int) -> dict[str, Any]:
        report = console.reports[id]
        try:
            report["output"] = _output(console, report)
        except (psycopg.Error, KeyError):
            report["polls"] = ["running", "failed"]
        return {"id": 5, "links": []}

    @app.get("/api/3/reports/<int:id>/history/<int:instance>")
    def instance(id: int, instance: int) -> Any:
        if id not in console.reports:
            return error(404, "The resource does not exist.")
        polls = console.reports[id]["polls"]
        return {"id": instance, "status": polls.pop(0) if len(polls) > 1 else polls[0]}

    @app.get("/api/3/reports/<int:id>/history/<int:instance>/output")
    def output(id: int, instance: int) -> Response:
        return Response(gzip.compress(console.reports[id]["output"]), mimetype="application/octet-stream")

    return app


def _output(console: Console, report: dict[str, Any]) -> bytes:
    if report["format"] == "sql-query":
        return console.model.answer(report["query"], report["timezone"])
    return console.xml[report["scope"]["scan"]]
