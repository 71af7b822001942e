"""The story of a scan: file ─► frames ─► fold into ledger ─► statistics ─► plan ─► (limits) ─► queue.

A new version of the ledger is written first; then one transaction records the scan, points to the new version, stores
the plan and queues its delivery. A crash before the commit leaves only files that nothing refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import structlog

from vmjira.domain.frames import Scan
from vmjira.domain.ledger import Circumstances
from vmjira.domain.rulebook import Policy, Rulebook
from vmjira.errors import ScanUnreadable
from vmjira.flows import breaker, rulewatch, suspect
from vmjira.flows.foresee import Outcome, foresee_belief, foresee_gone, foresee_scan
from vmjira.flows.keep import keep, titles
from vmjira.flows.knowledge import BEFORE, load
from vmjira.flows.ports import Conflict, Outside, Unit
from vmjira.flows.rows import EventRow, OperationRow, ScanRow
from vmjira.flows.rules import rules_in_force
from vmjira.flows.suspect import hold, why_suspect
from vmjira.flows.unplaced import of_scan
from vmjira.flows.waiting import waiting_for_approval

log = structlog.get_logger(__name__)

ReadScan = Callable[[Path], list[Scan]]
LoadRules = Callable[[], Rulebook]


@dataclass
class Report:
    """What became of the files that were handed in together."""

    scans: list[dict[str, object]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    rules: str = ""  # what happened to changed rules, in words
    operations: list[str] = field(default_factory=list)  # ids that were planned


def ingest(outside: Outside, files: Sequence[Path], read: ReadScan, load_rules: LoadRules) -> Report:
    """Fold scan files in, oldest end first, and queue what follows. A file that is no scan is kept aside.

    Raises VmjiraError when no rules can be used at all.
    """
    report = Report()
    report.rules = adopt_rules(outside, load_rules, report)
    report.operations += settle(outside)
    scans: list[tuple[Path, Scan]] = []
    for file in files:
        try:
            scans += [(file, scan) for scan in read(file)]
        except ScanUnreadable as error:
            kept = outside.store.refuse(file, str(error)) if file.is_file() else ""
            report.refused.append({"path": str(file), "reason": str(error), "kept": kept})
            log.error("refused", file=str(file), why=str(error), kept=kept)
    for file, scan in sorted(scans, key=lambda each: each[1].finished_at):
        report.scans.append(fold_in(outside, file, scan, report))
        report.operations += settle(outside)
    return report


def fold_in(outside: Outside, file: Path, scan: Scan, report: Report) -> dict[str, object]:
    """Fold one scan; done again from the start if somebody else moved the ledger meanwhile."""
    said: dict[str, object] = {"path": str(file), "scanner": scan.scanner, "finished_at": scan.finished_at.isoformat()}
    said["digest"] = scan.digest
    with outside.store.reading() as unit:
        known = unit.scan_by_digest(scan.digest)
    if known:
        return said | _known(known, str(file), report)
    folder = f"scans/{scan.digest[:16]}-{uuid4().hex[:8]}"
    row = scan_row(file, scan, folder, outside)
    if why := why_suspect(scan, rules_in_force(outside).policy, outside.clock()):
        outside.store.keep_scan(scan, folder)
        return said | _held(outside, row, why, report)

    def add(unit: Unit) -> ScanRow:
        if known := unit.scan_by_digest(scan.digest):
            raise _Known(known)
        return replace(row, id=unit.add_scan(row))

    try:
        outcome, rows = _fold(outside, scan, add, lambda: outside.store.keep_scan(scan, folder))
    except _Known as error:
        return said | _known(error.row, str(file), report)
    report.operations += [each.id for each in rows]
    log.info(
        "folded", file=str(file), hosts=scan.hosts.height, records=scan.records,
        warnings=len(scan.warnings), version=outcome.base.version, operations=len(rows),
    )  # fmt: skip
    doubts = [f"not believed in {trip.range}: {trip.words}" for trip in outcome.trips]
    said |= {"outcome": "folded", "operations": len(rows), "warnings": [*scan.warnings, *doubts]}
    rulebook = rules_in_force(outside)
    told, exceeded = of_scan(outcome, scan, rulebook), outcome.plan.exceeded(rulebook.policy)
    held = [f"{waiting_for_approval(len(rows))}: {exceeded}"] if exceeded and rows else []
    return said | told | {"hints": [*held, *told["hints"]]}


class _Known(Exception):
    """The scan was taken in meanwhile."""

    def __init__(self, row: ScanRow) -> None:
        super().__init__(row.name)
        self.row = row


def _known(row: ScanRow, path: str, report: Report) -> dict[str, object]:
    """What is said of a scan that is handed in again."""
    log.info("known already", file=path, state=row.state)
    if row.state == "folded":
        return {"outcome": "known already: nothing changed"}
    if row.state == "withdrawn":
        reason = f"{path}: {row.note}. To count it again: `vmjira scans restore {row.id}`"
        report.refused.append({"path": path, "reason": reason, "kept": ""})
    return {"outcome": row.note or row.state}


def _held(outside: Outside, row: ScanRow, why: str, report: Report) -> dict[str, object]:
    policy = rules_in_force(outside).policy
    with outside.store.begin() as unit:
        if known := unit.scan_by_digest(row.digest):
            return _known(known, row.name, report)
        row = hold(unit, row, why, policy, outside.clock())
    log.warning("held", scan=row.name, why=why)
    return {"outcome": row.note, "new": True}


def _fold(
    outside: Outside, scan: Scan, add: Callable[[Unit], ScanRow], ready: Callable[[], None] = lambda: None
) -> tuple[Outcome, list[OperationRow]]:
    """What came of it. `ready` is called before anything is recorded; `add` gives the scan's row, in the transaction
    that moves the ledger."""
    while True:
        rulebook, now = rules_in_force(outside), outside.clock()
        how = Circumstances(now)
        outcome = foresee_scan(load(outside.store), scan, rulebook, titles(outside, rulebook), how)
        ready()

        def record(unit: Unit, outcome: Outcome = outcome, policy: Policy = rulebook.policy, how: Any = how) -> int:
            row = add(unit)
            breaker.note(unit, outcome, row, policy, now=how.now)
            plan = f"v{outcome.base.version}"
            breaker.note_missed(unit, outcome.vanished, policy, plan, as_of=how.latest(scan), now=how.now)
            return row.id

        try:
            return outcome, keep(outside, outcome, rulebook, EventRow(0, "scan", None, "", now), record=record)
        except Conflict:
            continue


def settle(outside: Outside) -> list[str]:
    """Do what a person released: put rules in force, and let scans count that were not believed (those too that a later
    scan bore out). Gives what is planned."""
    planned = rulewatch.settle(outside) + _settle_suspect(outside) + _settle_gone(outside)
    with outside.store.reading() as unit:
        due = breaker.due(unit)
        scans = {row.id: row for row in unit.scans()} if due else {}
    for notice in due:
        for id in [each for each in notice.details["scans"] if scans[each].state == "folded"]:
            planned += _believe(outside, scans[id], notice.identifier)
        with outside.store.begin() as unit:
            state, answer = ("dropped", notice.answer) if notice.answer else ("done", "released: the scan counts now")
            unit.update_operation(notice.id, state=state, answer=answer, ended_at=outside.clock())
        log.info("settled", range=notice.identifier, answer=answer, operations=len(planned))
    return planned


def _settle_suspect(outside: Outside) -> list[str]:
    """Fold the scans in that a person released although they are from the future."""
    with outside.store.reading() as unit:
        released = suspect.due(unit)
        scans = {row.id: row for row in unit.scans()} if released else {}
    planned: list[str] = []
    for notice in released:
        row = replace(scans[notice.details["scan"]], state="folded", note="", folded_at=outside.clock())

        def add(unit: Unit, notice: OperationRow = notice, row: ScanRow = row) -> ScanRow:
            now = unit.operation(notice.id)
            if now is None or now.state != "waiting":
                raise _Known(row)
            unit.update_scan(row.id, state=row.state, note=row.note, folded_at=row.folded_at)
            suspect.retell(unit, row, "folded", "")
            unit.update_operation(
                notice.id, state="done", answer="released: the scan counts now", ended_at=row.folded_at
            )
            return row

        try:
            planned += [each.id for each in _fold(outside, outside.store.load_scan(row), add)[1]]
        except _Known:
            continue
        log.info("folded", scan=row.name, released=notice.id)
    return planned


def _settle_gone(outside: Outside) -> list[str]:
    """Let the hosts go of which a person said so."""
    with outside.store.reading() as unit:
        released = breaker.gone_due(unit)
    return [id for notice in released for id in _let_go(outside, notice)]


def _let_go(outside: Outside, notice: OperationRow) -> list[str]:
    while True:
        rulebook, now = rules_in_force(outside), outside.clock()
        details = {"range": notice.identifier, "as_of": notice.details["as_of"]}
        event = EventRow(0, "gone", None, "", now, details)
        outcome = foresee_gone(load(outside.store), event, rulebook, titles(outside, rulebook))

        def record(unit: Unit, now: datetime = now) -> None:
            known = unit.operation(notice.id)
            if known is None or known.state != "waiting":
                raise _Settled
            unit.update_operation(notice.id, state="done", answer="released: the hosts are gone", ended_at=now)

        try:
            return [row.id for row in keep(outside, outcome, rulebook, event, record=record)]
        except _Settled:
            return []
        except Conflict:
            continue


class _Settled(Exception):
    """Somebody else was quicker."""


def _believe(outside: Outside, row: ScanRow, range_: str) -> list[str]:
    """Ids of what is planned now that the scan counts in the range; none where newer scans speak for all its hosts."""
    while True:
        rulebook, base = rules_in_force(outside), load(outside.store)
        words = titles(outside, rulebook)
        outcome = foresee_belief(base, outside.store.load_scan(row), rulebook, words, [range_])
        if outcome.base.part(BEFORE).equals(base.part(BEFORE)):
            return []
        try:
            event = EventRow(0, "scan", row.id, "", outside.clock(), {"believed": [range_]})
            return [each.id for each in keep(outside, outcome, rulebook, event, record=lambda unit: row.id)]
        except Conflict:
            continue


def adopt_rules(outside: Outside, load_rules: LoadRules, report: Report) -> str:
    """Put changed rules in force, unless they are broken or their plan needs a person; then the old ones stay."""
    verdict = rulewatch.look(outside, load_rules)
    report.operations += verdict.operations
    return verdict.words


def scan_row(file: Path, scan: Scan, folder: str, outside: Outside) -> ScanRow:
    return ScanRow(
        id=0, digest=scan.digest, scanner=scan.scanner, format=scan.format, name=file.name, path=folder,
        started_at=scan.started_at, finished_at=scan.finished_at, hosts=scan.hosts.height,
        findings=scan.findings.select(pl.len()).collect().item(),
        records=scan.records, records_by_severity=scan.records_by_severity, warnings=scan.warnings,
        unreadable=scan.unreadable, rescan=scan.rescan, folded_at=outside.clock(),
    )  # fmt: skip
