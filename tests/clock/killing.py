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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import requests

from tests.clock.workers import RUNS, WINDOW, nursery, tell
from tests.e2e.nursery import Nursery
from tests.flows.jira import Ticket, Wsgi, running
from tests.flows.scans import RDP, SMB, nessus
from vmjira.bootstrap import Application
from vmjira.flows.firings import firing_id
from vmjira.flows.jobs import JOBS
from vmjira.flows.ports import FiringRow
from vmjira.flows.replay import differing, rebuild
from vmjira.flows.rulewatch import look
from vmjira.settings import load_settings


@dataclass(frozen=True)
class Plan:
    """`rounds` times a `period` of seconds, in each of which every job is due once: the scanners' and all others."""

    workers: int = 4
    servers: int = 2
    scanners: int = 42
    period: int = 60  # divides 60
    rounds: int = 4
    kill: float = 3.0  # seconds between two kills of one worker
    cuts: int = 6  # reminders at which all workers die, half of them after Jira has written the comment
    between: int = 20  # reminders from one of these to the next
    patience: float = 240.0  # seconds after the last due time

    @property
    def seconds(self) -> int:
        return self.period * self.rounds

    @property
    def jobs(self) -> dict[str, int]:
        """Job → the second of the period at which it is due."""
        names = [f"fetch.s{number}" for number in range(self.scanners)]
        for place, job in enumerate(JOBS, 1):
            names.insert(place * len(names) // len(JOBS), job)
        return {job: place * self.period // len(names) for place, job in enumerate(names)}

    def cron(self, job: str) -> str:
        return f"{','.join(str(second) for second in range(self.jobs[job], 60, self.period))} * * * *"

    def dues(self, job: str, start: datetime) -> list[datetime]:
        moments = [start + timedelta(seconds=second) for second in range(self.seconds)]
        return [moment for moment in moments if moment.second % self.period == self.jobs[job]]


@dataclass(frozen=True)
class Told:
    """One firing: how often each thing happened."""

    job: str
    due: datetime
    rows: int
    state: str
    begun: int  # its body
    ended: int
    at_once: int  # that began while another one was still alive and had not ended
    folded: int | None  # its scan, into the ledger; None: it has none
    tickets: int | None  # of its scan, in Jira
    reminders: int | None  # in that ticket

    def line(self) -> str:
        counts = ("rows", "begun", "ended", "at_once", "folded", "tickets", "reminders")
        shown = (f"{name} {getattr(self, name)}" for name in counts if getattr(self, name) is not None)
        return f"{self.due:%H:%M:%S} {self.job:12} {self.state:9} {'  '.join(shown)}"


@dataclass
class Outcome:
    told: list[Told] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)  # firings that were never due
    taken: Counter[str] = field(default_factory=Counter)  # by outcome
    tickets: int = 0
    reminded: int = 0  # operations, of which each is to be one comment
    comments: int = 0  # that remind
    operations: Counter[str] = field(default_factory=Counter)  # by state
    catalogues: int = 0  # versions that were taken of the only one
    wrong: list[str] = field(default_factory=list)  # parts of the ledger that are not as replayed
    kills: int = 0
    cuts: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)  # of the web servers
    seconds: float = 0.0

    def problems(self) -> list[str]:
        said = [each.line() for each in self.told if not _as_it_should(each)]
        said += [f"firing {each}: was never due" for each in self.unexpected]
        if self.comments != self.reminded:
            said.append(f"{self.comments} comments of {self.reminded} reminders")
        said += [f"operations: {self.operations}"] if set(self.operations) - {"done"} else []
        said += [f"{self.catalogues} versions of one catalogue"] if self.catalogues != 1 else []
        said += [f"ledger: {part} is not as replayed" for part in self.wrong]
        said += [f"web: {answer}" for answer in self.answers if answer != "200"]
        return said


def _as_it_should(each: Told) -> bool:
    once = each.rows == 1 and {each.folded, each.tickets} <= {None, 1} and each.reminders in (None, 0, 1)
    if each.state == "coalesced":
        return once and each.begun == 0
    return once and each.state == "done" and each.begun >= each.ended >= 1


# --- the run ----------------------------------------------------------------------------------------------------------


def play(folder: Path, database_url: str, plan: Plan, *, seed: int = 1) -> Outcome:
    """`len(plan.jobs)` x `plan.rounds` firings; until all have ended and Jira has everything."""
    outcome, began = Outcome(), time.monotonic()
    cuts = Cuts(plan.cuts, plan.between)
    with ExitStack() as stack:
        jira = stack.enter_context(running(folder, "datacenter", around=cuts.around))
        environ = {
            "VMJIRA_DATA": str(folder / "data"), "VMJIRA_DATABASE_URL": database_url,
            "VMJIRA_RULES": str(_rules(folder, plan)), "VMJIRA_LOG": "info", "JIRA_SEARCH_LAG": "0",
            RUNS: str(folder / "runs"), WINDOW: str(folder / "window"), **jira.environ,
        }  # fmt: skip
        app = Application(load_settings(environ, dotenv=Path(os.devnull)))
        look(app.outside, app.load_rules)
        pool = Pool(stack.enter_context(nursery()), environ, folder / "worker.log")
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
        _read(app, folder, plan, start, jira.tickets(), outcome)
        app.store.close()
    return outcome


