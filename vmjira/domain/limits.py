"""What a change of rules may do to tickets before a person has looked: a typo must never flood the tracker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import polars as pl

from vmjira.domain.operation import count
from vmjira.domain.plan import Plan
from vmjira.domain.rulebook import Category, Range, Rulebook
from vmjira.domain.ticket import TicketRow

#: A category or range that loses fewer findings than this is quickly put right by hand.
FEW = 10


def rules_exceeded(
    plan: Plan, before: Mapping[str, TicketRow], old: Rulebook, new: Rulebook, moves: pl.DataFrame
) -> str | None:
    """Why a person has to look first at what a change of rules does to the tickets as they are `before`.

    Of each limit the stricter of the `old` and the `new` policy counts: whoever mistypes a limit opens no gate with it.
    A category or range that stays in the rules, but takes nothing any more of what it had, is most likely a typo. One
    whose id is gone, while a new id takes most of its findings (`moves`: MOVES), most likely has a new name.
    """
    strict = replace(
        new.policy,
        limit_create=min(old.policy.limit_create, new.policy.limit_create),
        limit_close=min(old.policy.limit_close, new.policy.limit_close),
        limit_move=min(old.policy.limit_move, new.policy.limit_move),
    )
    over = [plan.exceeded(strict)]
    if (number := len(plan.shrunk(before))) > strict.limit_move:
        over.append(f"{number} tickets lose open findings, limits.move is {strict.limit_move}")
    over += _emptied("category", plan, before, {each.id for each in new.categories})
    over += _emptied("range", plan, before, {each.id for each in new.ranges})
    over += _renamed("category", moves, old.categories, new.categories)
    over += _renamed("range", moves, old.ranges, new.ranges)
    return "; ".join(words for words in over if words) or None


def _renamed(
    kind: Literal["category", "range"],
    moves: pl.DataFrame,
    old: Sequence[Category | Range],
    new: Sequence[Category | Range],
) -> list[str]:
    """An id that disappears, while a new one takes more than half of its open findings."""
    ids = {each.id for each in new}
    gone, fresh = {each.id for each in old} - ids, ids - {each.id for each in old}
    total = moves.filter(pl.col(kind).is_in(sorted(gone))).group_by(kind, to=f"to_{kind}").agg(pl.col("findings").sum())
    most = total.with_columns(all=pl.col("findings").sum().over(kind))
    most = most.filter(pl.col("to").is_in(sorted(fresh)), pl.col("findings") * 2 > pl.col("all")).sort(kind)
    return [
        f"{kind} '{was}' is gone, and '{now}' takes {number} of its {count(all_, 'open finding')}; if it was renamed, "
        f"add `aliases: [{was}]` to {kind} '{now}', and its tickets continue"
        for was, now, number, all_ in most.iter_rows()
    ]


def _emptied(
    kind: Literal["category", "range"], plan: Plan, before: Mapping[str, TicketRow], kept: Collection[str]
) -> list[str]:
    """Those of `kept` that had at least FEW open findings before and none after."""
    had, has = Counter[str](), Counter[str]()
    for row in before.values():
        had[getattr(row, kind)] += row.own.open
    for row in {**before, **{row.identifier: row for row in plan.tickets}}.values():
        has[getattr(row, kind)] += row.own.open
    return [
        f"{kind} '{name}' would take none any more of its {count(open_, 'open finding')}"
        for name, open_ in sorted(had.items())
        if open_ >= FEW and not has[name] and name in kept
    ]
