"""What a scan, or a change of rules, would do: everything that is decided, before anything is stored or sent.

`ingest` stores and queues the outcome, `plan` shows it, `replay` compares it: one computation for all three.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime

import polars as pl

from vmjira.domain import ledger
from vmjira.domain.breaker import Trip
from vmjira.domain.classify import newest
from vmjira.domain.digest import digests
from vmjira.domain.frames import Scan
from vmjira.domain.ledger import Folded
from vmjira.domain.plan import Plan, Situation, TicketFacts, Title, make_plan
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.statistics import host_numbers, own_numbers, top_hosts
from vmjira.domain.ticket import CellNumbers, HostNumbers, Iteration, OwnNumbers, TopHost
from vmjira.flows.knowledge import (
    BEFORE,
    HOSTS,
    ITERATION_NAMES,
    VULNERABILITIES,
    Base,
    iterations_of,
    part_name,
    running_of,
)


@dataclass(frozen=True)
class Outcome:
    """What would be known and planned afterwards."""

    base: Base
    parts: Mapping[str, pl.DataFrame]  # the ledger parts that are new
    cells: tuple[CellNumbers, ...]
    plan: Plan
    skipped: int = 0  # hosts of which something as new, or newer, was known
    unidentified: int = 0  # hosts with nothing to recognise them by
    trips: tuple[Trip, ...] = ()  # where the scan is not believed
    healed: frozenset[str] = frozenset()  # ranges of which it has again what an earlier one had lost


@dataclass(frozen=True)
class Change:
    """What a plan has to know of its cause."""

    rulebook: Rulebook
    title: Title
    at: datetime
    because: str


def foresee_scan(base: Base, scan: Scan, rulebook: Rulebook, title: Title) -> Outcome:
    ranges = ledger.touched(base.part(HOSTS), scan, rulebook)
    folded = ledger.fold(base.knowledge(ranges), scan, rulebook)
    at = scan.finished_at.astimezone(rulebook.policy.timezone)
    return _outcome(base, folded, Change(rulebook, title, at, f"{scan.scanner} scan of {at:%Y-%m-%d %H:%M}"))


def foresee_belief(base: Base, scan: Scan, rulebook: Rulebook, title: Title, ranges: Collection[str]) -> Outcome:
    """A scan that was folded, but not believed in these ranges, counts there after all."""
    touched = ledger.touched(base.part(HOSTS), scan, rulebook)
    folded = ledger.believe(base.knowledge(touched), scan, rulebook, ranges)
    at = scan.finished_at.astimezone(rulebook.policy.timezone)
    because = f"{scan.scanner} scan of {at:%Y-%m-%d %H:%M}, believed now"
    return _outcome(base, folded, Change(rulebook, title, at, because))


def foresee_rules(base: Base, rulebook: Rulebook, title: Title, *, at: datetime, before: Rulebook) -> Outcome:
    """`before`: the rules that these replace; acceptances that are no longer given end."""
    folded = ledger.apply_rules(base.knowledge(base.ranges), rulebook, at=at, before=before)
    at = at.astimezone(rulebook.policy.timezone)
    return _outcome(base, folded, Change(rulebook, title, at, f"change of rules of {at:%Y-%m-%d %H:%M}"))


def _outcome(base: Base, folded: Folded, change: Change) -> Outcome:
    known = folded.knowledge
    lives = {name: known.lives.filter(pl.col("range").fill_null("") == name) for name in folded.changed}
    parts = {
        HOSTS: known.hosts,
        VULNERABILITIES: known.vulnerabilities,
        ITERATION_NAMES: known.iterations,
        BEFORE: known.baseline,
        **{part_name(name): frame for name, frame in lives.items()},
    }
    running, iterations = running_of(known.iterations), iterations_of(known.iterations)
    cells: list[CellNumbers] = []
    facts: list[TicketFacts] = []
    for name in sorted((folded.changed | set(folded.rounds)) - {""}):
        if name in running:
            frame = lives[name] if name in lives else known.lives.filter(pl.col("range") == name)
            mine = frame.filter(pl.col("category").is_not_null())
            cells += _cells(mine, name, iterations[name, running[name]], known.hosts, change.rulebook)
            facts += _facts(mine, name, running)
    situation = Situation(
        facts=tuple(facts),
        cells={**base.cells, **{(cell.category, cell.range, cell.ordinal): cell for cell in cells}},
        iterations=iterations,
        running=running,
        tickets=base.tickets,
        version=base.version + 1,
        at=change.at,
        because=change.because,
    )
    plan = make_plan(situation, change.rulebook, change.title)
    after = base.after(parts, plan.tickets, cells)
    return Outcome(
        after, parts, tuple(cells), plan, len(folded.skipped), folded.unidentified, folded.trips, folded.healed
    )


def _cells(
    lives: pl.DataFrame, range_: str, running: Iteration, hosts: pl.DataFrame, rulebook: Rulebook
) -> list[CellNumbers]:
    """Host numbers of every cell of a range at its running iteration; zeros where nothing is left to count."""
    known = newest(hosts.join(lives.select("host").unique(), on="host", how="semi"))
    tops: dict[str, list[TopHost]] = {}
    for row in top_hosts(lives, running.ordinal, known, rulebook.policy.top_hosts).iter_rows(named=True):
        tops.setdefault(row.pop("category"), []).append(TopHost(**row))
    return [
        CellNumbers(
            category=row["category"],
            range=range_,
            ordinal=running.ordinal,
            label=running.label,
            numbers=HostNumbers(**{each.name: row[each.name] for each in fields(HostNumbers)}),
            top=tuple(tops.get(row["category"], ())),
            digest=str(row["digest"]),
        )
        for row in digests(lives, "category")
        .join(host_numbers(lives, running.ordinal), on="category", how="left")
        .with_columns(pl.col([each.name for each in fields(HostNumbers)]).fill_null(0))
        .rows(named=True)
    ]


def _facts(lives: pl.DataFrame, range_: str, running: Mapping[str, int]) -> list[TicketFacts]:
    keys = ["category", "first_iteration"]
    return [
        TicketFacts(
            category=row["category"],
            range=range_,
            ordinal=row["first_iteration"],
            own=OwnNumbers(**{each.name: row[each.name] for each in fields(OwnNumbers)}),
            digest=str(row["digest"]),
        )
        for row in own_numbers(lives, running).join(digests(lives, *keys), on=keys).rows(named=True)
    ]
