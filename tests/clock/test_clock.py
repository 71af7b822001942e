"""The clock of a process: says what is due, by the rules as they are, and never stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from structlog.testing import capture_logs

from tests.clock.world import Desk
from vmjira import scheduling
from vmjira.errors import RulesInvalid, StoreUnavailable
from vmjira.flows.firings import firing_id, ring
from vmjira.flows.jobs import crons
from vmjira.flows.rows import FiringRow
from vmjira.scheduling import Clock, Timetable, latest_due, timetable, trigger

UTC_ZONE = ZoneInfo("UTC")
EPOCH, MICROSECOND = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)


class Often(CronTrigger):
    """Due several times a second: what takes seconds by cron takes tenths."""

    every = timedelta(seconds=0.2)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        first = now if previous_fire_time is None else max(now, previous_fire_time + MICROSECOND)
        return EPOCH + -(-(first - EPOCH) // self.every) * self.every


OFTEN = Often(timezone=UTC_ZONE)
DAILY = trigger("0 6 * * *", UTC_ZONE)


class Bell:
    """Remembers what was rung, as the database would."""

    def __init__(self, **last: datetime) -> None:
        self.rung: list[tuple[str, datetime]] = []
        self.known = dict(last)
        self.fault: Exception | None = None
        self.looks = 0
        self._moved = threading.Condition()

    def last(self) -> dict[str, datetime]:
        with self._moved:
            self.looks += 1
            self._moved.notify_all()
        if self.fault:
            raise self.fault
        return dict(self.known)

    def ring(self, job: str, due: datetime) -> bool:
        with self._moved:
            self.rung.append((job, due))
            self.known[job] = due
            self._moved.notify_all()
        return True

    def heard(self, when: Callable[[], bool], seconds: float = 10) -> None:
        with self._moved:
            assert self._moved.wait_for(when, seconds), f"only this was rung: {self.rung}"

    def looked(self, times: int) -> None:
        """So many times from now on."""
        wanted = self.looks + times
        self.heard(lambda: self.looks >= wanted)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nor does it wait for tracebacks to be painted."""
    monkeypatch.setattr(scheduling, "LOOK", 0.2)
    with capture_logs():
        yield


def jobs(bell: Bell) -> list[str]:
    return [job for job, _ in bell.rung]


def test_each_due_time_is_said_at_its_time_and_once():
    bell = Bell()
    with Clock(lambda: {"a": OFTEN}, bell.last, bell.ring).running():
        bell.heard(lambda: len(bell.rung) >= 2)
        late = (datetime.now(UTC) - bell.rung[-1][1]).total_seconds()
    dues = [due for _, due in bell.rung]
    assert len(set(dues)) == len(dues) and dues == sorted(dues)
    assert all((due - EPOCH) % Often.every == timedelta() for due in dues) and late < 1.5


def test_after_downtime_the_latest_due_time_is_said_and_those_before_it_are_over():
    now = datetime.now(UTC)
    bell = Bell(a=now - timedelta(days=4), b=now)
    with Clock(lambda: {"a": DAILY, "b": DAILY}, bell.last, bell.ring).running():
        bell.heard(lambda: bool(bell.rung))
        bell.looked(3)
    (job, due) = bell.rung[0]
    assert len(bell.rung) == 1 and job == "a" and now - timedelta(days=1) < due <= now


def test_what_was_never_due_before_is_not_made_up_for():
    bell = Bell()
    with Clock(lambda: {"new": DAILY, "a": OFTEN}, bell.last, bell.ring).running():
        bell.heard(lambda: len(bell.rung) >= 2)
    assert set(jobs(bell)) == {"a"}


