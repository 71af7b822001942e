"""Cron expressions of five fields, as far as every cron understands them alike."""

from __future__ import annotations

from vmjira.rulefiles.words import quoted

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

#: Name of the field, lowest and highest number, names allowed for them in order.
FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
)
ALLOWED = "write five fields, 'minute hour day-of-month month day-of-week', such as '30 6 * * mon-fri'"


def check(text: str) -> str:
    """`text` itself. Raise ValueError with words for a person unless it is a cron expression."""
    parts = text.split()
    if len(parts) != len(FIELDS):
        raise ValueError(f"{quoted(text)} is no cron expression; {ALLOWED}")
    for part, (name, low, high, names) in zip(parts, FIELDS, strict=True):
        for item in part.split(","):
            _check_item(item, text, (name, low, high, names))
    return text


def _check_item(item: str, text: str, field: tuple[str, int, int, tuple[str, ...]]) -> None:
    name, low, high, names = field
    span, slash, step = item.partition("/")
    first, dash, last = span.partition("-")
    start, end = (low, high) if first == "*" and not dash else (_number(first, field), _number(last or first, field))
    steps = not slash or (step.isascii() and step.isdigit() and 1 <= int(step) <= max(high - low, 1))
    single_step = slash and not dash and first != "*"  # '5/10': some crons refuse it
    if start is None or end is None or start > end or (dash and not last) or not steps or single_step:
        wanted = f"{names[0]} to {names[-1]} by name" if name == "day of week" else f"{low} to {high}"
        raise ValueError(f"{quoted(text)}: {quoted(item)} is no {name}; allowed: {wanted}, *, a-b, a,b and */n")


def _number(word: str, field: tuple[str, int, int, tuple[str, ...]]) -> int | None:
    name, low, high, names = field
    if word.lower() in names:
        return names.index(word.lower()) + low
    # Day 0 is Sunday to one cron and Monday to another (APScheduler): names only.
    if name == "day of week" or not (word.isascii() and word.isdigit() and len(word) <= 2):
        return None
    return int(word) if low <= int(word) <= high else None
