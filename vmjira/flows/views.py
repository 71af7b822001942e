"""A ticket as it should be shown now: rows from the ledger, numbers, neighbours, history, sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import polars as pl

from vmjira.domain.frames import ENDINGS, EXPLOITATION, LEDGER, empty
from vmjira.domain.frames import ROUNDS as ROUNDS_SCHEMA
from vmjira.domain.iterations import ZERO, name_of
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.plan import neighbours
from vmjira.domain.report import all_rows, diff_rows, own_rows
from vmjira.domain.rulebook import Category, Range, Rulebook
from vmjira.domain.scan_evidence import proofs, sources, unscanned
from vmjira.domain.statistics import MEMBERSHIPS, host_lists
from vmjira.domain.ticket import (
    CellNumbers,
    HistoryPoint,
    HostNumbers,
    Iteration,
    MovedPart,
    Neighbour,
    TicketRow,
    TicketView,
)
from vmjira.flows.knowledge import (
    EXPLOITS,
    HOSTS,
    ITERATION_NAMES,
    ROUNDS,
    VULNERABILITIES,
    iterations_of,
    part_name,
    running_of,
)
from vmjira.flows.moved import Partner, partners
from vmjira.flows.ports import Store
from vmjira.flows.rows import AcceptanceRow
from vmjira.flows.settlement import settlement

#: The lists that are attached to a ticket.
Report = Literal["own", "all", "diff"]
#: Iterations that the picture shows.
HISTORY = 12
#: Vulnerabilities of a host that a line of a comment names.
TITLES = 3


@dataclass(frozen=True)
class _Kept:
    """What SQL knows around a ticket, read at one moment."""

    parts: Mapping[str, str]
    then_parts: Mapping[str, str]
    cells: Sequence[CellNumbers]
    tickets: Sequence[TicketRow]
    names: Mapping[int, str]  # ordinal → what the tickets of the range call that iteration
    moved: tuple[list[Partner], list[Partner]]
    acceptances: Sequence[AcceptanceRow]


def view_ticket(store: Store, row: TicketRow, rulebook: Rulebook, today: date) -> TicketView:
    """Own findings as of now; the lists of its iteration as of now too, or as of the last moment it was running."""
    kept = _read(store, row, then=row.sent_ledger < row.ledger)
    now = _cell(store, kept.parts, row)
    iterations = iterations_of(now.iterations)
    running = _running(now, row)
    of_range = [one for (name, _), one in iterations.items() if name == row.range]
    category = rulebook.category(row.category) or Category(row.category, row.category, "")
    range_ = rulebook.range(row.range) or Range(row.range, row.range, (), ticket=rulebook.policy.ticket)
    mine = next((cell for cell in kept.cells if cell.ordinal == row.ordinal), None)
    then, place = _then(store, kept, row, now, running), (category, row.range, row.ordinal)
    previous, following = neighbours(row, kept.tickets)
    own = own_rows(now, *place)
    past = sorted((cell for cell in kept.cells if cell.ordinal <= row.ordinal), key=lambda cell: cell.ordinal)
    return TicketView(
        identifier=row.identifier,
        title=row.title,
        category=category,
        range=range_,
        iteration=Iteration(row.ordinal, row.label, row.number),
        key=row.key,
        due=row.due,
        previous=_neighbour(previous),
        next=_neighbour(following),
        moved_from=_parts(kept.moved[0]),
        moved_to=_parts(kept.moved[1]),
        then=mine.numbers if mine else HostNumbers(),
        own=row.own,
        top=mine.top if mine else (),
        history=tuple(HistoryPoint(cell.label, cell.numbers) for cell in past[-HISTORY:]),
        **_evidence(store, kept.parts, row.range, running),
        running=running,
        own_rows=own,
        proofs=proofs(own),
        all_rows=all_rows(then, *place) if then else None,
        diff_rows=diff_rows(then, *place) if then else None,
        adopted=iterations.get((row.range, ZERO.ordinal)) == ZERO,
        enriched=EXPLOITS in kept.parts,
        zone=rulebook.policy.timezone,
        name=row.called,
        running_name=kept.names.get(running.ordinal) or name_of(running, of_range),
        overdue=overdue(row, today),
        settlement=settlement(now, row, kept.acceptances, rulebook),
    )


def overdue(row: TicketRow, today: date) -> bool:
    return bool(row.due and row.due < today and row.own.open and not row.gone)


def open_hosts(view: TicketView, closed_at: datetime | None) -> list[str]:
    """One line a host with open own findings: what, and when it was last seen. First those seen after the closing."""
    rows = view.own_rows.filter(~pl.col("state").cast(pl.String).is_in(ENDINGS))
    after = pl.lit(value=False) if closed_at is None else pl.col("last_seen") > closed_at
    hosts = (
        rows.group_by("host", maintain_order=True)
        .agg(
            pl.col("hostname", "ip").first(),
            pl.col("title"),
            pl.col("last_seen").max(),
            pl.col("scan", "credentials").sort_by("last_seen").last(),
        )
        .with_columns(after=after)
        .sort("after", pl.col("hostname").str.to_lowercase(), "ip", "host", descending=[True, False, False, False])
    )
    return [_line(view, row, closed=closed_at is not None) for row in hosts.iter_rows(named=True)]


def _line(view: TicketView, row: Mapping[str, Any], *, closed: bool) -> str:
    name = " ".join(str(part) for part in (row["hostname"], row["ip"]) if part) or row["host"]
    titles = [str(title or "") for title in row["title"]]
    more = f" and {len(titles) - TITLES} more" if len(titles) > TITLES else ""
    seen = f"{row['last_seen'].astimezone(view.zone):%Y-%m-%d %H:%M}"
    note = ", after the closing" if row["after"] else ", before the closing" if closed else ""
    scan = f" (scan {row['scan']}, {_CREDENTIALS[row['credentials']]})" if row["scan"] else ""
    return f"{name}: {', '.join(titles[:TITLES])}{more}; last seen {seen}{scan}{note}"


_CREDENTIALS = {"yes": "with credentials", "no": "without credentials", "unknown": "credentials unknown"}


def hosts_behind(store: Store, row: TicketRow) -> dict[str, list[str]]:
    """Keys of the hosts that the numbers of the ticket's iteration count: new, remaining, safe, unverified."""
    lives = _frozen(store, _read(store, row, then=True), row).lives
    lists = host_lists(lives, row.ordinal)
    return {name: lists.filter(pl.col("membership") == name)["host"].to_list() for name in MEMBERSHIPS}


