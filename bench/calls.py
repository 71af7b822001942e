"""How many calls the tracker gets for a new, a changed and an unchanged ticket, and how fast deliveries are.

`python -m bench.calls` runs a stand-in for Jira (Cloud, then Data Center) and plays two weeks of a made-up campaign
against it: first three offices, then two of them, then the same files again. The calls are those that the stand-in
itself has logged. Calls that a process makes once (which Jira is this, the limit of attachments) are counted apart.
`python -m bench.calls --queue 4000` measures the queue alone, with deliveries that do nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

from werkzeug.serving import make_server

from vmjira.bootstrap import Application, configure_logging
from vmjira.flows.deliver import attempt
from vmjira.flows.ingest import ingest
from vmjira.flows.operations import new_operation
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.queue import DELIVER, running
from vmjira.flows.rows import DeliveryRow, OperationRow
from vmjira.flows.waiting import wait_until_delivered
from vmjira.sandbox.app import create_app
from vmjira.sandbox.campaign import write_campaign
from vmjira.sandbox.config import Flavour
from vmjira.settings import load_settings
from vmjira.trackers import jira

TOKEN = "sandbox-token"
RULES = Path(__file__).resolve().parents[1] / "rules"
OFFICES = 3  # scan files a week
#: What a ticket may cost beside the deletion of attachments that are replaced. Changed ones are read a dozen at once.
TARGETS = {"new": 3.0, "changed": 2.2, "unchanged": 0.0}
KINDS = ("look-up", "create", "attach", "read", "edit", "comment", "other", "delete")


class Unhurried(Application):
    """With a tracker that may be called as often as we can."""

    @cached_property
    def tracker(self) -> Callable[[], jira.JiraTracker]:
        given = self.settings
        settings = jira.JiraSettings(url=given.jira_url, user=given.jira_user, token=jira.Secret(given.jira_token))
        return jira.connect(settings, calls_per_second=lambda: 1e6)


@dataclass
class Listed:
    """A queue that only remembers, in place of the durable one."""

    ids: deque[str] = field(default_factory=deque)

    def put(self, unit: Unit, operations: Iterable[OperationRow]) -> None:
        self.ids += [row.id for row in operations]

    def put_event(self, unit: Unit, delivery: DeliveryRow) -> None:
        raise NotImplementedError("nobody sends events to a measurement")


@contextmanager
def sandbox(folder: Path, flavour: Flavour) -> Iterator[str]:
    """The address of a stand-in that lives as long as the block."""
    app = create_app(folder / "jira.sqlite", flavour, tokens={"vmjira": TOKEN}, record_bodies=True)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def application(folder: Path, url: str, flavour: Flavour) -> Unhurried:
    configure_logging("error")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    environ = {
        "VMJIRA_DATA": str(folder / "data"), "VMJIRA_RULES": str(RULES), "JIRA_URL": url, "JIRA_TOKEN": TOKEN,
        "JIRA_USER": "vmjira" if flavour == "cloud" else "",
    }  # fmt: skip
    return Unhurried(load_settings(environ, dotenv=folder / "none"))


def fold(app: Application, outside: Outside, files: Sequence[Path]) -> None:
    with app.reader() as read:
        ingest(outside, files, read, app.load_rules)


# --- counting ---------------------------------------------------------------------------------------------------------


def calls_of(url: str) -> list[dict[str, str]]:
    """Every call since this was last asked."""
    with urlopen(f"{url}/sandbox/calls") as answer:
        found: list[dict[str, str]] = json.load(answer)
    urlopen(Request(f"{url}/sandbox/calls", method="DELETE")).close()
    return found


def kind_of(method: str, path: str) -> str:
    """What a call is for; `once` for what a process asks only once."""
    path = re.sub(r"^/rest/api/\d+", "", path)
    patterns = {
        "once": r"GET /(serverInfo|myself|attachment/meta|user.*|project.*)",
        "read": r"POST /issue/bulkfetch|GET /issue/[^/]+",
        "look-up": r"(GET|POST) /search.*",
        "create": r"POST /issue",
        "attach": r"POST /issue/[^/]+/attachments",
        "comment": r"\w+ /issue/[^/]+/comment.*",
        "edit": r"PUT /issue/[^/]+",
        "delete": r"DELETE /attachment/.*",
    }
    return next((kind for kind, pattern in patterns.items() if re.fullmatch(pattern, f"{method} {path}")), "other")


def key_of(path: str) -> str:
    found = re.search(r"/issue/([A-Z]+-\d+)", path)
    return found.group(1) if found else ""


def counted(app: Application, url: str, known: set[str]) -> tuple[dict[str, Counter[str]], dict[str, int], set[str]]:
    """Calls by sort of ticket and kind; tickets by sort; and all keys that there are now."""
    with app.store.reading() as unit:
        keys = {row.key for row in unit.tickets() if row.key}
    calls: dict[str, Counter[str]] = {"new": Counter(), "changed": Counter(), "once": Counter()}
    touched = set()
    for row in calls_of(url):
        kind, key = kind_of(row["method"], row["path"]), key_of(row["path"])
        if kind == "look-up" and "key in (" in (row["body"] or ""):
            kind = "read"
        touched |= {key} & known
        new = kind in ("look-up", "create") or key in keys - known
        calls["once" if kind == "once" else "new" if new else "changed"][kind] += 1
    return calls, {"new": len(keys - known), "changed": len(touched), "unchanged": len(known - touched)}, keys


def show(title: str, calls: dict[str, Counter[str]], tickets: dict[str, int]) -> None:
    print(f"  {title}; asked once: {calls['once'].total()}")
    for sort, target in TARGETS.items():
        if not tickets[sort]:
            continue
        found, number = calls.get(sort, Counter()), tickets[sort]
        each = (found.total() - found["delete"]) / number
        kinds = ", ".join(f"{found[kind] / number:.2f} {kind}" for kind in KINDS if found[kind]) or "none"
        met = "ok" if each <= target + 0.01 else "MORE"
        print(f"    {number:>3} {sort:<10} {each:5.2f} calls each beside deletions (target {target}, {met}): {kinds}")


def by_hand(flavour: Flavour) -> None:
    """Deliver one after the other in this thread."""
    with TemporaryDirectory() as name, sandbox(folder := Path(name), flavour) as url:
        app = application(folder, url, flavour)
        outside = replace(app.outside, queue=(queue := Listed()))
        weeks = write_campaign(folder / "scans", weeks=2)
        print(f"{flavour}, one after the other")
        keys: set[str] = set()
        for title, files in (
            ("first scans of three offices", weeks[:OFFICES]),
            ("next scans of two of them", weeks[OFFICES:-1]),
            ("the same scans again", weeks[OFFICES:-1]),
        ):
            fold(app, outside, files)
            began, operations = time.perf_counter(), 0
            while queue.ids:
                if attempt(outside, queue.ids.popleft()) is not None:
                    raise SystemExit("the stand-in did not answer; see above")
                operations += 1
            seconds = time.perf_counter() - began
            calls, tickets, keys = counted(app, url, keys)
            show(f"{title}: {operations} operations in {seconds:.1f} s", calls, tickets)


# --- the queue --------------------------------------------------------------------------------------------------------


def by_worker(flavour: Flavour) -> None:
    """The same first scans, delivered by a real worker."""
    with TemporaryDirectory() as name, sandbox(folder := Path(name), flavour) as url:
        app = application(folder, url, flavour)
        fold(app, app.outside, write_campaign(folder / "scans", weeks=1))
        with app.store.reading() as unit:
            operations = unit.count_operations("queued")
        began = time.perf_counter()
        with app.worker():
            launched = time.perf_counter() - began
            problems = wait_until_delivered(app.store, lambda done, total: None, look_every=0.02)
            seconds = time.perf_counter() - began - launched
        print(
            f"{flavour}, by a worker: {operations} operations, {seconds:.1f} s ({operations / seconds:.1f} a second), "
            f"ready after {launched:.1f} s; {len(problems)} problems"
        )


def queue_alone(operations: int) -> None:
    """As many cells as operations, put in one transaction, delivered by doing nothing."""
    with TemporaryDirectory() as name:
        app = application(Path(name), "", "datacenter")
        outside, now = app.outside, datetime.now(UTC)
        rows = [
            new_operation("update", f"category{i % 100}.range{i // 100}.2026-W23", "bench", plan="v1", now=now)
            for i in range(operations)
        ]
        began = time.perf_counter()
        with outside.store.begin() as unit:
            unit.add_operations(rows)
            outside.queue.put(unit, rows)
        print(f"{operations} operations of as many cells are queued in {time.perf_counter() - began:.1f} s")
        done: list[float] = []
        finished = threading.Event()

        def nothing(_: str) -> None:
            done.append(time.perf_counter())
            if len(done) == operations:
                finished.set()

        began = time.perf_counter()
        with running(app.settings.database_url, 1, {DELIVER: nothing}):
            finished.wait()
        for quarter in range(4):
            part = done[operations * quarter // 4 : operations * (quarter + 1) // 4]
            print(f"  quarter {quarter + 1}: {len(part) / (part[-1] - part[0]):.0f} a second")
        print(f"  all: {operations / (done[-1] - began):.0f} a second, from the start of the worker on")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queue", type=int, metavar="OPERATIONS", help="only the queue, with deliveries of nothing")
    given = parser.parse_args()
    if given.queue:
        queue_alone(given.queue)
        return
    flavours: tuple[Flavour, ...] = ("cloud", "datacenter")
    for flavour in flavours:
        by_hand(flavour)
    for flavour in flavours:
        by_worker(flavour)


if __name__ == "__main__":
    main()
