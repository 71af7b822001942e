"""How rescans go on, kept and told: requests and runs change together with the comments of their tickets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import structlog

from vmjira.domain.operation import count
from vmjira.domain.rescan import RescanRequest, RescanRow
from vmjira.domain.rulebook import Policy
from vmjira.flows.operations import commit, new_operation
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.verification import when

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Teller:
    outside: Outside

    def say(self, requests: Collection[RescanRequest], words: str) -> None:
        """How it is with requests that wait."""
        news = [each for each in requests if each.words != words]
        if news:
            with self.outside.store.begin() as unit:
                self.change(unit, news, words=words)

    def drop(self, requests: Collection[RescanRequest], words: str) -> None:
        """Nothing comes of these requests."""
        if requests:
            with self.outside.store.begin() as unit:
                self.change(unit, requests, state="dropped", words=words)
            log.info("not scanned again", hosts=len(requests), why=words)

    def fail(self, run: RescanRow, why: str) -> None:
        with self.outside.store.begin() as unit:
            unit.rescans.change_run(run.id, state="failed", words=why, ended_at=self.outside.clock())
            requests = unit.rescans.requests("running", run=run.id)
            self.change(unit, requests, state="dropped", words=f"the rescan by {run.scanner} failed: {why}")
        log.warning("rescan failed", rescan=run.id, scanner=run.scanner, why=why)

    def stumble(self, run: RescanRow, why: str, *, since: datetime, again: datetime) -> None:
        """Its result is there, could not be taken `since` then, and is tried `again`."""
        words = f"{run.scanner} has scanned again, but its result could not be read yet; it is tried again"
        with self.outside.store.begin() as unit:
            unit.rescans.change_run(run.id, words=why, faulty_since=since, again_at=again)
            requests = unit.rescans.requests("running", run=run.id)
            self.change(unit, [each for each in requests if each.words != words], words=words)

    def done(self, run: RescanRow, seen: Set[str], policy: Policy) -> None:
        """`seen`: the addresses that it looked at."""
        now = self.outside.clock()
        told = f"{len(seen & set(run.hosts))} of {count(len(run.hosts), 'host')} looked at"
        with self.outside.store.begin() as unit:
            unit.rescans.change_run(run.id, state="done", words=told, ended_at=now)
            requests = unit.rescans.requests("running", run=run.id)
            by, at = f"by {run.scanner}", when(now, policy)
            found = [each for each in requests if each.address in seen]
            self.change(unit, found, state="seen", words=f"scanned again {by}, finished {at}")
            lost = [each for each in requests if each.address not in seen]
            words = f"not reached by the rescan {by} that finished {at}: nobody knows"
            self.change(unit, lost, state="missed", words=words)
        log.info("rescan done", rescan=run.id, scanner=run.scanner, told=told)

    def change(self, unit: Unit, requests: Iterable[RescanRequest], **changes: Any) -> None:
        """In the transaction of `unit`; and the comments of the tickets follow."""
        changed = list(requests)
        unit.rescans.change_requests([each.id for each in changed], **changes)
        for identifier in dict.fromkeys(each.identifier for each in changed):
            self._tell(unit, identifier, str(changes["words"]))

    def _tell(self, unit: Unit, identifier: str, words: str) -> None:
        """An operation that waits unstarted will say how it is then."""
        waiting = unit.operations("queued", identifier=identifier)
        if not any(each.operation in ("closed", "progress") and not each.attempts for each in waiting):
            row = new_operation(
                "progress", identifier, words, plan=f"rescan.{uuid4().hex[:12]}", now=self.outside.clock()
            )
            commit(self.outside, unit, [row])
