"""Several workers and web servers on one database, workers killed again and again: is each firing done once?

An hour passes in a minute: the minutes of a cron expression are seconds here (`tests.clock.workers`). All jobs of the
clock take part. What each is to bring about is counted where it shows: scans in the ledger, tickets and comments in
Jira. Beside the worker that dies every few seconds, all workers die at once at chosen comments: before Jira has heard
of it, and after it has written the comment and before anybody knows.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import requests

from tests.clock.effects import Outcome, Plan, read, scan_name
from tests.clock.workers import RUNS, WINDOW, tell
from tests.e2e.nursery import Nursery, nursery
from tests.flows.jira import Wsgi, running
from tests.flows.scans import RDP, SMB, nessus
from vmjira.bootstrap import Application
from vmjira.flows.jobs import JOBS
from vmjira.flows.reminders import remind
from vmjira.flows.rulewatch import look
from vmjira.settings import load_settings

# --- the run ----------------------------------------------------------------------------------------------------------


def play(folder: Path, database_url: str, plan: Plan, *, seed: int = 1) -> Outcome:
    """`len(plan.jobs)` x `plan.rounds` firings; until all have ended and Jira has everything."""
    outcome, began = Outcome(), time.monotonic()
    cuts = Cuts(plan.cuts, plan.between)
    with ExitStack() as stack:
        workers = stack.enter_context(nursery("tests.clock.workers"))  # imports while the rest is made ready
        jira = stack.enter_context(running(folder, "datacenter", around=cuts.around))
        environ = {
            "VMJIRA_DATA": str(folder / "data"), "VMJIRA_DATABASE_URL": database_url,
            "VMJIRA_RULES": str(_rules(folder, plan)), "VMJIRA_LOG": "info", "JIRA_SEARCH_LAG": "0",
            RUNS: str(folder / "runs"), WINDOW: str(folder / "window"), **jira.environ,
        }  # fmt: skip
        app = Application(load_settings(environ, dotenv=Path(os.devnull)))
        look(app.outside, app.load_rules)
        pool = Pool(workers, environ, folder / "worker.log")
        web = [stack.enter_context(_server(environ, folder)) for _ in range(plan.servers)]
        asking = stack.enter_context(_asking(web, outcome))
        pool.fill(plan.workers)
        while not _ready(app, pool.live):
            time.sleep(0.1)
        start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
        end = start + timedelta(seconds=plan.seconds)
        _scans(folder, plan, start)
        (folder / "window.new").write_text(f"{start.timestamp()} {end.timestamp() - 0.5}")
        (folder / "window.new").rename(folder / "window")
        cuts.cut = pool.kill_all
        _until_settled(app, plan, pool, cuts, end, random.Random(seed))
        asking.set()
        pool.close()
        outcome.seconds, outcome.kills, outcome.cuts = time.monotonic() - began, pool.kills, cuts.done
        read(app, plan, start, (folder / "runs").read_text(), jira.tickets(), outcome)
        app.store.close()
    return outcome


def _until_settled(
    app: Application, plan: Plan, pool: Pool, cuts: Cuts, end: datetime, chance: random.Random
) -> None:  # fmt: skip
    """When every firing has ended, tickets that came after the last reminder are reminded too: so each is, once."""
    following, late, last = time.time() + plan.kill, end.timestamp() + plan.patience, False
    while time.time() < late:
        if cuts.happened.wait(0.1):
            cuts.happened.clear()
            pool.fill(plan.workers)
        elif time.time() >= following and time.time() < end.timestamp():
            pool.kill(chance.randrange(plan.workers))
            following = time.time() + plan.kill
        if time.time() > end.timestamp() and _settled(app):
            if last:
                return
            remind(app.outside, app.load_rules().policy)
            last = True


@dataclass
class Pool:
    """The workers that live."""

    nursery: Nursery
    environ: dict[str, str]
    log: Path
    live: list[int] = field(default_factory=list)
    kills: int = 0

    def fill(self, size: int) -> None:
        for dead in self.live:
            self._bury(dead)
        self.live[:] = [self.nursery.spawn(self.environ, self.log) for _ in range(size)]

    def kill(self, place: int) -> None:
        """One, and another takes its place."""
        self._bury(self.live[place])
        self.live[place] = self.nursery.spawn(self.environ, self.log)
        self.kills += 1

    def _bury(self, pid: int) -> None:
        self.nursery.bury(pid)
        tell("killed", "-", pid, self.environ[RUNS])

    def kill_all(self) -> None:
        for pid in self.live:
            os.kill(pid, signal.SIGKILL)
            self.kills += 1

    def close(self) -> None:
        for pid in self.live:
            self.nursery.bury(pid)


@dataclass
class Cuts:
    """A WSGI application around the sandbox's: at some reminders all workers die, as when the power fails."""

    number: int
    between: int
    cut: Callable[[], None] = lambda: None
    done: list[str] = field(default_factory=list)
    happened: threading.Event = field(default_factory=threading.Event)
    _seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def around(self, app: Wsgi) -> Wsgi:
        def trapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if not (environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"].endswith("/comment")):
                return app(environ, start_response)
            with self._lock:
                return self._comment(app, environ, start_response)

        return trapped

    def _comment(self, app: Wsgi, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One in `between` is cut off, in turn before and after it is written."""
        self._seen += 1
        if self.happened.is_set():  # of a worker that is dead
            return _nobody(start_response)
        if self._seen % self.between or len(self.done) >= self.number:
            return app(environ, start_response)
        when: Literal["before", "after"] = "after" if len(self.done) % 2 else "before"
        if when == "after":
            list(app(environ, lambda *_: None))
        self.cut()
        self.done.append(f"{when} {environ['PATH_INFO'].rpartition('/api/2/')[2]}")
        self.happened.set()
        return _nobody(start_response)


def _nobody(start_response: Callable[..., Any]) -> list[bytes]:
    start_response("500 Nobody listens any more", [])
    return []


def _ready(app: Application, live: list[int]) -> bool:
    """All workers are there."""
    with app.store.reading() as unit:
        return {row.pid for row in unit.slots()} >= set(live)


def _settled(app: Application) -> bool:
    with app.store.reading() as unit:
        return not unit.firings("queued") and not unit.count_operations("queued")


# --- what there is to do ----------------------------------------------------------------------------------------------


def _rules(folder: Path, plan: Plan) -> Path:
    """A range a scanner, and a round a scan: so each scan is one ticket, due in two days, of which it is reminded."""
    rules, kev = folder / "rules", folder / "kev.json"
    rules.mkdir(parents=True)
    kev.write_text(json.dumps({"vulnerabilities": [{"cveID": "CVE-2026-0001", "dueDate": "2026-12-01"}]}))
    names = [f"s{number}" for number in range(plan.scanners)]
    documents: dict[str, dict[str, Any]] = {
        "categories": {"categories": [{"id": "w", "title": "W", "where": "family = 'Windows'", "due": "2d"}]},
        "ranges": {
            "ranges": [
                {"id": name, "title": name, "networks": [f"10.{number}.0.0/16"], "iteration": "scan"}
                for number, name in enumerate(names)
            ]
        },
        "policy": {
            "ticket": {"project": "VM"}, "calls_per_second": 100, "limits": {"create": 1000}, "breaker": 1,
            "reminders": {"before": "4d", "after": "1d"}, "enrichment": {"kev": str(kev)},
            "schedule": {job: plan.cron(job) for job in JOBS},
        },
        "scanners": {
            "scanners": [
                {"id": name, "type": "folder", "path": f"{folder}/shelf/{name}", "fetch": plan.cron(f"fetch.{name}")}
                for name in names
            ]
        },
    }  # fmt: skip
    for name, document in documents.items():
        (rules / f"{name}.yaml").write_text(json.dumps(document))
    return rules


def _scans(folder: Path, plan: Plan, start: datetime) -> None:
    """A scan for each firing of each scanner, of one host of its own; the shelf shows it when the firing is due."""
    for number in range(plan.scanners):
        shelf = folder / "shelf" / f"s{number}"
        shelf.mkdir(parents=True)
        for round, due in enumerate(plan.dues(f"fetch.s{number}", start)):
            written = folder / scan_name(f"fetch.s{number}", round)
            ended = start - timedelta(hours=2) + timedelta(minutes=round)
            nessus(written, ended, {f"10.{number}.0.{round + 1}": [SMB, RDP]})
            os.utime(written, (due.timestamp(), due.timestamp()))
            written.rename(shelf / written.name)


# --- web servers ------------------------------------------------------------------------------------------------------


@contextmanager
def _server(environ: dict[str, str], folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    with (folder / "web.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vmjira", "serve"],
            env={**os.environ, **environ, "VMJIRA_LISTEN": listen}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield f"http://{listen}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextmanager
def _asking(servers: list[str], outcome: Outcome) -> Iterator[threading.Event]:
    """Ask each server again and again, once it is up, whether all is well."""
    stop = threading.Event()

    def ask(server: str) -> None:
        up = False
        while not stop.wait(0.5):
            try:
                answer = str(requests.get(f"{server}/readyz", timeout=10).status_code)
                up = True
            except requests.RequestException as error:  # gunicorn listens before its worker is there
                answer = type(error).__name__ if up else ""
            if answer:
                outcome.answers[answer] += 1

    threads = [threading.Thread(target=ask, args=[server]) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join()
