"""What would happen: the same computation as `ingest`, stopped before anything is stored or sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from vmjira.domain import unguarded
from vmjira.domain.classify import identify, merge
from vmjira.domain.frames import MOVES, Scan, empty
from vmjira.domain.iterations import BACKLOG
from vmjira.domain.ledger import Circumstances
from vmjira.domain.limits import not_held, rules_exceeded
from vmjira.domain.plan import Plan
from vmjira.domain.preview import UNTAKEN, coverage, notes, overlaps, placed, unowned, untaken, untaken_total
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import Iteration, TicketRow, identifier
from vmjira.flows.foresee import Outcome, foresee_rules, foresee_scan
from vmjira.flows.keep import titles
from vmjira.flows.knowledge import (
    BEFORE,
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
from vmjira.flows.rows import OperationRow
from vmjira.flows.rules import read_rules
from vmjira.flows.suspect import why_suspect
from vmjira.flows.unplaced import TOP, listed, of_scan, unowned_json, untaken_json
from vmjira.flows.waiting import waiting_for_approval


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
    found = preview_in_words(outside, files, read, load_rules)
    return found.operations, found.rules


@dataclass
class Preview:
    """What would happen, as JSON values."""

    operations: list[dict[str, Any]]
    rules: dict[str, Any]
    scans: list[dict[str, Any]] = field(default_factory=list)  # what `unplaced.of_scan` says of each new one
    held: list[str] = field(default_factory=list)  # what waits, or would wait, for approval: a sentence each


def preview_in_words(
    outside: Outside, files: Sequence[Path], read: Callable[[Path], list[Scan]], load_rules: Callable[[], Rulebook]
) -> Preview:
    """What `preview` says, with what else a person should know before these scans are ingested.

    Changed rules that would be held come into force only by a release, so the scans are judged by those in force.
    """
    rulebook, base = load_rules(), load(outside.store)
    with outside.store.reading() as unit:
        in_force, waiting = unit.rules_in_force(), unit.operations("queued", "held")
        known = {row.digest: row for row in unit.scans()}
    before = read_rules(outside.rulebook, in_force) if in_force else rulebook
    outcome = None
    if base.version and before.digest != rulebook.digest:
        words = titles(outside, rulebook)
        outcome = foresee_rules(base, rulebook, words, at=outside.clock(), before=before)
    found = Preview([_waiting(row, base) for row in waiting], of_rules(base, outcome, rulebook, before))
    if held := sum(row.state == "held" for row in waiting):
        found.held.append(waiting_for_approval(held))
    planned: list[dict[str, Any]] = []
    if outcome:
        planned += _planned(outcome.plan, found.rules["exceeds"])
        if why := found.rules["exceeds"]:
            found.held.append(f"The changed rules would be held, and the rules in force would stay: {why}")
            rulebook = before
        else:
            base = outcome.base
    words = titles(outside, rulebook)
    scans = sorted(((scan, file) for file in files for scan in read(file)), key=lambda each: each[0].finished_at)
    seen, now = set[str](), outside.clock()
    for scan, file in scans:
        if scan.digest in seen:
            continue
        seen.add(scan.digest)
        if row := known.get(scan.digest):
            if row.state != "folded":
                found.operations.append(_notice(SUSPECT, f"scan.{row.id}", row.note or row.state))
        elif why := why_suspect(scan, rulebook.policy, now):
            found.operations.append(_notice(SUSPECT, "scan", f"{scan.scanner} scan would be held: {why}"))
            found.held.append(f"{file.name} would be held: {why}")
        else:
            foreseen = foresee_scan(base, scan, rulebook, words, Circumstances(now))
            found.operations += [_notice(BREAKER, each.range, each.words, each.as_json()) for each in foreseen.trips]
            found.operations += [_notice(GONE, each.range, each.words, each.as_json()) for each in foreseen.vanished]
            planned += _planned(foreseen.plan, foreseen.plan.exceeded(rulebook.policy))
            found.scans.append(_scan(file, base, foreseen, scan, rulebook))
            found.held += _doubts(file, foreseen, rulebook)
            base = foreseen.base
    found.operations += planned
    return found


def _waiting(row: OperationRow, base: Base) -> dict[str, Any]:
    return {
        "operation": row.operation,
        "identifier": row.identifier,
        "key": base.tickets[row.identifier].key if row.identifier in base.tickets else None,
        "reason": row.reason,
        "details": {**row.details, "state": row.state},
    }


def _planned(plan: Plan, held: str | None) -> list[dict[str, Any]]:
    """`held`: why the plan would wait for a release, if it would."""
    found = [operation.as_json() for operation in plan.operations]
    return [{**each, "details": {**each["details"], "state": "held"}} for each in found] if held else found


def _scan(file: Path, base: Base, foreseen: Outcome, scan: Scan, rulebook: Rulebook) -> dict[str, Any]:
    said = of_scan(foreseen, scan, rulebook)
    ranges = {*merge(identify(scan, rulebook))["range"].drop_nulls()}
    unchecked = unguarded.of_scan(base.part(BEFORE), scan.scanner, ranges, share=rulebook.policy.breaker)
    return {"path": str(file), **said, "hints": [*said["hints"], *unchecked]}


def _doubts(file: Path, foreseen: Outcome, rulebook: Rulebook) -> Iterator[str]:
    for trip in foreseen.trips:
        yield f"{file.name} would not be believed in {trip.range}, so nothing there would count as fixed: {trip.words}"
    if why := foreseen.plan.exceeded(rulebook.policy):
        yield f"The changes that follow from {file.name} would be held: {why}"


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
        "notes": [*notes(before, rulebook), *not_held(plan, tickets, rulebook)],
        "tickets": _tickets(plan, tickets),
        "renamed": dict(outcome.renaming.categories) | dict(outcome.renaming.ranges) if outcome else {},
        "moves": _moves(outcome, base, rulebook, before) if outcome else listed([], findings=0, tickets=0),
        "unowned": unowned_json(unowned(hosts)),
        "uncovered": _uncovered(hosts, rulebook),
        "overlaps": _overlaps(hosts, rulebook),
        "untaken": _untaken(after),
        "unguarded": _unguarded(after, rulebook),
    }


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


def _uncovered(hosts: pl.DataFrame, rulebook: Rulebook) -> dict[str, Any]:
    empty = coverage(hosts, rulebook).filter(pl.col("hosts") == 0)["range"]
    rows = [
        {"range": each.id, "title": each.title, "networks": [str(network) for network in each.networks[:TOP]]}
        for each in rulebook.ranges
        if each.id in set(empty)
    ]
    return listed(rows)


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
    return listed(rows)


def _untaken(after: Base) -> dict[str, Any]:
    catalogue = after.part(VULNERABILITIES)
    parts = [untaken(after.part(part_name(name)).lazy(), catalogue) for name in sorted(after.ranges)]
    return untaken_json(untaken_total(parts or [empty(UNTAKEN)]))


def _unguarded(after: Base, rulebook: Rulebook) -> dict[str, Any]:
    """Where the circuit breaker does not apply to the next scan; `off`: it applies nowhere."""
    off = rulebook.policy.breaker >= 1
    rows = [] if off else unguarded.unguarded(after.part(BEFORE)).rows(named=True)
    return {**listed([{**row, "words": unguarded.words(*row.values())} for row in rows]), "off": off}
