"""Rounds of scanning of a range: their labels, numbers and order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

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
    """The running iteration of each range that has one: the latest that has begun."""
    newest = iterations.filter("begun").sort("ordinal").unique("range", keep="last")
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
    wanted = sorted(set(ranges))
    calendars = calendars_of(iterations, wanted, rulebook)
    for name in taken.keys() & calendars.keys():
        calendars[name].taken = taken[name]
    rounds = {name: calendars[name].choose(at, joins=rescan).ordinal for name in wanted}
    return begun(iterations, calendars), rounds


@dataclass
class Calendar:
    """The iterations of one range while some are added. `past` (sorted) holds also those that no longer run."""

    cadence: Cadence
    zone: ZoneInfo
    past: list[Iteration] = field(default_factory=list)
    now: Iteration | None = None  # the running one
    chosen: set[int] = field(default_factory=set)  # ordinals
    taken: Iteration | None = None  # up to this one, running numbers are used

    def choose(self, at: datetime, *, joins: bool = False) -> Iteration:
        """The iteration of a scan that ended `at`; a new one is added. `joins`: the running one, if there is one."""
        found = self.now if joins and self.now else self._by_cadence(at.astimezone(self.zone).date())
        self.chosen.add(found.ordinal)
        if found not in self.past:
            self.past = sorted([*self.past, found], key=lambda one: one.ordinal)
        if self.now is None or found.ordinal > self.now.ordinal:
            self.now = found
        return found

    def _by_cadence(self, day: date) -> Iteration:
        last = self.now.ordinal if self.now else 0
        if self.cadence == "scan":
            used = [*self.past, *([self.taken] if self.taken else [])]
            number = max((one.number for one in used if one.label == str(one.number)), default=0) + 1
            last = max(last, self.taken.ordinal if self.taken else 0)
            return Iteration(self._free(last + 1, 1), str(number), number)
        natural = period(self.cadence, day)
        late = self.now is not None and _begins_after(self.now, day)
        same = next((one for one in self.past if one.label == natural.label), None)
        if same:
            return self.now if self.now and not late and same.ordinal < last else same
        ordinal = self._free(natural.ordinal, -1) if late else self._free(max(natural.ordinal, last + 1), 1)
        return Iteration(ordinal, natural.label, natural.number)

    def _free(self, ordinal: int, step: int) -> int:
        taken = {one.ordinal for one in self.past}
        while ordinal in taken:
            ordinal += step
        return ordinal


def calendars_of(iterations: pl.DataFrame, ranges: Iterable[str], rulebook: Rulebook) -> dict[str, Calendar]:
    """The calendar of each of the ranges, "" for none."""
    now, past = running(iterations), dict[str, list[Iteration]]()
    wanted = set(ranges)
    for name, *values in iterations.sort("ordinal").select("range", "ordinal", "label", "number").iter_rows():
        if name in wanted:
            past.setdefault(name, []).append(Iteration(*values))
    rules = {name: rulebook.range(name) for name in wanted}
    return {
        name: Calendar(
            rule.iteration if rule else DEFAULT_CADENCE, rulebook.policy.timezone, past.get(name, []), now.get(name)
        )
        for name, rule in rules.items()
    }


def begun(iterations: pl.DataFrame, calendars: Mapping[str, Calendar]) -> pl.DataFrame:
    """ITERATIONS with those that the calendars added; whatever they chose has begun."""
    told = [
        (name, one.ordinal, one.label, one.number, one.ordinal in calendar.chosen)
        for name, calendar in calendars.items()
        for one in calendar.past
    ]
    rows = pl.DataFrame(told, schema=ITERATIONS, orient="row")
    before = iterations.select("range", "ordinal", before="begun")
    rows = rows.join(before, on=["range", "ordinal"], how="left", maintain_order="left")
    rows = rows.with_columns(pl.col("begun") | pl.col("before").fill_null(value=False)).drop("before")
    return pl.concat([iterations.filter(~pl.col("range").is_in(list(calendars))), rows])


def begin_at_zero(iterations: pl.DataFrame, ranges: Iterable[str]) -> pl.DataFrame:
    """ITERATIONS in which those of the `ranges` that had no iteration are in iteration 0."""
    new = sorted(set(ranges) - set(iterations["range"]))
    rows = [(name, ZERO.ordinal, ZERO.label, ZERO.number, True) for name in new]
    return pl.concat([iterations, pl.DataFrame(rows, schema=ITERATIONS, orient="row")])


def ordinals(column: str, by_range: Mapping[str, int]) -> pl.Expr:
    """The ordinal in `by_range` for the range named in `column` (null: in no range); null where it has none."""
    name = pl.col(column).fill_null(NO_RANGE)
    return name.replace_strict(list(by_range), list(by_range.values()), default=None, return_dtype=pl.Int32)


def name_of(iteration: Iteration, known: Iterable[Iteration]) -> str:
    """What a title calls an iteration of a range: its number, or its label if another `known` one has that number."""
    same = any(each.number == iteration.number and each.label != iteration.label for each in known)
    return iteration.label if same else str(iteration.number)


def _begins_after(iteration: Iteration, day: date) -> bool:
    """Whether the period that the label names begins after `day`; a running number names none."""
    label = iteration.label
    if label == str(iteration.number):
        return False
    text = f"{label}-1" if "W" in label else label if label.count("-") == 2 else f"{label}-01"
    return date.fromisoformat(text) > day
