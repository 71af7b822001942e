"""The story of the first run: scans of a network with a backlog become iteration 0, planned once, at the end.

Two events of the ledger frame it: one puts every range into iteration 0, one plans its tickets. Between them the scans
are folded as usual, but join that iteration and plan nothing. A crash in between is mended by the same command again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from vmjira.domain.adoption import in_use
from vmjira.domain.lives import OPEN
from vmjira.domain.plan import Plan
from vmjira.domain.rulebook import Adoption, AdoptionMode, Rulebook
from vmjira.errors import VmjiraError
from vmjira.flows.foresee import Outcome, foresee_adoption, foresee_scan
from vmjira.flows.ingest import LoadRules, ReadScan, Report, adopt_rules, fold_in
from vmjira.flows.keep import keep, titles
from vmjira.flows.knowledge import ITERATION_NAMES, Base, load, part_name
from vmjira.flows.ports import Conflict, EventRow, Outside
from vmjira.flows.rules import rules_in_force

MODES: tuple[AdoptionMode, ...] = ("iteration0", "silent", "cap")


@dataclass
class Adopted(Report):
    """What became of the files, and the numbers of the backlog as `rehearse` gives them."""

    numbers: Mapping[str, Any] = field(default_factory=dict)


def adopt(outside: Outside, files: Sequence[Path], read: ReadScan, load_rules: LoadRules) -> Adopted:
    """Take the backlog in. VmjiraError if a range is past iteration 0, ScanUnreadable if any file is no scan."""
    scans = [(file, replace(scan, rescan=True)) for file in files for scan in read(file)]
    _refuse_in_use(load(outside.store))
    report = Adopted()
    report.rules = adopt_rules(outside, load_rules, report)
    rulebook = rules_in_force(outside)
    _event(outside, rulebook)
    for file, scan in sorted(scans, key=lambda each: each[1].finished_at):
        report.scans.append(fold_in(outside, file, scan, report, quiet=True))
    report.operations += _event(outside, rulebook, plan=True)
    report.numbers = _numbers(outside, load(outside.store), rulebook)
    return report


def rehearse(outside: Outside, files: Sequence[Path], read: ReadScan, load_rules: LoadRules) -> Mapping[str, Any]:
    """The numbers that `adopt` would give, by the rules in the folder; stores and sends nothing.

    mode, cap, exceeds (the limits, or None), tickets (by mode), and ranges: range, hosts, findings, cells, and tickets
    and findings_without_ticket by the policy's mode.
    """
    rulebook, base = load_rules(), load(outside.store)
    _refuse_in_use(base)
    words = titles(outside, rulebook)
    base = foresee_adoption(base, rulebook, words, at=outside.clock()).base
    scans = sorted((scan for file in files for scan in read(file)), key=lambda scan: scan.finished_at)
    tickets = base.tickets
    for scan in scans:  # the tickets that a scan would make are none of adoption's
        base = replace(foresee_scan(base, replace(scan, rescan=True), rulebook, words).base, tickets=tickets)
    return _numbers(outside, base, rulebook)


def _refuse_in_use(base: Base) -> None:
    if names := [name or "hosts in no range" for name in in_use(base.part(ITERATION_NAMES))]:
        raise VmjiraError(
            f"adopt: {', '.join(names[:5])}{' and others' if len(names) > 5 else ''} had scans that were ingested before; "
            "adopting is for the first run only. Use `vmjira ingest`, or begin with an empty database"
        )


def _event(outside: Outside, rulebook: Rulebook, *, plan: bool = False) -> list[str]:
    """Begin, or plan the tickets: ids of what is planned."""
    while True:
        at = outside.clock()
        outcome = foresee_adoption(load(outside.store), rulebook, titles(outside, rulebook), at=at)
        if not plan:
            outcome = silenced(outcome)
        try:
            rows = keep(outside, outcome, rulebook, EventRow(0, "adopt", None, "", at), record=lambda unit: None)
        except Conflict:
            continue
        return [row.id for row in rows]


def silenced(outcome: Outcome) -> Outcome:
    """The same without any operation or ticket."""
    return replace(outcome, plan=Plan(), again=lambda tickets: silenced(outcome.again(tickets)))


def _numbers(outside: Outside, base: Base, rulebook: Rulebook) -> dict[str, Any]:
    def outcome(mode: AdoptionMode) -> Outcome:
        adoption = Adoption(mode, rulebook.policy.adoption.cap)
        rules = replace(rulebook, policy=replace(rulebook.policy, adoption=adoption))
        return foresee_adoption(base, rules, titles(outside, rules), at=outside.clock())

    outcomes = {mode: outcome(mode) for mode in MODES}
    adoption = rulebook.policy.adoption
    chosen = outcomes[adoption.mode]
    told = {(row.category, row.range) for row in chosen.base.tickets.values()}
    rows = [
        _range(base.part(part_name(name)), name, {category for category, range_ in told if range_ == name})
        for name in sorted(base.ranges)
    ]
    return {
        "mode": adoption.mode,
        "cap": adoption.cap,
        "exceeds": chosen.plan.exceeded(rulebook.policy),
        "tickets": {mode: len(each.base.tickets) for mode, each in outcomes.items()},
        "ranges": [row for row in rows if row["findings"]],
    }


def _range(lives: pl.DataFrame, name: str, told: set[str]) -> dict[str, Any]:
    open_ = lives.filter(OPEN)
    without = ~pl.col("category").is_in(sorted(told)).fill_null(value=False)
    cells = open_["category"].drop_nulls().n_unique() if name else 0
    return {
        "range": name or None,
        "hosts": open_["host"].n_unique(),
        "findings": open_.height,
        "cells": cells,
        "tickets": len(told),
        "findings_without_ticket": open_.filter(without).height,
    }
