"""What would happen: the same computation as `ingest`, stopped before anything is stored or sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from vmjira.domain.frames import MOVES, SEVERITIES, Scan, empty
from vmjira.domain.iterations import BACKLOG
from vmjira.domain.ledger import Circumstances
from vmjira.domain.limits import rules_exceeded
from vmjira.domain.plan import Plan
from vmjira.domain.preview import condition, coverage, notes, overlaps, placed, unowned, untaken, untaken_total
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import Iteration, TicketRow, identifier
from vmjira.flows.foresee import Outcome, foresee_rules, foresee_scan
from vmjira.flows.keep import titles
from vmjira.flows.knowledge import (
    HOSTS,
    ITERATION_NAMES,
    VULNERABILITIES,
    Base,
    iterations_of,
    load,
    part_name,
    running_of,
)
from vmjira.flows.operations import BREAKER, GONE, SUSPECT
from vmjira.flows.ports import Outside
from vmjira.flows.rules import read_rules
from vmjira.flows.suspect import why_suspect

#: Rows that each list of a preview shows; its totals count all.
TOP = 20


def preview(
    outside: Outside, files: Sequence[Path], read: Callable[[Path], list[Scan]], load_rules: Callable[[], Rulebook]
) -> list[dict[str, Any]]:
    """What waits already, what the rules in the folder would change, and what these scans would, as JSON values.

    Raises ScanUnreadable and RulesInvalid: a preview of half of it would mislead.
    """
    return preview_all(outside, files, read, load_rules)[0]


def preview_all(
    outside: Outside, files: Sequence[Path], read: Callable[[Path], list[Scan]], load_rules: Callable[[], Rulebook]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The operations of `preview`, and what `of_rules` says of the rules in the folder."""
    rulebook = load_rules()
    words, base = titles(outside, rulebook), load(outside.store)
    with outside.store.reading() as unit:
        in_force, waiting = unit.rules_in_force(), unit.operations("queued", "held")
        known = {row.digest: row for row in unit.scans()}
    planned = [
        {
            "operation": row.operation,
            "identifier": row.identifier,
            "key": base.tickets[row.identifier].key if row.identifier in base.tickets else None,
            "reason": row.reason,
            "details": {**row.details, "state": row.state},
        }
        for row in waiting
    ]
    plans, trips = [], []
    before = read_rules(outside.rulebook, in_force) if in_force else rulebook
    outcome = None
    if base.version and before.digest != rulebook.digest:
        outcome = foresee_rules(base, rulebook, words, at=outside.clock(), before=before)
        plans.append(outcome.plan)
    said = of_rules(base, outcome, rulebook, before)
    base = outcome.base if outcome else base
    scans = sorted((scan for file in files for scan in read(file)), key=lambda scan: scan.finished_at)
    seen, now = set[str](), outside.clock()
    for scan in scans:
        if scan.digest in seen:
            continue
        seen.add(scan.digest)
        if row := known.get(scan.digest):
            trips += [] if row.state == "folded" else [_notice(SUSPECT, f"scan.{row.id}", row.note or row.state)]
        elif why := why_suspect(scan, rulebook.policy, now):
            trips.append(_notice(SUSPECT, "scan", f"{scan.scanner} scan would be held: {why}"))
        else:
            foreseen = foresee_scan(base, scan, rulebook, words, Circumstances(now))
            plans.append(foreseen.plan)
            trips += [_notice(BREAKER, each.range, each.words, each.as_json()) for each in foreseen.trips]
            trips += [_notice(GONE, each.range, each.words, each.as_json()) for each in foreseen.vanished]
            base = foreseen.base
    return planned + trips + [operation.as_json() for plan in plans for operation in plan.operations], said


