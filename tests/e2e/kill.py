"""kill -9 at chosen calls of a delivery, before or after the call reaches Jira; then a new worker, until all is there.

`delivery` lays out a delivery of thirty tickets; `Trap` stands before the sandbox, names every call, and springs at the
chosen ones. Calls are named by what they do for which ticket, so that a name means the same in every run, in whatever
order tickets are made. One run may kill many times, but only once at the calls of any one ticket: so each ticket meets
exactly one kill, as in a run of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from tests.e2e.nursery import Nursery
from tests.flows.jira import Jira, Ticket, Wsgi, running
from tests.flows.scans import Flaw, nessus, week
from vmjira.bootstrap import Application
from vmjira.flows.ingest import ingest
from vmjira.flows.waiting import wait_until_delivered
from vmjira.settings import load_settings
from vmjira.store import open_store

When = Literal["before", "after"]
TICKETS = 30  # new ones in the delivery that is disturbed
OLD = 10  # those of the week before, which are only updated
FAMILIES = ("Windows", "Web Servers", "Databases", "General", "Service detection")
RANGES = {"boston": "10.1", "newyork": "10.2", "berlin": "10.3"}
#: Seconds in which a run must be through, on a busy machine.
LONGEST = 600.0


# --- the delivery -----------------------------------------------------------------------------------------------------


def rules(folder: Path) -> None:
    folder.mkdir()
    categories = [f"  - {{id: c{n}, title: {name}, where: \"family = '{name}'\"}}" for n, name in enumerate(FAMILIES)]
    ranges = [f"  - {{id: {name}, title: {name}, networks: [{net}.0.0/16]}}" for name, net in RANGES.items()]
    policy = "ticket: {project: VM, transition_fields: {resolution: {name: Done}}}\nauto_close: true\n"
    (folder / "categories.yaml").write_text("\n".join(["categories:", *categories, ""]))
    (folder / "ranges.yaml").write_text("\n".join(["ranges:", *ranges, ""]))
    (folder / "policy.yaml").write_text(policy + "calls_per_second: 100\n")


def scans(folder: Path) -> list[Path]:
    """Week 22 of two offices; weeks 23 and 24 of all three, in which four categories of the first two are mended."""
    flaws = [Flaw(str(100 + n), f"Flaw of {name}", name) for n, name in enumerate(FAMILIES)]
    hosts = {number: {f"{net}.0.{number}": flaws for net in RANGES.values()} for number in (22, 23, 24)}
    first = {host: found for host, found in hosts[22].items() if not host.startswith(RANGES["berlin"])}
    mended = dict.fromkeys(first, flaws[4:])
    return [
        nessus(folder / "22.nessus", week(22), first),
        nessus(folder / "23.nessus", week(23), mended | hosts[23]),
        nessus(folder / "24.nessus", week(24), mended | hosts[23] | hosts[24]),
    ]


def settings(folder: Path, jira: Jira, search_lag: float) -> dict[str, str]:
    return {
        "VMJIRA_DATA": str(folder / "data"),
        "VMJIRA_DATABASE_URL": "",
        "VMJIRA_RULES": str(folder / "rules"),
        "VMJIRA_LOG": "info",
        "JIRA_SEARCH_LAG": str(search_lag),
        **jira.environ,
    }


def prepare(folder: Path, flavour: str) -> None:
    """A folder in which the old tickets are delivered and the thirty are planned and queued; and a Jira's."""
    folder.mkdir()
    rules(folder / "rules")
    with running(folder, flavour) as jira:
        app = Application(load_settings(settings(folder, jira, 0.0), dotenv=Path(os.devnull)))
        first, *others = scans(folder)
        with app.reader() as read:
            ingest(app.outside, [first], read, app.load_rules)
            with app.worker():
                assert wait_until_delivered(app.store, lambda done, total: None, look_every=0.05) == []
            ingest(app.outside, others, read, app.load_rules)
        app.store.close()


# --- the trap ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Call:
    """What is asked for which ticket, and the how-manieth time."""

    ticket: str  # "" for what concerns none
    line: str
    time: int = 1

    def __str__(self) -> str:
        return f"{self.line} {self.ticket}".strip() + (f" ({self.time}.)" if self.time > 1 else "")


@dataclass
class Trap:
    """A WSGI application around the sandbox's."""

    points: dict[Call, When] = field(default_factory=dict)
    seen: list[Call] = field(default_factory=list)
    sprung: list[tuple[Call, When]] = field(default_factory=list)
    kill: Callable[[], None] = lambda: None
    app: Wsgi | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._times: Counter[tuple[str, str]] = Counter()
        self._of: dict[str, str] = {}  # issue key or attachment id → identifier
        self.moved = threading.Event()

    def around(self, app: Wsgi) -> Wsgi:
        self.app = app
        return self

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        assert self.app
        if not environ["PATH_INFO"].startswith("/rest/") or _by_admin(environ):
            return self.app(environ, start_response)
        content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = _again(content)
        with self._lock:
            call = self._name(environ, content)
            when = self.points.pop(call, None)
            self.seen.append(call)
            if when == "before":
                return self._spring(call, when, start_response)
        answer: list[Any] = []
        body = b"".join(self.app(environ, lambda *told: answer.append(told)))
        with self._lock:
            self._learn(call, body)
            if when == "after":
                return self._spring(call, when, start_response)
        start_response(*answer[0])
        return [body]

    def _spring(self, call: Call, when: When, start_response: Callable[..., Any]) -> list[bytes]:
        self.kill()
        self.sprung.append((call, when))
        self.moved.set()
        start_response("500 Nobody listens any more", [])
        return []

    def _name(self, environ: dict[str, Any], content: bytes) -> Call:
        path = environ["PATH_INFO"].removeprefix("/rest/api/2/")
        subject = re.search(r"(?:issue|attachment)/([A-Z]+-\d+|\d+)", path)
        label = re.search(r"vm\.([a-z0-9.]+\d{4}-W\d\d)", content.decode(errors="replace"))
        ticket = self._of.get(subject[1], subject[1]) if subject else label[1] if label else ""
        line = f"{environ['REQUEST_METHOD']} {path.replace(subject[1], '*') if subject else unquote(path)}"
        self._times[ticket, line] += 1
        return Call(ticket, line, self._times[ticket, line])

    def _learn(self, call: Call, body: bytes) -> None:
        """To which ticket a key or an attachment belongs."""
        if call.line == "POST issue" and b'"key"' in body:
            self._of[json.loads(body)["key"]] = call.ticket
        if call.line.endswith("/attachments") and body.startswith(b"["):
            self._of |= {each["id"]: call.ticket for each in json.loads(body)}

    def know(self, tickets: Iterable[Ticket]) -> None:
        """Tickets that were there before."""
        for ticket in tickets:
            self._of[ticket.key] = ticket.identifier
            self._of |= {each["id"]: ticket.identifier for each in ticket.fields["attachment"]}


