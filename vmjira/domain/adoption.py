"""The first run on a network with years of backlog: iteration 0, and which of its cells get a ticket.

Whatever is open then is backlog, not news: it belongs to iteration 0 of its range, which comes before all others. So
from the next scan on it is `remaining`, and only what is really new is `new`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import polars as pl

from vmjira.domain.frames import ITERATIONS
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import Iteration, TicketRow

if TYPE_CHECKING:
    from vmjira.domain.plan import TicketFacts

#: Its ordinal is below every other; no cadence ever gives its label.
ZERO = Iteration(1, "0", 0)


def begin(iterations: pl.DataFrame, ranges: Iterable[str]) -> pl.DataFrame:
    """ITERATIONS in which those of the `ranges` ("" for none) that had no iteration yet are in iteration 0."""
    known = set(iterations["range"])
    rows = [(name, ZERO.ordinal, ZERO.label, ZERO.number) for name in sorted(set(ranges) - known)]
    return pl.concat([iterations, pl.DataFrame(rows, schema=ITERATIONS, orient="row")])


def in_use(iterations: pl.DataFrame) -> list[str]:
    """The ranges that are past iteration 0: nothing can be adopted there any more."""
    return sorted(iterations.filter(pl.col("label") != ZERO.label)["range"].unique())


def with_ticket(
    facts: Collection[TicketFacts],
    iterations: Mapping[tuple[str, int], Iteration],
    tickets: Iterable[TicketRow],
    rulebook: Rulebook,
) -> set[tuple[str, str]]:
    """The cells (category, range) that may get a ticket of iteration 0, by policy `adoption`.

    With mode `cap` those with the most vulnerable hosts; what has a ticket of iteration 0 counts, closed or not.
    """
    adoption = rulebook.policy.adoption
    backlog = [each for each in facts if iterations[each.range, each.ordinal].label == ZERO.label and each.own.open]
    if adoption.mode == "silent":
        return set()
    if adoption.mode == "iteration0":
        return {(each.category, each.range) for each in backlog}
    there = {(row.category, row.range) for row in tickets if row.label == ZERO.label}
    order = {category.id: index for index, category in enumerate(rulebook.categories)}
    room: dict[str, int] = {}
    for _, range_ in there:
        room[range_] = room.get(range_, adoption.cap) - 1
    chosen = set(there)
    for each in sorted(backlog, key=lambda one: (-one.own.open_hosts, -one.own.open, order.get(one.category, 0))):
        left = room.get(each.range, adoption.cap)
        if left > 0 and (each.category, each.range) not in there:
            chosen.add((each.category, each.range))
            room[each.range] = left - 1
    return chosen
