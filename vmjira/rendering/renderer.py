"""The renderer: what the flows know of this package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from vmjira.domain.rulebook import Category, Policy, Range
from vmjira.domain.ticket import Iteration, TicketView
from vmjira.flows.tracking import File
from vmjira.rendering import chart, marks, reports
from vmjira.rendering import title as titles
from vmjira.rendering.templates import Templates
from vmjira.rendering.values import ALWAYS_SHOWN, attachment_values, ticket_values
from vmjira.rendering.wiki import clip, plain, units

#: How far the longest texts and lists give way, step by step: units of a text, top hosts (None: all).
_STEPS = ((250, None), (80, None), (40, None), (16, None), (16, ALWAYS_SHOWN))


class Renderer:
    """Implements `vmjira.flows.ports.Renderer`. `templates` is the folder of an admin's own templates."""

    def __init__(self, templates: Path | None = None) -> None:
        self._templates = Templates(templates)

    def description(
        self, view: TicketView, attached: Sequence[str], *, picture: bool = True, budget: int | None = None
    ) -> str:
        """Our part, between its marks, in at most `budget` units: see `room`."""
        budget = marks.LIMIT if budget is None else budget
        files = attachment_values(view, attached, show_picture=picture)
        text = ""
        for width, hosts in _STEPS:
            values = ticket_values(view, width=width, hosts=hosts) | files
            text = marks.wrap(self._templates.render("description.j2", values))
            if units(text) <= budget:
                break
        return marks.shrink(text, budget)

    def room(self, current: str) -> int:
        """The `budget` that our part has in the description `current`."""
        return marks.room(current)

    def part(self, current: str) -> str:
        return marks.part(current)

    def merge(self, current: str, ours: str) -> str:
        return marks.merge(current, ours)

    def files(self, view: TicketView, limit: int) -> list[File]:
        """The reports whose frames the view has, and the picture. Raises VmjiraError if one row exceeds `limit`."""
        picture = File(f"{view.identifier}.png", chart.png(view.history), "image/png")
        return reports.reports(view, limit) + [file for file in [picture] if len(file.content) <= limit]

    def csv(self, report: pl.DataFrame, *, enriched: bool = False) -> Iterator[bytes]:
        """A report as one CSV, however large, piece by piece."""
        return reports.chunks(reports.titled(report, enriched=enriched))

    def title(self, policy: Policy, category: Category, range_: Range, iteration: Iteration, name: str) -> str:
        return titles.title(policy, category, range_, iteration, name)

    def fields(self, view: TicketView, fields: Mapping[str, Any]) -> dict[str, Any]:
        values = ticket_values(view)
        return {name: self._filled(value, values) for name, value in fields.items()}

    def _filled(self, value: Any, values: Mapping[str, Any]) -> Any:
        if isinstance(value, str):
            return self._templates.text(value, values)
        if isinstance(value, Mapping):
            return {name: self._filled(part, values) for name, part in value.items()}
        return [self._filled(part, values) for part in value] if isinstance(value, list | tuple) else value

    def comment(self, kind: str, *, view: TicketView | None = None, **values: Any) -> str:
        """The text of `comment_<kind>.j2`: what it needs beside the ticket is told at its top."""
        known = ticket_values(view) if view else {}
        given = {name: _bounded(value) for name, value in values.items()}
        return clip(self._templates.render(f"comment_{kind}.j2", known | given).strip(), marks.LIMIT)


def _bounded(value: Any) -> Any:
    """The words of a tracker may be a whole page; a comment need not hold it."""
    if isinstance(value, str):
        return clip(plain(value), 2_000)
    return [_bounded(part) for part in value] if isinstance(value, list | tuple) else value
