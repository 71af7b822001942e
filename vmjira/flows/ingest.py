"""The story of a scan: file ─► frames ─► fold into ledger ─► statistics ─► plan ─► (limits) ─► queue.

A new version of the ledger is written first; then one transaction records the scan, points to the new version, stores
the plan and queues its delivery. A crash before the commit leaves only files that nothing refers to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import polars as pl
import structlog

from vmjira.domain.frames import Scan
from vmjira.domain.plan import Title
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import TicketRow
from vmjira.errors import RulesInvalid, ScanUnreadable
from vmjira.flows import breaker
from vmjira.flows.foresee import Outcome, foresee_belief, foresee_rules, foresee_scan
from vmjira.flows.knowledge import BEFORE, load
from vmjira.flows.operations import RULES, commit, rows_of
from vmjira.flows.ports import Conflict, EventRow, OperationRow, Outside, RulesRow, ScanRow, Unit
from vmjira.flows.rules import read_rules, rules_in_force

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
        row = _scan_row(file, scan, folder, outside)

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
        return said | {"outcome": "folded", "operations": len(rows), "warnings": [*scan.warnings, *doubts]}


def settle(outside: Outside) -> list[str]:
    """Let scans count that were not believed, and that a person released or a later scan bore out; what is planned."""
    planned: list[str] = []
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
    with outside.store.begin() as unit:
        now_in_force = unit.rules_in_force()
    try:
        rulebook = load_rules()
    except RulesInvalid as error:
        if now_in_force is None:
            raise
        log.error("rules not accepted", problems=[str(problem) for problem in error.problems])
        return f"the rules in the folder are not valid, so those of {now_in_force.since:%Y-%m-%d %H:%M} stay:\n{error}"
    if now_in_force and now_in_force.digest == rulebook.digest:
        return ""
    row = RulesRow(rulebook.digest, rulebook.files, outside.clock())
    while True:
        base = load(outside.store)
        outcome = None
        if base.version and now_in_force:
            before = read_rules(outside.rulebook, now_in_force)
            outcome = foresee_rules(base, rulebook, titles(outside, rulebook), at=row.since, before=before)
        if outcome and (why := outcome.plan.exceeded(rulebook.policy)) and not _released(outside, rulebook):
            return _hold_rules(outside, rulebook, why)
        try:
            rows = _adopt(outside, row, outcome, rulebook)
        except Conflict:
            continue
        report.operations += [each.id for each in rows]
        log.info("rules in force", digest=rulebook.digest[:12], operations=len(rows))
        return "changed rules are in force now" if now_in_force else "first rules are in force now"


def _adopt(outside: Outside, row: RulesRow, outcome: Outcome | None, rulebook: Rulebook) -> list[OperationRow]:
    if outcome is None:
        with outside.store.begin() as unit:
            unit.put_rules(row)
        return []

    def record(unit: Unit) -> None:
        unit.put_rules(row)

    return keep(outside, outcome, rulebook, EventRow(0, "rules", None, "", row.since), record=record)


def _hold_rules(outside: Outside, rulebook: Rulebook, why: str) -> str:
    row = OperationRow(
        f"rules:{rulebook.digest[:12]}", RULES, RULES, f"changed rules would exceed the limits: {why}",
        {"digest": rulebook.digest}, "held", plan=f"rules:{rulebook.digest[:12]}", planned_at=outside.clock(),
    )  # fmt: skip
    with outside.store.begin() as unit:
        if unit.operation(row.id) is None:
            unit.add_operations([row])
    log.warning("rules held", why=why)
    return (
        f"the changed rules are held, the previous ones stay in force: {why}; look at `vmjira plan`, then "
        f"`vmjira operations release {row.id}` and ingest again, or mend the rules"
    )


def _released(outside: Outside, rulebook: Rulebook) -> bool:
    with outside.store.begin() as unit:
        row = unit.operation(f"rules:{rulebook.digest[:12]}")
    return row is not None and row.state == "done"


def keep(
    outside: Outside,
    outcome: Outcome,
    rulebook: Rulebook,
    event: EventRow,
    *,
    record: Callable[[Unit], int | None],
    decided: TicketRow | None = None,
) -> list[OperationRow]:
    """Write the new parts, then commit everything at once: `event` tells the cause, and `record` adds it and gives the
    scan's id, if any. Raises Conflict if somebody else moved the ledger; the plan follows tickets by itself. `decided`:
    a row as `record` makes it, and as the plan knows it already.
    """
    version, plan = outcome.base.version, f"v{outcome.base.version}"
    paths = {name: f"ledger/{name}/{version}-{uuid4().hex[:8]}.parquet" for name in outcome.parts}
    for name, path in paths.items():
        outside.store.write(path, outcome.parts[name])
    while True:
        held = outcome.plan.exceeded(rulebook.policy) if event.kind == "scan" else None
        rows = rows_of(outcome.plan.operations, plan=plan, now=outside.clock(), state="held" if held else "queued")
        with outside.store.begin() as unit:
            fresh = unit.tickets(ranges={row.range for row in outcome.plan.tickets})
            tickets = {**outcome.before, **{row.identifier: row for row in fresh}}
            if decided:
                tickets[decided.identifier] = decided
            if _as_planned_from(outcome, tickets):
                event = replace(event, version=version, rules=rulebook.digest, enrichment=outcome.base.enrichment)
                unit.move_ledger(replace(event, scan=record(unit)), paths)
                unit.put_cell_numbers(outcome.cells)
                unit.put_tickets(outcome.plan.tickets)
                stored = commit(outside, unit, rows)
                break
        outcome = outcome.again(tickets)
    if held:
        log.warning("plan held", plan=plan, why=held)
    return stored


def _as_planned_from(outcome: Outcome, tickets: Mapping[str, TicketRow]) -> bool:
    """Nobody closed, reopened or deleted a ticket of the plan while it was made; the rest of a row is delivery's."""

    def decided(row: TicketRow | None) -> object:
        return row and (row.closing, row.closed_at, row.reopened, row.noted, row.verified, row.gone)

    planned = [row.identifier for row in outcome.plan.tickets]
    return all(decided(outcome.before.get(name)) == decided(tickets.get(name)) for name in planned)


def _scan_row(file: Path, scan: Scan, folder: str, outside: Outside) -> ScanRow:
    return ScanRow(
        id=0, digest=scan.digest, scanner=scan.scanner, format=scan.format, name=file.name, path=folder,
        started_at=scan.started_at, finished_at=scan.finished_at, hosts=scan.hosts.height,
        findings=scan.findings.select(pl.len()).collect().item(),
        records=scan.records, records_by_severity=scan.records_by_severity, warnings=scan.warnings,
        unreadable=scan.unreadable, rescan=scan.rescan, folded_at=outside.clock(),
    )  # fmt: skip


def titles(outside: Outside, rulebook: Rulebook) -> Title:
    """Words for a ticket's title, by the policy of these rules."""
    return lambda category, range_, iteration: outside.renderer.title(rulebook.policy, category, range_, iteration)
