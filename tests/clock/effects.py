"""What came of each firing: its row, how often its body began and ended, and what it did, in the ledger and in Jira."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.flows.jira import Ticket
from vmjira.bootstrap import Application
from vmjira.flows.firings import firing_id
from vmjira.flows.jobs import JOBS
from vmjira.flows.replay import differing, rebuild
from vmjira.flows.rows import FiringRow


@dataclass(frozen=True)
class Plan:
    """`rounds` times a `period` of seconds, in each of which every job is due once: the scanners' and all others."""

    workers: int = 4
    servers: int = 2
    scanners: int = 42
    period: int = 60  # divides 60
    rounds: int = 4
    kill: float = 3.0  # seconds between two kills of one worker
    cuts: int = 6  # reminders at which all workers die, half of them after Jira has written the comment
    between: int = 20  # reminders from one of these to the next
    patience: float = 240.0  # seconds after the last due time

    @property
    def seconds(self) -> int:
        return self.period * self.rounds

    @property
    def jobs(self) -> dict[str, int]:
        """Job → the second of the period at which it is due."""
        names = [f"fetch.s{number}" for number in range(self.scanners)]
        for place, job in enumerate(JOBS, 1):
            names.insert(place * len(names) // len(JOBS), job)
        return {job: place * self.period // len(names) for place, job in enumerate(names)}

    def cron(self, job: str) -> str:
        return f"{','.join(str(second) for second in range(self.jobs[job], 60, self.period))} * * * *"

    def dues(self, job: str, start: datetime) -> list[datetime]:
        moments = [start + timedelta(seconds=second) for second in range(self.seconds)]
        return [moment for moment in moments if moment.second % self.period == self.jobs[job]]


@dataclass(frozen=True)
class Told:
    """One firing: how often each thing happened."""

    job: str
    due: datetime
    rows: int
    state: str
    begun: int  # its body
    ended: int
    at_once: int  # that began while another one was still alive and had not ended
    folded: int | None = None  # its scan, into the ledger; None: it has none
    tickets: int | None = None  # of its scan, in Jira
    reminders: int | None = None  # in that ticket

    def line(self) -> str:
        counts = ("rows", "begun", "ended", "at_once", "folded", "tickets", "reminders")
        shown = (f"{name} {getattr(self, name)}" for name in counts if getattr(self, name) is not None)
        return f"{self.due:%H:%M:%S} {self.job:12} {self.state:9} {'  '.join(shown)}"


@dataclass
class Outcome:
    told: list[Told] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)  # firings that were never due
    taken: Counter[str] = field(default_factory=Counter)  # by outcome
    reminded: int = 0  # operations, of which each is to be one comment
    comments: int = 0  # that remind
    operations: Counter[str] = field(default_factory=Counter)  # by state
    catalogues: int = 0  # versions that were taken of the only one
    wrong: list[str] = field(default_factory=list)  # parts of the ledger that are not as replayed
    kills: int = 0
    cuts: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)  # of the web servers
    seconds: float = 0.0

    def problems(self) -> list[str]:
        said = [each.line() for each in self.told if not _as_it_should(each)]
        said += [f"firing {each}: was never due" for each in self.unexpected]
        if self.comments != self.reminded:
            said.append(f"{self.comments} comments of {self.reminded} reminders")
        said += [f"operations: {self.operations}"] if set(self.operations) - {"done"} else []
        said += [f"{self.catalogues} versions of one catalogue"] if self.catalogues != 1 else []
        said += [f"ledger: {part} is not as replayed" for part in self.wrong]
        said += [f"web: {answer}" for answer in self.answers if answer != "200"]
        return said


def _as_it_should(each: Told) -> bool:
    """Effects are there once. `over`: nobody lived to say that it was due before it was due the next time."""
    once = {each.folded, each.tickets, each.reminders} <= {None, 1}
    if each.state in ("coalesced", "over"):
        return once and each.begun == 0
    return once and each.rows == 1 and each.state == "done" and each.begun >= each.ended >= 1