def _notice(kind: str, about: str, reason: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A notice that would be put up, in the shape of an operation."""
    told = {**(details or {}), "state": "held"}
    return {"operation": kind, "identifier": about, "key": None, "reason": reason, "details": told}


# --- what rules mean for what is known --------------------------------------------------------------------------------


def of_rules(base: Base, outcome: Outcome | None, rulebook: Rulebook, before: Rulebook) -> dict[str, Any]:
    """What `rulebook` means for what is known, and what it changes against the rules `before`, as JSON values.

    `outcome`: of `foresee_rules` on `base`; None if the rules are the same, or no scan is known yet.
    """
    after = outcome.base if outcome else base
    known_hosts = after.part(HOSTS)
    hosts = placed(known_hosts, rulebook)
    plan, tickets = (outcome.plan, outcome.before) if outcome else (Plan(), base.tickets)
    return {
        "digest": rulebook.digest,
        "in_force": before.digest,
        "changed": rulebook.digest != before.digest,
        "exceeds": rules_exceeded(
            plan,
            outcome.before if outcome else base.tickets,
            before,
            rulebook,
            outcome.moves if outcome else empty(MOVES),
        ),
        "notes": notes(before, rulebook),
        "tickets": _tickets(plan, tickets),
        "renamed": dict(outcome.renaming.categories) | dict(outcome.renaming.ranges) if outcome else {},
        "moves": _moves(outcome, base, rulebook, before) if outcome else _listed([], findings=0, hosts=0),
        "unowned": _unowned(hosts),
        "uncovered": _uncovered(hosts, rulebook),
        "overlaps": _overlaps(hosts, rulebook),
        "untaken": _untaken(after),
    }


def _listed(rows: Sequence[Mapping[str, Any]], **totals: int) -> dict[str, Any]:
    return {**totals, "total": len(rows), "top": list(rows[:TOP])}


def _tickets(plan: Plan, before: Mapping[str, TicketRow]) -> dict[str, Any]:
    """How many tickets what happens to, with a few of each."""
    by_kind: dict[str, list[str]] = {"create": [], "update": [], "close": []}
    for operation in plan.operations:
        by_kind.setdefault(operation.operation, []).append(_named(operation.identifier, operation.key))
    shrunk = plan.shrunk(before)
    by_kind["lose findings"] = [_named(row.identifier, row.key) for row in shrunk]
    by_kind["lose all findings"] = [_named(row.identifier, row.key) for row in shrunk if not row.own.open]
    return {kind: {"total": len(names), "top": names[:TOP]} for kind, names in by_kind.items()}


def _named(name: str, key: str | None) -> str:
    return f"{name} ({key})" if key else name


def _moves(outcome: Outcome, base: Base, rulebook: Rulebook, before: Rulebook) -> dict[str, Any]:
    labels = iterations_of(outcome.base.part(ITERATION_NAMES))
    running = running_of(outcome.base.part(ITERATION_NAMES))
    moves = outcome.moves

    def place(category: str | None, range_: str | None, ordinal: int | None, rules: Rulebook) -> dict[str, Any]:
        team = rules.range(range_ or "")
        iteration: Iteration | None = labels.get((range_ or "", ordinal or 0))
        name = identifier(category, range_, iteration.label) if category and range_ and iteration else None
        known = base.tickets.get(name) if name else None
        return {
            "category": category,
            "range": range_,
            "team": team.title if team else None,
            "project": team.ticket.project if team else None,
            "ticket": name,
            "key": known.key if known else None,
        }

    rows = [
        {
            "from": place(row["category"], row["range"], row["first_iteration"], before),
            "to": place(row["to_category"], row["to_range"], _iteration(row, running), rulebook),
            "findings": row["findings"],
            "hosts": row["hosts"],
            "examples": row["examples"],
        }
        for row in moves.head(TOP).iter_rows(named=True)
    ]
    return {
        "findings": int(moves["findings"].sum()),
        "tickets": moves.filter(pl.col("first_iteration") != BACKLOG)
        .drop_nulls(["category", "range"])
        .select("category", "range", "first_iteration")
        .n_unique(),
        "total": moves.height,
        "top": rows,
    }


def _iteration(move: Mapping[str, Any], running: Mapping[str, int]) -> int | None:
    """The one whose ticket they go into (a row of MOVES); none for backlog without a ticket."""
    return None if move["first_iteration"] == BACKLOG else running.get(move["to_range"] or "")


def _unowned(hosts: pl.DataFrame) -> dict[str, Any]:
    rows = unowned(hosts).to_dicts()
    return _listed(rows, hosts=sum(row["hosts"] for row in rows))


def _uncovered(hosts: pl.DataFrame, rulebook: Rulebook) -> dict[str, Any]:
    empty = coverage(hosts, rulebook).filter(pl.col("hosts") == 0)["range"]
    rows = [
        {"range": each.id, "title": each.title, "networks": [str(network) for network in each.networks[:TOP]]}
        for each in rulebook.ranges
        if each.id in set(empty)
    ]
    return _listed(rows)


def _overlaps(hosts: pl.DataFrame, rulebook: Rulebook) -> dict[str, Any]:
    rows = [
        {
            "network": str(each.network),
            "range": each.range,
            "winner": str(each.winner),
            "winner_range": each.winner_range,
            "hosts": each.hosts,
        }
        for each in overlaps(rulebook, hosts["ip"].drop_nulls())
    ]
    return _listed(rows)


def _untaken(after: Base) -> dict[str, Any]:
    catalogue = after.part(VULNERABILITIES)
    parts = [untaken(after.part(part_name(name)).lazy(), catalogue) for name in sorted(after.ranges)]
    if not parts:
        return _listed([], findings=0)
    found = untaken_total(parts)
    rows = [
        {
            "family": row["family"],
            "findings": row["findings"],
            "hosts": row["hosts"],
            "severities": {name: row[name] for name in reversed(SEVERITIES) if row[name]},
            "where": condition(row["family"], row["lowest"]),
        }
        for row in found.iter_rows(named=True)
    ]
    return _listed(rows, findings=int(found["findings"].sum()))
