"""The story of a scan: file ─► frames ─► fold into ledger ─► statistics ─► plan ─► (limits) ─► queue.

A new version of the ledger is written first; then one transaction records the scan, points to the new version, stores
the plan and queues its delivery. A crash before the commit leaves only files that nothing refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import polars as pl
import structlog

from vmjira.domain.frames import Scan
from vmjira.domain.rulebook import Rulebook
from vmjira.errors import ScanUnreadable
from vmjira.flows import breaker, rulewatch
from vmjira.flows.foresee import Outcome, foresee_belief, foresee_scan
from vmjira.flows.keep import keep, titles
from vmjira.flows.knowledge import BEFORE, load
from vmjira.flows.ports import Conflict, Outside, Unit
from vmjira.flows.rows import EventRow, ScanRow
from vmjira.flows.rules import rules_in_force
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
    while True:
        with outside.store.begin() as unit:
            if unit.scan_by_digest(scan.digest):
                log.info("known already", file=str(file))
                return said | {"outcome": "known already: nothing changed"}
        rulebook = rules_in_force(outside)
        base = load(outside.store)
        outcome = foresee_scan(base, scan, rulebook, titles(outside, rulebook))
        folder = f"scans/{scan.digest[:16]}-{uuid4().hex[:8]}"
        outside.store.keep_scan(scan, folder)
        row = scan_row(file, scan, folder, outside)

        def record(unit: Unit, row: ScanRow = row, outcome: Outcome = outcome, rulebook: Rulebook = rulebook) -> int:
            id = unit.add_scan(row)
            breaker.note(unit, outcome, replace(row, id=id), rulebook.policy, now=outside.clock())
            return id

        try:
            rows = keep(outside, outcome, rulebook, EventRow(0, "scan", None, ""), record=record)
        except Conflict:
            continue
        report.operations += [row.id for row in rows]
        log.info(
            "folded", file=str(file), hosts=scan.hosts.height, records=scan.records,
            warnings=len(scan.warnings), version=outcome.base.version, operations=len(rows),
        )  # fmt: skip
        doubts = [f"not believed in {trip.range}: {trip.words}" for trip in outcome.trips]
        why = outcome.plan.exceeded(rulebook.policy)
        said |= {"outcome": "folded", "operations": len(rows), "warnings": [*scan.warnings, *doubts]}
        told = of_scan(outcome, scan, rulebook)
        held = [f"{waiting_for_approval(len(rows))}: {why}"] if why and rows else []
        return said | told | {"hints": [*held, *told["hints"]]}


def settle(outside: Outside) -> list[str]:
    """Do what a person released: put rules in force, and let scans count that were not believed (those too that a later
    scan bore out). Gives what is planned."""
    planned = rulewatch.settle(outside)
    with outside.store.reading() as unit:
        due = breaker.due(unit)
        scans = {row.id: row for row in unit.scans()} if due else {}
    for notice in due:
        for id in notice.details["scans"]:
            planned += _believe(outside, scans[id], notice.identifier)
        with outside.store.begin() as unit:
            state, answer = ("dropped", notice.answer) if notice.answer else ("done", "released: the scan counts now")
            unit.update_operation(notice.id, state=state, answer=answer, ended_at=outside.clock())
        log.info("settled", range=notice.identifier, answer=answer, operations=len(planned))
    return planned


def _believe(outside: Outside, row: ScanRow, range_: str) -> list[str]:
    """Ids of what is planned now that the scan counts in the range; none where newer scans speak for all its hosts."""
    while True:
        rulebook, base = rules_in_force(outside), load(outside.store)
        words = titles(outside, rulebook)
        outcome = foresee_belief(base, outside.store.load_scan(row), rulebook, words, [range_])
        if outcome.base.part(BEFORE).equals(base.part(BEFORE)):
            return []
        try:
            event = EventRow(0, "scan", row.id, "", details={"believed": [range_]})
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
