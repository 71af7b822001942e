"""Several workers and web servers on one database, workers killed again and again: is each firing done once?"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests

from tests.clock.workers import EVERY, RUNS, UNTIL
from tests.e2e.nursery import nursery
from tests.flows.jira import running
from tests.flows.scans import RDP, SMB, nessus, week
from vmjira.bootstrap import Application
from vmjira.flows.firings import firing_id
from vmjira.flows.ports import FiringRow
from vmjira.flows.replay import differing, rebuild
from vmjira.settings import load_settings


@dataclass(frozen=True)
class Plan:
    workers: int = 4
    servers: int = 2
    scanners: int = 8
    every: int = 3  # seconds between two due times of a scanner
    rounds: int = 25
    scans: int = 5  # of each scanner
    kill: float = 3.0  # seconds between two kills
    patience: float = 180.0  # seconds after the last due time

    @property
    def seconds(self) -> float:
        return self.every * self.rounds


@dataclass
class Outcome:
    firings: list[FiringRow] = field(default_factory=list)
    begun: Counter[str] = field(default_factory=Counter)  # by id of the firing: how often a run began, and ended
    ended: Counter[str] = field(default_factory=Counter)
    folded: list[str] = field(default_factory=list)  # names of files
    offered: int = 0
    taken: Counter[str] = field(default_factory=Counter)  # by outcome
    identifiers: list[str] = field(default_factory=list)  # of the tickets in Jira
    operations: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)  # parts of the ledger that are not as replayed
    kills: int = 0
    answers: Counter[str] = field(default_factory=Counter)  # of the web servers
    seconds: float = 0.0

    @property
    def states(self) -> Counter[str]:
        return Counter(row.state for row in self.firings)

    def problems(self) -> list[str]:
        said = [f"firing {row.job} {row.due}: {row.state} {row.words}" for row in self.firings if row.state not in GOOD]
        for row in self.firings:
            times = self.ended[firing_id(row.job, row.due)]
            if row.state == "coalesced" and times:
                said.append(f"firing {row.job} {row.due}: coalesced, and run all the same")
            if row.state == "done" and not times:
                said.append(f"firing {row.job} {row.due}: done, and never run")
        known = {firing_id(row.job, row.due) for row in self.firings}
        said += [f"run of {each}: nobody said that it is due" for each in self.begun if each not in known]
        said += [f"scan {name}: folded {n} times" for name, n in Counter(self.folded).items() if n > 1]
        if len(self.folded) != self.offered:
            said.append(f"{len(self.folded)} scans folded of {self.offered}")
        if len(set(self.identifiers)) < len(self.identifiers):
            said.append(f"duplicate tickets: {sorted(self.identifiers)}")
        said += [f"operations: {self.operations}"] if set(self.operations) - {"done"} else []
        said += [f"ledger: {part} is not as replayed" for part in self.wrong]
        said += [f"web: {answer}" for answer in self.answers if answer != "200"]
        return said


GOOD = ("done", "coalesced")


def play(folder: Path, database_url: str, plan: Plan, *, seed: int = 1) -> Outcome:
    """`plan.scanners` x `plan.rounds` firings; until all have ended and Jira has everything."""
    outcome, began = Outcome(offered=plan.scanners * plan.scans), time.monotonic()
    rules = _rules(folder, plan)
    with ExitStack() as stack:
        workers = stack.enter_context(nursery("tests.clock.workers"))  # imports while the rest is made ready
        jira = stack.enter_context(running(folder, "datacenter"))
        environ = {
            "VMJIRA_DATA": str(folder / "data"), "VMJIRA_DATABASE_URL": database_url, "VMJIRA_RULES": str(rules),
            "VMJIRA_LOG": "info", "JIRA_SEARCH_LAG": "0", RUNS: str(folder / "runs"), EVERY: str(plan.every),
            UNTIL: str(folder / "until"),
            **jira.environ,
        }  # fmt: skip
        app = Application(load_settings(environ, dotenv=Path(os.devnull)))
        assert app.outside  # the tables are there
        (folder / "until").write_text(str(time.time() - 60))  # nothing is due yet
        web = [stack.enter_context(_server(environ, folder)) for _ in range(plan.servers)]
        asking = stack.enter_context(_asking(web, outcome))
        chance = random.Random(seed)
        log = folder / "worker.log"
        live = [workers.spawn(environ, log) for _ in range(plan.workers)]
        while not _ready(app, live):
            time.sleep(0.1)
        start = time.time() + 1
        start += plan.every - start % plan.every
        end = start + plan.seconds - 0.5
        _scans(folder, plan, start)
        (folder / "until.new").write_text(str(end))
        (folder / "until.new").rename(folder / "until")
        following = time.time() + plan.kill
        while time.time() < end or not _settled(app):
            if time.time() > end + plan.patience:
                break
            time.sleep(0.1)
            if time.time() >= following and time.time() < end:
                victim = chance.randrange(plan.workers)
                workers.bury(live[victim])
                live[victim] = workers.spawn(environ, log)
                outcome.kills += 1
                following = time.time() + plan.kill
        asking.set()
        for pid in live:
            workers.bury(pid)
        outcome.seconds = time.monotonic() - began
        _read(app, folder, outcome)
        outcome.identifiers = [ticket.identifier for ticket in jira.tickets()]
        app.store.close()
    return outcome


def _ready(app: Application, live: list[int]) -> bool:
    """All workers are there."""
    with app.store.reading() as unit:
        return {row.pid for row in unit.slots()} >= set(live)


def _rules(folder: Path, plan: Plan) -> Path:
    rules = folder / "rules"
    rules.mkdir(parents=True)
    never = ", ".join(f"{job}: never" for job in ("reconcile", "doctor", "acceptances", "reminders", "retention"))
    files = {
        "categories": "categories: [{id: windows, title: Windows, where: \"family = 'Windows'\"}]\n",
        "ranges": "ranges:\n"
        + "".join(f"  - {{id: r{n}, title: R{n}, networks: [10.{n}.0.0/16]}}\n" for n in range(plan.scanners)),
        "policy": "ticket: {project: VM}\ncalls_per_second: 100\nlimits: {create: 1000}\nbreaker: 1\n"
        f"schedule: {{{never}, schedule: never, enrich: never, rules: never}}\n",
        "scanners": "scanners:\n"
        + "".join(
            f"  - {{id: s{n}, type: folder, path: '{folder}/shelf/{n}', fetch: '* * * * *'}}\n"
            for n in range(plan.scanners)
        ),
    }
    for n in range(plan.scanners):
        (folder / "shelf" / str(n)).mkdir(parents=True)
    for name, text in files.items():
        (rules / f"{name}.yaml").write_text(text)
    return rules


def _scans(folder: Path, plan: Plan, start: float) -> None:
    """Each scanner has scans of following weeks; they end one after the other while the clocks run."""
    for scanner in range(plan.scanners):
        shelf = folder / "shelf" / str(scanner)
        for number in range(plan.scans):
            written = folder / f"s{scanner}-{number}.nessus"
            ended = week(23 + number) + timedelta(minutes=scanner)
            nessus(written, ended, {f"10.{scanner}.0.{host}": [SMB, RDP] for host in range(1, 3 + number)})
            moment = start + number * (plan.seconds - 2) / plan.scans
            os.utime(written, (moment, moment))
            written.rename(shelf / written.name)


def _settled(app: Application) -> bool:
    with app.store.reading() as unit:
        return not unit.firings("queued") and not unit.count_operations("queued")


def _read(app: Application, folder: Path, outcome: Outcome) -> None:
    with app.store.reading() as unit:
        outcome.firings = unit.firings(limit=100_000)
        outcome.folded = [row.name for row in unit.scans()]
        outcome.taken = Counter(row.outcome for row in unit.taken())
        outcome.operations = Counter(row.state for row in unit.operations())
    for line in (folder / "runs").read_text().splitlines():
        what, id, _pid = line.split()
        (outcome.begun if what == "begin" else outcome.ended)[id] += 1
    outcome.wrong = differing(app.outside, rebuild(app.outside))


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
    repeated = sum(times > 1 for times in outcome.begun.values())
    return {
        "workers": plan.workers,
        "web servers": plan.servers,
        "seconds": round(outcome.seconds),
        "kills": outcome.kills,
        "due times said": len(outcome.firings),
        "by state": dict(outcome.states),
        "runs begun": sum(outcome.begun.values()),
        "runs cut off by a kill": sum(outcome.begun.values()) - sum(outcome.ended.values()),
        "firings begun more than once": repeated,
        "firings that ended more than once": sum(times > 1 for times in outcome.ended.values()),
        "scans offered": outcome.offered,
        "scans folded": len(outcome.folded),
        "taken": dict(outcome.taken),
        "tickets": len(outcome.identifiers),
        "operations": dict(outcome.operations),
        "answers of web servers": dict(outcome.answers),
        "problems": outcome.problems(),
    }
