"""The only place that wires settings, store, connectors and flows together.

DBOS, the Jira library and Flask take most of the time that a command needs to start; so they are imported by those who
use them, and `vmjira tickets` does without.
"""

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
from typing import TYPE_CHECKING

import structlog

from vmjira import rulefiles
from vmjira.domain.frames import Scan
from vmjira.domain.rulebook import Policy, Rulebook
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.readahead import ReadAhead
from vmjira.flows.rules import read_rules
from vmjira.rendering import Renderer
from vmjira.scanners import read_scan
from vmjira.settings import Settings, load_settings
from vmjira.store import SqlStore, open_store

if TYPE_CHECKING:
    from flask import Flask

    from vmjira.flows.queue import Attempt
    from vmjira.trackers.jira import JiraTracker
    from vmjira.web.access import Access
    from vmjira.web.metrics import TrackerCalls

#: Seconds between two beats of a worker, and after which a silent worker counts as dead.
BEAT, STALE = 2.0, 15.0


@dataclass(frozen=True)
class Application:
    """vmjira with everything it may touch. Nothing connects before it is used; `store` upgrades the database first."""

    settings: Settings

    @cached_property
    def store(self) -> SqlStore:
        """The store, its database brought up to this program."""
        store = open_store(self.settings.database_url, self.settings.data)
        store.upgrade()
        return store

    @cached_property
    def tracker(self) -> Callable[[], JiraTracker]:
        from vmjira.trackers import jira

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
            calls_per_second=lambda: self._policy().calls_per_second,
            observe=self.tracker_calls,
        )

    @cached_property
    def tracker_calls(self) -> TrackerCalls:
        """How the tracker answers this process."""
        from vmjira.web.metrics import TrackerCalls

        return TrackerCalls()

    @cached_property
    def outside(self) -> Outside:
        """What flows may touch; the queue's tables are there."""
        from vmjira.flows import queue

        store = self.store
        queue.prepare(self.settings.database_url)
        return Outside(
            store=store,
            queue=queue.Queue(store.engine),
            renderer=Renderer(self.settings.rules / "templates"),
            tracker=lambda: self.tracker(),  # noqa: PLW0108  settings of the tracker are asked for when it is used
            tickets=ReadAhead(store),
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
                return read_scan(file, into, timezone=self._policy().timezone, progress=progress)

            yield read

    def rules_in_force(self) -> Rulebook | None:
        with self.store.reading() as unit:
            row = unit.rules_in_force()
        return read_rules(rulefiles.load_texts, row) if row else None

    def _policy(self) -> Policy:
        """The policy in force; before the first ingest the one in the folder, else the default."""
        if rulebook := self.rules_in_force():
            return rulebook.policy
        return self.load_rules().policy if self.settings.rules.is_dir() else Policy()

    def _handlers(self) -> dict[str, Attempt]:
        from vmjira.flows.deliver import attempt
        from vmjira.flows.queue import DELIVER, REACT, RESCAN
        from vmjira.flows.react import react
        from vmjira.flows.rescan import Reach, look_after
        from vmjira.scanners import sources

        reach = Reach(lambda scanner: sources.connect(scanner, os.environ), self.reader, self.load_rules)
        return {
            DELIVER: lambda id: attempt(self.outside, id),
            REACT: lambda id: react(self.outside, id),
            RESCAN: lambda id: look_after(self.outside, id, reach),
        }

    @contextmanager
    def worker(self, *, threads: int = 8) -> Iterator[int]:
        """Deliver from this process while the block runs, under a worker slot of its own; gives the slot."""
        from vmjira.flows import queue

        store, handlers = self.store, self._handlers()
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
            with queue.running(self.settings.database_url, slot, handlers, threads=threads):
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
    return web_app_of(Application(settings))


def web_app_of(application: Application) -> Flask:
    """The pages, and where the tracker sends its events. SettingsInvalid if anybody could send some."""
    from vmjira.flows.receive import Receiver
    from vmjira.web import create_app
    from vmjira.web.webhooks import webhooks

    settings = application.settings
    settings.require_guarded_webhooks()
    app = create_app(lambda: application.store, application.rules_in_force, browse_url=settings.jira_browse_url)
    receiver = Receiver(lambda: application.outside)
    app.register_blueprint(webhooks(receiver.receive, _access(settings)))
    return app


def _access(settings: Settings) -> Access:
    from vmjira.web.access import Access

    return Access(
        secret=settings.webhook_secret,
        path_secret=settings.webhook_path_secret,
        networks=settings.webhook_networks,
        proxies=settings.trusted_proxies,
    )


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
