"""When jobs are due: cron expressions in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmjira.rulefiles import cron
from vmjira.scheduling import gap, latest_due, next_due, trigger

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
JUNE = datetime(2026, 6, 1, tzinfo=UTC)  # a Monday


def dues(text: str, zone: ZoneInfo, start: datetime, number: int) -> list[str]:
    """In local time."""
    found = []
    for _ in range(number):
        due = next_due(text, zone, start)
        assert due is not None and due.tzinfo is UTC
        found.append(f"{due.astimezone(zone):%a %m-%d %H:%M%z}")
        start = due
    return found


def test_due_times_are_in_the_time_zone_of_the_policy():
    assert dues("30 6 * * mon-fri", NEW_YORK, JUNE, 2) == ["Mon 06-01 06:30-0400", "Tue 06-02 06:30-0400"]
    assert dues("30 6 * * mon-fri", BERLIN, JUNE, 1) == ["Mon 06-01 06:30+0200"]


def test_both_kinds_of_days_must_hold():
    assert dues("0 6 1-7 * mon", BERLIN, JUNE, 3) == [
        "Mon 06-01 06:00+0200",
        "Mon 07-06 06:00+0200",
        "Mon 08-03 06:00+0200",
    ]


def test_an_hour_that_summer_time_skips_is_made_up_for_and_one_that_it_repeats_comes_twice():
    spring, autumn = datetime(2026, 3, 28, 3, tzinfo=UTC), datetime(2026, 10, 24, 3, tzinfo=UTC)
    assert dues("30 2 * * *", BERLIN, spring, 2) == ["Sun 03-29 03:30+0200", "Mon 03-30 02:30+0200"]
    assert dues("30 2 * * *", BERLIN, autumn, 3) == [
        "Sun 10-25 02:30+0200", "Sun 10-25 02:30+0100", "Mon 10-26 02:30+0100",
    ]  # fmt: skip
    hours = dues("0 * * * *", BERLIN, datetime(2026, 10, 24, 23, 30, tzinfo=UTC), 4)
    assert len(set(hours)) == 4, "every hour has its own due time"


def test_no_night_is_lost_when_summer_time_begins_or_ends():
    """APScheduler's own trigger leaves out the midnight after the change, and so the first of April."""
    for zone in (BERLIN, NEW_YORK, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/Havana")):
        for hour in range(4):
            start = datetime(2026, 1, 1, 12, tzinfo=UTC)
            days = {due[4:9] for due in dues(f"0 {hour} * * *", zone, start, 366)}
            assert len(days) == 365, f"{zone} at {hour}"
    assert [due[4:15] for due in dues("0 0 1 * *", BERLIN, datetime(2026, 3, 2, tzinfo=UTC), 2)] == [
        "04-01 00:00", "05-01 00:00",
    ]  # fmt: skip
    assert dues("0 0 * * mon", BERLIN, datetime(2026, 3, 28, tzinfo=UTC), 1) == ["Mon 03-30 00:00+0200"]


def test_a_day_that_never_comes_is_never_due():
    assert next_due("0 0 30 feb *", BERLIN, JUNE) is None
    assert gap("0 0 30 feb *", BERLIN, JUNE) == timedelta()


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("*/30 * * * *", timedelta(minutes=30)),
        ("0 6 * * mon-fri", timedelta(days=3)),
        ("0 3 * * sun", timedelta(days=7)),
        ("0 3 1 * *", timedelta(days=31)),
    ],
)
def test_the_gap_is_the_longest_wait(text: str, longest: timedelta):
    assert gap(text, ZoneInfo("UTC"), JUNE) == longest


def test_the_latest_due_time_of_a_downtime_is_found_however_long_it_was():
    every_minute = trigger("* * * * *", BERLIN)
    now = datetime(2026, 6, 1, 12, 0, 30, tzinfo=UTC)
    assert latest_due(every_minute, now - timedelta(days=3650), now) == now.replace(second=0)
    assert latest_due(every_minute, now.replace(second=0), now) is None, "said already"
    yearly = trigger("0 6 1 jan *", BERLIN)
    assert latest_due(yearly, now - timedelta(days=3650), now) == datetime(2026, 1, 1, 5, tzinfo=UTC)
    assert latest_due(yearly, datetime(2026, 1, 1, 5, tzinfo=UTC), now) is None
    assert latest_due(yearly, datetime(2026, 2, 1, tzinfo=UTC), now) is None


# --- every expression that the rules accept means what it says


def items(low: int, high: int, names: tuple[str, ...]) -> st.SearchStrategy[str]:
    one = st.integers(low, high)

    def word(number: int) -> str:
        return names[number - low] if names else str(number)

    spans = st.tuples(one, one).map(lambda ends: f"{word(min(ends))}-{word(max(ends))}")
    steps = st.integers(1, max(high - low, 1)).map(str)
    single = st.one_of(
        st.just("*"), one.map(word), spans, st.builds("{}/{}".format, st.one_of(st.just("*"), spans), steps)
    )
    return st.lists(single, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(*(items(low, high, names) for _, low, high, names in cron.FIELDS)).map(" ".join)


def holds(text: str, moment: datetime) -> bool:
    values = (moment.minute, moment.hour, moment.day, moment.month, moment.weekday())
    return all(
        any(_within(item, value, low, high, names) for item in part.split(","))
        for part, value, (_, low, high, names) in zip(text.split(), values, cron.FIELDS, strict=True)
    )


def _within(item: str, value: int, low: int, high: int, names: tuple[str, ...]) -> bool:
    def number(word: str) -> int:
        return names.index(word) + low if word in names else int(word)

    span, _, step = item.partition("/")
    first, _, last = span.partition("-")
    start, end = (low, high) if first == "*" else (number(first), number(last or first))
    return start <= value <= end and (value - start) % int(step or 1) == 0


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS, st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)))
def test_every_accepted_expression_is_due_when_it_says(text: str, start: datetime):
    assert cron.check(text) == text
    due = next_due(text, ZoneInfo("UTC"), start)
    if due is None:
        return
    assert due > start and due.second == 0 and holds(text, due)
    probe = start.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for _ in range(min(int((due - probe).total_seconds() // 60), 2000)):
        assert not holds(text, probe), f"{probe} was left out"
        probe += timedelta(minutes=1)


@settings(max_examples=15, deadline=None)
@given(EXPRESSIONS, st.sampled_from([datetime(2026, 3, 28, 23), datetime(2026, 10, 24, 22)]))
def test_in_the_night_of_a_change_every_time_on_the_wall_is_due(text: str, midnight: datetime):
    text = " ".join([text.split(maxsplit=1)[0], "*", *text.split()[2:4], "*"])  # so that most are due in that night
    start = midnight.replace(tzinfo=UTC) + timedelta(minutes=59)
    minutes = [start + timedelta(minutes=minute) for minute in range(1, 60 * 3)]
    expected = [moment for moment in minutes if any(holds(text, wall) for wall in walls(moment))]
    found, due = [], next_due(text, BERLIN, start)
    while due and due <= minutes[-1]:
        found.append(due)
        due = next_due(text, BERLIN, due)
    assert found == expected


def walls(moment: datetime) -> list[datetime]:
    """What the clock on the wall shows, and what it would show had it not just been put forward."""
    shown = moment.astimezone(BERLIN).replace(tzinfo=None)
    hour_ago = (moment - timedelta(hours=1)).astimezone(BERLIN)
    skipped = hour_ago.replace(tzinfo=None) + timedelta(hours=1)
    return [shown, skipped] if skipped < shown else [shown]
