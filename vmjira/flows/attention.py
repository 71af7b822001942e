"""What needs a person: what is held, refused, silent, broken. Each in words, with the page that tells more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from vmjira.domain.acceptance import ends_at
from vmjira.domain.operation import count
from vmjira.domain.rulebook import Rulebook
from vmjira.errors import Problem
from vmjira.flows.acceptances import SOON
from vmjira.flows.deleted import waiting
from vmjira.flows.identity import REBIND, known_tracker
from vmjira.flows.looking import Page
from vmjira.flows.operations import BREAKER, GONE, MISSING, NOTICES, RULES, SUSPECT
from vmjira.flows.ports import Unit
from vmjira.flows.silence import SCHEDULE, habit

#: Notices that are told one by one.
SHOWN = Page(limit=20)
#: Seconds after which a worker that gives no beat does not count.
STALE = 60.0
#: With no worker, this much waiting means that nobody works.
UNATTENDED = timedelta(minutes=15)
#: The scans that tell how often a scanner delivers.
NEWEST = Page(limit=100)
#: The pause that is taken for usual while nobody knows: scans may be monthly.
UNKNOWN = timedelta(days=30)
#: Rescans that failed longer ago are told no more.
RECENT = timedelta(days=31)
Level = Literal["act", "look"]


@dataclass(frozen=True)
class Button:
    """What a person may do about it at once: a page asks whether it is meant."""

    words: str
    page: str
    query: Mapping[str, str]


@dataclass(frozen=True)
class Item:
    """`act`: something stands still until a person acts; `look`: worth a look."""

    level: Level
    title: str
    text: str
    page: str  # where more is told: operations, events, scanners, rules, acceptances
    query: Mapping[str, str] = field(default_factory=dict)
    acts: tuple[Button, ...] = ()


def needs_a_person(unit: Unit, rulebook: Rulebook, problems: Sequence[Problem], now: datetime) -> list[Item]:
    """`problems`: of the rule files as they lie in the folder."""
    items = [
        *_moved(unit),
        *_held(unit),
        *_deleted(unit),
        *_refused(unit),
        *_broken_rules(problems),
        *_nobody_works(unit, now),
        *_failed_events(unit),
        *_doctor(unit),
        *_jobs(unit),
        *_rescans(unit, now),
        *_silent(unit, now),
        *_ending(unit, rulebook, now),
    ]
    return sorted(items, key=lambda item: item.level != "act")


def held_plans(unit: Unit) -> dict[str, dict[str, int]]:
    """Plans above the policy's limits: plan → kind of operation → how many. Notices are no plans."""
    plans = {
        plan: {kind: many for kind, many in kinds.items() if kind not in NOTICES}
        for plan, kinds in unit.look.held_plans().items()
    }
    return {plan: kinds for plan, kinds in plans.items() if kinds}


def _held(unit: Unit) -> Iterator[Item]:
    for plan, kinds in held_plans(unit).items():
        what = ", ".join(f"{many} × {kind}" for kind, many in kinds.items())
        text = f"It exceeds the policy's limits, and nothing of it was sent: {what}."
        yield Item("act", f"Plan {plan} waits for a release", text, "operations", {"state": "held"})
    titles = {
        BREAKER: "A scan of {} is not believed",
        SUSPECT: "A scan from the future is held",
        GONE: "Many hosts of {} were not seen for a long time",
    }
    for row in unit.look.operations(["held"], SHOWN, kinds=NOTICES)[0]:
        if row.operation == RULES:
            yield Item("act", "Changed rules are held", row.reason, "rules")
        elif row.operation == MISSING:
            title = f"{count(len(row.details['tickets']), 'ticket')} cannot be found in the tracker"
            yield Item("act", title, row.reason, "operations", {"state": "held"})
        else:
            title = titles[row.operation].format(row.identifier)
            yield Item("act", title, row.reason, "operations", {"state": "held"})


def _moved(unit: Unit) -> Iterator[Item]:
    known = known_tracker(unit)
    if known and known.moved:
        yield Item(
            "act", "The tracker is not the one that the tickets are in", f"{known.moved}. {REBIND}.", "operations"
        )


def _deleted(unit: Unit) -> Iterator[Item]:
    rows = waiting(unit)
    for row in rows[: SHOWN.limit]:
        what = "was deleted in the tracker" if row.gone else "was not found when the tracker was rebound"
        findings = f"{count(row.own.open, 'open finding')} on {count(row.own.open_hosts, 'host')}"
        text = f"It has {findings}. Decide whether vmjira makes a new ticket or accepts the risk."
        buttons = tuple(
            Button(words, page, {"identifier": row.identifier})
            for words, page in (("Make it again", "again"), ("Forget its findings", "forget"))
        )
        yield Item("act", f"{row.key} {what}", text, "ticket", {"identifier": row.identifier}, buttons)
    if (more := len(rows) - SHOWN.limit) > 0:
        yield Item("act", count(more, "more deleted ticket"), "See `vmjira tickets deleted`.", "tickets")


