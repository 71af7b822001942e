"""What the clock has done: the jobs by name, and when each is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from vmjira.domain.rulebook import Rulebook, Scanner
from vmjira.errors import ScannerRefused, VmjiraError
from vmjira.flows import enrich, reminders, retention, rulewatch, silence
from vmjira.flows.fetch import Fetched, Hear, Intake, Visit
from vmjira.flows.ingest import LoadRules
from vmjira.flows.ports import Outside
from vmjira.flows.reconcile import reconcile
from vmjira.flows.rows import Mark
from vmjira.flows.sources import Source

#: The job that fetches from a scanner is this and the scanner's id.
FETCH = "fetch."
DOCTOR = "doctor"  # its mark


class Finding(Protocol):
    """What the doctor says."""

    @property
    def ok(self) -> bool: ...
    @property
    def what(self) -> str: ...
    @property
    def how(self) -> str: ...
    @property
    def where(self) -> str: ...


@dataclass(frozen=True)
class Tools:
    """What jobs need, wired in bootstrap. Nothing of it connects before it is used."""

    outside: Outside
    rules: Callable[[], Rulebook]  # as they are for the clock: see `rules.LastGood`
    load_rules: LoadRules  # as they lie in the folder, or RulesInvalid
    connect: Callable[[Scanner], Source]
    intake: Callable[[Scanner], AbstractContextManager[Intake]]
    diagnose: Callable[[Rulebook], Sequence[Finding]]  # of the tracker
    gap: Callable[[str, Rulebook], timedelta]  # the longest time between due times of a cron expression
    read_catalogue: enrich.ReadCatalogue
    forget_work: Callable[[datetime], int]  # the queue's record of what ended before a moment; how much


Job = Callable[[Tools], str]


def _reconcile(tools: Tools) -> str:
    report = reconcile(tools.outside)
    return f"{report.read} tickets read, {len(report.drifts)} differences"


def _doctor(tools: Tools) -> str:
    """Look at the tracker as `vmjira doctor` does; what is wrong is kept, for people to see."""
    findings = tools.diagnose(tools.rules())
    wrong = [{"what": each.what, "how": each.how, "where": each.where} for each in findings if not each.ok]
    with tools.outside.store.begin() as unit:
        unit.put_mark(Mark(DOCTOR, tools.outside.clock(), {"checks": len(findings), "wrong": wrong}))
    return "; ".join([f"{len(findings)} checks, {len(wrong)} wrong", *(each["what"] for each in wrong)])


#: By name, as in `schedule` of the policy.
JOBS: Mapping[str, Job] = {
    "reconcile": _reconcile,
    "doctor": _doctor,
    "acceptances": lambda tools: reminders.acceptances(tools.outside, tools.rules()),
    "reminders": lambda tools: reminders.remind(tools.outside, tools.rules().policy),
    "retention": lambda tools: retention.forget(tools.outside, tools.rules().policy, tools.forget_work),
    "enrich": lambda tools: enrich.run(tools.outside, tools.read_catalogue),
    "rules": lambda tools: rulewatch.run(tools.outside, tools.load_rules),
    "schedule": lambda tools: silence.look(tools.outside, tools.rules(), tools.gap),
}


def crons(rulebook: Rulebook) -> dict[str, str]:
    """Job → cron expression, of all that are ever due."""
    due = {job: getattr(rulebook.policy.schedule, job) for job in JOBS}
    due |= {FETCH + scanner.id: scanner.fetch for scanner in rulebook.scanners}
    return {job: cron for job, cron in due.items() if cron}


def run(tools: Tools, job: str) -> str:
    """Do a job; what was done, in words. VmjiraError if there is no such job any more."""
    if job.startswith(FETCH):
        fetched = fetch(tools, find(tools.rules(), job.removeprefix(FETCH)))
        if fetched.failed:
            raise ScannerRefused(fetched.words)
        return fetched.words
    if job not in JOBS:
        raise VmjiraError(f"there is no job '{job}'; there are {', '.join(JOBS)} and {FETCH}<scanner>")
    return JOBS[job](tools)


def fetch(tools: Tools, scanner: Scanner, hear: Hear = lambda scan, done, total: None) -> Fetched:
    """Whatever the scanner has that was not taken yet: see `flows.fetch`."""
    source = tools.connect(scanner)
    with tools.intake(scanner) as intake:
        return Visit(tools.outside, scanner, source, intake, tools.load_rules, hear).fetch()


def find(rulebook: Rulebook, id: str) -> Scanner:
    """The scanner with this id; VmjiraError with those that there are."""
    for scanner in rulebook.scanners:
        if scanner.id == id:
            return scanner
    there = ", ".join(scanner.id for scanner in rulebook.scanners) or "none"
    raise VmjiraError(f"scanner '{id}': is not in scanners.yaml; there is: {there}")
