"""A stand-in for a Qualys platform: scan list, host detections with their continuations, KnowledgeBase; and its faults.

Headers and shapes are those of recorded answers.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

PASSWORD = "qualys-opens"
SCANS, DETECTIONS, KNOWLEDGE = (
    "/api/2.0/fo/scan/", "/api/2.0/fo/asset/host/vm/detection/", "/api/2.0/fo/knowledge_base/vuln/",
)  # fmt: skip
LIMITS = {"X-RateLimit-Limit": "300", "X-RateLimit-Window-Sec": "3600", "X-Concurrency-Limit-Limit": "2",
          "X-Concurrency-Limit-Running": "0", "X-RateLimit-ToWait-Sec": "0",
          "X-RateLimit-Remaining": "295"}  # fmt: skip


@dataclass
class Host:
    id: int
    ip: str
    scanned: str
    detections: list[str] = field(default_factory=list)
    dns: str = ""
    authenticated: str = ""

    def xml(self, *, igs: bool, status: str) -> str:
        shown = [each for each in self.detections if igs or "<TYPE>Info</TYPE>" not in each]
        shown = [each for each in shown if "Fixed" in status or "<STATUS>Fixed</STATUS>" not in each]
        if not shown:
            return ""  # as Qualys does: no detections, no host
        auth = f"<LAST_VM_AUTH_SCANNED_DATE>{self.authenticated}</LAST_VM_AUTH_SCANNED_DATE>"
        return (
            f"<HOST><ID>{self.id}</ID><IP>{self.ip}</IP><TRACKING_METHOD>IP</TRACKING_METHOD>"
            f"<OS><![CDATA[Windows 11]]></OS><DNS><![CDATA[{self.dns}]]></DNS>"
            f"<LAST_VM_SCANNED_DATE>{self.scanned}</LAST_VM_SCANNED_DATE>{auth if self.authenticated else ''}"
            f"<DETECTION_LIST>{''.join(shown)}</DETECTION_LIST></HOST>"
        )


def detection(
    qid: int, severity: int = 5, *, status: str = "Active", kind: str = "Confirmed", port: str = "445"
) -> str:
    return (
        f"<DETECTION><QID>{qid}</QID><TYPE>{kind}</TYPE><SEVERITY>{severity}</SEVERITY><PORT>{port}</PORT>"
        f"<PROTOCOL>tcp</PROTOCOL><RESULTS><![CDATA[missing <KB> & more]]></RESULTS><STATUS>{status}</STATUS>"
        "<IS_IGNORED>0</IS_IGNORED><IS_DISABLED>0</IS_DISABLED></DETECTION>"
    )


def scan(
    reference: str, title: str = "Weekly Boston", *, state: str = "Finished", processed: int = 1, sub: str = "",
    launched: str = "2026-06-05T08:00:00Z", duration: str = "02:00:00", target: str = "10.1.2.1-10.1.2.254",
) -> str:  # fmt: skip
    return (
        f"<SCAN><REF>{reference}</REF><TYPE>Scheduled</TYPE><TITLE><![CDATA[{title}]]></TITLE>"
        f"<USER_LOGIN>acme_ab</USER_LOGIN><LAUNCH_DATETIME>{launched}</LAUNCH_DATETIME><DURATION>{duration}</DURATION>"
        f"<PROCESSED>{processed}</PROCESSED><STATUS><STATE>{state}</STATE><SUB_STATE>{sub}</SUB_STATE></STATUS>"
        f"<TARGET><![CDATA[{target}]]></TARGET></SCAN>"
    )


def known(qid: int, title: str, *, exploit: str = "") -> str:
    exploits = (
        "<CORRELATION><EXPLOITS><EXPLT_SRC><SRC_NAME>Metasploit</SRC_NAME><EXPLT_LIST><EXPLT><REF>CVE-2025-1</REF>"
        f"<DESC><![CDATA[{exploit}]]></DESC></EXPLT></EXPLT_LIST></EXPLT_SRC></EXPLOITS></CORRELATION>"
    )
    return (
        f"<VULN><QID>{qid}</QID><VULN_TYPE>Vulnerability</VULN_TYPE><SEVERITY_LEVEL>5</SEVERITY_LEVEL>"
        f"<TITLE><![CDATA[{title}]]></TITLE><CATEGORY>Windows</CATEGORY><PATCHABLE>1</PATCHABLE>"
        "<CVE_LIST><CVE><ID><![CDATA[CVE-2025-47981]]></ID></CVE></CVE_LIST>"
        "<DIAGNOSIS><![CDATA[An update is missing.<P>]]></DIAGNOSIS><SOLUTION><![CDATA[Install it.]]></SOLUTION>"
        f"<CVSS><BASE>7.5</BASE></CVSS><CVSS_V3><BASE>9.8</BASE></CVSS_V3>{exploits if exploit else ''}</VULN>"
    )


class Qualys:
    """What one subscription holds. `faults`: path → what to do instead of the answer."""

    def __init__(self) -> None:
        self.scans: list[str] = []
        self.hosts: list[Host] = []
        self.known: dict[int, str] = {}
        self.raw: dict[str, bytes] = {}  # path → an answer of a real platform
        self.faults: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.address = ""

    def calls(self, path: str) -> list[dict[str, str]]:
        return [asked for _, called, asked in self.asked if called == path]

    def answer(self, path: str, asked: dict[str, str]) -> str:
        if path == SCANS:
            found = [each for each in self.scans if asked.get("scan_ref", "") in each]
            return document("SCAN_LIST_OUTPUT", f"<SCAN_LIST>{''.join(found)}</SCAN_LIST>")
        if path == KNOWLEDGE:
            found = [self.known[int(qid)] for qid in asked["ids"].split(",") if int(qid) in self.known]
            return document("KNOWLEDGE_BASE_VULN_LIST_OUTPUT", f"<VULN_LIST>{''.join(found)}</VULN_LIST>")
        return self._detections(asked)

    def _detections(self, asked: dict[str, str]) -> str:
        start, limit = int(asked.get("id_min", "0")), int(asked.get("truncation_limit", "1000"))
        found = [
            host for host in self.hosts
            if host.id >= start and host.scanned >= asked.get("vm_scan_since", "")
        ]  # fmt: skip
        page, rest = found[:limit], found[limit:]
        igs, status = asked.get("show_igs") == "1", asked.get("status", "New,Active,Re-Opened")
        told = "".join(host.xml(igs=igs, status=status) for host in page)
        more = ""
        if rest:
            kept = "&".join(f"{key}={value}" for key, value in asked.items() if key != "id_min")
            url = f"{self.address}{DETECTIONS}?{kept}&id_min={rest[0].id}"
            said = f"<CODE>1980</CODE><TEXT>{limit} record limit exceeded.</TEXT><URL><![CDATA[{url}]]></URL>"
            more = f"<WARNING>{said}</WARNING>"
        return document("HOST_LIST_VM_DETECTION_OUTPUT", (f"<HOST_LIST>{told}</HOST_LIST>" if told else "") + more)


def document(root: str, inside: str) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE {root} SYSTEM "https://qualysapi.example.com/{root.lower()}'
        f'.dtd">\n<!-- This report was generated with an evaluation version of Qualys //-->\n<{root}>\n'
        f"<RESPONSE><DATETIME>2026-06-05T12:00:00Z</DATETIME>{inside}</RESPONSE>\n</{root}>\n"
    )


def simple(code: int, text: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8" ?><!DOCTYPE SIMPLE_RETURN SYSTEM "https://x/simple_return.dtd">'
        f"<SIMPLE_RETURN><RESPONSE><DATETIME>2026-06-05T12:00:00Z</DATETIME><CODE>{code}</CODE>"
        f"<TEXT>{escape(text)}</TEXT></RESPONSE></SIMPLE_RETURN>"
    )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    qualys: Qualys

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self._called(parts.path, dict(parse_qsl(parts.query)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        self._called(self.path, dict(parse_qsl(body)))

    def _called(self, path: str, asked: dict[str, str]) -> None:
        self.qualys.asked.append((self.command, path, asked))
        if fault := self.qualys.faults.get(path):
            return fault(self)
        expected = "Basic " + base64.b64encode(f"acme:{PASSWORD}".encode()).decode()
        if not self.headers.get("X-Requested-With"):
            return self.reply(400, simple(1999, "Missing X-Requested-With header"))
        if self.headers.get("Authorization") != expected:
            return self.reply(401, simple(2000, "Bad Login/Password"))
        if path in self.qualys.raw:
            return self.reply(200, self.qualys.raw[path])
        return self.reply(200, self.qualys.answer(path, asked))

    def reply(self, status: int, text: str | bytes, **headers: str) -> None:
        body = text if isinstance(text, bytes) else text.encode()
        self.send_response(status)
        for name, value in (LIMITS | {"Content-Type": "application/xml"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(qualys: Qualys) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"qualys": qualys}))
    server.daemon_threads = True
    qualys.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server
