"""Stand-ins for Nessus and for Tenable Vulnerability Management: their API below /scans, as recordings show it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from werkzeug.wrappers import Request, Response

from tests.sources.stand import Stand, told

CONTENT = b"<?xml version='1.0'?>\n<NessusClientData_v2><Report name='weekly'></Report></NessusClientData_v2>\n"
NOW = int(time.time())
ACCESS, SECRET = "access-1234", "secret-5678"
USER, PASSWORD = "vmjira", "pass-9876"


@dataclass
class History:
    id: int
    uuid: str
    ended: int
    status: str = "completed"
    other: bool = False
    hosts: tuple[str, ...] = ()
    content: bytes = CONTENT


@dataclass
class Scan:
    id: int
    name: str
    runs: list[History] = field(default_factory=list)
    targets: str | None = "10.1.0.0/24"
    folder: int = 3
    type: str = "local"
    imported: str = ""  # uuid of a scan that has no history
    permissions: int = 128
    content: bytes = CONTENT

    @property
    def status(self) -> str:
        return "imported" if self.imported else self.runs[-1].status if self.runs else "empty"


@dataclass
class ScansStand(Stand):
    scans: list[Scan] = field(default_factory=list)
    launches: bool = True
    waits: int = 1  # how often an export is not ready
    exports: dict[str, list[Any]] = field(default_factory=dict)  # file → [scan, run or None, questions]
    numbers: Any = field(default_factory=lambda: count(2))

    def allowed(self, request: Request) -> bool:
        keys = request.headers.get("X-ApiKeys", "")
        return keys == f"accessKey={ACCESS}; secretKey={SECRET}"

    def answer(self, request: Request) -> Response:  # noqa: PLR0911
        path, method = request.path, request.method
        if (found := self.open_to_all(request)) is not None:
            return found
        if not self.allowed(request):
            return told({"error": "Invalid Credentials"}, 401)
        if path == "/scans":
            return told(self.listed())
        if (found := self.further(request)) is not None:
            return found
        match = re.fullmatch(r"/scans/(\d+)(/.*)?", path)
        scan = next((scan for scan in self.scans if match and scan.id == int(match[1])), None)
        if match is None or scan is None:
            return told({"error": "The requested file was not found."}, 404)
        rest = match[2] or ""
        if rest == "":
            return told(self.details(scan, request))
        if rest == "/export" and method == "POST":
            return self.export(scan, request)
        if rest.startswith("/export/"):
            return self.file(*rest.removeprefix("/export/").split("/"))
        if rest == "/launch" and method == "POST":
            return self.launch(scan, request)
        if rest == "/stop" and method == "POST":
            if scan.runs[-1].status != "running":
                return told({"error": "not running"}, 409)
            scan.runs[-1].status = "canceled"
            return told({})
        return told({"error": "The requested file was not found."}, 404)

    def open_to_all(self, request: Request) -> Response | None:
        return None

    def further(self, request: Request) -> Response | None:
        return None

    def listed(self) -> dict[str, Any]:
        folders = [
            {"unread_count": None, "custom": 0, "default_tag": 0, "type": "trash", "name": "Trash", "id": 2},
            {"unread_count": 0, "custom": 0, "default_tag": 1, "type": "main", "name": "My Scans", "id": 3},
        ]
        return {"folders": folders, "scans": [self.row(scan) for scan in self.scans] or None, "timestamp": 1}

    def row(self, scan: Scan) -> dict[str, Any]:
        return {
            "folder_id": scan.folder, "type": scan.type, "read": True, "last_modification_date": 1553945088,
            "creation_date": 1553943579, "status": scan.status, "uuid": "1337-A", "shared": False,
            "user_permissions": scan.permissions, "owner": "vmjira", "timezone": None, "rrules": None,
            "starttime": None, "enabled": False, "control": True, "live_results": 0, "name": scan.name, "id": scan.id,
        }  # fmt: skip

    def details(self, scan: Scan, request: Request) -> dict[str, Any]:
        asked = request.args.get("history_id")
        run = next((run for run in scan.runs if str(run.id) == asked), scan.runs[-1] if scan.runs else None)
        info = {
            "name": scan.name, "status": run.status if run else scan.status, "targets": scan.targets,
            "uuid": run.uuid if run else scan.imported or None, "alt_targets_used": bool(run and run.other),
            "scan_end": run.ended if run else NOW, "object_id": scan.id, "policy": "Basic Network Scan",
        }  # fmt: skip
        hosts = [{"host_id": 2, "hostname": host, "progress": "100-100/200-200"} for host in (run.hosts if run else ())]
        history = [self.past(run) for run in scan.runs] or None
        return {"info": info, "hosts": hosts, "history": history, "vulnerabilities": [], "comphosts": [], "notes": None}

    def past(self, run: History) -> dict[str, Any]:
        return {
            "alt_targets_used": run.other, "scheduler": 0, "schedule_type": "manual", "status": run.status,
            "type": "local", "uuid": run.uuid, "last_modification_date": run.ended, "creation_date": run.ended - 900,
            "owner_id": 19, "history_id": run.id,
        }  # fmt: skip

    def export(self, scan: Scan, request: Request) -> Response:
        asked = request.args.get("history_id")
        run = next((run for run in scan.runs if str(run.id) == asked), None)
        if asked and run is None:
            return told({"error": "The requested file was not found."}, 404)
        file = self.named(scan)
        self.exports[file] = [scan, run, 0]
        return told(self.exported(file))

    def named(self, scan: Scan) -> str:
        return str(next(self.numbers))

    def exported(self, file: str) -> dict[str, Any]:
        return {"token": "164", "file": int(file)}

    def file(self, file: str, what: str) -> Response:
        if file not in self.exports:
            return told({"error": "The requested file was not found."}, 404)
        scan, run, asked = self.exports[file]
        self.exports[file][2] += 1
        if what == "status":
            return told({"status": "ready" if asked >= self.waits else "loading"})
        return Response((run or scan).content, content_type="application/octet-stream")

    def launch(self, scan: Scan, request: Request) -> Response:
        if not self.launches:
            return told({"error": "API is not available"}, 412)
        if scan.runs[-1].status == "running":
            return told({"error": "Scan is already running"}, 409)
        number = max(run.id for run in scan.runs) + 1
        run = History(number, f"44346bcb-4afc-4db0-b283-{number:012d}", NOW, "running", other=True)
        scan.runs.append(run)
        return told({"scan_uuid": run.uuid})


@dataclass
class NessusStand(ScansStand):
    kind: str = "Nessus Manager"
    scan_api: bool | None = None
    tokens: list[str] = field(default_factory=list)
    only_token: bool = False

    def open_to_all(self, request: Request) -> Response | None:
        if request.path == "/session" and request.method == "POST":
            body = self.calls[-1].body
            if body != {"username": USER, "password": PASSWORD}:
                return told({"error": "Invalid Credentials"}, 401)
            self.tokens.append("1337")
            return told({"token": "1337"})
        if request.path == "/session" and request.method == "DELETE":
            self.tokens.remove("1337")
            return Response("")
        return None

    def allowed(self, request: Request) -> bool:
        cookie = request.headers.get("X-Cookie", "").removeprefix("token=")
        return super().allowed(request) or cookie in self.tokens

    def further(self, request: Request) -> Response | None:
        if request.path == "/server/properties":
            features = {} if self.scan_api is None else {"scan_api": self.scan_api}
            return told(
                {"nessus_type": self.kind, "server_version": "10.8.3", "license": {"features": features}, "npv7": 0}
            )
        if match := re.fullmatch(r"/tokens/(\d+)/(status|download)", request.path):
            return self.file(match[1], match[2])
        return None

    def exported(self, file: str) -> dict[str, Any]:
        return {"token": file} if self.only_token else super().exported(file)


@dataclass
class CloudStand(ScansStand):
    """The cloud tells runs page by page, and files have other names."""

    def further(self, request: Request) -> Response | None:
        if not (match := re.fullmatch(r"/scans/(\d+)/history", request.path)):
            return None
        scan = next((scan for scan in self.scans if scan.id == int(match[1])), None)
        if scan is None or scan.imported:
            return told({"error": "Not Found"}, 404)
        offset, limit = int(request.args.get("offset", 0)), int(request.args.get("limit", 50))
        runs = sorted(scan.runs, key=lambda run: run.id, reverse=True)
        page = {"offset": offset, "total": len(runs), "sort": [{"order": "DESC", "name": "start_date"}], "limit": limit}
        rows = [self.cloud_run(run) for run in runs[offset : offset + limit]]
        return told({"pagination": page, "history": rows})

    def cloud_run(self, run: History) -> dict[str, Any]:
        return {
            "time_end": None if run.status == "running" else run.ended, "scan_uuid": run.uuid, "id": run.id,
            "is_archived": False,
            "time_start": run.ended - 900, "visibility": "public", "targets": {"custom": run.other, "default": None},
            "status": run.status,
        }  # fmt: skip

    def named(self, scan: Scan) -> str:
        return f"SSE-{scan.id}-C:{next(self.numbers)}-nessus"

    def exported(self, file: str) -> dict[str, Any]:
        return {"file": file, "temp_token": "1"}
