"""The only place that wires settings, store, connectors and flows together.

DBOS, the Jira library and Flask take most of the time that a command needs to start; so they are imported by those who
use them, and `vmjira tickets` does without.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import structlog

from vmjira import rulefiles
from vmjira.domain.frames import Scan
from vmjira.domain.rulebook import Policy, Rulebook, Scanner
from vmjira.errors import Problem, RulesInvalid, TrackerError
from vmjira.flows.ports import Outside
from vmjira.flows.readahead import ReadAhead
from vmjira.flows.rules import LastGood, read_rules
from vmjira.rendering import Renderer, check_templates
from vmjira.scanners import read_scan
from vmjira.settings import Settings
from vmjira.store import SqlStore, open_store

if TYPE_CHECKING:
    from vmjira.flows.fetch import Intake
    from vmjira.flows.jobs import Tools
    from vmjira.flows.queue import Attempt, Queue
    from vmjira.rulefiles.places import Place
    from vmjira.scheduling import Clock
    from vmjira.trackers.jira import JiraTracker
    from vmjira.trackers.jira.doctor import Check
    from vmjira.web.metrics import TrackerCalls

#: Seconds after its last beat in which a worker counts as alive.
STALE = 15.0


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
    def queue(self) -> Queue:
        from vmjira.flows.queue import Queue

        return Queue(self.store.engine)

    @cached_property
    def outside(self) -> Outside:
        """What flows may touch; the queue's tables are there."""
        from vmjira.flows import queue

        store = self.store
        queue.prepare(self.settings.database_url)
        return Outside(
            store=store,
            queue=self.queue,
            renderer=Renderer(self.settings.rules / "templates"),
            tracker=lambda: self.tracker(),  # noqa: PLW0108  settings of the tracker are asked for when it is used
            tickets=ReadAhead(store),
            rulebook=rulefiles.load_texts,
            clock=lambda: datetime.now(UTC),
            editors=lambda: rulefiles.editors(self.settings.rules),
        )

    def load_rules(self) -> Rulebook:
        """The rule files as they lie in the folder; RulesInvalid with every problem."""
        return rulefiles.load(self.settings.rules)

    def rule_problems(self) -> list[Problem]:
        """Of the rule files as they lie in the folder now; read again only when one has changed."""
        folder = self.settings.rules
        stamp = [(each, each.stat()) for each in sorted(folder.rglob("*")) if each.is_file()]
        key = str([(str(each), stat.st_mtime_ns, stat.st_size) for each, stat in stamp])
        if self._problems.get("key") != key:
            self._problems.update(key=key, found=_problems_of(folder) if folder.is_dir() else [])
        found: list[Problem] = self._problems["found"]
        return found

    @cached_property
    def _problems(self) -> dict[str, Any]:
        return {}

    @contextmanager
    def reader(
        self, progress: Callable[[int, int], None] | None = None, *, timezone: ZoneInfo | None = None
    ) -> Iterator[Callable[[Path], list[Scan]]]:
        """Reads scan files into a folder that lasts as long as the block. `timezone`, by default the policy's, is that
        of times without a zone."""
        with TemporaryDirectory(prefix="vmjira-") as folder:
            count = iter(range(sys.maxsize))

            def read(file: Path) -> list[Scan]:
                into = Path(folder) / str(next(count))
                return read_scan(file, into, timezone=timezone or self._policy().timezone, progress=progress)

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

    def diagnose(self, rulebook: Rulebook) -> list[Check]:
        """Everything that the doctor has to say about the tracker and these rules."""
        from vmjira.flows.identity import remember_names
        from vmjira.trackers import jira

        checks = [*self._site(), *jira.diagnose(self.tracker(), rulebook, self._where(rulebook))]
        with suppress(TrackerError):  # it was said already
            remember_names(self.outside, jira.names_of(self.tracker(), rulebook))
        return checks

    def _site(self) -> list[Check]:
        """Who we are, and whether the tracker is the one that our tickets are in."""
        from vmjira.flows.identity import REBIND, TrackerMoved, check
        from vmjira.flows.installation import installation
        from vmjira.trackers.jira import Check

        checks = [Check(True, f"this is the installation of vmjira {installation(self.outside)}")]
        looking = replace(self.outside, tracker=lambda: self.tracker().aside())
        try:
            check(looking, fresh=True)
        except TrackerMoved as error:
            checks.append(Check(False, error.why, REBIND))
        except TrackerError:
            pass  # the doctor says so
        return checks

    def _where(self, rulebook: Rulebook) -> Callable[[Iterable[Place]], str]:
        def where(places: Iterable[Place]) -> str:
            found = rulefiles.where(rulebook.files, places)
            return found and f"{self.settings.rules.name}/{found}"

        return where

    def names_here(self, rulebook: Rulebook, before: Mapping[str, Any]) -> tuple[list[Check], dict[str, Any]]:
        """What accounts and fields of the rules are called in the tracker as it is now: see `flows.rebind`."""
        from vmjira.trackers import jira

        tracker = self.tracker()
        other = jira.OtherNames(tracker, rulebook, before, self._where(rulebook))
        checks = list(other.checks())
        here = jira.names_of(tracker, rulebook)
        mapped = {"accounts": other.accounts, "fields": other.fields}
        kept = {kind: {**here[kind], **before.get(kind, {})} for kind in here}
        return checks, {**kept, "mapped": mapped}

    @cached_property
    def tools(self) -> Tools:
        """What the jobs of the clock, and the commands about scanners, work with."""
        from vmjira import scheduling
        from vmjira.enrichment import read_catalogue
        from vmjira.flows.jobs import Tools
        from vmjira.scanners.sources import connect

        return Tools(
            outside=self.outside,
            rules=LastGood(self.load_rules, self.rules_in_force),
            load_rules=self.load_rules,
            connect=lambda scanner: connect(scanner, self.settings.environ),
            intake=self._intake,
            diagnose=self.diagnose,
            gap=lambda cron, rules: scheduling.gap(cron, rules.policy.timezone, self.outside.clock()),
            read_catalogue=read_catalogue,
            forget_work=self.queue.forget,
        )

    @contextmanager
    def _intake(self, scanner: Scanner) -> Iterator[Intake]:
        from vmjira.flows.fetch import Intake
        from vmjira.incoming import incoming

        with incoming(self.settings.data, scanner.id) as folder, self.reader(timezone=scanner.timezone) as read:
            yield Intake(folder, read)

    def clock(self) -> Clock:
        """Says when jobs are due, by the rules as they are at that time."""
        from vmjira import scheduling
        from vmjira.flows.firings import ring
        from vmjira.flows.jobs import crons

        tools = self.tools

        def timetable() -> scheduling.Timetable:
            rulebook = tools.rules()
            return scheduling.timetable(crons(rulebook), rulebook.policy.timezone)

        def last() -> dict[str, datetime]:
            with self.store.reading() as unit:
                return {job: row.due for job, row in unit.last_firings().items()}

        return scheduling.Clock(timetable, last, lambda job, due: ring(self.outside, job, due))

    def scanners(self) -> Sequence[dict[str, Any]]:
        """Every scanner of the rules, and how it does."""
        from vmjira import scheduling
        from vmjira.flows.silence import overview

        def next_due(cron: str, rules: Rulebook) -> datetime | None:
            return scheduling.next_due(cron, rules.policy.timezone, self.outside.clock())

        return overview(self.outside, self.tools.rules(), self.tools.gap, next_due)

    def _handlers(self) -> dict[str, Attempt]:
        from vmjira.flows.deliver import attempt
        from vmjira.flows.firings import fire
        from vmjira.flows.jobs import run
        from vmjira.flows.queue import DELIVER, JOB, REACT, RESCAN
        from vmjira.flows.react import react
        from vmjira.flows.rescan import Reach, look_after

        reach = Reach(self.tools.connect, self.tools.intake, self.load_rules)
        return {
            DELIVER: lambda id: attempt(self.outside, id),
            REACT: lambda id: react(self.outside, id),
            JOB: lambda id: fire(self.outside, lambda job: run(self.tools, job), id),
            RESCAN: lambda id: look_after(self.outside, id, reach),
        }

    @contextmanager
    def worker(self, *, threads: int = 8) -> Iterator[int]:
        """Deliver from this process while the block runs, under a worker slot of its own; gives the slot."""
        from vmjira.flows import queue
        from vmjira.slots import claimed, executor

        handlers = self._handlers()
        with (
            claimed(self.store) as place,
            queue.running(self.settings.database_url, executor(place.me), handlers, threads=threads),
            place.beating(),
        ):
            yield place.me.slot

    def worker_alive(self) -> bool:
        with self.store.reading() as unit:
            return bool(unit.live_slots(datetime.now(UTC), stale_after=STALE))


def _problems_of(folder: Path) -> list[Problem]:
    try:
        rulefiles.load(folder)
    except RulesInvalid as error:
        return error.problems
    return check_templates(folder / "templates")


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
