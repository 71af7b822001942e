"""A stand-in for gvmd: answers the commands that we use, over real TLS, SSH and sockets, and fails on demand.

Answers follow the examples in GMP's own description and the code of gvmd; `schema.py` holds the commands against it.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from lxml import etree

PASSWORD = "opens-every-door"
CONFIG, SCANNER = "daba56c8-73ec-11df-a475-002264764cea", "08b69003-5fc2-4037-a479-93b440211c73"


def new() -> str:
    return str(uuid.uuid4())


@dataclass
class Report:
    task: str
    status: str = "Done"
    end: str = "2026-06-05T10:00:00Z"
    hosts: dict[str, str] = field(default_factory=dict)  # address → its end
    results: list[str] = field(default_factory=list)
    errors: str = ""
    raw: str = ""  # a whole inner report, as a real gvmd wrote it
    id: str = field(default_factory=new)


@dataclass
class Target:
    name: str
    hosts: str
    exclude: str = ""
    comment: str = ""
    like: str = ""
    id: str = field(default_factory=new)


@dataclass
class Task:
    name: str
    target: str
    comment: str = ""
    status: str = "Done"
    config: str = CONFIG
    scanner: str = SCANNER
    preferences: dict[str, str] = field(default_factory=dict)
    id: str = field(default_factory=new)


def result(
    host: str, oid: str = "1.3.6.1.4.1.25623.1.0.836484", *, severity: float = 9.8, port: str = "445/tcp",
    name: str = "Windows update (KB5062557)", description: str = "build 1",
) -> str:  # fmt: skip
    return (
        f'<result id="{new()}"><name>{escape(name)}</name><host>{host}<asset asset_id="{new()}"/>'
        f"<hostname>pc.example.com</hostname></host><port>{port}</port>"
        f'<nvt oid="{oid}"><type>nvt</type><name>{escape(name)}</name><family>Windows : Microsoft Bulletins</family>'
        f'<cvss_base>{severity}</cvss_base><severities score="{severity}"/><tags>summary=An update is missing.</tags>'
        f'<refs><ref type="cve" id="CVE-2025-47981"/></refs></nvt><threat>High</threat><severity>{severity}</severity>'
        f"<qod><value>97</value><type>package</type></qod><description>{escape(description)}</description></result>"
    )


class Gvmd:
    """What one gvmd knows. `faults`: command → what to do instead; `heard`: every command, as it came."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.targets: dict[str, Target] = {}
        self.reports: dict[str, Report] = {}
        self.faults: dict[str, Callable[[Conversation], bool]] = {}
        self.heard: list[etree._Element] = []
        self.version = "22.6"
        self.pages = False  # answers get_reports with at most 10 results, whatever it is asked
        self.result_hosts_only = False  # leaves out hosts without results, whatever it is asked
        self.may = "AUTHENTICATE GET_TASKS GET_REPORTS CREATE_TARGET MODIFY_TARGET CREATE_TASK START_TASK STOP_TASK " \
                   "DELETE_TASK DELETE_TARGET"  # fmt: skip

    def scans(self, name: str, hosts: str, *reports: Report, exclude: str = "") -> Task:
        target = Target(f"target of {name}", hosts, exclude)
        task = Task(name, target.id, preferences={"max_checks": "4", "max_hosts": "20"})
        self.targets[target.id], self.tasks[task.id] = target, task
        for report in reports:
            report.task = task.id
            self.reports[report.id] = report
        return task

    def commands(self, name: str) -> list[etree._Element]:
        return [command for command in self.heard if command.tag == name]

    def answer(self, command: etree._Element) -> str:
        self.heard.append(command)
        known = getattr(self, f"on_{command.tag}", None)
        return known(command) if known else refusal(command.tag, "400", "Bogus command name")

    # --- commands -----------------------------------------------------------------------------------------------------

    def on_get_version(self, _: etree._Element) -> str:
        return done("get_version", f"<version>{self.version}</version>")

    def on_help(self, _: etree._Element) -> str:
        return done("help", "\n".join(f"    {name:<20} Do it." for name in self.may.split()))

    def on_get_tasks(self, command: etree._Element) -> str:
        id = command.get("task_id")
        if id and id not in self.tasks:
            return refusal("get_tasks", "404", f"Failed to find task '{id}'")
        found = [self.tasks[id]] if id else list(self.tasks.values())
        count = f"<task_count>{len(self.tasks)}<filtered>{len(found)}</filtered><page>{len(found)}</page></task_count>"
        return done("get_tasks", f"<apply_overrides>0</apply_overrides>{''.join(map(self._task, found))}{count}")

    def _task(self, task: Task) -> str:
        runs = [report for report in self.reports.values() if report.task == task.id]
        last = next((run for run in reversed(runs) if run.status == "Done"), None)
        current = next((run for run in reversed(runs) if run.status != "Done"), None)
        preferences = "".join(
            f"<preference><name>N</name><scanner_name>{name}</scanner_name><value>{value}</value></preference>"
            for name, value in task.preferences.items()
        )
        return (
            f'<task id="{task.id}"><owner><name>admin</name></owner><name>{escape(task.name)}</name>'
            f"<comment>{task.comment}</comment><usage_type>scan</usage_type>"
            f'<config id="{task.config}"><name>Full and fast</name></config><target id="{task.target}"/>'
            f'<scanner id="{task.scanner}"><name>OpenVAS Default</name><type>2</type></scanner>'
            f"<status>{task.status}</status><report_count>{len(runs)}</report_count>"
            + (f'<current_report><report id="{current.id}"/></current_report>' if current else "")
            + (f'<last_report><report id="{last.id}"><scan_end>{last.end}</scan_end></report></last_report>'
               if last else "")
            + f"<preferences>{preferences}</preferences></task>"
        )  # fmt: skip

    def on_get_reports(self, command: etree._Element) -> str:
        id = command.get("report_id")
        if id and id not in self.reports:
            return refusal("get_reports", "404", f"Failed to find report '{id}'")
        if id:
            return done("get_reports", self._report(self.reports[id], command))
        terms = dict(term.partition("=")[::2] for term in (command.get("report_filter") or "").split())
        found = [report for report in self.reports.values() if report.task == terms.get("task_id", report.task)]
        found.sort(key=lambda report: report.end, reverse="sort-reverse" in terms)
        page = found[: int(terms["rows"])] if int(terms.get("rows", "10")) > 0 else found
        told = "".join(self._report(report, command) for report in page)
        count = (
            f"<report_count>{len(self.reports)}<filtered>{len(found)}</filtered><page>{len(page)}</page></report_count>"
        )
        return done("get_reports", told + count)

    def _report(self, report: Report, command: etree._Element) -> str:
        task = self.tasks[report.task]
        inner = report.raw or self._inner(report, command, command.get("details", "1") != "0")
        return (
            f'<report id="{report.id}" format_id="" extension="" content_type="application/xml">'
            f"<owner><name>admin</name></owner><name>{report.end}</name><comment/>"
            f'<task id="{task.id}"><name>{escape(task.name)}</name></task>{inner}</report>'
        )

    def _inner(self, report: Report, command: etree._Element, details: bool) -> str:
        terms = command.get("filter") or "apply_overrides=0 min_qod=70 first=1 rows=10 sort=name"
        results = report.results[:10] if self.pages else report.results
        with_results = {etree.fromstring(each).findtext("host").strip() for each in report.results}  # type: ignore[union-attr]
        hosts = {
            host: end
            for host, end in report.hosts.items()
            if host in with_results or ("result_hosts_only=0" in terms and not self.result_hosts_only)
        }
        inside = (
            f'<results start="1" max="{10 if self.pages else -1}">{"".join(results)}</results>'
            + "".join(
                f'<host><ip>{host}</ip><asset asset_id="{new()}"/><start>2026-06-05T08:00:00Z</start><end>{end}</end>'
                "<detail><name>best_os_txt</name><value>Windows 11</value></detail></host>"
                for host, end in hosts.items()
            )
            if details
            else ""
        )
        count = len(report.results)
        return (
            f'<report id="{report.id}"><gmp><version>{self.version}</version></gmp>'
            f'<filters id=""><term>{terms}</term></filters><scan_run_status>{report.status}</scan_run_status>'
            f"<hosts><count>{len(report.hosts)}</count></hosts><scan_start>2026-06-05T08:00:00Z</scan_start>"
            f"<result_count>{count}<full>{count}</full><filtered>{count}</filtered></result_count>"
            f"{inside}<scan_end>{report.end if report.status == 'Done' else ''}</scan_end>"
            f"<errors><count>0</count>{report.errors}</errors></report>"
        )

    def on_get_targets(self, command: etree._Element) -> str:
        id = command.get("target_id")
        if id and id not in self.targets:
            return refusal("get_targets", "404", f"Failed to find target '{id}'")
        used = {task.target for task in self.tasks.values()}
        told = "".join(
            f'<target id="{target.id}"><name>{escape(target.name)}</name><comment>{target.comment}</comment>'
            f"<in_use>{int(target.id in used)}</in_use>"
            f"<hosts>{target.hosts}</hosts><exclude_hosts>{target.exclude}</exclude_hosts></target>"
            for target in self.targets.values()
            if id in (None, target.id)
        )
        return done("get_targets", told)

    def on_create_target(self, command: etree._Element) -> str:
        like = self.targets[command.findtext("copy") or ""]
        target = Target(f"{like.name} Clone 1", like.hosts, like.exclude, like=like.id)
        self.targets[target.id] = target
        return made("create_target", target.id)

    def on_modify_target(self, command: etree._Element) -> str:
        target = self.targets[command.get("target_id", "")]
        if command.find("hosts") is not None and command.find("exclude_hosts") is None:
            return refusal("modify_target", "400", "hosts requires an exclude_hosts")
        target.hosts = command.findtext("hosts") or target.hosts
        target.exclude = command.findtext("exclude_hosts") or ""
        target.name, target.comment = command.findtext("name") or "", command.findtext("comment") or ""
        return done("modify_target")

    def on_create_task(self, command: etree._Element) -> str:
        ids = {name: command.find(name).get("id", "") for name in ("config", "target", "scanner")}  # type: ignore[union-attr]
        preferences = {
            each.findtext("scanner_name") or "": each.findtext("value") or ""
            for each in command.iterfind("preferences/preference")
        }
        task = Task(
            command.findtext("name") or "", ids["target"], command.findtext("comment") or "", "New",
            ids["config"], ids["scanner"], preferences,
        )  # fmt: skip
        self.tasks[task.id] = task
        return made("create_task", task.id)

    def on_start_task(self, command: etree._Element) -> str:
        task = self.tasks[command.get("task_id", "")]
        report = Report(task.id, "Requested", "")
        self.reports[report.id] = report
        task.status = "Requested"
        text = f"<report_id>{report.id}</report_id>"
        return f'<start_task_response status="202" status_text="OK, request submitted">{text}</start_task_response>'

    def on_stop_task(self, command: etree._Element) -> str:
        return (
            done("stop_task") if command.get("task_id") in self.tasks else refusal("stop_task", "404", "No such task")
        )

    def on_delete_task(self, command: etree._Element) -> str:
        if not self.tasks.pop(command.get("task_id", ""), None):
            return refusal("delete_task", "404", "Failed to find task")
        self.reports = {id: report for id, report in self.reports.items() if report.task in self.tasks}
        return done("delete_task")

    def on_delete_target(self, command: etree._Element) -> str:
        id = command.get("target_id", "")
        if id in {task.target for task in self.tasks.values()}:
            return refusal("delete_target", "400", "Target is in use")
        return (
            done("delete_target") if self.targets.pop(id, None) else refusal("delete_target", "404", "No such target")
        )


