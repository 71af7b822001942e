"""What a scan, or a change of rules, would do: everything that is decided, before anything is stored or sent.

`ingest` stores and queues the outcome, `plan` shows it, `replay` compares it: one computation for all three.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from vmjira.domain import ledger
from vmjira.domain.frames import Scan
from vmjira.domain.ledger import Knowledge
from vmjira.domain.plan import Plan, Situation, TicketFacts, Title, make_plan
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.statistics import host_numbers, life_digests, own_numbers, top_hosts
from vmjira.domain.ticket import CellNumbers, HostNumbers, OwnNumbers, TopHost
from vmjira.flows.knowledge import (
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


def foresee_scan(base: Base, scan: Scan, rulebook: Rulebook, title: Title) -> Outcome:
    ranges = ledger.touched(base.part(HOSTS), scan, rulebook)
    known = ledger.fold(base.knowledge(ranges), scan, rulebook)
    because = f"{scan.scanner} scan of {scan.finished_at.astimezone(rulebook.policy.timezone):%Y-%m-%d %H:%M}"
    return _outcome(base, known, ranges, Change(rulebook, title, scan.finished_at, because))


def foresee_rules(base: Base, rulebook: Rulebook, at: datetime, title: Title) -> Outcome:
    known = ledger.apply_rules(base.knowledge(base.ranges), rulebook, at)
    ranges = base.ranges | {range_ or "" for range_ in known.lives["range"].unique()}
    return _outcome(base, known, ranges, Change(rulebook, title, at, f"change of rules of {at:%Y-%m-%d %H:%M}"))


@dataclass(frozen=True)
class Change:
    """What a plan has to know of its cause."""

    rulebook: Rulebook
    title: Title
    at: datetime
    because: str


def _outcome(base: Base, known: Knowledge, ranges: Collection[str], change: Change) -> Outcome:
    parts = {
        HOSTS: known.hosts,
        VULNERABILITIES: known.vulnerabilities,
        ITERATION_NAMES: known.iterations,
        **{part_name(name): known.lives.filter(pl.col("range").fill_null("") == name) for name in sorted(ranges)},
    }
    running = running_of(known.iterations)
    cells: list[CellNumbers] = []
    facts: list[TicketFacts] = []
    iterations = iterations_of(known.iterations)
    for name in sorted(set(ranges) - {""}):
        lives = parts[part_name(name)].filter(pl.col("category").is_not_null())
        if name not in running:
            continue
        ordinal = running[name]
        cells += _cells(lives, name, ordinal, iterations[name, ordinal].label, known, change.rulebook)
        facts += _facts(lives, name, ordinal)
    situation = Situation(
        facts=tuple(facts),
        cells={**base.cells, **{(cell.category, cell.range, cell.ordinal): cell for cell in cells}},
        iterations=iterations,
        running=running,
        tickets=base.tickets,
        version=base.version + 1,
        at=change.at.astimezone(change.rulebook.policy.timezone),
        because=change.because,
    )
    plan = make_plan(situation, change.rulebook, change.title)
    return Outcome(base.after(parts, plan.tickets, cells), parts, tuple(cells), plan)


def _cells(
    lives: pl.DataFrame, range_: str, ordinal: int, label: str, known: Knowledge, rulebook: Rulebook
) -> list[CellNumbers]:
    """Host numbers of every cell of a range at its running iteration."""
    digests = {row["category"]: row["digest"] for row in life_digests(lives, ["category"]).iter_rows(named=True)}
    tops: dict[str, list[TopHost]] = {}
    for row in top_hosts(lives, ordinal, known.hosts, rulebook.policy.top_hosts).iter_rows(named=True):
        tops.setdefault(row.pop("category"), []).append(TopHost(**row))
    return [
        CellNumbers(
            category=row["category"],
            range=range_,
            ordinal=ordinal,
            label=label,
            numbers=HostNumbers(**{name: row[name] for name in HostNumbers.__dataclass_fields__}),
            top=tuple(tops.get(row["category"], ())),
            digest=str(digests[row["category"]]),
        )
        for row in host_numbers(lives, ordinal).iter_rows(named=True)
    ]


def _facts(lives: pl.DataFrame, range_: str, ordinal: int) -> list[TicketFacts]:
    keys = ["category", "first_iteration"]
    joined = own_numbers(lives, ordinal).join(life_digests(lives, keys), on=keys, how="left")
    return [
        TicketFacts(
            category=row["category"],
            range=range_,
            ordinal=row["first_iteration"],
            own=OwnNumbers(**{name: row[name] for name in OwnNumbers.__dataclass_fields__}),
            digest=str(row["digest"]),
        )
        for row in joined.iter_rows(named=True)
    ]
