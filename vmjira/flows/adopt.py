"""The story of the first run: scans of a network with years of backlog become iteration 0, in one step of the ledger.

All of them are folded in memory; then one transaction records them, points to the new ledger, and stores and queues
what is planned. A crash before that leaves nothing, so the same command again does it all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import structlog

from vmjira.domain.adoption import Adopted as Taken
from vmjira.domain.adoption import cells, in_use
from vmjira.domain.breaker import in_doubt
from vmjira.domain.frames import Scan
from vmjira.domain.iterations import NO_RANGE, ZERO
from vmjira.domain.lives import OPEN
from vmjira.domain.rulebook import AdoptionMode, Policy, Rulebook
from vmjira.errors import VmjiraError
from vmjira.flows import breaker
from vmjira.flows.foresee import Outcome, foresee_adoption, foresee_rules
from vmjira.flows.ingest import LoadRules, ReadScan, Report, adopt_rules, scan_row, settle
from vmjira.flows.keep import keep, titles
from vmjira.flows.knowledge import BEFORE, HOSTS, ITERATION_NAMES, Base, load, part_name
from vmjira.flows.ports import Conflict, Outside, Unit
from vmjira.flows.rows import EventRow, ScanRow
from vmjira.flows.rules import read_rules, rules_in_force
from vmjira.flows.suspect import why_suspect

log = structlog.get_logger(__name__)

MODES: tuple[AdoptionMode, ...] = ("iteration0", "silent", "cap")

#: Scans with the files that they come from, the oldest end first.
Read = Sequence[tuple[Path, Scan]]


@dataclass
class Adopted(Report):
    """What became of the files, and the numbers of the backlog as `rehearse` gives them; none if nothing was new."""

    numbers: Mapping[str, Any] = field(default_factory=dict)


def read_all(files: Sequence[Path], read: ReadScan) -> Read:
    """Every scan once. Raises ScanUnreadable: a backlog that lacks a file would be news later."""
    found = {scan.digest: (file, scan) for file in files for scan in read(file)}
    return sorted(found.values(), key=lambda each: each[1].finished_at)


def rehearse(outside: Outside, scans: Read, load_rules: LoadRules) -> dict[str, Any]:
    """The numbers of the backlog, if `adopt` took these scans by the rules in the folder; stores and sends nothing.

    mode, cap, creates (tickets), exceeds (which limits, or None), not_believed (range and why, in words, where the
    breaker trips), tickets (by mode), and ranges, each with range (None: hosts in no range), hosts, vulnerable (hosts),
    findings, cells, in_no_category, tickets (by mode), and without_ticket (findings, by the policy's mode).
    """
    rulebook, base = load_rules(), load(outside.store)
    base = _ruled(outside, base, rulebook)
    new = _new(outside, scans)
    _refuse_in_use(base, new, rulebook)
    if not new:
        return {}
    _refuse_future(outside, new, rulebook.policy)
    found, words = [scan for _, scan in new], titles(outside, rulebook)
    return _numbers(*foresee_adoption(base, found, rulebook, words, now=outside.clock()), rulebook)


def adopt(outside: Outside, scans: Read, load_rules: LoadRules) -> Adopted:
    """Take the backlog in. VmjiraError, before anything is stored, if a range of these scans is past iteration 0."""
    offered = load_rules()
    _refuse_future(outside, _new(outside, scans), offered.policy)
    _refuse_in_use(_ruled(outside, load(outside.store), offered), _new(outside, scans), offered)
    report = Adopted()
    report.rules = adopt_rules(outside, load_rules, report)
    if rules_in_force(outside).digest != offered.digest:
        raise VmjiraError(f"adopt: nothing was taken in, for the rules in the folder are not in force: {report.rules}")
    report.operations += settle(outside)
    new = _new(outside, scans)
    report.scans = [_said(file, scan, new) for file, scan in scans]
    if new:
        _take_in(outside, new, report)
        report.operations += settle(outside)
    return report


def _take_in(outside: Outside, new: Read, report: Adopted) -> None:
    """All in one transaction; done again from the start if somebody else moved the ledger meanwhile."""
    kept = []
    for file, scan in new:
        folder = f"scans/{scan.digest[:16]}-{uuid4().hex[:8]}"
        outside.store.keep_scan(scan, folder)
        kept.append(scan_row(file, scan, folder, outside))
    while True:
        rulebook, base = rules_in_force(outside), load(outside.store)
        _refuse_in_use(base, new, rulebook)
        now = outside.clock()
        found, words = [scan for _, scan in new], titles(outside, rulebook)
        outcome, adopted = foresee_adoption(base, found, rulebook, words, now=now)
        event = EventRow(0, "adopt", None, "", now, {"scans": [row.digest for row in kept]})
        record = partial(_record, outside, kept, outcome, adopted, rulebook.policy)
        try:
            rows = keep(outside, outcome, rulebook, event, record=record)
        except Conflict:
            continue
        report.operations += [row.id for row in rows]
        report.numbers = _numbers(outcome, adopted, rulebook)
        log.info("adopted", scans=len(new), version=outcome.base.version, operations=len(rows))
        return


def _record(
    outside: Outside, scans: Sequence[ScanRow], outcome: Outcome, adopted: Taken, policy: Policy, unit: Unit
) -> None:
    """Add the scans, each with a notice where it is not believed."""
    now = outside.clock()
    for row, folded in zip(scans, adopted.scans, strict=True):
        told = replace(outcome, trips=folded.trips, healed=folded.healed)
        breaker.note(unit, told, replace(row, id=unit.add_scan(row)), policy, now=now)
    as_of = min(scans[-1].finished_at, now)
    breaker.note_missed(unit, outcome.vanished, policy, f"v{outcome.base.version}", as_of=as_of, now=now)


def _new(outside: Outside, scans: Read) -> Read:
    """Those that were not taken in before."""
    with outside.store.reading() as unit:
        known = {row.digest for row in unit.scans()}
    return [(file, scan) for file, scan in scans if scan.digest not in known]


def _said(file: Path, scan: Scan, new: Read) -> dict[str, object]:
    fresh = any(scan.digest == each.digest for _, each in new)
    outcome = "adopted" if fresh else "known already: nothing changed"
    return {
        "path": str(file),
        "scanner": scan.scanner,
        "finished_at": scan.finished_at.isoformat(),
        "digest": scan.digest,
        "outcome": outcome,
        "warnings": list(scan.warnings),
    }


def _ruled(outside: Outside, base: Base, rulebook: Rulebook) -> Base:
    """What would be known if these rules came into force first."""
    with outside.store.reading() as unit:
        row = unit.rules_in_force()
    if row is None or not base.version or row.digest == rulebook.digest:
        return base
    before = read_rules(outside.rulebook, row)
    return foresee_rules(base, rulebook, titles(outside, rulebook), at=outside.clock(), before=before).base


def _refuse_future(outside: Outside, scans: Read, policy: Policy) -> None:
    """A backlog is taken in as a whole, so a scan from the future cannot be held alone."""
    why = [f"{file}: {words}" for file, scan in scans if (words := why_suspect(scan, policy, outside.clock()))]
    if why:
        raise VmjiraError(
            "adopt: scans from the future; nothing was stored. Correct their time, or leave them out:\n"
            + "\n".join(why)
        )


def _refuse_in_use(base: Base, scans: Read, rulebook: Rulebook) -> None:
    names = in_use(base.part(ITERATION_NAMES), [scan for _, scan in scans], rulebook)
    if names:
        raise VmjiraError(
            f"adopt: {', '.join(names[:10])}{f' and {len(names) - 10} more' if names[10:] else ''} "
            f"{'has' if len(names) == 1 else 'have'} rounds of scanning already; only ranges that no scan was ingested "
            "for can be adopted. Nothing was stored. Take the files of these ranges in with `vmjira ingest`, or give "
            "only files of other ranges"
        )


# --- numbers ----------------------------------------------------------------------------------------------------------


def _numbers(outcome: Outcome, adopted: Taken, rulebook: Rulebook) -> dict[str, Any]:
    base, adoption = outcome.base, rulebook.policy.adoption
    rows = [_range(base, name, adoption.cap) for name in adopted.ranges]
    doubted = in_doubt(base.part(BEFORE))
    return {
        "mode": adoption.mode,
        "cap": adoption.cap,
        "creates": outcome.plan.count("create"),
        "exceeds": outcome.plan.exceeded(rulebook.policy),
        "not_believed": [f"{trip.range}: {trip.words}" for trip in outcome.trips if trip.range in doubted],
        "tickets": {mode: sum(row["tickets"][mode] for row in rows) for mode in MODES},
        "ranges": rows,
    }


def _range(base: Base, name: str, cap: int) -> dict[str, Any]:
    """Of one range, or of the hosts in no range."""
    known = base.part(HOSTS).filter(pl.col("range").fill_null(NO_RANGE) == name)
    lives = base.part(part_name(name)).filter(OPEN)
    found = cells(lives).height
    told = lives.filter(pl.col("first_iteration") == ZERO.ordinal, pl.col("category").is_not_null())
    return {
        "range": name or None,
        "hosts": known["host"].n_unique(),
        "vulnerable": lives["host"].n_unique(),
        "findings": lives.height,
        "cells": found,
        "in_no_category": lives["category"].null_count(),
        "tickets": {"iteration0": found, "silent": 0, "cap": min(cap, found)},
        "without_ticket": lives.height - (told.height if name else 0),
    }
