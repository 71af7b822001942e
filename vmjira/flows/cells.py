"""A cell over its iterations: hosts, burn-down of each ticket's own findings, how long mending takes, its chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from vmjira.domain.frames import ITERATIONS, LEDGER, Time, empty
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.statistics import TICKET, latest
from vmjira.domain.ticket import TicketRow
from vmjira.errors import Unknown
from vmjira.flows.knowledge import ITERATION_NAMES, part_name
from vmjira.flows.ports import Store
from vmjira.flows.present import tickets_json

#: Iterations in the pictures, and tickets whose burn-down is drawn.
HISTORY, DRAWN = 26, 6
_LIFE = (
    "host", "scanner", "vulnerability_id", "category", "range", "first_iteration", "first_seen", "last_seen",
    "ended_at", "ended_iteration", "ended_as", "reappeared", "superseded",
)  # fmt: skip

_KEPT = ("first_iteration", "first_seen", "ended_at", "ended_iteration", "ended_as")


def cell(store: Store, category: str, range_: str, rulebook: Rulebook, now: datetime) -> dict[str, Any]:
    """Unknown if there is no such cell. Shares are between 0 and 1; null where there is nothing to count."""
    with store.reading() as unit:
        numbers = [each for each in unit.cell_numbers(ranges=[range_]) if each.category == category]
        rows = [each for each in unit.tickets(ranges=[range_]) if each.category == category]
        parts = unit.ledger_parts()
    if not numbers:
        raise Unknown(f"cell '{category}' × '{range_}': there is none; see the overview")
    lives = _lives(store, parts.get(part_name(range_), ""), category)
    labels = _labels(store, parts.get(ITERATION_NAMES, ""), range_)
    due = {row.ordinal: _end_of(row.due, rulebook.policy.timezone) for row in rows if row.due}
    mending = _mending(lives, due, now)
    rule, where = rulebook.category(category), rulebook.range(range_)
    return {
        "category": category,
        "range": range_,
        "title": f"{rule.title if rule else category} – {where.title if where else range_}",
        "condition": rule.where if rule else None,
        "due_days": rule.due.days if rule and rule.due else None,
        "iterations": [{"iteration": each.label, "numbers": asdict(each.numbers)} for each in numbers[-HISTORY:]],
        "top": [asdict(host) for host in numbers[-1].top],
        "median_days_to_fix": mending["all"]["median_days_to_fix"],
        "fixed_in_due_time": mending["all"]["fixed_in_due_time"],
        "burn_down": _burn_down(lives, rows, labels),
        "tickets": [
            {**each, **mending.get(row.ordinal, _UNKNOWN)}
            for each, row in zip(tickets_json(rows, numbers), rows, strict=True)
        ],
    }


_UNKNOWN = {"median_days_to_fix": None, "fixed_in_due_time": None}


def _lives(store: Store, path: str, category: str) -> pl.DataFrame:
    return _kept(store.scan, path, category) if path else empty(LEDGER).select(_KEPT)


@lru_cache(maxsize=16)
def _kept(scan: Callable[[str], pl.LazyFrame], path: str, category: str) -> pl.DataFrame:
    """What is written at a path never changes, so the lives of a cell need be read but once."""
    lives = scan(path).select(_LIFE).filter(pl.col("category") == category).collect()
    return latest(lives, *TICKET).select(_KEPT)


def _labels(store: Store, path: str, range_: str) -> dict[int, str]:
    names = store.scan(path).filter(pl.col("range") == range_).collect() if path else empty(ITERATIONS)
    return dict(names.sort("ordinal").select("ordinal", "label").iter_rows())


def _end_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


def _mending(lives: pl.DataFrame, due: Mapping[int, datetime], now: datetime) -> dict[int | str, dict[str, Any]]:
    """By the ordinal of the ticket, and of `all`: days until half of what was fixed was fixed, and how much in time."""
    fixed = pl.col("ended_as") == "fixed"
    days = (pl.col("ended_at") - pl.col("first_seen")).dt.total_seconds() / 86_400
    ends = pl.DataFrame({"first_iteration": list(due), "due": list(due.values())},
                        schema={"first_iteration": pl.Int32, "due": Time})  # fmt: skip
    told = lives.join(ends, on="first_iteration", how="left").with_columns(
        days=pl.when(fixed).then(days),
        in_time=fixed & (pl.col("ended_at") < pl.col("due")),
        judged=pl.col("due").is_not_null() & (fixed | (pl.col("ended_as").is_null() & (pl.col("due") <= now))),
    )
    numbers = (pl.col("days").median(), pl.col("in_time").sum(), pl.col("judged").sum())
    by_ticket = told.group_by("first_iteration").agg(numbers).iter_rows()
    return {"all": _words(*told.select(numbers).row(0)), **{row[0]: _words(*row[1:]) for row in by_ticket}}


def _words(days: float | None, in_time: int | None, judged: int | None) -> dict[str, Any]:
    return {
        "median_days_to_fix": None if days is None else round(days, 1),
        "fixed_in_due_time": round((in_time or 0) / judged, 3) if judged else None,
    }


def _burn_down(lives: pl.DataFrame, rows: Sequence[TicketRow], labels: Mapping[int, str]) -> dict[str, Any]:
    """Of the tickets of the last iterations: open own findings at the end of each iteration, from its own one on."""
    shown = list(labels)[-HISTORY:]
    ended = lives.group_by("first_iteration", "ended_iteration").len()
    by_ticket: dict[int, dict[int | None, int]] = {}
    for first, end, count in ended.iter_rows():
        by_ticket.setdefault(first, {})[end] = count
    drawn = [row for row in rows if row.ordinal in by_ticket and row.ordinal in labels][-DRAWN:]
    return {
        "iterations": [labels[ordinal] for ordinal in shown],
        "tickets": [
            {"identifier": row.identifier, "iteration": row.label, "open": _open(by_ticket[row.ordinal], row, shown)}
            for row in drawn
        ],
    }


def _open(endings: Mapping[int | None, int], row: TicketRow, shown: Sequence[int]) -> list[int | None]:
    total = sum(endings.values())
    return [
        None if k < row.ordinal else total - sum(n for end, n in endings.items() if end is not None and end <= k)
        for k in shown
    ]
