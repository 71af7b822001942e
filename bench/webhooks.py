"""How many webhooks a second are acknowledged, and that none is lost and none handled twice, whatever is killed.

`python -m bench.webhooks` sends 10,000 webhooks (a tenth of them twice, in no order, half as Cloud and half as Data
Center sends them) from 32 clients to vmjira as the Procfile starts it, while a worker works off what came in and the
tracker, the stand-in, answers in 100 ms. It does so three times: to a floor (the same gunicorn, one SQLite insert a
request and nothing else), undisturbed, and with web server and worker killed (SIGKILL) three times in between;
clients then try again, as Cloud does. `--handler mark` only marks events as done instead of deciding.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from uuid import uuid4

from flask import Flask, request
from sqlalchemy import create_engine, text

from vmjira.bootstrap import Application, configure_logging
from vmjira.flows import queue
from vmjira.flows.operations import new_operation
from vmjira.processes import work
from vmjira.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
SECRET, TOKEN = "for the bench only", "sandbox-token"
WEB, JIRA = 18600, 18601
ISSUES = 500
TARGETS = "p95 under 50 ms, over 300 a second"
FLOOR = "VMJIRA_BENCH_FLOOR"


@dataclass(frozen=True)
class Sent:
    body: bytes
    headers: dict[str, str]


@dataclass
class Outcome:
    seconds: float = 0.0
    cpu: float = 0.0  # seconds that the web server computed
    latencies: list[float] = field(default_factory=list)
    tries: Counter[str] = field(default_factory=Counter)  # by status, or by how the connection failed

    def row(self, name: str) -> str:
        ordered = sorted(self.latencies)
        p50, p95, p99 = (1000 * ordered[int(len(ordered) * share)] for share in (0.5, 0.95, 0.99))
        times = f"p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   p99 {p99:6.1f} ms"
        return f"{name:<8}{self.rate:8.0f}/s   {times}   {1000 * self.cpu / len(ordered):.2f} ms of a core each"

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds


# --- what is sent -----------------------------------------------------------------------------------------------------


def events(count: int, *, run: str) -> list[Sent]:
    """As many different events, and a tenth of them again, shuffled."""
    chance = random.Random(run)
    made = [event(number, run) for number in range(count)]
    every = made + chance.sample(made, count // 10)
    chance.shuffle(every)
    return every


def event(number: int, run: str) -> Sent:
    issue = number % ISSUES
    cloud = number % 2 == 0
    person = {"accountId": "5c5f880629be9642ba529340"} if cloud else {"name": "admin", "key": "admin"}
    body = {
        "timestamp": 1_780_000_000_000 + number,
        "webhookEvent": "jira:issue_updated",
        "issue_event_type_name": "issue_generic",
        "user": {**person, "displayName": "Admin", "active": True},
        "issue": {
            "id": str(10_001 + issue),
            "key": f"VM-{issue + 1}",
            "fields": {
                "status": {"name": "Done", "statusCategory": {"key": "done"}},
                "description": f"{run} " + "|10.1.2.3|host.example.com|3 findings|\n" * 200,
            },
        },
        "changelog": {"id": str(number), "items": [{"field": "status", "fromString": "To Do", "toString": "Done"}]},
    }
    content = json.dumps(body).encode()
    signature = hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Hub-Signature": f"sha256={signature}"}
    return Sent(content, headers | ({"X-Atlassian-Webhook-Identifier": f"{run}-{number}"} if cloud else {}))


def send(sent: list[Sent], clients: int, *, acknowledged: Callable[[int], None] = lambda count: None) -> Outcome:
    """Everything, each until it is acknowledged; `acknowledged` hears how many are."""
    outcome, waiting, lock = Outcome(), SimpleQueue[Sent](), threading.Lock()
    for each in sent:
        waiting.put(each)

    def client() -> None:
        connection = HTTPConnection("127.0.0.1", WEB, timeout=20)
        while True:
            try:
                each = waiting.get_nowait()
            except Empty:
                return
            while (took := attempt(connection, each, outcome.tries)) is None:
                time.sleep(0.1)
            with lock:
                outcome.latencies.append(took)
                count = len(outcome.latencies)
            acknowledged(count)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.seconds = time.perf_counter() - began
    return outcome


def attempt(connection: HTTPConnection, each: Sent, tries: Counter[str]) -> float | None:
    """Seconds until it was acknowledged; None if it was not."""
    began = time.perf_counter()
    try:
        connection.request("POST", "/webhooks/jira", each.body, each.headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException) as error:
        connection.close()
        tries[type(error).__name__] += 1
        return None
    tries[str(answer.status)] += 1
    return time.perf_counter() - began if answer.status == 200 else None


# --- what it is sent to -----------------------------------------------------------------------------------------------


def floor() -> Flask:
    """The least that keeps a delivery: one insert."""
    app, local = Flask("floor"), threading.local()

    def database() -> sqlite3.Connection:
        if not hasattr(local, "connection"):
            local.connection = sqlite3.connect(os.environ[FLOOR], timeout=30, isolation_level=None)
            local.connection.execute("PRAGMA journal_mode = WAL")
            local.connection.execute("CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, body BLOB)")
        return local.connection

    @app.post("/webhooks/jira")
    def take() -> str:
        database().execute("INSERT INTO deliveries VALUES (?, ?)", (uuid4().hex, request.get_data()))
        return "ok"

    return app


class Marking(Application):
    """Marks events as done; what it does besides counts how often each was handled."""

    def _handlers(self) -> dict[str, queue.Attempt]:
        return {**super()._handlers(), queue.REACT: self._mark}

    def _mark(self, delivery_id: str) -> None:
        time.sleep(0.1)  # as long as the tracker takes
        now = datetime.now(UTC)
        with self.store.begin() as unit:
            row = unit.delivery(delivery_id)
            if row and row.state == "queued":
                unit.update_delivery(delivery_id, state="done", decided_at=now)
                unit.add_operations([new_operation("bench", delivery_id, "handled", plan="bench", now=now)])


@contextmanager
def process(command: list[str], environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process group that is killed at the end."""
    started = subprocess.Popen(command, env=environ, cwd=ROOT, start_new_session=True)
    try:
        yield started
    finally:
        kill(started)


