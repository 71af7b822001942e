"""Tickets whose findings moved from one to the other: both tell of it, and are linked like neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vmjira.domain.ticket import TicketRow
from vmjira.flows.ports import Unit


@dataclass(frozen=True)
class Partner:
    """A ticket that still exists, and how many findings moved between it and the one that was asked for."""

    row: TicketRow
    findings: int


def partners(unit: Unit, identifier: str) -> tuple[list[Partner], list[Partner]]:
    """Where findings of the ticket came from, and where some went: those with the most findings first."""
    sources: list[Partner] = []
    targets: list[Partner] = []
    for each in sorted(unit.moved(identifier), key=lambda each: (-each.findings, each.source, each.target)):
        other, side = (each.source, sources) if each.target == identifier else (each.target, targets)
        row = unit.ticket(other)
        if row and not row.gone:
            side.append(Partner(row, each.findings))
    return sources, targets


def moved_json(unit: Unit, identifier: str) -> dict[str, Any]:
    return {
        name: [{"identifier": each.row.identifier, "key": each.row.key, "findings": each.findings} for each in side]
        for name, side in zip(("moved_from", "moved_to"), partners(unit, identifier), strict=True)
    }