def report_rows(store: Store, row: TicketRow, rulebook: Rulebook, kind: Report) -> pl.DataFrame:
    """REPORT: what one of the ticket's attachments shows, with the same rows; `all` and `diff` as of its iteration."""
    kept = _read(store, row, then=kind != "own")
    category = rulebook.category(row.category) or Category(row.category, row.category, "")
    place = (category, row.range, row.ordinal)
    if kind == "own":
        return own_rows(_cell(store, kept.parts, row), *place)
    then = _frozen(store, kept, row)
    return all_rows(then, *place) if kind == "all" else diff_rows(then, *place)


def _read(store: Store, row: TicketRow, *, then: bool) -> _Kept:
    """`then`: also as its iteration was, which need not be kept any more."""
    with store.reading() as unit:
        tickets = unit.tickets(ranges=[row.range])
        return _Kept(
            parts=unit.ledger_parts(),
            then_parts=unit.ledger_parts(row.ledger) if then else {},
            cells=[cell for cell in unit.cell_numbers(ranges=[row.range]) if cell.category == row.category],
            tickets=[each for each in tickets if each.category == row.category],
            names={each.ordinal: each.called for each in tickets},
            moved=partners(unit, row.identifier),
            acceptances=unit.acceptances(identifier=row.identifier),
        )


def _cell(store: Store, parts: Mapping[str, str], row: TicketRow) -> Knowledge:
    """The knowledge of one cell: its lives, and the hosts and texts that they name."""
    path = parts.get(part_name(row.range))
    frame = store.scan(path) if path else empty(LEDGER).lazy()
    lives = frame.filter(pl.col("category") == row.category).collect()
    texts = pl.col("vulnerability_id").is_in(lives["vulnerability_id"].unique().implode())
    hosts = pl.col("host").is_in(lives["host"].unique().implode())
    return Knowledge(
        lives=lives,
        hosts=store.scan(parts[HOSTS]).filter(hosts).collect(),
        vulnerabilities=store.scan(parts[VULNERABILITIES]).filter(texts).collect(),
        iterations=store.scan(parts[ITERATION_NAMES]).collect(),
        exploitation=store.scan(parts[EXPLOITS]).filter(texts).collect() if EXPLOITS in parts else empty(EXPLOITATION),
    )


def _then(store: Store, kept: _Kept, row: TicketRow, now: Knowledge, running: Iteration) -> Knowledge | None:
    """The cell while the ticket's iteration was running; None if that has been sent already and stays."""
    if row.ordinal == running.ordinal:
        return now
    return None if row.sent_ledger >= row.ledger else _cell(store, kept.then_parts, row)


def _frozen(store: Store, kept: _Kept, row: TicketRow) -> Knowledge:
    """The cell while the ticket's iteration was running; the newest if it still is: only then times go on."""
    now = running_of(store.scan(kept.parts[ITERATION_NAMES]).collect())
    return _cell(store, kept.parts if now.get(row.range) == row.ordinal else kept.then_parts, row)


def _running(now: Knowledge, row: TicketRow) -> Iteration:
    """Of the ticket's range; its own, where the only scans of the range were withdrawn."""
    ordinal = running_of(now.iterations).get(row.range)
    own = Iteration(row.ordinal, row.label, row.number)
    return own if ordinal is None else iterations_of(now.iterations)[row.range, ordinal]


def _neighbour(row: TicketRow | None) -> Neighbour | None:
    return Neighbour(row.identifier, row.title, row.key) if row else None


def _parts(others: Sequence[Partner]) -> tuple[MovedPart, ...]:
    return tuple(
        MovedPart(Neighbour(each.row.identifier, each.row.title, each.row.key), each.findings) for each in others
    )


def _evidence(store: Store, parts: Mapping[str, str], range_: str, running: Iteration) -> dict[str, Any]:
    """The scans of the running iteration of the range, and its hosts that none of them covered."""
    hosts = store.scan(parts[HOSTS]).filter(pl.col("range") == range_).collect()
    rounds = store.scan(parts[ROUNDS]) if ROUNDS in parts else empty(ROUNDS_SCHEMA).lazy()
    now = rounds.filter(pl.col("range") == range_, pl.col("ordinal") == running.ordinal).collect()
    return {"sources": sources(hosts, now), "unscanned": unscanned(hosts, now)}
