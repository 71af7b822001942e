"""Rescans: the hosts that closed tickets ask for, the runs that look at them, and what the policy lets begin now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from vmjira.domain.rulebook import Policy

#: A request waits for a run, is in one that is `running`, was `seen` or `missed` by it, or is `dropped`: none comes.
RequestState = Literal["waiting", "running", "seen", "missed", "dropped"]
#: A run is `launching` from before the scanner is asked until its answer is kept: whoever finds it so must look first.
RunState = Literal["launching", "running", "done", "failed"]

#: What is asked within this time shares a run; nobody waits longer than five times that for others.
GATHER = timedelta(seconds=30)


@dataclass(frozen=True)
class RescanRequest:
    """One host that is to be scanned again for one closed ticket."""

    id: int
    identifier: str  # of the ticket
    host: str  # its key
    product: str  # whose checks found something on it
    address: str
    scanner: str  # id in scanners.yaml; empty: none can
    part: str  # of what the scanner scans, e.g. one of its scans or sites: only hosts of one part share a run
    asked_at: datetime
    state: RequestState = "waiting"
    rescan: int | None = None  # id of the run
    words: str = ""  # how it is, for people


@dataclass(frozen=True)
class RescanRow:
    """One run of a scanner over hosts of closed tickets."""

    id: int
    scanner: str  # id in scanners.yaml
    hosts: tuple[str, ...]  # addresses
    tickets: tuple[str, ...]  # identifiers
    state: RunState
    asked_at: datetime  # by the request that waited longest
    launched_at: datetime  # just before the scanner was asked
    remote: str = ""  # what the scanner calls it; empty: it was never launched, as far as is known
    ended_at: datetime | None = None
    words: str = ""  # what became of it, or why its result is not taken yet
    faulty_since: datetime | None = None  # its result is there, and could not be taken since then …
    again_at: datetime | None = None  # … and is tried again then

    @property
    def name(self) -> str:
        """By which it is found again at the scanner."""
        return f"vmjira {self.id}"

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed")


@dataclass(frozen=True)
class RescanPlan:
    """What begins now, why the others wait, and when to look again (None: nothing waits)."""

    launches: tuple[tuple[RescanRequest, ...], ...] = ()
    words: Mapping[str, Sequence[RescanRequest]] = field(default_factory=dict)
    again: datetime | None = None


def plan_rescans(
    waiting: Sequence[RescanRequest], runs: Sequence[RescanRow], policy: Policy, now: datetime
) -> RescanPlan:
    """`waiting`: all of one scanner, the oldest first; `runs` of it: those not ended, and the latest, in order."""
    if not waiting:
        return RescanPlan()
    scanner, rules, zone = waiting[0].scanner, policy.rescan, policy.timezone
    if (gathered := _gathered(waiting)) > now:
        return RescanPlan(again=gathered)
    local = now.astimezone(zone)
    if rules.hours and not rules.hours.hold(local):
        words = f"a rescan by {scanner} waits for its hours, {rules.hours} ({zone.key})"
        return RescanPlan(words={words: waiting}, again=rules.hours.next(local))

    running = [run for run in runs if not run.ended]
    busy = {address for run in running for address in run.hosts}
    rested = {  # from when it may be scanned again; what was never launched needs no rest
        address: run.launched_at + rules.cooldown for run in runs if run.ended and run.remote for address in run.hosts
    }
    ready = [each for each in waiting if each.address not in busy and rested.get(each.address, now) <= now]
    launches, launched = list[tuple[RescanRequest, ...]](), set[int]()
    for _ in range(rules.at_most - len(running)):
        if batch := _batch(ready, rules.hosts):
            launches.append(batch)
            launched |= {each.id for each in batch}
            ready = [each for each in ready if each.id not in launched]

    said: dict[str, list[RescanRequest]] = {}
    for each in waiting:
        if each.id not in launched:
            said.setdefault(_why(each, busy, rested.get(each.address, now), policy, now), []).append(each)
    again = min((rested[each.address] for each in waiting if rested.get(each.address, now) > now), default=None)
    return RescanPlan(tuple(launches), said, again)


def _batch(ready: Sequence[RescanRequest], most: int) -> tuple[RescanRequest, ...]:
    """What the oldest shares a run with: requests for at most so many addresses of its part."""
    part = [each for each in ready if each.part == ready[0].part]  # none if nothing is ready
    addresses = set(list(dict.fromkeys(each.address for each in part))[:most])
    return tuple(each for each in part if each.address in addresses)


def _why(request: RescanRequest, busy: Collection[str], rested: datetime, policy: Policy, now: datetime) -> str:
    if request.address in busy:
        return f"{request.scanner} is scanning this host again for another ticket; that may do for this one too"
    if rested > now:
        end = f"{rested.astimezone(policy.timezone):%Y-%m-%d %H:%M}"
        return f"scanned again a short time ago; the next rescan begins after {end}"
    return f"a rescan by {request.scanner} waits for others to end: at most {policy.rescan.at_most} run at a time"


def _gathered(waiting: Sequence[RescanRequest]) -> datetime:
    """Until when others may join: a person may close fifty tickets one after the other."""
    times = [each.asked_at for each in waiting]
    return min(max(times) + GATHER, min(times) + 5 * GATHER)
