"""vmjira and a sandbox Jira over real HTTP: real store, rules, renderer and tracker; only the queue is a list."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from werkzeug.serving import WSGIRequestHandler, make_server

from vmjira import rulefiles
from vmjira.domain.frames import Scan
from vmjira.domain.ticket import TicketRow
from vmjira.flows.deliver import attempt
from vmjira.flows.events import parse
from vmjira.flows.ingest import Report, adopt_rules, fold_in
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.react import react
from vmjira.flows.readahead import ReadAhead
from vmjira.flows.replay import differing, rebuild
from vmjira.flows.rows import AcceptanceRow, DeliveryRow, OperationRow
from vmjira.rendering import Renderer
from vmjira.sandbox.app import create_app
from vmjira.store import SqlStore, open_store
from vmjira.trackers.jira import JiraSettings, Secret, connect

TOKENS = {"vmjira": "sandbox-token", "admin": "sandbox-admin-token"}
CATEGORIES = """\
categories:
  - {id: windows, title: Windows updates, where: "family = 'Windows'"}
"""
#: Offices whose projects have other workflows: OPS takes several steps, ONE has no way back.
RANGES = """\
ranges:
  - {id: boston, title: Boston Office, networks: [10.1.0.0/16]}
  - {id: berlin, title: Berlin Office, networks: [10.2.0.0/16], ticket: {project: OPS}}
  - {id: york, title: York Office, networks: [10.3.0.0/16], ticket: {project: ONE}}
"""
TICKET = "ticket: {project: VM, transition_fields: {resolution: {name: Done}}}\n"
POLICY = "calls_per_second: 100\naccept: {resolutions: ['Risk Accepted'], for: 30d}\n"
EVENTS = [
    "jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created", "comment_updated",
    "issuelink_created",
]  # fmt: skip
#: Whatever is still not through after so many attempts, or rounds of echoes, never will be.
PATIENCE = 30


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Ticket:
    key: str
    status: str
    description: str
    labels: tuple[str, ...]
    comments: tuple[str, ...]
    priority: str
    fields: dict[str, Any]


@dataclass
class Jira:
    """A running sandbox, as its people use it."""

    url: str
    flavour: str
    database: Path

    def settings(self) -> JiraSettings:
        user = "vmjira" if self.flavour == "cloud" else ""
        return JiraSettings(self.url, Secret(TOKENS["vmjira"]), user=user, patience=0.05, search_lag=0.0)

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """As a person: an admin."""
        response = self._send(method, f"{self.url}/rest/api/2/{path}", json=body)
        return response.json() if response.content else None

    def do(self, key: str, transition: str, resolution: str = "") -> None:
        found = self.rest("GET", f"issue/{key}/transitions")["transitions"]
        (id_,) = [each["id"] for each in found if each["name"] == transition]
        fields = {"fields": {"resolution": {"name": resolution}}} if resolution else {}
        self.rest("POST", f"issue/{key}/transitions", {"transition": {"id": id_}, **fields})

    def close(self, key: str, resolution: str = "Done") -> None:
        self.do(key, "Done", resolution)

    def move(self, key: str, project: str) -> None:
        with requests.Session() as session:
            session.get(f"{self.url}/")
            form = {"project": project, "token": next(value for name, value in session.cookies.items() if value)}
            session.post(f"{self.url}/browse/{key}/move", data=form).raise_for_status()

    def ticket(self, key: str) -> Ticket:
        fields = self.rest("GET", f"issue/{key}?fields=*all")["fields"]
        return Ticket(
            key=key,
            status=fields["status"]["name"],
            description=fields["description"] or "",
            labels=tuple(fields["labels"]),
            comments=tuple(each["body"] for each in fields["comment"]["comments"]),
            priority=fields["priority"]["name"],
            fields=fields,
        )

    def at(self, moment: datetime) -> None:
        """The sandbox's time, from which it goes on."""
        self._send("PUT", f"{self.url}/sandbox/clock", json={"now": moment.isoformat()})

    def fault(self, **fault: Any) -> None:
        self._send("POST", f"{self.url}/sandbox/faults", json=fault)

    def calm(self) -> None:
        """Forget the faults that did not strike."""
        self._send("DELETE", f"{self.url}/sandbox/faults")

    def calls(self) -> list[str]:
        """`METHOD path` of vmjira's calls since the last time this was asked."""
        rows = self._send("GET", f"{self.url}/sandbox/calls").json()
        self._send("DELETE", f"{self.url}/sandbox/calls")
        return [f"{row['method']} {row['path'].removeprefix('/rest/api/2/')}" for row in rows if row["user"] != "admin"]

    def webhooks(self) -> list[tuple[str, bytes]]:
        """Id and body of all that were ever to be sent, oldest first."""
        with sqlite3.connect(self.database) as connection:
            return [
                (str(id_), bytes(body))
                for id_, body in connection.execute("SELECT id, body FROM outbox ORDER BY rowid")
            ]

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        cloud = self.flavour == "cloud"
        auth = ("admin", TOKENS["admin"]) if cloud else None
        headers = {} if cloud else {"Authorization": f"Bearer {TOKENS['admin']}"}
        response = requests.request(method, url, auth=auth, headers=headers, timeout=20, **options)
        response.raise_for_status()
        return response