def done(command: str, inside: str = "") -> str:
    return f'<{command}_response status="200" status_text="OK">{inside}</{command}_response>'


def made(command: str, id: str) -> str:
    return f'<{command}_response status="201" status_text="OK, resource created" id="{id}"/>'


def refusal(command: str, status: str, text: str) -> str:
    return f'<{command}_response status="{status}" status_text="{escape(text)}"/>'


class Conversation:
    """One connection: `receive` and `send` are those of its transport."""

    def __init__(self, gvmd: Gvmd, receive: Callable[[int], bytes], send: Callable[[bytes], object]) -> None:
        self.gvmd, self.receive, self.send = gvmd, receive, send
        self.user: str | None = None
        self.ended = threading.Event()

    def hold(self) -> None:
        while not self.ended.is_set():
            while (command := self._command()) is not None and self._answer(command):
                pass
            return

    def _answer(self, command: etree._Element) -> bool:
        fault = self.gvmd.faults.get(command.tag)
        if fault is not None:
            self.gvmd.heard.append(command)
            return fault(self)
        if command.tag == "authenticate":
            self.gvmd.heard.append(command)
            good = command.findtext("credentials/password") == PASSWORD
            self.user = command.findtext("credentials/username") if good else None
            text = done("authenticate", "<role>User</role><timezone>UTC</timezone>")
            self.send((text if good else refusal("authenticate", "400", "Authentication failed")).encode())
        elif self.user is None and command.tag != "get_version":
            self.send(refusal(command.tag, "400", "Only command GET_VERSION is allowed before AUTHENTICATE").encode())
        else:
            self.send(self.gvmd.answer(command).encode())
        return True

    def _command(self) -> etree._Element | None:
        parser = etree.XMLPullParser(events=("start", "end"))
        depth = 0
        while data := self.receive(4096):
            parser.feed(data)
            for event, element in parser.read_events():
                depth += 1 if event == "start" else -1
                if depth == 0:
                    return element
        return None


def serve(gvmd: Gvmd, address: str | tuple[str, int], context: ssl.SSLContext | None = None) -> socketserver.BaseServer:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                line: socket.socket = self.request
                if context is not None:
                    line = context.wrap_socket(self.request, server_side=True)
                Conversation(gvmd, line.recv, line.sendall).hold()
                line.close()
            except OSError:
                return

    kind = socketserver.ThreadingUnixStreamServer if isinstance(address, str) else socketserver.ThreadingTCPServer
    server = kind(address, Handler)  # type: ignore[arg-type]
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


def certificate(folder: Path, name: str = "localhost") -> Path:
    """Key and certificate of its own authority in one file."""
    import datetime as time

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = time.datetime.now(time.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - time.timedelta(days=1)).not_valid_after(now + time.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file
