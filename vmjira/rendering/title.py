"""The summary of a ticket, by the policy's format."""

from __future__ import annotations

from string import Formatter

from vmjira.domain.rulebook import Category, Policy, Range
from vmjira.domain.ticket import Iteration
from vmjira.errors import Problem, RulesInvalid
from vmjira.rendering.wiki import clip, plain, units

LIMIT = 255  # units of a summary


def title(policy: Policy, category: Category, range_: Range, iteration: Iteration, name: str) -> str:
    """One line of at most 255 units. Titles of categories and ranges give way, the longest first; numbers stay."""
    values = {
        "category.title": plain(category.title),
        "category.id": category.id,
        "range.title": plain(range_.title),
        "range.id": range_.id,
        "iteration.name": name,
        "iteration.number": str(iteration.number),
        "iteration.label": iteration.label,
    }
    text = _fill(policy.title, values)
    for long in sorted(("category.title", "range.title"), key=lambda each: -units(values[each])):
        if (over := units(text) - LIMIT) > 0:
            values[long] = clip(values[long], max(units(values[long]) - over, 20))
            text = _fill(policy.title, values)
    return clip(text, LIMIT)


def _fill(format_: str, values: dict[str, str]) -> str:
    """No `str.format`: it would reach any attribute of any value."""
    try:
        parts = list(Formatter().parse(format_))
    except ValueError as error:
        raise _invalid(format_, str(error)) from error
    text = ""
    for literal, name, spec, conversion in parts:
        text += literal
        if name is None:
            continue
        if name not in values or spec or conversion:
            raise _invalid(format_, f"'{name}' is no value of a title; allowed: {', '.join(values)}")
        text += values[name]
    return plain(text)


def _invalid(format_: str, reason: str) -> RulesInvalid:
    return RulesInvalid([Problem("policy.yaml", 1, 1, f"title {format_!r}: {reason}")])