def _refused(unit: Unit) -> Iterator[Item]:
    rows, refused = unit.look.operations(["refused"], Page(limit=1))
    if rows:
        title = f"The tracker refused {count(refused, 'operation')}"
        yield Item("act", title, f"The latest: {rows[0].answer}", "operations", {"state": "refused"})


def _broken_rules(problems: Sequence[Problem]) -> Iterator[Item]:
    if problems:
        title = f"The rule files have {count(len(problems), 'problem')}"
        yield Item("act", title, f"The rules that were in force before stay so. First: {problems[0]}", "rules")


def _nobody_works(unit: Unit, now: datetime) -> Iterator[Item]:
    oldest = min((since for since in unit.waiting_since().values() if since), default=now)
    if now - oldest >= UNATTENDED and not unit.live_slots(now, stale_after=STALE):
        text = f"The oldest of what waits has waited since {oldest:%Y-%m-%d %H:%M} UTC: start `vmjira worker`."
        yield Item("act", "No worker is running", text, "operations", {"state": "queued"})


def _failed_events(unit: Unit) -> Iterator[Item]:
    if failed := unit.look.failed_deliveries():
        title = f"{count(failed, 'event')} could not be handled"
        yield Item("look", title, "What the tracker told is kept; the reason stands beside it.", "events")


def _doctor(unit: Unit) -> Iterator[Item]:
    """What the last visit of the doctor found wrong."""
    mark = unit.mark("doctor")
    if mark and (wrong := mark.details.get("wrong")):
        text = "; ".join(f"{each['what']}: {each['how']}" for each in wrong[:3])
        yield Item("act", f"The doctor found {count(len(wrong), 'problem')} in the tracker", text, "scanners")


def _jobs(unit: Unit) -> Iterator[Item]:
    for job, row in sorted(unit.last_firings().items()):
        if row.state == "failed":
            yield Item("act", f"The job {job} failed", row.words, "scanners")


def _rescans(unit: Unit, now: datetime) -> Iterator[Item]:
    """Results that cannot be read; and rescans that came to nothing, while a ticket that they looked at waits."""
    for run in unit.rescans.runs("running"):
        if run.faulty_since:
            title = f"The result of a rescan by {run.scanner} cannot be read"
            yield Item("look", title, f"It is tried again: {run.words}", "scanners")
    failed: dict[tuple[str, str], set[str]] = {}
    for run in unit.rescans.runs("failed", since=now - RECENT):
        failed.setdefault((run.scanner, run.words), set()).update(run.tickets)
    for (scanner, why), tickets in failed.items():
        if waiting := sum(_waits(unit, each) for each in tickets):
            text = f"{why}. The next scan decides about {count(waiting, 'closed ticket')}."
            yield Item("look", f"A rescan by {scanner} failed", text, "scanners")


def _waits(unit: Unit, identifier: str) -> bool:
    row = unit.ticket(identifier)
    return row is not None and row.closing == "waiting" and not row.gone


def _silent(unit: Unit, now: datetime) -> Iterator[Item]:
    """By the job that waits for scanners; where none is waited for, by the scans that came in."""
    mark = unit.mark(SCHEDULE)
    if waited := mark.details.get("scanners") if mark else None:
        for name, told in sorted(waited.items()):
            if told["silent"]:
                since = datetime.fromisoformat(told["since"])
                text = f"The last scan was on {since:%Y-%m-%d}." if told["delivered"] else "It never delivered a scan."
                yield Item("look", f"{name} is silent for {(now - since).days} days", text, "scanners")
        return
    newest = unit.look.scans(NEWEST, "folded")[0]
    for each in unit.look.last_scans():
        pause = habit((scan.finished_at for scan in newest if scan.scanner == each.scanner), unknown=UNKNOWN)
        if now - each.last > 2 * pause:
            text = (
                f"The last of {count(each.scans, 'scan')} ended {each.last:%Y-%m-%d}; {_days(pause)} is usual at most."
            )
            yield Item("look", f"{each.scanner} is silent for {(now - each.last).days} days", text, "scanners")


def _days(pause: timedelta) -> str:
    return "a day" if pause.days < 2 else f"a pause of {pause.days} days"


def _ending(unit: Unit, rulebook: Rulebook, now: datetime) -> Iterator[Item]:
    soon, zone = now + timedelta(days=SOON), rulebook.policy.timezone
    ends = [ends_at(each, zone) for each in rulebook.acceptances]
    ends += [row.accepted_until for row in unit.look.holding_acceptances(now)]
    if ending := sum(now < end <= soon for end in ends):
        title = f"{count(ending, 'accepted risk')} end{'s' if ending == 1 else ''} soon"
        yield Item("look", title, f"Within {SOON} days; what is seen afterwards opens again.", "acceptances")
