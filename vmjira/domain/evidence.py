"""Evidence that moves along with a change of rules: to which iteration of its new range a scan belongs.

That is the iteration in which the scan ended. A scan that is newer than all that the range knows may begin one.
An older one begins none: it belongs to the latest iteration that had begun by then.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from vmjira.domain.frames import ROUNDS, Schema, Time
from vmjira.domain.iterations import NO_RANGE, Calendar, begun, calendars_of, period
from vmjira.domain.rulebook import Rulebook

#: Scans of which the iteration in `range` is wanted. `scan` is null where an earlier program kept none.
WITNESSES: Schema = {"scan": pl.String(), "range": pl.String(), "ended_at": Time, "joins": pl.Boolean()}
_KEY = list(WITNESSES)
#: How finely observations are told apart of which no scan is kept.
_OLD = timedelta(hours=1)

_Past = list[tuple[datetime, int]]  # the end of a scan, and the ordinal of its iteration


def witnesses(rows: pl.DataFrame, rounds: pl.DataFrame) -> pl.DataFrame:
    """WITNESSES, row by row. `rows`: scan, range (null: none), and `at`, when the host was looked at."""
    scans = rounds.unique("scan").select("scan", "ended_at", "joins")
    told = rows.join(scans, on="scan", how="left", maintain_order="left")
    return told.select(
        "scan",
        pl.col("range").fill_null(NO_RANGE),
        ended_at=pl.coalesce("ended_at", pl.col("at").dt.truncate(_OLD) + _OLD).cast(Time),
        joins=pl.col("joins").fill_null(value=False),
    )


def iterations_of(told: pl.DataFrame, placed: pl.DataFrame) -> pl.Series:
    """The ordinals of the WITNESSES `told`, row by row; `placed` as `place` gives it."""
    return told.join(placed, on=_KEY, how="left", nulls_equal=True, maintain_order="left")["ordinal"]


@dataclass(frozen=True)
class Placed:
    """The iterations of witnesses. `found`: WITNESSES with `ordinal`, once each."""

    found: pl.DataFrame
    iterations: pl.DataFrame  # ITERATIONS
    rounds: pl.DataFrame  # ROUNDS


def place(told: pl.DataFrame, iterations: pl.DataFrame, rounds: pl.DataFrame, rulebook: Rulebook) -> Placed:
    """The iteration of each of the WITNESSES `told`, the oldest first; ITERATIONS and ROUNDS with what that adds."""
    known = rounds.select("scan", "range", "ordinal")
    wanted = told.unique().join(known, on=["scan", "range"], how="left").sort("ended_at", "scan", "range")
    calendars = calendars_of(iterations, wanted["range"].unique(), rulebook)
    past = _past(rounds, calendars)
    ordinals = []
    for _, name, ended_at, joins, ordinal in wanted.select(*_KEY, "ordinal").iter_rows():
        if ordinal is None:
            chosen = _iteration(calendars[name], past[name], ended_at, joins=joins)
            insort(past[name], (ended_at, chosen))
            ordinals.append(chosen)
        else:
            ordinals.append(ordinal)
    found = wanted.with_columns(ordinal=pl.Series(ordinals, dtype=pl.Int32))
    new = found.filter(pl.col("scan").is_not_null()).join(known, on=["scan", "range"], how="anti")
    return Placed(found, begun(iterations, calendars), pl.concat([rounds, new.select(*ROUNDS)]))


def back_to(iterations: pl.DataFrame, latest: pl.DataFrame) -> pl.DataFrame:
    """ITERATIONS in which the one that runs is the `latest` (range, ordinal) in which anything there now was seen."""
    rows = iterations.join(latest.select("range", last="ordinal"), on="range", how="left", maintain_order="left")
    back = pl.when(pl.col("last").is_not_null()).then(pl.col("ordinal") <= pl.col("last")).otherwise("begun")
    return rows.with_columns(begun=back).drop("last")


def _past(rounds: pl.DataFrame, names: Collection[str]) -> dict[str, _Past]:
    past: dict[str, _Past] = {name: [] for name in names}
    rows = rounds.filter(pl.col("range").is_in(list(names))).select("range", "ended_at", "ordinal")
    for name, ended_at, ordinal in rows.sort("ended_at", "ordinal").iter_rows():
        past[name].append((ended_at, ordinal))
    return past


def _iteration(calendar: Calendar, past: _Past, at: datetime, *, joins: bool) -> int:
    by_then = [ordinal for ended_at, ordinal in past if ended_at <= at]
    newest = len(by_then) == len(past)
    if newest and not (joins and by_then):
        return calendar.choose(at, joins=not past).ordinal
    if not joins and (same := _of_that_period(calendar, at)) is not None:
        return same
    return max(by_then, default=min(one.ordinal for one in calendar.past) - 1)


def _of_that_period(calendar: Calendar, at: datetime) -> int | None:
    """The ordinal of the iteration that bears the label of that day; the running one is the latest that may."""
    if calendar.cadence == "scan" or calendar.now is None:
        return None
    label = period(calendar.cadence, at.astimezone(calendar.zone).date()).label
    same = [one.ordinal for one in calendar.past if one.label == label]
    return min(*same, calendar.now.ordinal) if same else None
