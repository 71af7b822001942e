"""What is known, as it lies in the store: loaded by parts, so that a scan of one office reads and writes one office.

Parts: one per range (its lives), and those of `domain.knowledge.PARTS` for all; `_exploitation` is there as soon as a
catalogue of it was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import polars as pl

from vmjira.domain.frames import CVES, LEDGER, empty
from vmjira.domain.iterations import running_ordinals
from vmjira.domain.knowledge import PARTS, Knowledge
from vmjira.domain.plan import Plan
from vmjira.domain.renaming import Renaming
from vmjira.domain.ticket import CellNumbers, Iteration, TicketRow
from vmjira.flows.ports import Store
from vmjira.flows.rows import EnrichmentRow

HOSTS, VULNERABILITIES, ITERATION_NAMES, BEFORE, EXPLOITS, ROUNDS = PARTS
NO_RANGE = "_none"


@dataclass(frozen=True)
class Base:
    """What a change starts from. `after` gives the next one, stored or not: a preview is the same code."""

    version: int
    part: Callable[[str], pl.DataFrame]  # of a part's name; empty when there is none yet
    names: frozenset[str]  # parts that exist
    tickets: Mapping[str, TicketRow] = field(default_factory=dict)
    cells: Mapping[tuple[str, str, int], CellNumbers] = field(default_factory=dict)
    moved: Mapping[tuple[str, str], int] = field(default_factory=dict)  # findings, by source and target
    enrichment: str | None = None  # digest of the catalogues of exploitation that a change takes from, …
    cves: Callable[[], pl.DataFrame] = field(default=partial(empty, CVES))  # … and what they tell

    def knowledge(self, ranges: Collection[str]) -> Knowledge:
        """Everything common, and the lives of these ranges ("" for none)."""
        lives = [self.part(part_name(range_)) for range_ in sorted(ranges)]
        return Knowledge(
            lives=pl.concat([empty(LEDGER), *lives]),
            hosts=self.part(HOSTS),
            vulnerabilities=self.part(VULNERABILITIES),
            iterations=self.part(ITERATION_NAMES),
            baseline=self.part(BEFORE),
            rounds=self.part(ROUNDS),
            exploitation=self.part(EXPLOITS),
            cves=self.cves(),
        )

    @property
    def ranges(self) -> set[str]:
        return {range_name(name) for name in self.names - set(PARTS)}

    def renamed(self, names: Renaming) -> Base:
        """With the tickets, cells and moves under their new identifiers; the parts follow with the knowledge."""
        if not names:
            return self
        tickets = [names.ticket(row) for row in self.tickets.values()]
        cells = [names.cell(cell) for cell in self.cells.values()]
        return replace(
            self,
            tickets={row.identifier: row for row in tickets},
            cells={(cell.category, cell.range, cell.ordinal): cell for cell in cells},
            moved={(names.identifier(one), names.identifier(other)): n for (one, other), n in self.moved.items()},
        )

    def without_later(self, running: Mapping[str, int]) -> Base:
        """Without the numbers of iterations after those that are `running` (by range) again."""
        kept = {key: cell for key, cell in self.cells.items() if cell.ordinal <= running.get(cell.range, cell.ordinal)}
        return replace(self, cells=kept)

    def after(self, parts: Mapping[str, pl.DataFrame], plan: Plan, cells: Collection[CellNumbers]) -> Base:
        before = self.part
        return replace(
            self,
            version=self.version + 1,
            part=lambda name: parts[name] if name in parts else before(name),
            names=self.names | set(parts),
            tickets={**self.tickets, **{row.identifier: row for row in plan.tickets}},
            moved={**self.moved, **{(each.source, each.target): each.findings for each in plan.moved}},
            cells={**self.cells, **{(cell.category, cell.range, cell.ordinal): cell for cell in cells}},
        )


def part_name(range_: str) -> str:
    return range_ or NO_RANGE


def range_name(part: str) -> str:
    return "" if part == NO_RANGE else part


def lives_of(parts: Mapping[str, str]) -> list[str]:
    """Paths of the parts that hold lives."""
    return [path for name, path in sorted(parts.items()) if name not in PARTS]


def nothing() -> Base:
    """Before the first scan."""
    return Base(0, lambda name: empty(PARTS.get(name, LEDGER)), frozenset())


def load(store: Store, version: int | None = None) -> Base:
    """The ledger as of `version` (default: the newest) with the tickets of today."""
    with store.begin() as unit:
        paths = unit.ledger_parts(version)
        number = unit.ledger_version() if version is None else version
        tickets = {row.identifier: row for row in unit.tickets()}
        cells = {(cell.category, cell.range, cell.ordinal): cell for cell in unit.cell_numbers()}
        moved = {(each.source, each.target): each.findings for each in unit.moved()}
        newest = unit.enrichment()

    def part(name: str) -> pl.DataFrame:
        return store.scan(paths[name]).collect() if name in paths else empty(PARTS.get(name, LEDGER))

    return enriched(Base(number, part, frozenset(paths), tickets, cells, moved), store, newest)


def enriched(base: Base, store: Store, row: EnrichmentRow | None) -> Base:
    """The same, to be changed with what this version of the catalogues tells; None: there was none yet."""
    if row is None:
        return replace(base, enrichment=None, cves=partial(empty, CVES))
    return replace(base, enrichment=row.digest, cves=lambda: store.scan(row.path).collect())


def iterations_of(frame: pl.DataFrame) -> dict[tuple[str, int], Iteration]:
    """By range and ordinal."""
    return {
        (row["range"], row["ordinal"]): Iteration(row["ordinal"], row["label"], row["number"])
        for row in frame.iter_rows(named=True)
    }


def running_of(frame: pl.DataFrame) -> dict[str, int]:
    """Range → ordinal of its running iteration."""
    return running_ordinals(frame)
