"""Where a ticket in the tracker is not as we know it, in words; nothing here reads or changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any

from vmjira.domain.ticket import Moved, TicketRow, labels
from vmjira.flows.rows import AttachmentRow
from vmjira.flows.tracking import Issue


@dataclass(frozen=True)
class Drift:
    """One difference, and what is done about it."""

    ticket: str  # identifier
    key: str
    what: str
    done: str


@dataclass(frozen=True)
class Report:
    """What a reconciliation found."""

    at: datetime
    since: datetime | None  # None: from the beginning
    read: int  # tickets that were read
    drifts: tuple[Drift, ...]

    def as_json(self) -> dict[str, Any]:
        times = {"at": self.at.isoformat(), "since": self.since.isoformat() if self.since else None}
        return {**times, "read": self.read, "drifts": [asdict(each) for each in self.drifts]}


def drift(row: TicketRow, issue: Issue | None, standing: str) -> str:
    """All but files and links, in words; empty if there is nothing to decide. `standing`: digest of our part."""
    if issue is None:
        return "was deleted, or moved to where our account may not look"
    return "; ".join(_differences(row, issue, standing))


def _differences(row: TicketRow, issue: Issue, standing: str) -> Iterator[str]:
    closed = issue.status_category == "done"
    if row.gone:
        yield "is there again, though we took it for deleted"
    if issue.key != row.key:
        yield f"was moved: {row.key} is {issue.key} now"
    if closed != (row.status_category == "done") or row.status != issue.status:
        yield f"is {issue.status!r}, " + (f"not {row.status!r} as we knew" if row.status else "and nobody told us")
    elif closed != bool(row.closing):
        yield f"is {issue.status!r}, and nothing was decided about that"
    elif row.closing == "waiting":
        yield "was perhaps opened and closed again"  # only its history tells
    if lost := [label for label in labels(row.identifier) if label not in issue.labels]:
        yield f"lost the label {' and '.join(lost)}"
    if row.description and row.described not in ("", standing):
        yield "vmjira's part of its description was edited"


def lost_files(known: Sequence[AttachmentRow], issue: Issue) -> list[AttachmentRow]:
    present = {each.id for each in issue.attachments}
    return [each for each in known if each.attachment_id not in present]


def lost_links(
    tickets: Iterable[TicketRow], moved: Iterable[Moved], links: Mapping[str, frozenset[str]]
) -> Iterator[tuple[TicketRow, TicketRow]]:
    """Neighbours in a cell, the newer first, and tickets between which findings moved, that are not linked.

    `links`: what is known, by identifier.
    """
    living = sorted((row for row in tickets if not row.gone), key=lambda row: (*_cell(row), row.ordinal))
    named = {row.identifier: row for row in living}
    pairs = [pair for _, cell in groupby(living, _cell) for pair in pairwise(cell)]
    pairs += [(named[each.source], named[each.target]) for each in moved if {each.source, each.target} <= named.keys()]
    for older, newer in {frozenset((one.identifier, other.identifier)): (one, other) for one, other in pairs}.values():
        if older.key and newer.key and not _linked(older, newer, links):
            yield newer, older


def _cell(row: TicketRow) -> tuple[str, str]:
    return row.category, row.range


def _linked(older: TicketRow, newer: TicketRow, links: Mapping[str, frozenset[str]]) -> bool:
    """A link shows at both of its ends: the one that was read tells. Neither was: taken for granted."""
    if newer.identifier in links:
        return older.key in links[newer.identifier]
    return older.identifier not in links or newer.key in links[older.identifier]
