"""How many webhooks a second are acknowledged, and that none is lost and none handled twice, whatever is killed.

`python -m bench.webhooks` plays a week of a made-up campaign, closes every second ticket of it, and tells vmjira, as
the Procfile starts it, in 10,000 webhooks from 32 clients (a tenth of them twice, in no order, half of them as Cloud
and half as Data Center sends them). Meanwhile a worker works them off, and the tracker, the stand-in, takes 100 ms for
every answer. It does so three times: to a floor (the same gunicorn, one SQLite insert a request and nothing else),
undisturbed, and with web server and worker killed (SIGKILL) three times in between; clients then try again, as Cloud
does. None lost: every event was decided upon, and every closed ticket has a comment that says so. None twice: it has
only one.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from uuid import uuid4

from flask import Flask, request

from vmjira.bootstrap import Application, configure_logging
from vmjira.flows.ingest import ingest
from vmjira.flows.rules import rules_in_force
from vmjira.flows.waiting import wait_until_delivered
from vmjira.sandbox.campaign import write_campaign
from vmjira.settings import load_settings
from vmjira.trackers import jira

ROOT = Path(__file__).resolve().parents[1]
SECRET, TOKEN = "for the bench only", "sandbox-token"
WEB, JIRA = 18600, 18601
ADMIN = "sandbox-admin-token"
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


def events(count: int, issues: Sequence[tuple[str, str]], *, run: str) -> list[Sent]:
    """As many different events, and a tenth of them again, shuffled. `issues`: id and key of each."""
    chance = random.Random(run)
    made = [event(number, issues[number % len(issues)], run) for number in range(count)]
    every = made + chance.sample(made, count // 10)
    chance.shuffle(every)
    return every


def event(number: int, issue: tuple[str, str], run: str) -> Sent:
    cloud = number % 2 == 0
    person = {"accountId": "5c5f880629be9642ba529340"} if cloud else {"name": "admin", "key": "admin"}
    body = {
        "timestamp": 1_780_000_000_000 + number,
        "webhookEvent": "jira:issue_updated",
        "issue_event_type_name": "issue_generic",
        "user": {**person, "displayName": "Admin", "active": True},
        "issue": {
            "id": issue[0],
            "key": issue[1],
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


def command_of(name: str, application: str = "app:app") -> list[str]:
    return ["sh", "-c", "exec " + from_procfile(name).replace("app:app", f"'{application}'")]


def wait_for_web(port: int = WEB, path: str = "/healthz") -> None:
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()


class House:
    """Web server and worker, which may be killed and started again."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ
        self._stack = ExitStack()
        self.kills = 0
        self.computed = 0.0  # by web servers that were killed

    @property
    def cpu(self) -> float:
        return self.computed + cpu_seconds(self._web) - self._before

    def __enter__(self) -> House:
        self._stack.enter_context(process(command_of("worker"), self._environ))
        self._web = self._stack.enter_context(process(command_of("web"), self._environ))
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


# --- the tickets ------------------------------------------------------------------------------------------------------


