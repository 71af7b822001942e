"""The whole story over HTTP: Jira, a Nessus, the server, and workers of which one is killed."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from werkzeug.serving import make_server

from tests.decide.world import Quiet
from tests.e2e.nursery import Nursery, nursery
from tests.flows.jira import Jira, Ticket, running
from tests.flows.scans import SMB, Flaw, nessus
from tests.sources.nessus_stand import ACCESS, SECRET, History, NessusStand, Scan
from tests.sources.stand import listening
from vmjira.bootstrap import Application
from vmjira.flows.jobs import run
from vmjira.settings import load_settings
from vmjira.webapp import web_app_of

A, B, C = "10.1.0.1", "10.1.0.2", "10.1.0.3"
PATIENCE = 60.0
RULES = {
    "categories": "categories: [{id: windows, title: Windows updates, where: \"family = 'Windows'\"}]\n",
    "ranges": "ranges: [{id: boston, title: Boston Office, networks: [10.1.0.0/16]}]\n",
    "policy": "ticket: {project: VM, transition_fields: {resolution: {name: Done}}}\ncalls_per_second: 100\n",
    "scanners": "scanners: [{id: hq, type: nessus, url: 'URL', access_key: '${KEY}', secret_key: '${SECRET}'}]\n",
}


def until(what: Callable[[], Any]) -> Any:
    """Whatever `what` gives, as soon as it is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain: {what}")


@dataclass
class Place:
    folder: Path
    jira: Jira
    stand: NessusStand
    workers: Nursery

    def __post_init__(self) -> None:
        (self.folder / "rules").mkdir()
        for name, text in RULES.items():
            (self.folder / "rules" / f"{name}.yaml").write_text(text.replace("URL", self.stand.url))
        self.environ = {
            "VMJIRA_DATA": str(self.folder / "data"),
            "VMJIRA_RULES": str(self.folder / "rules"),
            "VMJIRA_DATABASE_URL": "",
            "KEY": ACCESS,
            "SECRET": SECRET,
            **self.jira.environ,
        }
        self.app = Application(load_settings(self.environ, dotenv=Path(os.devnull)))

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Killed in the end."""
        pid = self.workers.spawn(self.environ, self.folder / "log", "--threads", "4")
        try:
            yield
        finally:
            self.workers.bury(pid)

    @contextmanager
    def serving(self) -> Iterator[None]:
        server = make_server("127.0.0.1", 0, web_app_of(self.app), threaded=True, request_handler=Quiet)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/webhooks/jira"
        hook = {"name": "vmjira", "url": url, "events": ["jira:issue_updated"], "jql": ""}
        requests.post(f"{self.jira.url}/sandbox/webhooks", json=hook, timeout=20).raise_for_status()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

    def ticket(self) -> Ticket:
        (ticket,) = self.jira.tickets()
        return ticket

    def close(self) -> None:
        key = self.ticket().key
        (id_,) = [
            each["id"] for each in self.jira.rest("GET", f"issue/{key}/transitions")["transitions"]
            if each["name"] == "Done"
        ]  # fmt: skip
        body = {"transition": {"id": id_}, "fields": {"resolution": {"name": "Done"}}}
        self.jira.rest("POST", f"issue/{key}/transitions", body)

    def closing(self) -> str:
        with self.app.store.reading() as unit:
            (row,) = unit.tickets()
        return row.closing

    def run_state(self) -> str:
        with self.app.store.reading() as unit:
            return next((row.state for row in unit.rescans.runs()), "")

    def finish(self, found: dict[str, list[Flaw]]) -> None:
        """The rescan ends, and this is what it found."""
        latest = self.stand.scans[0].runs[-1]
        now = datetime.now(UTC)
        latest.content = nessus(self.folder / "rescan.nessus", now, found).read_bytes()
        latest.ended, latest.status = int(now.timestamp()), "completed"


@pytest.fixture(scope="module")
def workers() -> Iterator[Nursery]:
    with nursery("tests.rescan.worker") as workers:
        yield workers


@pytest.fixture
def place(tmp_path: Path, workers: Nursery) -> Iterator[Place]:
    ended = datetime.now(UTC) - timedelta(hours=2)
    content = nessus(tmp_path / "weekly.nessus", ended, {A: [SMB], B: [SMB], C: []}).read_bytes()
    weekly = History(1, "u-1", int(ended.timestamp()), hosts=(A, B, C), content=content)
    with ExitStack() as stack:
        stand = NessusStand(scans=[Scan(10, "Weekly Boston", [weekly])], waits=0)
        stack.enter_context(listening(stand))
        place = Place(tmp_path, stack.enter_context(running(tmp_path, "datacenter")), stand, workers)
        stack.enter_context(place.serving())
        yield place
        place.app.store.close()


@pytest.mark.parametrize("mended", [True, False], ids=["mended", "still vulnerable"])
def test_from_the_weekly_scan_to_a_verified_closing_though_the_worker_is_killed(place: Place, mended: bool) -> None:
    assert run(place.app.tools, "fetch.hq") == "1 scan folded"
    with place.worker():
        until(lambda: place.jira.tickets() and place.ticket().files)
        place.close()
        until(lambda: place.stand.asked("POST /scans/10/launch"))
        until(lambda: place.run_state() == "running")
        until(lambda: any("hq is scanning again" in each for each in place.ticket().comments))
    (launch,) = [call for call in place.stand.calls if re.search("/launch", call.path)]
    assert launch.body == {"alt_targets": [A, B]}

    place.finish({A: [] if mended else [SMB], B: []})
    with place.worker():
        until(lambda: place.run_state() == "done")
        until(lambda: any("scanned again by hq" in each for each in place.ticket().comments))
        until(lambda: len(place.ticket().comments) == 2)
        until(lambda: place.ticket().status == ("Done" if mended else "To Do"))
    ticket = place.ticket()
    answer, decision = ticket.comments
    if mended:
        assert place.closing() == "confirmed"
        assert "Verified meanwhile" in answer and "all 2 findings of this ticket are fixed" in decision
    else:
        assert place.closing() == ""
        assert "1 finding is still open on 1 host" in answer and A in decision and B not in decision
    assert len(place.stand.asked("/launch")) == 1
    with place.app.store.reading() as unit:
        assert [(row.rescan, row.hosts) for row in unit.scans()] == [(False, 3), (True, 2)]
        assert [row.remote for row in unit.taken("hq")] == ["10/1", "10/2"]
