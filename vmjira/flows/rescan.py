"""The story of a rescan: closed ─► hosts are asked for ─► one run for many tickets ─► awaited ─► folded in as any scan.

A closing that is not verified asks for its hosts, in its own transaction. For each scanner one workflow at a time looks
after all that is asked of it: so the policy's limits and the launching need no lock. All that is known lies in two
tables, so that whoever dies, another goes on where it stopped. What a run found decides nothing here: it is folded in,
and the fold confirms or reopens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import structlog

from vmjira.domain.frames import Scan
from vmjira.domain.rescan import RescanRequest, RescanRow, plan_rescans
from vmjira.domain.rulebook import Rulebook, Scanner
from vmjira.domain.ticket import TicketRow
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable, StoreUnavailable, VmjiraError
from vmjira.flows.coverage import Launcher, launchers, open_hosts
from vmjira.flows.fetch import Fetched, Intake, Visit
from vmjira.flows.ingest import LoadRules
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.queue import RESCAN
from vmjira.flows.rescanning import LOOKED
from vmjira.flows.rescantelling import Teller
from vmjira.flows.rows import Mark
from vmjira.flows.rules import rules_in_force
from vmjira.flows.sources import RemoteScan, Source
from vmjira.flows.verification import when

log = structlog.get_logger(__name__)

#: Seconds until the next look: a tenth of the time that it has taken so far, within these bounds.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
#: Until a result that could not be taken is tried again: as long as it has failed so far, within these bounds; and how
#: long it is tried.
FIRST_RETRY, LONGEST_RETRY, TRIED = timedelta(minutes=1), timedelta(hours=2), timedelta(days=1)
#: After which a run that was launched can surely be seen at the scanner: longer than any call may take.
SURE = timedelta(seconds=180)


@dataclass(frozen=True)
class Reach:
    """How rescans reach scanners and the ledger; wired in bootstrap."""

    connect: Callable[[Scanner], Source]
    intake: Callable[[Scanner], AbstractContextManager[Intake]]
    load_rules: LoadRules


# --- asking, with the closing -----------------------------------------------------------------------------------------


def wanted(outside: Outside, before: TicketRow, row: TicketRow, rulebook: Rulebook) -> list[RescanRequest] | None:
    """The hosts that a new closing has to have verified; None if `row` is not newly closed."""
    if row.closing != "waiting" or (before.closing, before.closed_at) == (row.closing, row.closed_at):
        return None
    if not rulebook.policy.rescan.enabled:
        return []
    asked: list[RescanRequest] = []
    for (product,), hosts in open_hosts(outside.store, row).partition_by("product", as_dict=True).items():
        able = launchers(outside, rulebook.scanners, product, hosts["ip"].drop_nulls().to_list())
        for host, address in hosts.select("host", "ip").iter_rows():
            by = able.get(address, Launcher("", ""))
            part = by.part or row.range  # who knows no better takes hosts of one office together
            place = (address or "", by.scanner, part)
            asked.append(RescanRequest(0, row.identifier, host, product, *place, outside.clock()))
    return [_told(each) for each in asked]


def _told(request: RescanRequest) -> RescanRequest:
    if request.scanner:
        return replace(request, words=f"a rescan by {request.scanner} is asked for")
    why = f"no scanner of ours can ({request.product})" if request.address else "its address is not known"
    return replace(request, state="dropped", words=f"cannot be scanned again: {why}")


def ask(outside: Outside, unit: Unit, identifier: str, requests: Sequence[RescanRequest] | None) -> None:
    """Keep what is `wanted` in the transaction of the closing, and have it looked after."""
    if requests is None:
        return
    unit.update_ticket(identifier, answer="")
    unit.rescans.forget(identifier)
    unit.rescans.ask(requests)
    for scanner in sorted({each.scanner for each in requests if each.state == "waiting"}):
        workflow = f"rescan.{scanner}.{uuid4().hex[:12]}"
        outside.queue.put_work(unit, RESCAN, scanner, workflow=workflow, partition=scanner)


# --- looking after one scanner ----------------------------------------------------------------------------------------


def look_after(outside: Outside, scanner_id: str, reach: Reach) -> float | None:
    """Launch, await and take the rescans of one scanner. Seconds until the next look, or None: nothing is left to do.

    Who asks later has a workflow of its own, which begins when this one has ended.
    """
    trouble = ""
    try:
        pause = _look(outside, scanner_id, reach)
    except Exception as error:  # the database, the rules, or a fault of ours: only time makes us give up what is asked
        log.exception("rescans wait", scanner=scanner_id)
        pause, trouble = LONGEST_PAUSE, _why(error)
    now = outside.clock()
    again = None if pause is None else (now + timedelta(seconds=pause)).isoformat()
    with outside.store.begin() as unit:
        unit.put_mark(Mark(LOOKED + scanner_id, now, {"again": again, "trouble": trouble}))
    return pause


def _why(error: Exception) -> str:
    """What we say in our words; of anything else only what it is, for its words may name anything."""
    if isinstance(error, StoreUnavailable):
        return "the database was away"
    return str(error) if isinstance(error, VmjiraError) else f"a fault of vmjira, {type(error).__name__}: see its log"


def _look(outside: Outside, scanner_id: str, reach: Reach) -> float | None:
    with outside.store.reading() as unit:
        runs = unit.rescans.runs("launching", "running", scanner=scanner_id)
        waiting = unit.rescans.requests("waiting", scanner=scanner_id)
    if not runs and not waiting:
        return None
    rulebook, teller = rules_in_force(outside), Teller(outside)
    try:
        scanner = _configured(rulebook, scanner_id)
        source = reach.connect(scanner)
    except ScannerRefused as error:
        for run in runs:
            teller.fail(run, str(error))
        teller.drop(waiting, f"not scanned again: {error}")
        return None
    care = Care(outside, reach, scanner, source, rulebook, teller)
    pauses = [*map(care.follow, runs), care.begin(waiting)]
    return min((pause for pause in pauses if pause is not None), default=None)


def _configured(rulebook: Rulebook, scanner_id: str) -> Scanner:
    found = next((each for each in rulebook.scanners if each.id == scanner_id), None)
    if found is None:
        raise ScannerRefused(f"{scanner_id} is no longer in scanners.yaml")
    return found


@dataclass(frozen=True)
class Care:
    """One look at the rescans of one scanner."""

    outside: Outside
    reach: Reach
    scanner: Scanner
    source: Source
    rulebook: Rulebook
    teller: Teller

    # runs that were launched, or perhaps were

    def follow(self, run: RescanRow) -> float | None:
        """Seconds until the next look, or None: it has ended."""
        since = run.asked_at if run.state == "launching" else run.launched_at
        late = self.outside.clock() - since > self.rulebook.policy.rescan.give_up
        if run.again_at and (wait := (run.again_at - self.outside.clock()).total_seconds()) > 0:
            return wait
        try:
            if remote := self._result(run, late=late):
                return self._take(run, remote)
            if not late:
                return self._resume(run) if run.state == "launching" else self._pause(since)
        except ScannerUnavailable as error:
            if not late:
                log.warning("rescan waits", rescan=run.id, scanner=self.scanner.id, why=str(error))
                return error.retry_after or self._pause(since)
        except ScannerRefused as error:
            self.teller.fail(run, str(error))
            return None
        self.teller.fail(run, f"given up, because it took more than {self._give_up}")
        return None

    def _result(self, run: RescanRow, *, late: bool) -> RemoteScan | None:
        if run.state == "launching":
            return None
        remote = self.source.launched(run.remote)
        if late and remote is None:
            self.source.stop(run.remote)
        return remote

    def _resume(self, run: RescanRow) -> float:
        """Nobody knows what became of its launch: look, and launch again only if it is surely not there."""
        with self.outside.store.reading() as unit:
            others = {each.remote for each in unit.rescans.runs(scanner=self.scanner.id)}
        remote = self.source.launched_by_name(run.name, run.launched_at, others)
        if remote and remote not in others:
            return self._launched(run, remote)
        if (wait := (run.launched_at + SURE - self.outside.clock()).total_seconds()) > 0:
            return wait
        run = replace(run, launched_at=self.outside.clock())
        with self.outside.store.begin() as unit:
            unit.rescans.change_run(run.id, launched_at=run.launched_at)
        return self._launched(run, self.source.launch(run.hosts, run.name))

    def _launched(self, run: RescanRow, remote: str) -> float:
        words = f"{self.scanner.id} is scanning again since {when(run.launched_at, self.rulebook.policy)}"
        with self.outside.store.begin() as unit:
            unit.rescans.change_run(run.id, state="running", remote=remote)
            self.teller.change(unit, unit.rescans.requests("running", run=run.id), words=words)
        log.info("rescan runs", rescan=run.id, scanner=self.scanner.id, hosts=len(run.hosts), tickets=run.tickets)
        return FIRST_PAUSE

    def _take(self, run: RescanRow, remote: RemoteScan) -> float | None:
        """Seconds until it is tried again, or None: it is taken, or never will be. No other run has to wait for it."""
        try:
            self._fold_in(run, remote)
        except (ScannerError, StoreUnavailable):
            raise
        except Exception as error:
            log.exception("result not taken", rescan=run.id, scanner=self.scanner.id)
            return self._try_again(run, _why(error))
        return None

    def _try_again(self, run: RescanRow, why: str) -> float | None:
        now = self.outside.clock()
        since = run.faulty_since or now
        if now - since > TRIED:
            hours = TRIED // timedelta(hours=1)
            self.teller.fail(run, f"its result could not be read for {hours} hours ({why}); the next scan decides")
            return None
        pause = min(LONGEST_RETRY, max(FIRST_RETRY, now - since))
        self.teller.stumble(run, why, since=since, again=now + pause)
        return pause.total_seconds()

    def _fold_in(self, run: RescanRow, remote: RemoteScan) -> None:
        """Fold in what it found, then say which hosts it looked at. Once more after a crash does no harm."""
        seen: set[str] = set()
        fetched = Fetched(self.scanner.id)
        with self.reach.intake(self.scanner) as intake:

            def read(file: Path) -> list[Scan]:
                scans = intake.read(file)
                seen.update(*(scan.hosts["ip"].drop_nulls() for scan in scans))
                return scans

            visit = Visit(self.outside, self.scanner, self.source, replace(intake, read=read), self.reach.load_rules)
            visit.take([replace(remote, rescan=True)], fetched)
        unused = [row.words for row in fetched.taken if row.outcome in ("refused", "held")]
        if problems := [*fetched.failed, *unused]:
            self.teller.fail(run, f"its result cannot be used: {'; '.join(problems)}")
        else:
            self.teller.done(run, seen, self.rulebook.policy)

    # what waits

    def begin(self, waiting: Sequence[RescanRequest]) -> float | None:
        """Seconds until the next look, or None: nothing waits."""
        if not (waiting := self._still_wanted(waiting)):
            return None
        try:
            impossible = self._impossible()
        except ScannerUnavailable as error:
            self.teller.say(waiting, f"a rescan waits until {self.scanner.id} answers")
            log.warning("rescans wait", scanner=self.scanner.id, why=str(error))
            return error.retry_after or self._pause(waiting[0].asked_at)
        if impossible:
            self.teller.drop(waiting, f"not scanned again: {impossible}")
            return None
        now = self.outside.clock()
        with self.outside.store.reading() as unit:
            runs = unit.rescans.runs(scanner=self.scanner.id, since=now - self.rulebook.policy.rescan.cooldown)
            runs = [*runs, *unit.rescans.runs("launching", "running", scanner=self.scanner.id)]
        plan = plan_rescans(waiting, runs, self.rulebook.policy, now)
        for words, requests in plan.words.items():
            self.teller.say(requests, words)
        for requests in plan.launches:
            self._launch(requests)
        if plan.launches:
            return FIRST_PAUSE
        return LONGEST_PAUSE if plan.again is None else max(0.1, min(LONGEST_PAUSE, (plan.again - now).total_seconds()))

    def _still_wanted(self, waiting: Sequence[RescanRequest]) -> list[RescanRequest]:
        """Those that were settled meanwhile are dropped, and those that waited too long."""
        reasons: dict[str, list[RescanRequest]] = {}
        looked_at = {identifier: self._looked_at(identifier) for identifier in {each.identifier for each in waiting}}
        for each in waiting:
            after = looked_at[each.identifier]
            if after is None:
                why = "not scanned again: it is not needed any more"
            elif after.get((each.host, each.product), True):
                why = "not scanned again: newer data came in meanwhile"
            elif self._late(each.asked_at):
                why = f"not scanned again: no rescan could begin within {self._give_up}"
            else:
                why = ""
            reasons.setdefault(why, []).append(each)
        wanted = reasons.pop("", [])
        for why, requests in reasons.items():
            self.teller.drop(requests, why)
        return wanted

    def _looked_at(self, identifier: str) -> dict[tuple[str, str], bool] | None:
        """Of each host with open findings, and product: whether it was looked at after the closing.

        None: the ticket does not wait any more."""
        with self.outside.store.reading() as unit:
            row = unit.ticket(identifier)
        if row is None or row.gone or row.closing != "waiting" or row.closed_at is None:
            return None
        hosts = open_hosts(self.outside.store, row).select("host", "product", "observed_at")
        return {(host, product): at is not None and at > row.closed_at for host, product, at in hosts.iter_rows()}

    def _impossible(self) -> str:
        """Why there are no rescans, in words; empty if there are."""
        if not self.rulebook.policy.rescan.enabled:
            return "the policy allows no rescans any more"
        try:
            return self.source.cannot_rescan
        except ScannerRefused as error:
            return str(error)

    def _launch(self, requests: Sequence[RescanRequest]) -> None:
        """The intention is kept first: whoever finds it after a crash looks whether the scanner has the run."""
        run = RescanRow(
            0,
            self.scanner.id,
            hosts=tuple(dict.fromkeys(each.address for each in requests)),
            tickets=tuple(sorted({each.identifier for each in requests})),
            state="launching",
            asked_at=min(each.asked_at for each in requests),
            launched_at=self.outside.clock(),
        )
        with self.outside.store.begin() as unit:
            run = replace(run, id=unit.rescans.begin_run(run))
            unit.rescans.change_requests([each.id for each in requests], state="running", rescan=run.id)
        try:
            self._launched(run, self.source.launch(run.hosts, run.name))
        except ScannerUnavailable as error:
            log.warning("rescan waits", rescan=run.id, scanner=self.scanner.id, why=str(error))
        except ScannerRefused as error:
            self.teller.fail(run, str(error))

    # small things

    def _late(self, since: datetime) -> bool:
        return self.outside.clock() - since > self.rulebook.policy.rescan.give_up

    @property
    def _give_up(self) -> str:
        hours = self.rulebook.policy.rescan.give_up // timedelta(hours=1)
        return f"{hours // 24} days" if hours % 24 == 0 and hours > 24 else f"{hours} hours"

    def _pause(self, since: datetime) -> float:
        taken = (self.outside.clock() - since).total_seconds()
        return min(LONGEST_PAUSE, max(FIRST_PAUSE, taken / 10))