@dataclass(frozen=True)
class Seen:
    """What is to be counted."""

    rows: list[FiringRow]
    ran: Counter[tuple[str, str]]  # see `_runs`
    folded: Counter[str]  # by the name of the file
    tickets: list[Ticket]

    def told(self, job: str, round: int, due: datetime) -> Told:
        id, scanner = firing_id(job, due), job.removeprefix("fetch.")
        rows = [row for row in self.rows if (row.job, row.due) == (job, due)]
        its = [ticket for ticket in self.tickets if ticket.identifier == f"w.{scanner}.{round + 1}"]
        over = any(row.job == job and row.due > due for row in self.rows)
        state = rows[0].state if rows else "over" if over else "missing"
        counts = (len(rows), state, *(self.ran[what, id] for what in RAN))
        if scanner == job:
            return Told(job, due, *counts)
        return Told(job, due, *counts, self.folded[scan_name(job, round)], len(its), sum(map(_reminders, its)))


def read(app: Application, plan: Plan, start: datetime, runs: str, tickets: list[Ticket], outcome: Outcome) -> None:
    with app.store.reading() as unit:
        names = {row.id: row.name for row in unit.scans()}
        folded = Counter(names[event.scan] for event in unit.events() if event.scan is not None)
        seen = Seen(unit.firings(limit=100_000), _runs(runs), folded, tickets)
        outcome.taken = Counter(row.outcome for row in unit.taken())
        outcome.operations = Counter(row.state for row in unit.operations())
        outcome.reminded = sum(row.operation == "remind" for row in unit.operations())
        outcome.catalogues = len(unit.enrichments())
    outcome.comments = sum(_reminders(ticket) for ticket in tickets)
    expected = [(job, round, due) for job in plan.jobs for round, due in enumerate(plan.dues(job, start))]
    outcome.told = [seen.told(*each) for each in sorted(expected, key=lambda each: each[2])]
    known = {(job, due) for job, _, due in expected}
    outcome.unexpected = [firing_id(row.job, row.due) for row in seen.rows if (row.job, row.due) not in known]
    outcome.wrong = differing(app.outside, rebuild(app.outside))


def scan_name(job: str, round: int) -> str:
    """Of the file that the firing of this round is to fetch."""
    return f"{job.removeprefix('fetch.')}-{round + 1}.nessus"


RAN = ("begin", "end", "at once")


def _runs(text: str) -> Counter[tuple[str, str]]:
    """(begin, end or at once, id of the firing) → how often."""
    found, under_way = Counter[tuple[str, str]](), set[tuple[str, str]]()
    for what, id, pid, _ in sorted((line.split() for line in text.splitlines()), key=lambda each: float(each[3])):
        if what == "killed":
            under_way = {each for each in under_way if each[1] != pid}
            continue
        found[what, id] += 1
        if what == "begin":
            found["at once", id] += any(other == id for other, _ in under_way)
            under_way.add((id, pid))
        else:
            under_way.discard((id, pid))
    return found


def _reminders(ticket: Ticket) -> int:
    return sum(comment.startswith("*Reminder*") for comment in ticket.comments)


def report(outcome: Outcome, plan: Plan) -> dict[str, Any]:
    told = outcome.told
    return {
        "workers": plan.workers,
        "web servers": plan.servers,
        "seconds": round(outcome.seconds),
        "kills": outcome.kills,
        "all workers killed at a reminder": outcome.cuts,
        "due times": len(told),
        "rows of each": _numbers(each.rows for each in told),
        "by state": dict(Counter(each.state for each in told)),
        "times its body was begun": _numbers(each.begun for each in told),
        "times its body ended": _numbers(each.ended for each in told),
        "times it began while it ran elsewhere": _numbers(each.at_once for each in told),
        "times its scan was folded": _numbers(each.folded for each in told if each.folded is not None),
        "tickets of its scan": _numbers(each.tickets for each in told if each.tickets is not None),
        "reminders in that ticket": _numbers(each.reminders for each in told if each.reminders is not None),
        "reminders planned and commented": [outcome.reminded, outcome.comments],
        "versions of the catalogue": outcome.catalogues,
        "taken": dict(outcome.taken),
        "operations": dict(outcome.operations),
        "answers of web servers": dict(outcome.answers),
        "problems": outcome.problems(),
    }


def _numbers(times: Iterable[int]) -> dict[str, int]:
    """How many had each number."""
    return {str(number): many for number, many in sorted(Counter(times).items())}