class Tickets:
    """Those of a week of the campaign; every second one is closed by an administrator."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        shutil.copytree(ROOT / "rules", folder / "rules")
        policy = folder / "rules" / "policy.yaml"
        policy.write_text(re.sub("calls_per_second: .*", "calls_per_second: 100", policy.read_text()))
        self.app = Application(load_settings(environ, dotenv=folder / "none"))
        with self.app.reader() as read:
            ingest(self.app.outside, write_campaign(folder / "scans", weeks=1), read, self.app.load_rules)
        with self.app.worker():
            wait_until_delivered(self.app.store, lambda done, total: None)
            with self.app.store.reading() as unit:
                self.rows = unit.tickets()
        admin = jira.connect(
            jira.JiraSettings(url=self.app.settings.jira_url, token=jira.Secret(ADMIN)), calls_per_second=lambda: 100
        )()
        rules = rules_in_force(self.app.outside).policy.ticket
        rules = replace(rules, transition_fields={"resolution": {"name": "Done"}})
        self.closed = [row.key or "" for row in self.rows[::2]]
        for key in self.closed:
            admin.transition(key, "close", rules)
        self._before = self._comments()

    @property
    def issues(self) -> list[tuple[str, str]]:
        return [(row.issue_id or "", row.key or "") for row in self.rows]

    def _comments(self) -> Counter[str]:
        tracker = self.app.tracker()
        return Counter({row.key or "": len(tracker.comments(row.key or "")) for row in self.rows})

    def queued(self) -> int:
        with self.app.store.reading() as unit:
            return len(unit.deliveries("queued", limit=1_000_000)) + unit.count_operations("queued")

    def verdict(self, expected: int) -> str:
        with self.app.store.reading() as unit:
            states = Counter(row.state for row in unit.deliveries(limit=1_000_000))
            for words in {row.answer for row in unit.deliveries("failed", limit=10)}:
                print(f"  failed: {words}")
        told = {key: count - self._before[key] for key, count in self._comments().items()}
        lost = expected - states["done"] + sum(not told[key] for key in self.closed)
        twice = sum(count > (key in self.closed) for key, count in told.items())
        closed = f"{len(self.closed)} of {len(told)} tickets were closed, {sum(told.values())} comments"
        return f"events {dict(states)}; {closed}: {lost} lost, {twice} handled twice"


# --- the runs ---------------------------------------------------------------------------------------------------------


def environment(folder: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("JIRA_", "VMJIRA_"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(ROOT),  # this checkout, whichever is installed
        "VMJIRA_DATA": str(folder / "data"),
        "VMJIRA_RULES": str(folder / "rules"),
        "VMJIRA_LISTEN": f"127.0.0.1:{WEB}",
        "VMJIRA_LOG": "error",
        "JIRA_URL": f"http://127.0.0.1:{JIRA}",
        "JIRA_TOKEN": TOKEN,
        "JIRA_WEBHOOK_SECRET": SECRET,
        FLOOR: str(folder / "floor.db"),
    }


def run_floor(folder: Path, given: argparse.Namespace) -> Outcome:
    folder.mkdir()
    with process(command_of("web", "bench.webhooks:floor()"), environment(folder)) as web:
        wait_for_web()
        before = cpu_seconds(web)
        outcome = send(events(given.events, [("1", "VM-1")], run="floor"), given.clients)
        outcome.cpu = cpu_seconds(web) - before
        return outcome


def run_vmjira(folder: Path, given: argparse.Namespace, *, kills: int) -> Outcome:
    folder.mkdir()
    environ = environment(folder)
    with sandbox(folder, environ):
        tickets = Tickets(folder, environ)
        slow_down()
        sent = events(given.events, tickets.issues, run=folder.name)
        with House(environ) as house:
            outcome = send(sent, given.clients, acknowledged=Killer(house, len(sent), kills))
            outcome.cpu = house.cpu
            began = time.perf_counter()
            while left := tickets.queued():
                if time.perf_counter() - began > given.patience:
                    raise SystemExit(f"{folder.name}: {left} are still queued after {given.patience:.0f} s")
                time.sleep(0.5)
            took = time.perf_counter() - began
        print(f"  {folder.name}: {dict(outcome.tries)}, killed {house.kills} times; worked off {took:.0f} s later")
        print(f"  {folder.name}: {tickets.verdict(given.events)}", flush=True)
    return outcome


@contextmanager
def sandbox(folder: Path, environ: dict[str, str]) -> Iterator[None]:
    command = ["sandbox", "--listen", f"127.0.0.1:{JIRA}", "--database", str(folder / "jira.sqlite")]
    with process([sys.executable, "-m", "vmjira", *command], environ):
        wait_for_web(JIRA, "/rest/api/2/serverInfo")
        yield


def slow_down() -> None:
    """Every answer of the tracker takes 100 ms from now on."""
    connection, fault = HTTPConnection("127.0.0.1", JIRA, timeout=20), {"path": "", "delay": 0.1, "times": 10**9}
    connection.request("POST", "/sandbox/faults", json.dumps(fault), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 201


class Killer:
    """Kills the house, and starts it again, each time when another part of all is acknowledged."""

    def __init__(self, house: House, total: int, kills: int) -> None:
        self._house, self._one_at_a_time = house, threading.Lock()
        self._due = {total * (number + 1) // (kills + 1) for number in range(kills)}

    def __call__(self, count: int) -> None:
        """Called by the client whose webhook was the last: it sends no other one before all is up again."""
        if count in self._due:
            with self._one_at_a_time:
                self._house.kill_and_restart()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument(
        "--patience", type=float, default=900, help="seconds for the worker to work everything off afterwards"
    )
    parser.add_argument("--only", choices=("floor", "calm", "killed"))
    given = parser.parse_args()
    configure_logging("error")
    with TemporaryDirectory() as name:
        folder = Path(name)
        runs: dict[str, Callable[[], Outcome]] = {
            "floor": lambda: run_floor(folder / "floor", given),
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