def kill(started: subprocess.Popen[bytes]) -> None:
    if started.poll() is None:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def cpu_seconds(started: subprocess.Popen[bytes]) -> float:
    """Of all processes in its session so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            values = stat.read_text().rpartition(")")[2].split()
            ticks += (int(values[11]) + int(values[12])) * (int(values[3]) == started.pid)
    return ticks / os.sysconf("SC_CLK_TCK")


def from_procfile(name: str) -> str:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


def web_command(application: str = "app:app") -> list[str]:
    return ["sh", "-c", "exec " + from_procfile("web").replace("app:app", f"'{application}'")]


def worker_command(handler: str) -> list[str]:
    if handler == "mark":
        return [sys.executable, "-m", "bench.webhooks", "--as-worker"]
    return ["sh", "-c", "exec " + from_procfile("worker")]


def wait_for_web() -> None:
    while True:
        connection = HTTPConnection("127.0.0.1", WEB, timeout=5)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()


class House:
    """Web server and worker, which may be killed and started again."""

    def __init__(self, environ: dict[str, str], handler: str) -> None:
        self._environ, self._handler = environ, handler
        self._stack = ExitStack()
        self.kills = 0
        self.computed = 0.0  # by web servers that were killed

    @property
    def cpu(self) -> float:
        return self.computed + cpu_seconds(self._web) - self._before

    def __enter__(self) -> House:
        self._stack.enter_context(process(worker_command(self._handler), self._environ))
        self._web = self._stack.enter_context(process(web_command(), self._environ))
        wait_for_web()
        self._before = cpu_seconds(self._web)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def kill_and_restart(self) -> None:
        self.computed = self.cpu
        self.__exit__()
        self.kills += 1
        self.__enter__()


# --- what became of it ------------------------------------------------------------------------------------------------


def drained(url: str, prefix: str, *, seconds: float) -> float:
    """Wait until nothing is queued any more; how long that took."""
    engine, began = create_engine(url), time.perf_counter()
    while True:
        with engine.connect() as connection:
            left = connection.scalar(text("SELECT count(*) FROM deliveries WHERE state = 'queued'"))
        took = time.perf_counter() - began
        if not left:
            return took
        if took > seconds:
            raise SystemExit(f"{prefix}: {left} events are still queued after {took:.0f} s")
        time.sleep(0.5)


def verdict(url: str, expected: int) -> str:
    """None lost, none twice: by the rows, and by what was done for each."""
    with create_engine(url).connect() as connection:
        kept = connection.scalar(text("SELECT count(*) FROM deliveries"))
        done = connection.scalar(text("SELECT count(*) FROM deliveries WHERE state <> 'queued'"))
        flows = connection.scalar(text("SELECT count(*) FROM workflow_status WHERE name = 'react'"))
        twice = connection.scalar(
            text("SELECT count(*) FROM (SELECT 1 FROM operations GROUP BY identifier, reason HAVING count(*) > 1)")
        )
    lost = expected - done
    return f"{kept} kept, {flows} queued, {done} handled: {lost} lost, {twice} handled twice"


# --- the runs ---------------------------------------------------------------------------------------------------------


def environment(folder: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("JIRA_", "VMJIRA_"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "VMJIRA_DATA": str(folder / "data"),
        "VMJIRA_RULES": str(ROOT / "rules"),
        "VMJIRA_LISTEN": f"127.0.0.1:{WEB}",
        "VMJIRA_LOG": "error",
        "JIRA_URL": f"http://127.0.0.1:{JIRA}",
        "JIRA_TOKEN": TOKEN,
        "JIRA_WEBHOOK_SECRET": SECRET,
        FLOOR: str(folder / "floor.db"),
    }


def run_floor(folder: Path, count: int, clients: int) -> Outcome:
    folder.mkdir()
    with process(web_command("bench.webhooks:floor()"), environment(folder)) as web:
        wait_for_web()
        before = cpu_seconds(web)
        outcome = send(events(count, run="floor"), clients)
        outcome.cpu = cpu_seconds(web) - before
        return outcome


def run_vmjira(folder: Path, given: argparse.Namespace, *, kills: int) -> Outcome:
    folder.mkdir()
    environ = environment(folder)
    url = load_settings(environ, dotenv=folder / "none").database_url
    application = Application(load_settings(environ, dotenv=folder / "none"))
    assert application.store  # the tables are there before two processes look for them
    sent = events(given.events, run="killed" if kills else "calm")
    with House(environ, given.handler) as house:
        due = [len(sent) * (number + 1) // (kills + 1) for number in range(kills)]
        restarts: list[threading.Thread] = []

        def acknowledged(count: int) -> None:
            if count in due:
                restarts.append(threading.Thread(target=house.kill_and_restart))
                restarts[-1].start()

        outcome = send(sent, given.clients, acknowledged=acknowledged)
        for restart in restarts:
            restart.join()
        outcome.cpu = house.cpu
        took = drained(url, folder.name, seconds=given.patience)
        print(f"  {folder.name}: {dict(outcome.tries)}, killed {house.kills} times; worked off {took:.0f} s later")
    print(f"  {folder.name}: {verdict(url, given.events)}")
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--handler", choices=("react", "mark"), default="react")
    parser.add_argument("--patience", type=float, default=900, help="seconds for the worker to work everything off")
    parser.add_argument("--only", choices=("floor", "calm", "killed"))
    parser.add_argument("--as-worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    configure_logging("error")
    if given.as_worker:
        work(Marking(load_settings()), 8)
        return
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        sandbox = ["sandbox", "--listen", f"127.0.0.1:{JIRA}", "--database", str(folder / "jira.sqlite")]
        stack.enter_context(process([sys.executable, "-m", "vmjira", *sandbox], environment(folder)))
        runs: dict[str, Callable[[], Outcome]] = {
            "floor": lambda: run_floor(folder / "floor", given.events, given.clients),
            "calm": lambda: run_vmjira(folder / "calm", given, kills=0),
            "killed": lambda: run_vmjira(folder / "killed", given, kills=3),
        }
        outcomes = {name: run() for name, run in runs.items() if given.only in (None, name)}
    for name, outcome in outcomes.items():
        print(outcome.row(name))
        if name != "floor" and "floor" in outcomes:
            print(f"{'':<8}{outcome.rate / outcomes['floor'].rate:8.2f} of the floor's rate")
    print(f"targets, undisturbed: {TARGETS}")


if __name__ == "__main__":
    main()