def test_a_changed_scanners_yaml_takes_effect_without_restart(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    def fast(cron: str, zone: ZoneInfo) -> CronTrigger:
        return OFTEN if cron.startswith("* ") else CronTrigger(second="*/20", timezone=zone)

    monkeypatch.setattr(scheduling, "_trigger", fast)
    line = "  - {{id: {}, type: folder, path: {}, fetch: '{} * * * *'}}\n"
    wanted = [("berlin", "*/20"), ("attic", "*")]
    desk.world.write_rules(scanners="scanners:\n" + "".join(line.format(id, id, when) for id, when in wanted))
    bell = Bell()
    with Clock(lambda: timetable(crons(desk.tools.rules()), UTC_ZONE), bell.last, bell.ring).running():
        bell.heard(lambda: "fetch.attic" in jobs(bell))
        desk.world.write_rules(scanners="scanners:\n" + line.format("berlin", "berlin", "*"))
        bell.heard(lambda: "fetch.berlin" in jobs(bell))
        bell.rung.clear()
        bell.heard(lambda: jobs(bell).count("fetch.berlin") >= 2)
    assert "fetch.attic" not in jobs(bell)


def test_broken_rules_leave_the_schedule_as_it_was():
    bell, broken = Bell(), list[bool]()

    def table() -> Timetable:
        if broken:
            raise RulesInvalid([])
        return {"a": OFTEN}

    with Clock(table, bell.last, bell.ring).running():
        bell.heard(lambda: bool(bell.rung))
        broken.append(True)
        bell.rung.clear()
        bell.heard(lambda: len(bell.rung) >= 2)


@pytest.mark.parametrize("fault", [StoreUnavailable("database: away"), RuntimeError("a fault of ours")])
def test_a_database_that_was_away_only_delays(fault: Exception):
    bell = Bell()
    with Clock(lambda: {"a": OFTEN}, bell.last, bell.ring).running():
        bell.heard(lambda: bool(bell.rung))
        bell.fault = fault
        bell.looked(6)
        seen = len(bell.rung)
        bell.fault = None
        bell.heard(lambda: len(bell.rung) > seen)


def test_many_clocks_on_one_database_say_each_due_time_once(anywhere: Desk):
    start = datetime.now(UTC)

    def last() -> dict[str, datetime]:
        with anywhere.world.store.reading() as unit:
            return {job: row.due for job, row in unit.last_firings().items()}

    done = threading.Event()

    def listen(job: str, due: datetime) -> bool:
        new = ring(anywhere.outside, job, due)
        if len(anywhere.queue.jobs) >= 6:
            done.set()
        anywhere.fire(job, due, lambda name: "")
        return new

    each_second = CronTrigger(second="*", timezone=UTC_ZONE)  # a firing's id knows no tenths
    clocks = [Clock(lambda: {"a": each_second, "b": each_second}, last, listen) for _ in range(4)]
    with _all(clocks):
        assert done.wait(15)
    workflows = [workflow for _, workflow, _ in anywhere.queue.jobs]
    assert len(set(workflows)) == len(workflows)
    with anywhere.world.store.reading() as unit:
        rows: list[FiringRow] = unit.firings()
    assert {(row.job, row.due) for row in rows if row.state != "coalesced"} >= {
        (job, start.replace(microsecond=0) + timedelta(seconds=2)) for job in ("a", "b")
    }


def test_after_a_day_without_any_worker_four_that_start_at_once_do_each_job_once(anywhere: Desk):
    now, table = datetime.now(UTC).replace(microsecond=0), timetable(crons(anywhere.load()), UTC_ZONE)
    before = now - timedelta(days=1)
    for job in table:
        ring(anywhere.outside, job, before)
        anywhere.fire(job, before, lambda name: "")
    anywhere.queue.jobs.clear()
    latest = {job: latest_due(each, before, now) for job, each in table.items()}
    done = threading.Event()

    def last() -> dict[str, datetime]:
        with anywhere.world.store.reading() as unit:
            return {job: row.due for job, row in unit.last_firings().items()}

    def listen(job: str, due: datetime) -> bool:
        new = ring(anywhere.outside, job, due)
        if len(anywhere.queue.jobs) >= len(table):
            done.set()
        return new

    with _all([Clock(lambda: table, last, listen, lambda: now) for _ in range(4)]):
        assert done.wait(15)
    assert sorted(id for id, _, _ in anywhere.queue.jobs) == sorted(
        firing_id(job, due) for job, due in latest.items() if due
    )


def test_what_is_due_comes_from_policy_and_scanners(desk: Desk):
    desk.world.write_rules(policy="ticket: {project: VM}\nschedule: {doctor: never, reminders: 0 8 * * mon}\n")
    due = crons(desk.load())
    assert due["fetch.hq"] == "0 6 * * *" and due["reminders"] == "0 8 * * mon"
    assert "doctor" not in due and due["reconcile"] == "*/15 * * * *"


def test_a_broken_file_leaves_the_last_good_rules_and_is_told_once(desk: Desk):
    good = desk.tools.rules()
    desk.world.write_rules(scanners="scanners: [{id: hq, type: nessus, fetch: sometimes}]\n")
    with capture_logs() as told:
        assert desk.tools.rules() is good and desk.tools.rules() is good
    assert [each["event"].startswith("the rules are broken") for each in told] == [True]
    desk.world.write_rules(scanners="scanners: []\n")
    assert "fetch.hq" not in crons(desk.tools.rules())


def _all(clocks: list[Clock]) -> object:
    from contextlib import ExitStack, contextmanager

    @contextmanager
    def running() -> Iterator[None]:
        with ExitStack() as stack:
            for clock in clocks:
                stack.enter_context(clock.running())
            yield

    return running()
