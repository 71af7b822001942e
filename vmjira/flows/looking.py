"""What people look at: questions to the database that answer with one page, or with sums, never with everything."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from vmjira.domain.rescan import RescanRow
from vmjira.domain.ticket import CellNumbers, TicketRow

if TYPE_CHECKING:
    from vmjira.flows.rows import AcceptanceRow, OperationRow, OperationState, ScanRow, ScanState

#: `living`: with something left to patch; `overdue`: of those, the ones whose due day is over.
Which = Literal["all", "living", "overdue"]


@dataclass(frozen=True)
class Page:
    """Rows from `offset` on."""

    limit: int = 50
    offset: int = 0


@dataclass(frozen=True)
class Cell:
    """The tickets of a cell, added up."""

    category: str
    range: str
    tickets: int
    living: int  # tickets with open own findings
    overdue: int  # of those: tickets whose due day is over
    settled: int  # tickets none of whose own findings is open
    verified: int  # of those: tickets whose own findings were all fixed
    open: int  # own findings
    unverified: int
    fixed: int


@dataclass(frozen=True)
class Wanted:
    """Which tickets. `text`: part of the identifier, the key or the title."""

    which: Which = "all"
    category: str | None = None
    range: str | None = None
    text: str = ""


@dataclass(frozen=True)
class LastScan:
    """When scanners were heard of."""

    scanner: str
    scans: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Act:
    """What a person did to an operation."""

    at: datetime
    actor: str  # name of the user
    via: str  # page, command
    action: str  # retry, drop, release
    operation: str  # its id


class Looking(Protocol):
    """Read-only questions of pages and of the API. Lists come with how many there are in all."""

    def recent_numbers(self, n: int, *, categories: Collection[str], ranges: Collection[str]) -> list[CellNumbers]:
        """Of each cell the last `n` iterations, the oldest first, without top hosts."""

    def cells(self, today: date) -> list[Cell]:
        """All cells that have numbers or tickets."""

    def newest_tickets(self, *, categories: Collection[str], ranges: Collection[str]) -> list[TicketRow]:
        """Of each cell the ticket of the latest iteration."""

    def tickets(self, wanted: Wanted, today: date, page: Page) -> tuple[list[TicketRow], int]:
        """What is due first comes first, then what is newest."""

    def deleted(self, page: Page) -> tuple[list[TicketRow], int]:
        """Those that were deleted in the tracker and have open own findings, the newest first."""

    def operations(
        self,
        states: Sequence[OperationState],
        page: Page,
        *,
        identifier: str | None = None,
        kinds: Collection[str] = (),
    ) -> tuple[list[OperationRow], int]:
        """The newest first; without `states`, those in any state."""

    def operation_states(self) -> dict[str, int]: ...
    def held_plans(self) -> dict[str, dict[str, int]]:
        """Plan → kind of operation → how many of it are held."""

    def failed_deliveries(self) -> int: ...
    def scans(self, page: Page, *states: ScanState) -> tuple[list[ScanRow], int]:
        """The newest first; without `states`, those in any state."""

    def last_scans(self) -> list[LastScan]:
        """Of scans that count."""

    def ended_rescans(self, page: Page) -> list[RescanRow]:
        """The newest first; how many there are is not counted."""

    def holding_acceptances(self, now: datetime) -> list[AcceptanceRow]: ...
    def acts(self, page: Page) -> tuple[list[Act], int]:
        """The newest first."""

    def acts_on(self, operations: Collection[str]) -> dict[str, list[Act]]:
        """By the operation's id, the oldest first."""
