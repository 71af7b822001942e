"""`make demo`: the whole product on loopback, with a stand-in for Jira and a made-up campaign."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time as clock
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from rich.table import Table
from rich.text import Text

from vmjira.bootstrap import Application, configure_logging
from vmjira.demo_people import People
from vmjira.errors import VmjiraError
from vmjira.flows.ingest import ingest
from vmjira.flows.present import all_tickets
from vmjira.flows.waiting import wait_until_delivered
from vmjira.processes import gunicorn
from vmjira.sandbox import wsgi
from vmjira.sandbox.campaign import story, write_campaign
from vmjira.settings import NAMES, load_settings
from vmjira.terminal import Terminal

OFFICES = 3
Process = subprocess.Popen[bytes]
out = Terminal()


def run(folder: Path, *, weeks: int, once: bool) -> None:
    """Play the campaign week by week; then stay up until interrupted, unless `once`."""
    if not Path("Procfile").is_file() or not Path("rules").is_dir():
        raise VmjiraError("the demo needs Procfile and rules/ of the project: run it in the project's folder")
    web, jira = _free_port(8600), _free_port(8601)
    environ = _environment(folder, web, jira)
    settings = load_settings(environ, dotenv=Path(os.devnull))
    configure_logging("warning")
    app = Application(settings)
    began = clock.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the processes below end with this one
    with ExitStack() as stack:
        stack.enter_context(_sandbox(jira, folder, environ))
        assert app.outside  # the tables are there before two processes look for them
        running = stack.enter_context(_processes(environ))
        start = _start(weeks)

        def deliver() -> list[str]:
            return wait_until_delivered(app.store, lambda done, total: _check(running))

        files = write_campaign(folder / "scans", weeks=weeks, start=start)
        _wait_for(f"http://127.0.0.1:{jira}/rest/api/2/serverInfo")
        _wait_for(f"http://127.0.0.1:{web}/healthz")
        _sandbox_call(jira, "POST", "webhooks", _webhook(web, environ))
        first = None
        people = People(app, jira, folder, start, deliver)
        for week, line in enumerate(story(weeks)):
            out.print(Text.assemble((f"Week {week + 1}", "bold"), f" {line}"))
            saturday = datetime.combine(start + timedelta(weeks=week, days=5), time(12), UTC)
            _sandbox_call(jira, "PUT", "clock", {"now": saturday.isoformat()})
            with app.reader() as read:
                report = ingest(app.outside, files[week * OFFICES : (week + 1) * OFFICES], read, app.load_rules)
            said = deliver()
            first = first or clock.monotonic() - began
            tickets = all_tickets(app.store)
            out.print(
                f"    {len(report.operations)} operations planned and delivered; {len(tickets)} tickets, "
                f"{sum(each['verified'] for each in tickets)} of them verified as fixed"
            )
            for problem in said + people.act(week):
                out.print(f"    {problem}", style="yellow")
        _where_to_look(app, web, jira, first or 0.0, folder)
        if not once:
            out.print("\nCtrl-C stops it.")
            _until_interrupted()


def _start(weeks: int) -> date:
    """The Monday with which the campaign has to begin to end last week: what is overdue then is so in earnest."""
    today = datetime.now(UTC).date()
    return today - timedelta(days=today.weekday(), weeks=weeks)


def _webhook(web: int, environ: dict[str, str]) -> dict[str, object]:
    events = ["jira:issue_updated", "jira:issue_deleted"]
    url = f"http://127.0.0.1:{web}/webhooks/jira"
    return {"name": "vmjira", "url": url, "events": events, "jql": "", "secret": environ["JIRA_WEBHOOK_SECRET"]}


def _sandbox_call(jira: int, method: str, path: str, body: dict[str, object]) -> None:
    url, kind = f"http://127.0.0.1:{jira}/sandbox/{path}", {"Content-Type": "application/json"}
    urlopen(Request(url, json.dumps(body).encode(), kind, method=method), timeout=10).close()


def _where_to_look(app: Application, web: int, jira: int, first: float, folder: Path) -> None:
    tickets = all_tickets(app.store)
    table = Table(title="Where to look", show_header=False, title_justify="left")
    table.add_row("Jira stand-in: the board", f"http://127.0.0.1:{jira}/")
    for each in tickets[-3:]:
        table.add_row(f"a ticket: {each['title'][:60]}", f"http://127.0.0.1:{jira}/browse/{each['key']}")
    table.add_row("vmjira: tickets and numbers", f"http://127.0.0.1:{web}/")
    table.add_row("vmjira: what was done and why", f"http://127.0.0.1:{web}/operations")
    table.add_row("the scan files", str(folder / "scans"))
    out.print(table)
    out.print(f"{len(tickets)} tickets; the first week's were there after {first:.1f} s")


def _environment(folder: Path, web: int, jira: int) -> dict[str, str]:
    """Every setting is given, empty where unused: nothing of a real Jira in `.env` may leak into the demo."""
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(24)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("JIRA_", "VMJIRA_"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        **dict.fromkeys(NAMES, ""),
        "VMJIRA_DATA": str((folder / "data").resolve()),
        "VMJIRA_RULES": str(_rules(folder)),
        "VMJIRA_LISTEN": f"127.0.0.1:{web}",
        "VMJIRA_LOG": "warning",
        "JIRA_URL": f"http://127.0.0.1:{jira}",
        "JIRA_TOKEN": token,
        "JIRA_WEBHOOK_SECRET": secrets.token_urlsafe(24),
        wsgi.TOKEN: token,
    }


def _rules(folder: Path) -> Path:
    """The project's rules; only the pace is that of a stand-in, which nobody else has to share."""
    copy = shutil.copytree("rules", folder / "rules", dirs_exist_ok=True)
    policy = copy / "policy.yaml"
    quick = re.sub(r"^calls_per_second:.*$", "calls_per_second: 100", policy.read_text("utf-8"), flags=re.MULTILINE)
    policy.write_text(quick, "utf-8")
    return copy.resolve()


@contextmanager
def _sandbox(port: int, folder: Path, environ: dict[str, str]) -> Iterator[None]:
    environ = {**environ, wsgi.DATABASE: str(folder / "sandbox.sqlite"), wsgi.FLAVOUR: "datacenter"}
    with _process(gunicorn(f"127.0.0.1:{port}", wsgi.SANDBOX), environ):
        yield


@contextmanager
def _processes(environ: dict[str, str]) -> Iterator[Process]:
    """Web server and worker, as the Procfile says; when one ends, so does the other."""
    with _process([sys.executable, "-m", "honcho", "-e", os.devnull, "start"], environ) as process:
        yield process


def _check(process: Process) -> None:
    if process.poll() is not None:
        raise VmjiraError("the web server or the worker has ended; `make run` would show why")


@contextmanager
def _process(command: list[str], environ: dict[str, str]) -> Iterator[Process]:
    process = subprocess.Popen(command, env=environ, start_new_session=True, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _wait_for(url: str, *, seconds: float = 60.0) -> None:
    end = clock.monotonic() + seconds
    while True:
        try:
            urlopen(url, timeout=2).close()  # noqa: S310  loopback
        except (URLError, OSError):
            if clock.monotonic() > end:
                raise VmjiraError(f"{url} did not answer within {seconds:.0f} s; see the messages above") from None
            clock.sleep(0.1)
        else:
            return


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise VmjiraError("no free port on 127.0.0.1")


def _until_interrupted() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        out.print("stopping")
