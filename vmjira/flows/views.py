"""A ticket as it should be shown now: rows from the ledger, numbers, neighbours, history, sources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from vmjira.domain.plan import neighbours
from vmjira.domain.rulebook import Category, Range, Rulebook
from vmjira.domain.statistics import all_rows, diff_rows, own_numbers, own_rows
from vmjira.domain.ticket import (
    CellNumbers,
    HistoryPoint,
    HostNumbers,
    Iteration,
    Neighbour,
    OwnNumbers,
    Source,
    TicketRow,
    TicketView,
)
from vmjira.flows.knowledge import HOSTS, ITERATION_NAMES, VULNERABILITIES, iterations_of, part_name, running_of
from vmjira.flows.ports import Store

#: Iterations that the picture shows.
HISTORY = 12


def view_ticket(store: Store, row: TicketRow, rulebook: Rulebook) -> TicketView:
    """Own findings as of now; the lists of its iteration as of now too, or as of the last moment it was running."""
    with store.begin() as unit:
        version = unit.ledger_version()
        parts = unit.ledger_parts()
        cells = [cell for cell in unit.cell_numbers(ranges=[row.range]) if cell.category == row.category]
        cell_tickets = [each for each in unit.tickets(ranges=[row.range]) if each.category == row.category]
        frozen_parts = unit.ledger_parts(row.ledger)
    hosts, catalogue = store.scan(parts[HOSTS]), store.scan(parts[VULNERABILITIES])
    names = store.scan(parts[ITERATION_NAMES]).collect()
    iterations, running = iterations_of(names), running_of(names)[row.range]
    lives = _lives(store, parts, row)
    labels = {ordinal: each.label for (range_, ordinal), each in iterations.items() if range_ == row.range}
    category = rulebook.category(row.category) or Category(row.category, row.category, "")
    range_ = rulebook.range(row.range) or Range(row.range, row.range, (), ticket=rulebook.policy.ticket)

    def reported(rows: pl.DataFrame) -> pl.DataFrame:
        return report(rows, hosts, catalogue, labels, category)

    sent = row.ordinal != running and row.sent_ledger >= row.ledger
    then = lives if row.ordinal == running else _lives(store, frozen_parts, row)
    previous, following = neighbours(row, cell_tickets)
    history = sorted((cell for cell in cells if cell.ordinal <= row.ordinal), key=lambda cell: cell.ordinal)
    own = own_numbers(lives, running).filter(pl.col("first_iteration") == row.ordinal)
    return TicketView(...)
