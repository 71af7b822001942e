"""The only place that wires settings, store, connectors and flows together."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import structlog
from flask import Flask

from vmjira import rulefiles
from vmjira.domain.frames import Scan
from vmjira.domain.rulebook import Rulebook
from vmjira.flows import queue
from vmjira.flows.deliver import attempt
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.react import react
from vmjira.flows.readahead import ReadAhead
from vmjira.flows.rules import read_rules, rules_in_force
from vmjira.rendering import Renderer
from vmjira.scanners import read_scan
from vmjira.settings import Settings, load_settings
from vmjira.store import SqlStore, open_store
from vmjira.trackers import jira
from vmjira.web import create_app

#: Seconds between two beats of a worker, and after which a silent worker counts as dead.
BEAT, STALE = 2.0, 15.0


@dataclass(frozen=True)
class Application:
    """vmjira with everything it may touch. Nothing connects before it is used; `store` upgrades the database first."""

    settings: Settings

    @cached_property
    def store(self) -> SqlStore:
        """The store, its database brought up to this program."""
        if self.settings.database_url.startswith("sqlite:///"):
            Path(self.settings.database_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        store = open_store(self.settings.database_url, self.settings.data)
        store.upgrade()
        queue.prepare(self.settings.database_url)
        return store

    @cached_property
    def tracker(self) -> Callable[[], jira.JiraTracker]:
        self.settings.require_jira()
        return jira.connect(
            jira.JiraSettings(
                url=self.settings.jira_url,
                browse_url=self.settings.jira_browse_url,
                user=self.settings.jira_user,
                token=jira.Secret(self.settings.jira_token),
                webhook_secret=jira.Secret(self.settings.webhook_secret),
                search_lag=self.settings.search_lag,
            ),
            calls_per_second=lambda: rules_in_force(self.outside).policy.calls_per_second,
        )

    @cached_property
    def outside(self) -> Outside:
        return Outside(
            store=self.store,
            queue=queue.Queue(self.store.engine),
            renderer=Renderer(self.settings.rules / "templates"),
            tracker=lambda: self.tracker(),  # noqa: PLW0108  settings of the tracker are asked for when it is used
            tickets=ReadAhead(self.store),
            rulebook=rulefiles.load_texts,
            clock=lambda: datetime.now(UTC),
        )

    def load_rules(self) -> Rulebook:
        """The rule files as they lie in the folder; RulesInvalid with every problem."""
        return rulefiles.load(self.settings.rules)

    @contextmanager
    def reader(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Callable[[Path], list[Scan]]]:
        """Reads scan files into a folder that lasts as long as the block."""
        with TemporaryDirectory(prefix="vmjira-") as folder:
            count = iter(range(sys.maxsize))

            def read(file: Path) -> list[Scan]:
                into = Path(folder) / str(next(count))
                return read_scan(file, into, timezone=self._timezone(), progress=progress)

            yield read

    def rules_in_force(self) -> Rulebook | None:
        with self.store.reading() as unit:
            row = unit.rules_in_force()
        return read_rules(self.outside, row) if row else None

    def _timezone(self) -> ZoneInfo:
        """Of times without a zone: by the policy in force, else by the one in the folder, else UTC."""
        if rulebook := self.rules_in_force():
            return rulebook.policy.timezone
        return self.load_rules().policy.timezone if self.settings.rules.is_dir() else ZoneInfo("UTC")

    def _handlers(self) -> dict[str, queue.Attempt]:
        return {
            queue.DELIVER: lambda id: attempt(self.outside, id),
            queue.REACT: lambda id: react(self.outside, id),
        }

    @contextmanager
    def worker(self, *, threads: int = 8) -> Iterator[int]:
        """Deliver from this process while the block runs, under a worker slot of its own; gives the slot."""
        store = self.store
        with store.begin() as unit:
            _free_slots_of_the_dead(unit)
            slot = unit.claim_slot(socket.gethostname(), os.getpid(), datetime.now(UTC), stale_after=STALE)
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(BEAT):
                now = datetime.now(UTC)
                with store.begin() as unit:
                    unit.beat(slot, now)
                    live = unit.live_slots(now, stale_after=STALE)
                    dead = [row.slot for row in unit.slots() if row.slot not in live]
                if dead:
                    queue.take_over(dead)
                    with store.begin() as unit:
                        for each in dead:
                            unit.release_slot(each)

        thread = threading.Thread(target=beat, daemon=True, name="beat")
        thread.start()
        try:
            with queue.running(self.settings.database_url, slot, self._handlers(), threads=threads):
                yield slot
        finally:
            stop.set()
            thread.join()
            with store.begin() as unit:
                unit.release_slot(slot)

    def worker_alive(self) -> bool:
        with self.store.reading() as unit:
            return bool(unit.live_slots(datetime.now(UTC), stale_after=STALE))


def _free_slots_of_the_dead(unit: Unit) -> None:
    """A worker of this machine that was killed cannot say so; its successor need not wait until it counts as dead."""
    for row in unit.slots():
        if row.host == socket.gethostname() and not _alive(row.pid):
            unit.release_slot(row.slot)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def web_app() -> Flask:
    """The WSGI application, by the settings of the environment."""
    settings = load_settings()
    configure_logging(settings.log)
    application = Application(settings)
    return create_app(lambda: application.store, application.rules_in_force, browse_url=settings.jira_browse_url)


def configure_logging(level: str) -> None:
    """Logs go to stderr, one line an event, readable by people; libraries only from warning on."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
