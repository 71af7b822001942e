"""The clock: when each job is due, by the rules as they are now; what is due is said to the database, once.

It runs in every worker process, and none leads: each says of every due time that it has come, and whoever says so first
has it queued (`flows.jobs.ring`). So nothing is lost while one of them lives, and nothing is done twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from vmjira.errors import VmjiraError

log = structlog.get_logger(__name__)

#: Seconds between two looks at the rules, and for due times that this process could not say.
LOOK = 30.0
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Fields of a cron expression: APScheduler's name, lowest and highest number, names of the numbers from the lowest on.
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day_of_week", 0, 6, _DAYS),
)


# --- when -------------------------------------------------------------------------------------------------------------


class WallTrigger(CronTrigger):  # type: ignore[misc]  # without types of its own
    """APScheduler's cron trigger, reckoned by the clock on the wall, where a day is always followed by the next.

    The original adds the hours between two times on the wall to UTC. So after a change to summer time it lands an hour
    later than midnight: the job of that night, or of the first of April and so of a whole month, is lost.
    """

    def __init__(self, zone: ZoneInfo, **fields: str) -> None:
        super().__init__(timezone=zone, **fields)
        self._wall = CronTrigger(timezone=UTC, **fields)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first that is not before `now`, but after the previous one.

        A time that is skipped comes later by what was skipped; one that is repeated comes twice.
        """
        start = min(now, previous_fire_time + timedelta(microseconds=1)) if previous_fire_time else now
        start = start.astimezone(UTC)
        wall = start.astimezone(self.timezone).replace(tzinfo=UTC) - self._shift(start)
        found, last = list[datetime](), None
        while (due := self._wall.get_next_fire_time(None, wall)) and (last is None or due <= last):
            wall = due + timedelta(microseconds=1)
            if later := [moment for moment in self._moments(due) if moment >= start]:
                found += later
                last = last or due + self._shift(later[0])  # what follows on the wall may come before it
        return min(found).astimezone(self.timezone) if found else None

    def _moments(self, wall: datetime) -> tuple[datetime, datetime]:
        """When the clock on the wall shows that; two different ones if it does so twice."""
        first, second = (wall.replace(tzinfo=self.timezone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return first, max(first, second)

    def _shift(self, moment: datetime) -> timedelta:
        """By how much the clock on the wall is put forward or back about then."""
        before, after = (
            (moment + timedelta(days=days)).astimezone(self.timezone).utcoffset() or timedelta() for days in (-1, 1)
        )
        return abs(after - before)


def trigger(cron: str, zone: ZoneInfo) -> CronTrigger:
    """The trigger for a cron expression that the rules have accepted.

    Each field is spelled out in numbers: APScheduler refuses some that are well-formed, such as `mon-fri/2`. Where both
    kinds of days are given, both must hold (classic cron: either).
    """
    fields = zip(_FIELDS, cron.split(), strict=True)
    return WallTrigger(zone, **{spec[0]: _spelled(text, spec) for spec, text in fields})


def _spelled(text: str, spec: tuple[str, int, int, tuple[str, ...]]) -> str:
    if text == "*":
        return text
    _, low, high, names = spec
    numbers: set[int] = set()
    for item in text.lower().split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        ends = (low, high) if first == "*" else tuple(_number(word, low, names) for word in (first, last or first))
        numbers.update(range(ends[0], ends[1] + 1, int(step or 1)))
    return ",".join(map(str, sorted(numbers)))


def _number(word: str, low: int, names: tuple[str, ...]) -> int:
    return names.index(word) + low if re.fullmatch("[a-z]+", word) else int(word)


def next_due(cron: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The first due time after `now`, in UTC; None if there is none, as for the 30th of February."""
    return _after(_trigger(cron, zone), now)


def gap(cron: str, zone: ZoneInfo, now: datetime) -> timedelta:
    """The longest time between the next ten due times: how long one has to wait at most; zero if there are none."""
    due, found = now, list[datetime]()
    while len(found) <= 10 and (following := next_due(cron, zone, due)):
        found.append(due := following)
    return max((later - one for one, later in pairwise(found)), default=timedelta())


def latest_due(trigger: CronTrigger, after: datetime, now: datetime) -> datetime | None:
    """The latest due time after `after` and up to `now`; None if there is none.

    Looked for backwards in growing steps, so that a year of downtime costs no more than a minute.
    """
    span = timedelta(minutes=2)
    while True:
        begin = max(after, now - span)
        found, following = None, _after(trigger, begin)
        while following is not None and following <= now:
            found, following = following, _after(trigger, following)
        if found or begin == after:
            return found
        span *= 4


def _after(trigger: CronTrigger, moment: datetime) -> datetime | None:
    found = trigger.get_next_fire_time(None, (moment + timedelta(microseconds=1)).astimezone(trigger.timezone))
    return found.astimezone(UTC) if found else None


@lru_cache(maxsize=256)
def _trigger(cron: str, zone: ZoneInfo) -> CronTrigger:
    return trigger(cron, zone)


# --- the clock of one process -----------------------------------------------------------------------------------------

#: Job → when it is due.
Timetable = Mapping[str, CronTrigger]


@dataclass
class Clock:
    """Says to `ring` what is due. `timetable` is asked anew every `LOOK` seconds; nobody waits for a job here."""

    timetable: Callable[[], Timetable]
    last: Callable[[], Mapping[str, datetime]]  # job → the latest due time that is known, by whichever process
    ring: Callable[[str, datetime], bool]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _triggers: dict[str, CronTrigger] = field(default_factory=dict)
    _since: dict[str, datetime] = field(default_factory=dict)  # when this process first heard of the job

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tick in the background while the block runs."""
        options = {"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        self._scheduler = BackgroundScheduler(timezone=UTC, job_defaults=options)
        self._scheduler.add_job(self._look, "interval", seconds=LOOK, id="", next_run_time=self.now())
        self._scheduler.start()
        try:
            yield
        finally:
            self._scheduler.shutdown(wait=True)

    def _look(self) -> None:
        """Take over changed rules; then catch up with what nobody said: we were away, or the database was."""
        with _surviving():
            self._change(self.timetable())
        with _surviving():
            self._catch_up(self._triggers)

    def _change(self, wanted: Timetable) -> None:
        for job in self._triggers.keys() - wanted.keys():
            self._scheduler.remove_job(job)
            del self._triggers[job], self._since[job]
        for job, each in wanted.items():
            if str(each) == str(self._triggers.get(job)) and each.timezone == self._triggers[job].timezone:
                continue
            self._since.setdefault(job, self.now())
            self._triggers[job] = each
            self._scheduler.add_job(self._due, each, [job], id=job, replace_existing=True)
            log.info("scheduled", job=job, when=str(each))

    def _due(self, job: str) -> None:
        with _surviving():  # what could not be said now is said at the next look
            self._catch_up({job: self._triggers[job]} if job in self._triggers else {})

    def _catch_up(self, triggers: Timetable) -> None:
        """The latest due time of each that nobody has said; those before it are over, and not made up for."""
        last, now = self.last(), self.now()
        for job, each in dict(triggers).items():
            due = latest_due(each, last.get(job) or self._since.get(job, now), now)
            if due and self.ring(job, due):
                log.info("due", job=job, at=f"{due:%Y-%m-%d %H:%M:%S} UTC")


@contextmanager
def _surviving() -> Iterator[None]:
    """The clock goes on, whatever happens."""
    try:
        yield
    except VmjiraError as error:
        log.error("the clock goes on as before", why=str(error))
    except Exception:
        log.exception("the clock goes on as before")


def timetable(crons: Mapping[str, str], zone: ZoneInfo) -> Timetable:
    """Job → trigger, from job → cron expression."""
    return {job: _trigger(cron, zone) for job, cron in crons.items()}