def _until_settled(
    app: Application, plan: Plan, pool: Pool, cuts: Cuts, end: datetime, chance: random.Random
) -> None:  # fmt: skip
    following, late = time.time() + plan.kill, end.timestamp() + plan.patience
    while time.time() < end.timestamp() or not _settled(app):
        if time.time() > late:
            return
        if cuts.happened.wait(0.1):
            cuts.happened.clear()
            pool.fill(plan.workers)
        elif time.time() >= following and time.time() < end.timestamp():
            pool.kill(chance.randrange(plan.workers))
            following = time.time() + plan.kill


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
            written = folder / _scan(f"fetch.s{number}", round)
            ended = start - timedelta(hours=2) + timedelta(minutes=round)
            nessus(written, ended, {f"10.{number}.0.{round + 1}": [SMB, RDP]})
            os.utime(written, (due.timestamp(), due.timestamp()))
            written.rename(shelf / written.name)


def _scan(job: str, round: int) -> str:
    return f"{job.removeprefix('fetch.')}-{round + 1}.nessus"


# --- what came of it --------------------------------------------------------------------------------------------------


def _read(
    app: Application, folder: Path, plan: Plan, start: datetime, tickets: list[Ticket], outcome: Outcome
) -> None:  # fmt: skip
    with app.store.reading() as unit:
        rows, names = unit.firings(limit=100_000), {row.id: row.name for row in unit.scans()}
        folded = Counter(names[event.scan] for event in unit.events() if event.scan is not None)
        outcome.taken = Counter(row.outcome for row in unit.taken())
        outcome.operations = Counter(row.state for row in unit.operations())
        outcome.reminded = sum(row.operation == "remind" for row in unit.operations())
        outcome.catalogues = len(unit.enrichments())
    outcome.tickets = len(tickets)
    outcome.comments = sum(_reminders(ticket) for ticket in tickets)
    ran = _runs((folder / "runs").read_text())
    expected = [(job, round, due) for job in plan.jobs for round, due in enumerate(plan.dues(job, start))]
    outcome.told = [
        _told(job, round, [row for row in rows if (row.job, row.due) == (job, due)], due, ran, folded, tickets)
        for job, round, due in sorted(expected, key=lambda each: each[2])
    ]
    known = {(job, due) for job, _, due in expected}
    outcome.unexpected = [firing_id(row.job, row.due) for row in rows if (row.job, row.due) not in known]
    outcome.wrong = differing(app.outside, rebuild(app.outside))


def _runs(text: str) -> Counter[tuple[str, str]]:
    """(begin, end or at once, id of the firing) → how often."""
    found, under_way = Counter[tuple[str, str]](), set[tuple[str, str]]()
    for what, id, pid, _ in sorted((line.split() for line in text.splitlines()), key=lambda each: float(each[3])):
        if what == "killed":
            under_way = {each for each in under_way if each[1] != pid}
            continue
        found[what, id] += 1
        if what == "begin":
            found["at once", id] += any(other == id for other, _ in under_way)
            under_way.add((id, pid))
        else:
            under_way.discard((id, pid))
    return found


def _told(
    job: str, round: int, rows: list[FiringRow], due: datetime,
    ran: Counter[tuple[str, str]], folded: Counter[str], tickets: list[Ticket],
) -> Told:  # fmt: skip
    id, scanner = firing_id(job, due), job.removeprefix("fetch.")
    its = [ticket for ticket in tickets if ticket.identifier == f"w.{scanner}.{round + 1}"]
    fetches = scanner != job
    return Told(
        job, due, len(rows), rows[0].state if rows else "missing", ran["begin", id], ran["end", id], ran["at once", id],
        folded[_scan(job, round)] if fetches else None,
        len(its) if fetches else None,
        sum(map(_reminders, its)) if fetches else None,
    )  # fmt: skip


def _reminders(ticket: Ticket) -> int:
    return sum(comment.startswith("*Reminder*") for comment in ticket.comments)


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


def report(outcome: Outcome, plan: Plan) -> dict[str, Any]:
    told = outcome.told
    return {
        "workers": plan.workers,
        "web servers": plan.servers,
        "seconds": round(outcome.seconds),
        "kills": outcome.kills,
        "all workers killed at a reminder": outcome.cuts,
        "due times": len(told),
        "rows of each": _numbers(each.rows for each in told),
        "by state": dict(Counter(each.state for each in told)),
        "times its body was begun": _numbers(each.begun for each in told),
        "times its body ended": _numbers(each.ended for each in told),
        "times it began while it ran elsewhere": _numbers(each.at_once for each in told),
        "times its scan was folded": _numbers(each.folded for each in told if each.folded is not None),
        "tickets of its scan": _numbers(each.tickets for each in told if each.tickets is not None),
        "reminders in that ticket": _numbers(each.reminders for each in told if each.reminders is not None),
        "reminders planned and commented": [outcome.reminded, outcome.comments],
        "versions of the catalogue": outcome.catalogues,
        "taken": dict(outcome.taken),
        "operations": dict(outcome.operations),
        "answers of web servers": dict(outcome.answers),
        "problems": outcome.problems(),
    }


def _numbers(times: Iterable[int]) -> dict[str, int]:
    """How many had each number."""
    return {str(number): many for number, many in sorted(Counter(times).items())}
