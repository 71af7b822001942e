"""Aliases: earlier ids of categories and ranges. What has an earlier id goes on under the new one, and nothing moves.

An alias takes effect once: when the earlier id is known and the new one is not. After that nothing has the earlier id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import polars as pl

from vmjira.domain.iterations import NO_RANGE
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.lives import ranges_in
from vmjira.domain.rulebook import Acceptance, Category, Range, Rulebook
from vmjira.domain.ticket import CellNumbers, TicketRow

Value = TypeVar("Value")


@dataclass(frozen=True)
class Renaming:
    """Old id → new id. Falsy if nothing is renamed."""

    categories: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.categories or self.ranges)

    def category(self, id: str) -> str:
        return self.categories.get(id, id)

    def range(self, id: str) -> str:
        return self.ranges.get(id, id)

    def identifier(self, identifier: str) -> str:
        """The identifier of the same ticket now; ids hold no dots."""
        category, range_, label = identifier.split(".", 2)
        return f"{self.category(category)}.{self.range(range_)}.{label}"

    def ticket(self, row: TicketRow) -> TicketRow:
        """The row under its new identifier, which remembers the one that it had."""
        name = self.identifier(row.identifier)
        if name == row.identifier:
            return row
        return replace(
            row,
            identifier=name,
            category=self.category(row.category),
            range=self.range(row.range),
            former=(*row.former, row.identifier),
            sent_ledger=0,  # its lists get other names, so they are made once more
        )

    def cell(self, cell: CellNumbers) -> CellNumbers:
        return replace(cell, category=self.category(cell.category), range=self.range(cell.range))


def renaming_of(knowledge: Knowledge, rulebook: Rulebook) -> Renaming:
    """What the aliases of the rules rename in what is known."""
    ranges = {*knowledge.iterations["range"], *knowledge.hosts["range"].drop_nulls()}
    return Renaming(
        _renames(rulebook.categories, set(knowledge.lives["category"].drop_nulls().unique())),
        _renames(rulebook.ranges, ranges - {NO_RANGE}),
    )


def _renames(rules: Iterable[Category | Range], known: set[str]) -> dict[str, str]:
    """The first alias that is known, of each rule whose own id is not: two histories never become one."""
    found = {}
    for rule in rules:
        alias = next((each for each in rule.aliases if each in known and each not in found), None)
        if alias is not None and rule.id not in known:
            found[alias] = rule.id
    return found


def renamed(knowledge: Knowledge, names: Renaming) -> Knowledge:
    """The same knowledge under the new ids."""
    if not names:
        return knowledge
    by_range = pl.col("range").replace(dict(names.ranges))
    return replace(
        knowledge,
        lives=knowledge.lives.with_columns(
            by_range,
            pl.col("category").replace(dict(names.categories)),
            previous_ticket=_identifiers(knowledge.lives["previous_ticket"], names),
        ),
        hosts=knowledge.hosts.with_columns(
            by_range, pl.col("ranges").list.eval(pl.element().replace(dict(names.ranges))).list.sort()
        ),
        iterations=knowledge.iterations.with_columns(by_range),
        baseline=knowledge.baseline.with_columns(by_range),
        rounds=knowledge.rounds.with_columns(by_range),
    )


def touched_by(before: pl.DataFrame, names: Renaming) -> frozenset[str]:
    """The ranges, by old and new ids, in which the lives `before` (LEDGER) are no longer as they were."""
    if not names:
        return frozenset()
    named = pl.col("category").is_in(list(names.categories)) | pl.col("range").is_in(list(names.ranges))
    old = before["previous_ticket"]
    differs = (named | _identifiers(old, names).ne_missing(old)).fill_null(value=False)
    ranges = ranges_in(before.filter(differs))
    return ranges | {names.range(each) for each in ranges} | {*names.ranges, *names.ranges.values()}


def renamed_acceptances(acceptances: Sequence[Acceptance], names: Renaming) -> tuple[Acceptance, ...]:
    """What they named by its old id, they name by its new one."""
    return tuple(
        replace(
            each,
            category=each.category and names.category(each.category),
            range=each.range and names.range(each.range),
        )
        for each in acceptances
    )


def _identifiers(identifiers: pl.Series, names: Renaming) -> pl.Series:
    old = identifiers.drop_nulls().unique()
    new = pl.Series([names.identifier(each) for each in old], dtype=pl.String)
    return identifiers.replace(old, new)