@contextmanager
def a_jira(folder: Path, flavour: str, **settings: Any) -> Iterator[Jira]:
    app = create_app(folder / "jira.sqlite", flavour, tokens=TOKENS, webhook_retry=3600, **settings)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    jira = Jira(f"http://127.0.0.1:{server.server_port}", flavour, folder / "jira.sqlite")
    hook = {"name": "vmjira", "url": "http://127.0.0.1:9/", "events": EVENTS, "jql": ""}
    requests.post(f"{jira.url}/sandbox/webhooks", json=hook, timeout=20).raise_for_status()
    try:
        yield jira
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class ListQueue:
    waiting: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def put(self, unit: Unit, operations: Iterable[OperationRow]) -> None:
        self.waiting += [row.id for row in operations]

    def put_event(self, unit: Unit, delivery: DeliveryRow) -> None:
        self.events.append(delivery.id)


@dataclass
class World:
    folder: Path
    jira: Jira
    store: SqlStore
    policy: str = POLICY
    queue: ListQueue = field(default_factory=ListQueue)
    ahead: timedelta = timedelta()  # of the real time: a test does not wait for pauses of minutes
    heard: int = 0

    def __post_init__(self) -> None:
        self.rules = self.folder / "rules"
        self.rules.mkdir()
        for name, text in {"categories": CATEGORIES, "ranges": RANGES, "policy": TICKET + self.policy}.items():
            (self.rules / f"{name}.yaml").write_text(text, encoding="utf-8")
        self.outside = Outside(
            store=self.store,
            queue=self.queue,
            renderer=Renderer(self.rules / "templates"),
            tracker=connect(self.jira.settings(), calls_per_second=lambda: 10_000.0),
            tickets=ReadAhead(self.store),
            rulebook=rulefiles.load_texts,
            clock=lambda: datetime.now(UTC) + self.ahead,
        )
        self.adopt()

    def adopt(self) -> None:
        """Put the rules in the folder in force."""
        adopt_rules(self.outside, lambda: rulefiles.load(self.rules), Report())

    def write(self, name: str, text: str) -> None:
        """Other rules, in force at once."""
        (self.rules / f"{name}.yaml").write_text(text, encoding="utf-8")
        self.adopt()

    # --- what happens -------------------------------------------------------------------------------------------------

    def ingest(self, scan: Scan) -> None:
        scan = replace(scan, digest=hashlib.sha256(scan.digest.encode()).hexdigest())
        fold_in(self.outside, Path("weekly.nessus"), scan, Report())

    def fold(self, scan: Scan) -> list[str]:
        """A scan comes in, and all that follows from it."""
        self.ingest(scan)
        return self.settle()

    def settle(self) -> list[str]:
        """Deliver and listen until nothing happens any more; what was delivered, and what was decided."""
        said: list[str] = []
        for _ in range(PATIENCE):
            news = [*self.deliver(), *self.listen()]
            if not news and not self.queue.waiting:
                return said
            said += news
        raise AssertionError("there is no end of it:\n" + "\n".join(said[-20:]))

    def deliver(self) -> list[str]:
        said = []
        while self.queue.waiting:
            row = self._through(attempt, self.queue.waiting.pop(0), self.operation)
            said.append(f"{row.operation} {row.identifier}: {row.state}")
        return said

    def listen(self, *, forget: bool = False) -> list[str]:
        """Take up the webhooks that came in meanwhile, in order. `forget`: they are lost."""
        came, said = self.jira.webhooks()[self.heard :], []
        self.heard += len(came)
        for id_, body in [] if forget else came:
            delivery = DeliveryRow(id_, self.outside.clock(), {}, body, parse(body).issue)
            with self.store.begin() as unit:
                unit.add_delivery(delivery)
            said.append(self._through(react, id_, self.delivery).answer)
        return said

    def _through(self, handle: Any, id_: str, look: Any) -> Any:
        for _ in range(PATIENCE):
            if (pause := handle(self.outside, id_)) is None:
                return look(id_)
            self.ahead += timedelta(seconds=pause)
            time.sleep(min(pause, 0.06))
        raise AssertionError(f"{id_}: {look(id_).answer}")

    # --- what is known afterwards -------------------------------------------------------------------------------------

    def row(self, range_: str = "boston", week: int = 23) -> TicketRow:
        with self.store.reading() as unit:
            row = unit.ticket(f"windows.{range_}.2026-W{week}")
        assert row is not None
        return row

    def key(self, range_: str = "boston") -> str:
        key = self.row(range_).key
        assert key
        return key

    def ticket(self, range_: str = "boston") -> Ticket:
        return self.jira.ticket(self.key(range_))

    def operation(self, id_: str) -> OperationRow:
        with self.store.reading() as unit:
            row = unit.operation(id_)
        assert row is not None
        return row

    def operations(self, range_: str = "boston") -> list[OperationRow]:
        with self.store.reading() as unit:
            return unit.operations(identifier=self.row(range_).identifier)

    def delivery(self, id_: str) -> DeliveryRow:
        with self.store.reading() as unit:
            row = unit.delivery(id_)
        assert row is not None
        return row

    def acceptances(self) -> list[AcceptanceRow]:
        with self.store.reading() as unit:
            return unit.acceptances()

    def is_proven(self) -> bool:
        """Whether the ledger is what its events say."""
        return differing(self.outside, rebuild(self.outside)) == []

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.jira.webhooks()]


@contextmanager
def a_world(folder: Path, jira: Jira, policy: str = "") -> Iterator[World]:
    (folder / "database").mkdir(parents=True)
    store = open_store(f"sqlite:///{folder}/database/vmjira.db", str(folder / "data"))
    store.upgrade()
    try:
        yield World(folder, jira, store, POLICY + policy)
    finally:
        store.close()
