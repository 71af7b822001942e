"""One SQL transaction, as the flows see it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, delete, func, insert, select, update

from vmjira.domain.renaming import Renaming
from vmjira.domain.ticket import CellNumbers, HostNumbers, Moved, OwnNumbers, TicketRow, TopHost
from vmjira.errors import VmjiraError
from vmjira.flows.looking import Act
from vmjira.flows.ports import Conflict
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
from vmjira.store import clock, tally
from vmjira.store import tables as t
from vmjira.store.heard import heard
from vmjira.store.looking import SqlLooking
from vmjira.store.renaming import rename
from vmjira.store.rescans import SqlRescans
from vmjira.store.statements import add, add_new, change, fetch, fetch_one, greatest, put, rows_of

#: What planning decides of a ticket that exists; all else belongs to delivery.
PLANNED = ("ledger", "own", "facts", "told", "closed_at", "closing", "reopened", "noted", "ordinal", "number")


class SqlUnit:
    """Implements `vmjira.flows.ports.Unit` on one connection, whose transaction somebody else begins and ends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def look(self) -> SqlLooking:
        return SqlLooking(self._connection)

    # rules

    def rules_in_force(self) -> RulesRow | None:
        return fetch_one(
            self._connection, RulesRow, rows_of(t.rules, RulesRow).order_by(t.rules.c.sequence.desc()).limit(1)
        )

    def rules(self, digest: str) -> RulesRow | None:
        return fetch_one(self._connection, RulesRow, rows_of(t.rules, RulesRow).where(t.rules.c.digest == digest))

    def put_rules(self, row: RulesRow, *, how: str = "", released_by: str = "", editors: Editors | None = None) -> None:
        sequence = greatest(self._connection, t.rules, "sequence") + 1
        put(self._connection, t.rules, [vars(row) | {"sequence": sequence}])
        period = RulesPeriod(row.digest, row.since, how, released_by, editors or {})
        add(self._connection, t.rule_periods, [vars(period)])

    def rules_periods(self) -> list[RulesPeriod]:
        query = rows_of(t.rule_periods, RulesPeriod).order_by(t.rule_periods.c.number)
        return fetch(self._connection, RulesPeriod, query)

    def offered_rules(self, digest: str) -> OfferedRules | None:
        query = rows_of(t.offered_rules, OfferedRules).where(t.offered_rules.c.digest == digest)
        return fetch_one(self._connection, OfferedRules, query)

    def offer_rules(self, row: OfferedRules) -> None:
        put(self._connection, t.offered_rules, [vars(row)])

    def rules_named(self, beginning: str) -> dict[str, Mapping[str, str]]:
        named: dict[str, Mapping[str, str]] = {}
        for table in (t.offered_rules, t.rules):
            query = select(table.c.digest, table.c.files).where(table.c.digest.startswith(beginning, autoescape=True))
            named |= {row.digest: row.files for row in self._connection.execute(query)}
        return named

    # catalogues of exploitation

    def enrichment(self) -> EnrichmentRow | None:
        newest = rows_of(t.enrichments, EnrichmentRow).order_by(t.enrichments.c.sequence.desc()).limit(1)
        return fetch_one(self._connection, EnrichmentRow, newest)

    def enrichments(self) -> list[EnrichmentRow]:
        """In the order in which they were taken."""
        return fetch(
            self._connection, EnrichmentRow, rows_of(t.enrichments, EnrichmentRow).order_by(t.enrichments.c.sequence)
        )

    def put_enrichment(self, row: EnrichmentRow) -> None:
        sequence = greatest(self._connection, t.enrichments, "sequence") + 1
        put(self._connection, t.enrichments, [vars(row) | {"sequence": sequence}])

    # scans and what they did to the ledger

    def scan_by_digest(self, digest: str) -> ScanRow | None:
        return next(iter(self._scans(rows_of(t.scans, ScanRow).where(t.scans.c.digest == digest))), None)

    def scans(self, *states: ScanState) -> list[ScanRow]:
        query = rows_of(t.scans, ScanRow).order_by(t.scans.c.id)
        return self._scans(query.where(t.scans.c.state.in_(states)) if states else query)

    def add_scan(self, row: ScanRow) -> int:
        values = {name: value for name, value in vars(row).items() if name != "id"}
        return int(self._connection.execute(insert(t.scans).values(values).returning(t.scans.c.id)).scalar_one())

    def update_scan(self, id: int, **changes: Any) -> None:
        change(self._connection, t.scans, {"id": id}, changes)

    def events(self) -> list[EventRow]:
        return fetch(
            self._connection, EventRow, rows_of(t.ledger_versions, EventRow).order_by(t.ledger_versions.c.version)
        )

    def ledger_version(self) -> int:
        return greatest(self._connection, t.ledger_versions, "version")

    def ledger_parts(self, version: int | None = None) -> dict[str, str]:
        wanted = self.ledger_version() if version is None else version
        self._refuse_pruned(wanted)
        parts = t.ledger_parts.c
        newest = (
            select(parts.name, func.max(parts.version).label("version"))
            .where(parts.version <= wanted)
            .group_by(parts.name)
            .subquery()
        )
        same = (parts.name == newest.c.name) & (parts.version == newest.c.version)
        found = select(parts.name, parts.path).join(newest, same).order_by(parts.name)
        return {row.name: row.path for row in self._connection.execute(found)}

    def move_ledger(self, event: EventRow, parts: Mapping[str, str]) -> None:
        """Raises `Conflict` unless `event` follows the present version: nobody can come between, see `engine`."""
        present = self.ledger_version()
        if event.version != present + 1:
            raise Conflict(f"the ledger is at version {present}, so {event.version} cannot follow")
        self._connection.execute(insert(t.ledger_versions), vars(event) | {"pruned": False})
        add(
            self._connection,
            t.ledger_parts,
            [{"version": event.version, "name": n, "path": p} for n, p in parts.items()],
        )

    def mend_ledger(self, version: int, parts: Mapping[str, str]) -> None:
        rows = [{"version": version, "name": name, "path": path} for name, path in parts.items()]
        put(self._connection, t.ledger_parts, rows)
        whole = t.ledger_versions.c.version == version
        self._connection.execute(update(t.ledger_versions).where(whole).values(pruned=False))

    def kept_versions(self) -> list[int]:
        versions = t.ledger_versions.c
        return list(
            self._connection.scalars(select(versions.version).where(~versions.pruned).order_by(versions.version))
        )

    def put_cell_numbers(self, rows: Iterable[CellNumbers]) -> None:
        put(self._connection, t.cell_numbers, [asdict(row) for row in rows])

    def drop_cell_numbers(self, keys: Iterable[tuple[str, str, int]]) -> None:
        columns = t.cell_numbers.c
        for category, range_, ordinal in keys:
            key = (columns.category == category, columns.range == range_, columns.ordinal == ordinal)
            self._connection.execute(delete(t.cell_numbers).where(*key))

    def forget_cell_numbers(self, running: Mapping[str, int]) -> None:
        columns = t.cell_numbers.c
        for name, ordinal in running.items():
            later = (columns.range == name) & (columns.ordinal > ordinal)
            self._connection.execute(delete(t.cell_numbers).where(later))

    def cell_numbers(self, *, ranges: Collection[str] | None = None) -> list[CellNumbers]:
        """In the order of category, range and iteration; all, or those of some ranges."""
        columns = t.cell_numbers.c
        query = rows_of(t.cell_numbers, CellNumbers).order_by(columns.category, columns.range, columns.ordinal)
        if ranges is not None:
            query = query.where(columns.range.in_(ranges))
        return [_cell_numbers(row) for row in self._connection.execute(query).mappings()]

    # tickets

    def tickets(self, *, ranges: Collection[str] | None = None) -> list[TicketRow]:
        """By category, range and iteration; all, or those of some ranges."""
        columns = t.tickets.c
        query = rows_of(t.tickets, TicketRow).order_by(columns.category, columns.range, columns.ordinal)
        return self._tickets(query if ranges is None else query.where(columns.range.in_(ranges)))

    def ticket(self, identifier: str) -> TicketRow | None:
        query = rows_of(t.tickets, TicketRow).where(t.tickets.c.identifier == identifier)
        return next(iter(self._tickets(query)), None)

    def ticket_of_issue(self, issue: str) -> TicketRow | None:
        columns = t.tickets.c
        query = rows_of(t.tickets, TicketRow).where((columns.issue_id == issue) | (columns.key == issue))
        return next(iter(self._tickets(query)), None)

    def put_tickets(self, rows: Iterable[TicketRow]) -> None:
        put(self._connection, t.tickets, [asdict(row) for row in rows], only=PLANNED)

    def update_ticket(self, identifier: str, **changes: Any) -> None:
        try:
            change(self._connection, t.tickets, {"identifier": identifier}, changes)
        except LookupError as error:
            raise Conflict(f"ticket {identifier}: it has another identifier by now") from error

    def rename(self, names: Renaming) -> None:
        rename(self._connection, names)

    def put_moved(self, rows: Iterable[Moved]) -> None:
        given = list(rows)
        put(self._connection, t.moved, [vars(row) for row in given if row.findings])
        for row in given:
            if not row.findings:
                key = (t.moved.c.source == row.source, t.moved.c.target == row.target)
                self._connection.execute(delete(t.moved).where(*key))

    def moved(self, identifier: str | None = None) -> list[Moved]:
        columns, query = t.moved.c, rows_of(t.moved, Moved)
        if identifier is not None:
            query = query.where((columns.source == identifier) | (columns.target == identifier))
        return fetch(self._connection, Moved, query.order_by(columns.source, columns.target))

    def attachments(self, identifier: str) -> list[AttachmentRow]:
        columns = t.attachments.c
        query = rows_of(t.attachments, AttachmentRow).where(columns.identifier == identifier)
        return fetch(self._connection, AttachmentRow, query.order_by(columns.name, columns.attachment_id))

    def put_attachments(self, identifier: str, rows: Sequence[AttachmentRow], *, removed: Sequence[str] = ()) -> None:
        columns = t.attachments.c
        gone = delete(t.attachments).where(columns.identifier == identifier, columns.attachment_id.in_(removed))
        self._connection.execute(gone)
        put(self._connection, t.attachments, [vars(row) | {"identifier": identifier} for row in rows])

    # operations

    def add_operations(self, rows: Iterable[OperationRow]) -> None:
        add(self._connection, t.operations, [vars(row) for row in rows])

    def operation(self, id: str) -> OperationRow | None:
        return fetch_one(
            self._connection, OperationRow, rows_of(t.operations, OperationRow).where(t.operations.c.id == id)
        )

    def operations(self, *states: OperationState, identifier: str | None = None) -> list[OperationRow]:
        """In the order in which they were added; without `states`, those in any state."""
        query = rows_of(t.operations, OperationRow).order_by(t.operations.c.sequence)
        if states:
            query = query.where(t.operations.c.state.in_(states))
        if identifier is not None:
            query = query.where(t.operations.c.identifier == identifier)
        return fetch(self._connection, OperationRow, query)

    def count_operations(self, *states: OperationState) -> int:
        query = select(func.count()).where(t.operations.c.state.in_(states))
        return int(self._connection.scalar(query) or 0)

    def unstarted_updates(self) -> set[str]:
        """Writers come one after the other, so an update that has not begun begins after this unit."""
        columns = t.operations.c
        waiting = (columns.operation == "update") & (columns.state == "queued") & (columns.attempts == 0)
        return set(self._connection.scalars(select(columns.identifier).where(waiting)))

    def next_updates(self, limit: int) -> list[str]:
        waiting, made = t.operations.c, t.tickets.c
        query = (
            select(made.key)
            .join(t.operations, waiting.identifier == made.identifier)
            .where(waiting.operation == "update", waiting.state == "queued", waiting.attempts == 0)
            .where(made.key.is_not(None))
            .order_by(waiting.sequence)
        )
        return list(dict.fromkeys(self._connection.scalars(query.limit(limit))))

    def update_operation(self, id: str, **changes: Any) -> None:
        change(self._connection, t.operations, {"id": id}, changes)

    def add_acts(self, acts: Iterable[Act]) -> None:
        add(self._connection, t.audit, [vars(act) for act in acts])

    # webhooks as they came in

    def add_delivery(self, row: DeliveryRow) -> bool:
        return add_new(self._connection, t.deliveries, vars(row))

    def delivery(self, id: str) -> DeliveryRow | None:
        return fetch_one(
            self._connection, DeliveryRow, rows_of(t.deliveries, DeliveryRow).where(t.deliveries.c.id == id)
        )

    def deliveries(self, *states: DeliveryState, limit: int = 200) -> list[DeliveryRow]:
        """The newest first."""
        query = rows_of(t.deliveries, DeliveryRow).order_by(t.deliveries.c.received_at.desc()).limit(limit)
        return fetch(self._connection, DeliveryRow, query.where(t.deliveries.c.state.in_(states)) if states else query)

    def queued_deliveries(self, issue: str) -> list[str]:
        columns = t.deliveries.c
        query = select(columns.id).where(columns.issue == issue, columns.state == "queued")
        return list(self._connection.scalars(query))

    def heard(self, *states: DeliveryState, limit: int, offset: int = 0) -> list[DeliveryRow]:
        return heard(self._connection, states, limit=limit, offset=offset)

    def update_delivery(self, id: str, **changes: Any) -> None:
        change(self._connection, t.deliveries, {"id": id}, changes)

    # risk acceptances of tickets

    def put_acceptance(self, row: AcceptanceRow) -> None:
        put(self._connection, t.acceptances, [vars(row)])

    def acceptances(self, *, identifier: str | None = None) -> list[AcceptanceRow]:
        """The oldest first, ended ones too; all, or those of one ticket."""
        query = rows_of(t.acceptances, AcceptanceRow).order_by(t.acceptances.c.accepted_at, t.acceptances.c.id)
        if identifier is not None:
            query = query.where(t.acceptances.c.identifier == identifier)
        return fetch(self._connection, AcceptanceRow, query)

    @property
    def rescans(self) -> SqlRescans:
        return SqlRescans(self._connection)

    # what happened last

    def mark(self, name: str) -> Mark | None:
        return fetch_one(self._connection, Mark, rows_of(t.marks, Mark).where(t.marks.c.name == name))

    def put_mark(self, mark: Mark) -> None:
        put(self._connection, t.marks, [vars(mark)])

    # the clock

    def add_firing(self, row: FiringRow) -> bool:
        return add_new(self._connection, t.firings, vars(row))

    def firing(self, job: str, due: datetime) -> FiringRow | None:
        same = (t.firings.c.job == job) & (t.firings.c.due == due)
        return fetch_one(self._connection, FiringRow, rows_of(t.firings, FiringRow).where(same))

    def firings(self, *states: FiringState, job: str = "", limit: int = 200) -> list[FiringRow]:
        return clock.firings(self._connection, states, job, limit)

    def last_firings(self) -> dict[str, FiringRow]:
        return clock.last_firings(self._connection)

    def update_firing(self, job: str, due: datetime, **changes: Any) -> None:
        change(self._connection, t.firings, {"job": job, "due": due}, changes)

    def forget_firings(self, before: datetime) -> int:
        return clock.forget_firings(self._connection, before)

    # what was taken from scanners

    def put_taken(self, row: TakenRow) -> None:
        put(self._connection, t.taken, [vars(row)])

    def taken(self, scanner: str | None = None) -> list[TakenRow]:
        query = rows_of(t.taken, TakenRow).order_by(t.taken.c.taken_at, t.taken.c.remote)
        return fetch(
            self._connection, TakenRow, query if scanner is None else query.where(t.taken.c.scanner == scanner)
        )

    def forget_taken(self, scanner: str, remote: str) -> bool:
        which = (t.taken.c.scanner == scanner) & (t.taken.c.remote == remote)
        return self._connection.execute(delete(t.taken).where(which)).rowcount > 0

    # how it goes, at a glance

    def waiting_since(self) -> dict[str, datetime | None]:
        return tally.waiting_since(self._connection)

    def last_scan(self) -> datetime | None:
        return tally.last_scan(self._connection)

    def tally(self) -> Tally:
        return tally.tally(self._connection)

    # worker slots

    def claim_slot(self, host: str, pid: int, now: datetime) -> SlotRow:
        while True:
            taken = {row.slot for row in self.slots()}
            row = SlotRow(next(number for number in count(1) if number not in taken), host, pid, now)
            if add_new(self._connection, t.worker_slots, vars(row)):
                return row

    def beat(self, slot: int, now: datetime) -> None:
        change(self._connection, t.worker_slots, {"slot": slot}, {"beat_at": now})

    def lease_slot(self, row: SlotRow, until: datetime) -> bool:
        unchanged = _has(row) & (t.worker_slots.c.beat_at == row.beat_at)
        return self._connection.execute(update(t.worker_slots).where(unchanged).values(beat_at=until)).rowcount == 1

    def release_slot(self, row: SlotRow) -> None:
        self._connection.execute(delete(t.worker_slots).where(_has(row)))

    def slots(self) -> list[SlotRow]:
        return fetch(self._connection, SlotRow, rows_of(t.worker_slots, SlotRow).order_by(t.worker_slots.c.slot))

    def live_slots(self, now: datetime, *, stale_after: float) -> list[int]:
        oldest = now - timedelta(seconds=stale_after)
        columns = t.worker_slots.c
        return list(
            self._connection.scalars(select(columns.slot).where(columns.beat_at >= oldest).order_by(columns.slot))
        )

    # what some of the above share

    def _tickets(self, query: Select[Any]) -> list[TicketRow]:
        found = self._connection.execute(query).mappings()
        return [TicketRow(**{**row, "own": OwnNumbers(**row["own"]), "former": tuple(row["former"])}) for row in found]

    def _scans(self, query: Select[Any]) -> list[ScanRow]:
        return [replace(row, warnings=tuple(row.warnings)) for row in fetch(self._connection, ScanRow, query)]

    def _refuse_pruned(self, version: int) -> None:
        columns = t.ledger_versions.c
        if self._connection.scalar(select(columns.pruned).where(columns.version == version)):
            raise VmjiraError(
                f"ledger: version {version} is no longer kept; `vmjira replay` rebuilds it from the stored scans"
            )


def _cell_numbers(row: RowMapping) -> CellNumbers:
    numbers, top = HostNumbers(**row["numbers"]), tuple(TopHost(**host) for host in row["top"])
    return CellNumbers(**{**row, "numbers": numbers, "top": top})


def _has(row: SlotRow) -> ColumnElement[bool]:
    """That very worker has the slot."""
    columns = t.worker_slots.c
    return (columns.slot == row.slot) & (columns.host == row.host) & (columns.pid == row.pid)
