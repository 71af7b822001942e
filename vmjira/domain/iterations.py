"""Rounds of scanning of a range: their labels, numbers and order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

import polars as pl

from vmjira.domain.frames import ITERATIONS
from vmjira.domain.rulebook import Cadence, Rulebook
from vmjira.domain.ticket import Iteration

NO_RANGE = ""  #: stands for "in no range" where a name of a range is a key
DEFAULT_CADENCE: Cadence = "week"

NONE_TAKEN: Mapping[str, Iteration] = {}

#: The iteration of what an adoption finds: before all others, and no cadence gives its label.
ZERO = Iteration(1, "0", 0)
#: `first_iteration` of lives that never get a ticket: backlog that an adoption only recorded. It is before iteration 0,
#: and no iteration itself.
BACKLOG = 0


def period(cadence: Cadence, day: date) -> Iteration:
    """The day, ISO week or month that holds `day`; `ordinal` is that of its first day."""
    if cadence == "day":
        return Iteration(day.toordinal(), day.isoformat(), day.timetuple().tm_yday)
    if cadence == "week":
        year, week, weekday = day.isocalendar()
        return Iteration((day - timedelta(days=weekday - 1)).toordinal(), f"{year}-W{week:02}", week)
    if cadence == "month":
        return Iteration(day.replace(day=1).toordinal(), f"{day:%Y-%m}", day.month)
    raise ValueError(f"cadence {cadence!r} has no period")


def running(iterations: pl.DataFrame) -> dict[str, Iteration]:
    """The running iteration of each range that has one: the one with the highest ordinal."""
    newest = iterations.sort("ordinal").unique("range", keep="last")
    return {row[0]: Iteration(*row[1:]) for row in newest.select("range", "ordinal", "label", "number").iter_rows()}


def running_ordinals(iterations: pl.DataFrame) -> dict[str, int]:
    """The ordinal of the running iteration of each range that has one."""
    return {name: one.ordinal for name, one in running(iterations).items()}


def assign(
    iterations: pl.DataFrame,
    ranges: Iterable[str],
    rulebook: Rulebook,
    *,
    at: datetime,
    rescan: bool = False,
    taken: Mapping[str, Iteration] = NONE_TAKEN,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """ITERATIONS with the rounds of `ranges` that a scan which ended `at` belongs to, and their ordinals by range.

    `rescan`: join the running iteration where there is one, whatever the cadence. `taken`: by range, the iteration up
    to which running numbers are used; it need not be known.
    """
    day = at.astimezone(rulebook.policy.timezone).date()
    added: list[tuple[str, int, str, int]] = []
    rounds: dict[str, int] = {}
    wanted = sorted(set(ranges))
    known = iterations.filter(pl.col("range").is_in(wanted)).sort("ordinal").partition_by("range", as_dict=True)
    for name in wanted:
        past = [Iteration(*row[1:]) for row in known[name,].iter_rows()] if (name,) in known else []
        rule = rulebook.range(name)
        cadence = rule.iteration if rule else DEFAULT_CADENCE
        chosen = past[-1] if rescan and past else _choose(past, cadence, day, taken.get(name))
        rounds[name] = chosen.ordinal
        if chosen not in past:
            added.append((name, chosen.ordinal, chosen.label, chosen.number))
    return pl.concat([iterations, pl.DataFrame(added, schema=ITERATIONS, orient="row")]), rounds


def begin_at_zero(iterations: pl.DataFrame, ranges: Iterable[str]) -> pl.DataFrame:
    """ITERATIONS in which those of the `ranges` that had no iteration are in iteration 0."""
    rows = [(name, ZERO.ordinal, ZERO.label, ZERO.number) for name in sorted(set(ranges) - set(iterations["range"]))]
    return pl.concat([iterations, pl.DataFrame(rows, schema=ITERATIONS, orient="row")])


def ordinals(column: str, by_range: Mapping[str, int]) -> pl.Expr:
    """The ordinal in `by_range` for the range named in `column` (null: in no range); null where it has none."""
    name = pl.col(column).fill_null(NO_RANGE)
    return name.replace_strict(list(by_range), list(by_range.values()), default=None, return_dtype=pl.Int32)


def _choose(past: list[Iteration], cadence: Cadence, day: date, taken: Iteration | None = None) -> Iteration:
    """The iteration of a scan that ended on `day`, among `past` ones (sorted) or a new one."""
    last = past[-1].ordinal if past else 0
    if cadence == "scan":
        used = [one for one in (*past, taken) if one]
        last = max((one.ordinal for one in used), default=0)
        number = max((one.number for one in used if one.label == str(one.number)), default=0) + 1
        return Iteration(last + 1, str(number), number)
    natural = period(cadence, day)
    late = bool(past) and _begins_after(past[-1], day)
    same = next((one for one in past if one.label == natural.label), None)
    if same:
        return same if late else past[-1] if same.ordinal < last else same
    ordinal = _free(natural.ordinal, past) if late else max(natural.ordinal, last + 1)
    return Iteration(ordinal, natural.label, natural.number)


def _free(ordinal: int, past: list[Iteration]) -> int:
    taken = {one.ordinal for one in past}
    while ordinal in taken:
        ordinal -= 1
    return ordinal


def _begins_after(iteration: Iteration, day: date) -> bool:
    """Whether the period that the label names begins after `day`; a running number names none."""
    label = iteration.label
    if label == str(iteration.number):
        return False
    text = f"{label}-1" if "W" in label else label if label.count("-") == 2 else f"{label}-01"
    return date.fromisoformat(text) > day
