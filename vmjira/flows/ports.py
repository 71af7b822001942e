"""What the flows need from the outside, as protocols. The edges implement them; tests may too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from vmjira.domain.frames import Scan
from vmjira.domain.renaming import Renaming
from vmjira.domain.rescan import RequestState, RescanRequest, RescanRow, RunState
from vmjira.domain.rulebook import Category, Policy, Range, Rulebook
from vmjira.domain.ticket import CellNumbers, Iteration, Moved, TicketRow, TicketView
from vmjira.flows.looking import Act, Looking
from vmjira.flows.rows import (
    AcceptanceRow,
    AttachmentRow,
    DeliveryRow,
    DeliveryState,
    Editors,
    EnrichmentRow,
    EventRow,
    FiringRow,
    FiringState,
    Mark,
    OfferedRules,
    OperationRow,
    OperationState,
    RulesPeriod,
    RulesRow,
    ScanRow,
    ScanState,
    SlotRow,
    TakenRow,
    Tally,
)
from vmjira.flows.tracking import File, Issue, Tracker

# --- words, tables and pictures ---------------------------------------------------------------------------------------


class Renderer(Protocol):
    def description(
        self, view: TicketView, attached: Sequence[str], *, picture: bool = True, budget: int | None = None
    ) -> str:
        """Our part of the description, between its two marks; `picture`: show it, or only name it."""

    def room(self, current: str) -> int:
        """The `budget` that our part has beside a human's text in the description `current`."""

    def part(self, current: str) -> str:
        """Our part of the description `current`, with its marks; empty if it is not there."""

    def merge(self, current: str, ours: str) -> str:
        """`current` with our marked part replaced (or added in front); a human's text stays as it is."""

    def files(self, view: TicketView, limit: int) -> list[File]:
        """CSVs and the picture; none larger than `limit` bytes. The same view gives the same bytes."""

    def csv(self, report: pl.DataFrame, *, enriched: bool = False) -> Iterator[bytes]:
        """REPORT rows as one CSV with the same bytes as in `files`, however large, piece by piece."""

    def fields(self, view: TicketView, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Further fields of a ticket, with the templates in their texts filled in."""

    def comment(self, kind: str, **values: Any) -> str:
        """Text of a comment, from the template `comment_<kind>.j2`."""

    def title(self, policy: Policy, category: Category, range_: Range, iteration: Iteration, name: str) -> str: ...


# --- what is kept ---------------------------------------------------------------------------------------------------


class Rescans(Protocol):
    """Part of `Unit`."""

    def ask(self, requests: Iterable[RescanRequest]) -> None:
        """Add requests; `id` is ignored."""

    def forget(self, identifier: str) -> None:
        """Remove the requests of a ticket that are in no run: it was closed anew."""

    def requests(
        self, *states: RequestState, scanner: str | None = None, identifier: str | None = None, run: int | None = None
    ) -> list[RescanRequest]:
        """In the order in which they were added; without `states`, those in any state."""

    def change_requests(self, ids: Collection[int], **changes: Any) -> None: ...
    def begin_run(self, row: RescanRow) -> int:
        """Add a run; `row.id` is ignored; the new id."""

    def run(self, id: int) -> RescanRow | None: ...
    def runs(self, *states: RunState, scanner: str | None = None, since: datetime | None = None) -> list[RescanRow]:
        """The oldest first; `since`: only those that were launched then or later."""

    def change_run(self, id: int, **changes: Any) -> None: ...


class Unit(Protocol):
    """One SQL transaction; everything in it happens, or nothing."""

    @property
    def connection(self) -> Any:
        """The SQLAlchemy connection, for work that must be queued in the same transaction."""

    @property
    def look(self) -> Looking:
        """Questions of pages and of the API."""

    # rules
    def rules_in_force(self) -> RulesRow | None: ...
    def rules(self, digest: str) -> RulesRow | None: ...
    def put_rules(self, row: RulesRow, *, how: str = "", released_by: str = "", editors: Editors | None = None) -> None:
        """From now on `row` is in force: a new period begins, also if it once was before."""

    def rules_periods(self) -> list[RulesPeriod]:
        """The oldest first."""

    def offered_rules(self, digest: str) -> OfferedRules | None: ...
    def offer_rules(self, row: OfferedRules) -> None: ...
    def rules_named(self, beginning: str) -> dict[str, Mapping[str, str]]:
        """Files of rule sets, ever in force or offered, by digest: those whose digest begins so."""

    # catalogues of exploitation
    def enrichment(self) -> EnrichmentRow | None:
        """The version that was taken last."""

    def enrichments(self) -> list[EnrichmentRow]: ...
    def put_enrichment(self, row: EnrichmentRow) -> None:
        """From now on `row` is the newest, also if it once was before."""

    # scans and what they did to the ledger
    def scan_by_digest(self, digest: str) -> ScanRow | None: ...
    def scans(self, *states: ScanState) -> list[ScanRow]:
        """In the order in which they were added; without `states`, those in any state."""

    def add_scan(self, row: ScanRow) -> int:
        """`row.id` is ignored; the new id."""

    def update_scan(self, id: int, **changes: Any) -> None: ...
    def events(self) -> list[EventRow]: ...
    def ledger_version(self) -> int: ...
    def ledger_parts(self, version: int | None = None) -> dict[str, str]:
        """Part name → path in the data store, as of `version` (default: the newest)."""

    def move_ledger(self, event: EventRow, parts: Mapping[str, str]) -> None:
        """Point to new parts; `event.version` must be the present one plus 1, else raise `Conflict`."""

    def mend_ledger(self, version: int, parts: Mapping[str, str]) -> None:
        """Let a version point to other files for these parts; with all of them, one that was pruned is there again."""

    def kept_versions(self) -> list[int]:
        """Versions of which the parts are still there, the oldest first."""

    def put_cell_numbers(self, rows: Iterable[CellNumbers]) -> None: ...
    def drop_cell_numbers(self, keys: Iterable[tuple[str, str, int]]) -> None:
        """Forget rows by category, range and ordinal: their iterations, or their findings, never were."""

    def forget_cell_numbers(self, running: Mapping[str, int]) -> None:
        """Of iterations after those that are running, by range: an edit of the rules took all that was seen in them."""

    def cell_numbers(self, *, ranges: Collection[str] | None = None) -> list[CellNumbers]: ...

    # tickets
    def tickets(self, *, ranges: Collection[str] | None = None) -> list[TicketRow]: ...
    def ticket(self, identifier: str) -> TicketRow | None: ...
    def ticket_of_issue(self, issue: str) -> TicketRow | None:
        """By the id of its issue, or by its key."""

    def put_tickets(self, rows: Iterable[TicketRow]) -> None:
        """Add rows. Of those that exist, change only what planning decides: ledger, own, facts, told,
        closed_at, closing, reopened, noted, ordinal, number."""

    def update_ticket(self, identifier: str, **changes: Any) -> None:
        """Raises Conflict if there is no such ticket: an alias has given it another identifier meanwhile."""

    def rename(self, names: Renaming) -> None:
        """Give everything of the renamed tickets, waiting operations too, its new identifier."""

    def put_moved(self, rows: Iterable[Moved]) -> None:
        """Add rows, or give those that are there another number; with none, they go."""

    def moved(self, identifier: str | None = None) -> list[Moved]:
        """From or to that ticket; without one, all."""

    def attachments(self, identifier: str) -> list[AttachmentRow]: ...
    def put_attachments(self, identifier: str, rows: Sequence[AttachmentRow], *, removed: Sequence[str] = ()) -> None:
        """Add rows; forget those whose attachment_id is in `removed`."""

    # operations
    def add_operations(self, rows: Iterable[OperationRow]) -> None: ...
    def operation(self, id: str) -> OperationRow | None: ...
    def operations(self, *states: OperationState, identifier: str | None = None) -> list[OperationRow]: ...
    def count_operations(self, *states: OperationState) -> int: ...
    def unstarted_updates(self) -> set[str]:
        """Identifiers with a queued update that has not begun; it cannot begin before this transaction ends."""

    def next_updates(self, limit: int) -> list[str]:
        """Keys of the tickets whose updates are the next to begin."""

    def update_operation(self, id: str, **changes: Any) -> None: ...
    def add_acts(self, acts: Iterable[Act]) -> None:
        """What people did to operations."""

    # webhooks as they came in
    def add_delivery(self, row: DeliveryRow) -> bool:
        """False if it is known already: nothing changed."""

    def delivery(self, id: str) -> DeliveryRow | None: ...
    def deliveries(self, *states: DeliveryState, limit: int = 200) -> list[DeliveryRow]: ...
    def queued_deliveries(self, issue: str) -> list[str]:
        """Ids of those that wait and concern the issue, as their rows name it."""

    def heard(self, *states: DeliveryState, limit: int, offset: int = 0) -> list[DeliveryRow]:
        """The newest first, each with only the beginning of its body."""

    def update_delivery(self, id: str, **changes: Any) -> None: ...

    # risk acceptances of tickets
    def put_acceptance(self, row: AcceptanceRow) -> None: ...
    def acceptances(self, *, identifier: str | None = None) -> list[AcceptanceRow]: ...

    @property
    def rescans(self) -> Rescans:
        """Hosts that closed tickets ask for, and the runs that look at them."""

    # what happened last
    def mark(self, name: str) -> Mark | None: ...
    def put_mark(self, mark: Mark) -> None: ...

    # the clock
    def add_firing(self, row: FiringRow) -> bool:
        """False if it is known already: nothing changed."""

    def firing(self, job: str, due: datetime) -> FiringRow | None: ...
    def firings(self, *states: FiringState, job: str = "", limit: int = 200) -> list[FiringRow]:
        """The newest first."""

    def last_firings(self) -> dict[str, FiringRow]:
        """The newest of each job."""

    def update_firing(self, job: str, due: datetime, **changes: Any) -> None: ...
    def forget_firings(self, before: datetime) -> int:
        """Those that ended before, except the newest of each job; how many."""

    # what was taken from scanners
    def put_taken(self, row: TakenRow) -> None: ...
    def taken(self, scanner: str | None = None) -> list[TakenRow]:
        """In the order in which they were taken."""

    def forget_taken(self, scanner: str, remote: str) -> bool:
        """Whether there was one."""

    # how it goes, at a glance: for health and metrics
    def waiting_since(self) -> dict[str, datetime | None]:
        """When the oldest that waits was put in, by queue; quick, however long the queue or the past is."""

    def last_scan(self) -> datetime | None:
        """The latest end of a scan that counts."""

    def tally(self) -> Tally: ...

    # worker slots
    def claim_slot(self, host: str, pid: int, now: datetime) -> SlotRow:
        """The lowest slot that nobody has, dead or alive."""

    def beat(self, slot: int, now: datetime) -> None: ...
    def lease_slot(self, row: SlotRow, until: datetime) -> bool:
        """Mark a dead worker's slot as being taken over until then: its beat lies ahead. False: it has changed."""

    def release_slot(self, row: SlotRow) -> None:
        """Unless another worker has it by now."""

    def slots(self) -> list[SlotRow]: ...
    def live_slots(self, now: datetime, *, stale_after: float) -> list[int]: ...


class Conflict(Exception):
    """Somebody else moved the ledger meanwhile: do it again on the new one."""


class Store(Protocol):
    def begin(self) -> AbstractContextManager[Unit]:
        """For writing. One at a time, in all processes: what the unit has read stays true until it ends; be short."""

    def reading(self) -> AbstractContextManager[Unit]:
        """For reading only: sees one state of the database, and waits for nobody."""

    def write(self, path: str, frame: pl.DataFrame) -> None:
        """Write Parquet at `path` in the data store; whole or not at all."""

    def scan(self, path: str) -> pl.LazyFrame: ...
    def exists(self, path: str) -> bool: ...
    def keep_scan(self, scan: Scan, path: str) -> None:
        """Write the frames and `checks` of a scan under the folder `path`."""

    def load_scan(self, row: ScanRow) -> Scan: ...
    def refuse(self, file: Path, reason: str) -> str:
        """Keep a copy of a file aside with a `.reason.txt` beside it; where."""

    def sweep(self) -> int:
        """Remove files that no row refers to; how many."""

    def prune_ledger(self, *, keep: int) -> int:
        """Forget versions of the ledger but the newest `keep`, and those that a ticket may still show; how many."""


class Clock(Protocol):
    def __call__(self) -> datetime:
        """Now, in UTC."""


class OperationQueue(Protocol):
    def put(self, unit: Unit, operations: Iterable[OperationRow]) -> None:
        """Queue them in the transaction of `unit`: they will be delivered exactly if it commits."""

    def put_event(self, unit: Unit, delivery: DeliveryRow) -> None:
        """Queue a webhook for `react`, in the transaction of `unit`; those of one issue stay in order."""

    def put_work(self, unit: Unit, queue: str, id: str, *, workflow: str, partition: str) -> None:
        """Queue `id` in the transaction of `unit`: it is worked off exactly if the row of that id exists.

        The same `workflow` is queued only once; what has the same `partition` is worked off in order."""


class TicketReader(Protocol):
    def read(self, tracker: Tracker, key: str) -> Issue | None:
        """The ticket as it is in the tracker, fresh enough to write it; None if it is gone."""


@dataclass(frozen=True)
class Outside:
    """Everything a flow may touch, wired once in bootstrap. Nothing of it connects before it is used."""

    store: Store
    queue: OperationQueue
    renderer: Renderer
    tracker: Callable[[], Tracker]  # this thread's own
    tickets: TicketReader
    rulebook: Callable[[Mapping[str, str]], Rulebook]  # texts of rule files that were valid once
    clock: Clock
    editors: Callable[[], Editors] = dict  # of the rule files in the folder
