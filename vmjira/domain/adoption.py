"""The first scans of a network with years of backlog: all that they find is iteration 0, so no news later.

What gets a ticket of iteration 0 stays in it. What gets none is only recorded: its lives begin before all iterations
(`BACKLOG`), and wherever they move later, they never make a ticket. Open, they count as known from before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from vmjira.domain import ledger
from vmjira.domain.classify import identify
from vmjira.domain.frames import Scan
from vmjira.domain.iterations import BACKLOG, NO_RANGE, ZERO, begin_at_zero, running
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.ledger import Circumstances, Folded
from vmjira.domain.lives import OPEN
from vmjira.domain.rulebook import Rulebook

_RANGE = pl.col("range").fill_null(NO_RANGE)
_AT_ZERO = pl.col("first_iteration") == ZERO.ordinal
_CELL = ["category", "range"]


@dataclass(frozen=True)
class Adopted:
    """What an adoption made of the knowledge."""

    folded: Folded  # all of it
    scans: tuple[Folded, ...]  # what each scan did
    ranges: tuple[str, ...]  # that are in iteration 0 and have hosts of the scans, "" for none


def in_use(iterations: pl.DataFrame, scans: Sequence[Scan], rulebook: Rulebook) -> list[str]:
    """The ranges of hosts of the scans in which a later iteration than 0 runs: there is nothing to adopt there."""
    now = running(iterations)
    there = {name for scan in scans for name in identify(scan, rulebook)["range"].drop_nulls().unique()}
    return sorted(name for name in there if now.get(name, ZERO) != ZERO)


def adopt(knowledge: Knowledge, scans: Sequence[Scan], rulebook: Rulebook, *, now: datetime | None = None) -> Adopted:
    """The knowledge after the scans, the oldest end first, with all that they find in iteration 0; `now`: the clock.

    `knowledge` needs the lives of the ranges that `ledger.touched` names for each of them.
    """
    known, steps, how = knowledge, list[Folded](), Circumstances(now, joins=True)
    for scan in scans:
        iterations = begin_at_zero(known.iterations, ledger.touched(known.hosts, scan, rulebook, how))
        steps.append(ledger.fold(replace(known, iterations=iterations), scan, rulebook, how))
        known = steps[-1].knowledge
    told = _with_ticket(knowledge.lives, known.lives, rulebook)
    folded, at = _sum(known, steps), running(known.iterations)
    ranges = tuple(sorted(name for name in folded.rounds if at[name] == ZERO))  # ordinal 1 may be a running number
    untold = _AT_ZERO & _RANGE.is_in(ranges) & ~pl.struct(_CELL).is_in(told.to_struct().implode())
    if rulebook.policy.adoption.mode != "iteration0":
        first = pl.when(untold).then(pl.lit(BACKLOG, pl.Int32)).otherwise("first_iteration")
        folded = replace(folded, knowledge=replace(known, lives=known.lives.with_columns(first_iteration=first)))
    return Adopted(folded, tuple(steps), ranges)


def cells(lives: pl.DataFrame) -> pl.DataFrame:
    """category, range, hosts, findings: of what is open in cells, those with the most vulnerable hosts first."""
    return (
        lives.filter(OPEN, *(pl.col(name).is_not_null() for name in _CELL))
        .group_by(_CELL)
        .agg(hosts=pl.col("host").n_unique(), findings=pl.len())
        .sort("hosts", "findings", *_CELL, descending=[True, True, False, False])
    )


def _with_ticket(before: pl.DataFrame, lives: pl.DataFrame, rulebook: Rulebook) -> pl.DataFrame:
    """category, range: the cells whose findings get a ticket of iteration 0, those that had one `before` included."""
    old = before.filter(_AT_ZERO).select(_CELL).drop_nulls().unique()
    cap = {"silent": 0, "cap": rulebook.policy.adoption.cap}.get(rulebook.policy.adoption.mode, 0)
    room = cap - pl.col("len").fill_null(0).cast(pl.Int64)
    news = (
        cells(lives.filter(_AT_ZERO))
        .join(old, on=_CELL, how="anti", maintain_order="left")
        .join(old.group_by("range").len(), on="range", how="left", maintain_order="left")
        .filter(pl.int_range(pl.len()).over("range") < room)
    )
    return pl.concat([old, news.select(_CELL)])


def _sum(known: Knowledge, steps: Sequence[Folded]) -> Folded:
    return Folded(
        known,
        frozenset().union(*(step.changed for step in steps)),
        {name: ordinal for step in steps for name, ordinal in step.rounds.items()},
        frozenset().union(*(step.skipped for step in steps)),
        sum(step.unidentified for step in steps),
        tuple(trip for step in steps for trip in step.trips),
        vanished=steps[-1].vanished,
    )