class _again:
    def __init__(self, content: bytes) -> None:
        import io

        self._stream = io.BytesIO(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _by_admin(environ: dict[str, Any]) -> bool:
    from base64 import b64decode

    kind, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    return "admin" in (b64decode(value).decode() if kind == "Basic" else value)


# --- runs -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    calls: list[Call]
    kills: list[tuple[Call, When]]
    tickets: list[Ticket]
    states: Counter[str]  # of operations
    log: str

    @property
    def shown(self) -> dict[str, Any]:
        """What people see, by identifier instead of by key."""
        names = {ticket.key: ticket.identifier for ticket in self.tickets}

        def named(text: str) -> str:
            return re.sub(r"\bVM-\d+\b", lambda match: names.get(match[0], match[0]), text)

        return {
            ticket.identifier: {
                "summary": ticket.summary,
                "description": named(ticket.description),
                "status": ticket.status,
                "labels": sorted(ticket.labels),
                "links": sorted(names[key] for key in ticket.links),
                "names": ticket.names,
                "files": ticket.files,
                "comments": [named(comment) for comment in ticket.comments],
            }
            for ticket in self.tickets
        }

    @property
    def duplicates(self) -> int:
        return len(self.tickets) - len({ticket.identifier for ticket in self.tickets})


Spawn = Callable[[dict[str, str], Path], int]


def run(
    base: Path, folder: Path, flavour: str, points: dict[Call, When], nursery: Nursery, *,
    search_lag: float, index_lag: float = 0.0, threads: int = 1,
) -> Outcome:  # fmt: skip
    """Deliver what is queued in a copy of `base`, killing the worker at `points` and starting another each time."""
    shutil.copytree(base, folder)
    trap = Trap(dict(points))
    with running(folder, flavour, around=trap.around, index_lag=index_lag) as jira:
        trap.know(jira.tickets())
        environ = settings(folder, jira, search_lag)
        known = load_settings(environ, dotenv=Path(os.devnull))
        store = open_store(known.database_url, known.data)
        worker = 0

        def start() -> int:
            return nursery.spawn(environ, folder / "worker.log", "--threads", str(threads))

        trap.kill = lambda: os.kill(worker, signal.SIGKILL)
        with _deadline() as late:
            worker = start()
            while _queued(store):
                if trap.moved.wait(0.05):
                    trap.moved.clear()
                    nursery.bury(worker)
                    worker = start()
                if late.is_set():
                    nursery.bury(worker)
                    raise AssertionError(
                        f"not through; the worker says:\n{(folder / 'worker.log').read_text()[-3000:]}"
                    )
        nursery.bury(worker)
        with store.reading() as unit:
            states = Counter(row.state for row in unit.operations())
        store.close()
        tickets = settled(jira, index_lag)
        for ticket in tickets:
            assert ticket.files
    log = (folder / "worker.log").read_text()
    shutil.rmtree(folder)
    return Outcome(trap.seen, trap.sprung, tickets, states, log)


def settled(jira: Jira, index_lag: float) -> list[Ticket]:
    """All tickets, once a search can see them."""
    threading.Event().wait(index_lag)
    return jira.tickets()


def _queued(store: Any) -> int:
    with store.reading() as unit:
        return int(unit.count_operations("queued"))


@contextmanager
def _deadline() -> Iterator[threading.Event]:
    late = threading.Event()
    timer = threading.Timer(LONGEST, late.set)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def in_runs(points: Iterable[tuple[Call, When]]) -> list[dict[Call, When]]:
    """Spread over as few runs as possible, so that each run has at most one point of any ticket."""
    runs: list[dict[Call, When]] = []
    for call, when in points:
        for each in runs:
            if all(other.ticket != call.ticket for other in each):
                each[call] = when
                break
        else:
            runs.append({call: when})
    return runs


def differences(expected: Outcome, found: Outcome) -> list[str]:
    """What people would see that is not as in an undisturbed delivery."""
    one, other = expected.shown, found.shown
    said = [f"{name}: is missing" for name in sorted(set(one) - set(other))]
    said += [f"{name}: should not be there" for name in sorted(set(other) - set(one))]
    for name in sorted(set(one) & set(other)):
        said += [
            f"{name}: {what} is {str(other[name][what])[:300]!r}, not {str(one[name][what])[:300]!r}"
            for what in one[name]
            if one[name][what] != other[name][what]
        ]
    if found.duplicates:
        said.append(f"{found.duplicates} duplicates")
    if set(found.states) != {"done"}:
        said.append(f"operations: {dict(found.states)}")
    return said
