"""Rounds of scanning: labels, numbers and order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest

from tests.domain.samples import BOSTON, RULES
from vmjira.domain.frames import ITERATIONS, empty
from vmjira.domain.iterations import assign, period, running
from vmjira.domain.rulebook import Cadence
from vmjira.domain.ticket import Iteration


def rounds(*steps: tuple[Cadence, str]) -> list[tuple[int, str, int]]:
    """What scans that ended on these days, each under a cadence, belong to: ordinal, label, number."""
    known, chosen = empty(ITERATIONS), []
    for cadence, day in steps:
        rules = replace(RULES, ranges=(replace(BOSTON, iteration=cadence),))
        known, by_range = assign(known, ["boston"], rules, at=datetime.fromisoformat(day).replace(tzinfo=UTC))
        chosen.append(known.filter(pl.col("ordinal") == by_range["boston"]).row(0)[1:4])
    return chosen


def labels(*steps: tuple[Cadence, str]) -> list[str]:
    return [label for _, label, _ in rounds(*steps)]


@pytest.mark.parametrize(
    ("cadence", "day", "label", "number", "first"),
    [
        ("day", "2026-06-05", "2026-06-05", 156, "2026-06-05"),
        ("week", "2026-06-05", "2026-W23", 23, "2026-06-01"),
        ("week", "2027-01-03", "2026-W53", 53, "2026-12-28"),
        ("month", "2026-06-05", "2026-06", 6, "2026-06-01"),
    ],
)
def test_an_iteration_is_the_day_week_or_month(cadence: Cadence, day: str, label: str, number: int, first: str) -> None:
    expected = Iteration(date.fromisoformat(first).toordinal(), label, number)
    assert period(cadence, date.fromisoformat(day)) == expected


def test_scans_of_one_period_share_its_iteration() -> None:
    assert labels(("week", "2026-06-01"), ("week", "2026-06-07"), ("week", "2026-06-08")) == [
        "2026-W23", "2026-W23", "2026-W24",
    ]  # fmt: skip


def test_each_scan_is_a_round_where_the_cadence_says_so() -> None:
    assert rounds(("scan", "2026-06-01"), ("scan", "2026-06-01"), ("scan", "2026-05-01")) == [
        (1, "1", 1), (2, "2", 2), (3, "3", 3),
    ]  # fmt: skip


def test_running_numbers_go_on_after_another_cadence() -> None:
    steps = rounds(("scan", "2026-06-01"), ("week", "2026-06-08"), ("scan", "2026-06-09"))
    assert [label for _, label, _ in steps] == ["1", "2026-W24", "2"]


@pytest.mark.parametrize("second", ["day", "week", "month", "scan"])
@pytest.mark.parametrize("first", ["day", "week", "month", "scan"])
def test_a_change_of_cadence_never_makes_time_run_backwards(first: Cadence, second: Cadence) -> None:
    days = ["2026-06-10", "2026-06-11", "2026-06-12", "2026-07-01"]
    ordinals = [ordinal for ordinal, _, _ in rounds(*zip([first, second, first, second], days, strict=True))]
    assert ordinals == sorted(ordinals)


def test_a_label_names_one_iteration_for_ever() -> None:
    steps = rounds(("month", "2026-06-02"), ("day", "2026-06-10"), ("month", "2026-06-11"))
    assert [label for _, label, _ in steps] == ["2026-06", "2026-06-10", "2026-06-10"]


def test_a_late_scan_belongs_to_the_iteration_of_its_end() -> None:
    steps = rounds(("week", "2026-06-15"), ("week", "2026-06-03"), ("week", "2026-06-04"), ("week", "2026-06-16"))
    assert [label for _, label, _ in steps] == ["2026-W25", "2026-W23", "2026-W23", "2026-W25"]
    assert steps[1][0] < steps[0][0]


def test_a_late_scan_takes_the_nearest_free_place_before() -> None:
    steps = rounds(("month", "2026-06-02"), ("week", "2026-07-01"), ("week", "2026-06-02"))
    assert [label for _, label, _ in steps] == ["2026-06", "2026-W27", "2026-W23"]
    assert steps[2][0] == steps[0][0] - 1  # both begin on the first of June


def test_a_rescan_joins_what_is_running_and_begins_a_round_where_nothing_is() -> None:
    known, _ = assign(empty(ITERATIONS), ["boston"], RULES, at=datetime(2026, 6, 1, tzinfo=UTC))
    known, by_range = assign(known, ["boston", "lab"], RULES, at=datetime(2026, 8, 1, tzinfo=UTC), rescan=True)
    now = running(known)
    assert (now["boston"].label, now["lab"].label) == ("2026-W23", "2026-W31")
    assert by_range == {name: one.ordinal for name, one in now.items()}
