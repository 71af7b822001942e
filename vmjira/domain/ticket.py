"""A ticket as values: its identity, its numbers, and everything that its text and its attachments show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import polars as pl

from vmjira.domain.frames import EXPLOITED, Schema, Severity, Time
from vmjira.domain.rulebook import Category, Range

StatusCategory = Literal["new", "indeterminate", "done"]

#: What became of a closing: none holds; to be verified by newer data; confirmed, because the ticket is verified;
#: settled, because all its findings have ended, but not all as fixed; left alone (policy `trust`); accepted as a risk;
#: refuted more often than the policy's `reopen_limit`, so it stays closed and a person was called.
Closing = Literal["", "waiting", "confirmed", "settled", "trusted", "accepted", "escalated"]

#: How the own findings of a ticket have ended: not all have; all have, but not all as fixed; all as fixed.
Ending = Literal["", "settled", "verified"]

#: States of a finding as people read them: domain part 6, plus the endings.
STATES = ("new", "remaining", "unverified", "fixed", "moved", "gone", "accepted")

#: Whether an observation had credentials, as people read it.
CREDENTIALS = ("yes", "no", "unknown")

#: Rows of a report (CSV). `host` and `scanner` are for counting and are not written.
REPORT: Schema = {
    "host": pl.String(),
    "scanner": pl.String(),
    "ip": pl.String(),
    "hostname": pl.String(),
    "category": pl.String(),  # the title
    "vulnerability_id": pl.String(),
    "title": pl.String(),
    "description": pl.String(),
    "severity": Severity,
    "cvss": pl.Float64(),  # version 3, else version 2
    "cves": pl.List(pl.String()),
    "exploit_available": pl.Boolean(),
    "ports": pl.List(pl.String()),
    "solution": pl.String(),
    "state": pl.Enum(STATES),
    "first_seen": Time,
    "last_seen": Time,
    "fixed_at": Time,
    "ticket": pl.String(),  # identifier of the ticket that owns the finding
    **EXPLOITED,
    "scan": pl.String(),  # id of the scan on which the state rests: that proved it fixed, else that saw it last
    "credentials": pl.Enum(CREDENTIALS),  # of that observation
}


@dataclass(frozen=True)
class Iteration:
    """One round of scanning of a range."""

    ordinal: int
    label: str
    number: int


@dataclass(frozen=True)
class HostNumbers:
    """Numbers of hosts at an iteration of a cell (domain part 7)."""

    vulnerable: int = 0
    last: int = 0
    new: int = 0
    remaining: int = 0
    safe: int = 0
    unverified: int = 0

    def __post_init__(self) -> None:
        if self.last != self.remaining + self.safe + self.unverified or self.vulnerable != self.new + self.remaining:
            raise ValueError(f"host numbers contradict themselves: {self}")


@dataclass(frozen=True)
class OwnNumbers:
    """Numbers of a ticket's own findings, now; `hosts` and `open_hosts` count the hosts they are on."""

    total: int = 0
    fixed: int = 0
    open: int = 0
    unverified: int = 0
    moved: int = 0
    gone: int = 0
    accepted: int = 0
    hosts: int = 0
    open_hosts: int = 0

    def __post_init__(self) -> None:
        if self.total != self.fixed + self.open + self.moved + self.gone + self.accepted or self.unverified > self.open:
            raise ValueError(f"numbers of own findings contradict themselves: {self}")

    @property
    def settled(self) -> bool:
        """Every finding has ended, in whatever way."""
        return self.total > 0 and self.open == 0

    @property
    def verified(self) -> bool:
        """Every finding has ended as fixed."""
        return self.settled and self.fixed == self.total

    @property
    def ending(self) -> Ending:
        return "verified" if self.verified else "settled" if self.settled else ""


@dataclass(frozen=True)
class TopHost:
    host: str
    ip: str | None
    hostname: str | None
    score: int
    findings: int


@dataclass(frozen=True)
class CellNumbers:
    """Host numbers of a cell at an iteration; frozen as soon as a later iteration is running."""

    category: str
    range: str
    ordinal: int
    label: str
    numbers: HostNumbers
    top: tuple[TopHost, ...] = ()
    digest: str = ""  # of the findings behind the numbers


@dataclass(frozen=True)
class TicketRow:
    """What is kept of a ticket between two deliveries."""

    identifier: str
    category: str
    range: str
    ordinal: int
    label: str
    number: int
    title: str
    ledger: int  # newest version in which its iteration was running: what all.csv and diff.csv show
    key: str | None = None
    issue_id: str | None = None
    closed_at: datetime | None = None  # the tracker's own time of the last closing that was decided upon
    closing: Closing = ""
    reopened: int = 0  # times by vmjira
    noted: int = 0  # ordinal of the iteration in which it was last said what is still not verified
    status: str | None = None
    status_category: StatusCategory | None = None
    gone: bool = False  # deleted in the tracker: no silent re-creation
    due: date | None = None
    sent_ledger: int = 0  # version whose all.csv and diff.csv were sent
    own: OwnNumbers = OwnNumbers()  # as last planned
    facts: str = ""  # digest of what the tracker should show, as last planned
    shown: str = ""  # digest of what the tracker shows, as last delivered
    description: str = ""  # digest of our part of the description as it was sent, without what is only as of some time
    described: str = ""  # digest of our part as it stands in the tracker since then, blanks aside
    created_at: datetime | None = None
    answer: str = ""  # id of the comment that answers the last closing, and tells how its verification goes
    former: tuple[str, ...] = ()  # identifiers that it had before an id of the rules was renamed, the oldest first
    fields: Mapping[str, Any] = field(
        default_factory=dict, hash=False
    )  # name → value that vmjira set in the tracker by the rules
    told: Ending = ""  # what the last comment on the end of its findings said
    name: str = ""  # what its title calls its iteration; empty: made by a program that knew only the number

    @property
    def called(self) -> str:
        """What texts call its iteration: "23", or "2026-W23" where the number alone would repeat."""
        return self.name or str(self.number)


@dataclass(frozen=True)
class Neighbour:
    """The previous or next ticket of the same cell; `key` is None while the tracker does not have it yet."""

    identifier: str
    title: str
    key: str | None


@dataclass(frozen=True)
class Moved:
    """Findings that left a ticket, `source`, and whose next life is in another one; by identifiers."""

    source: str
    target: str
    findings: int


@dataclass(frozen=True)
class MovedPart:
    """The other ticket of findings that moved, and how many did."""

    ticket: Neighbour
    findings: int


@dataclass(frozen=True)
class AcceptedPart:
    """Own findings that one acceptance took out of a ticket; who gave it and why is empty where that is not known."""

    findings: int
    by: str
    reason: str
    until: date | None  # the last day on which it holds


@dataclass(frozen=True)
class Settlement:
    """What became of the findings of a settled ticket that were neither fixed nor moved."""

    accepted: tuple[AcceptedPart, ...] = ()
    gone_first: date | None = None  # of the findings that are gone: the first of them was last seen on this day …
    gone_last: date | None = None  # … and the last of them on this one


@dataclass(frozen=True)
class HistoryPoint:
    """Host numbers of the cell at one iteration, for the picture."""

    label: str
    numbers: HostNumbers


@dataclass(frozen=True)
class Source:
    """A scan on which numbers rest. Its hosts are those of the ticket's range whose newest observation is in it."""

    scanner: str
    finished_at: datetime
    hosts: int
    authenticated: int  # hosts scanned with credentials
    unknown: int  # hosts of which the scan does not say
    scan: str = ""  # its id; empty: an earlier program recorded it without

    @property
    def without(self) -> int:
        return self.hosts - self.authenticated - self.unknown


@dataclass(frozen=True)
class Proof:
    """A scan that proved findings of the ticket fixed; its hosts are those that they were on."""

    source: Source
    findings: int


@dataclass(frozen=True)
class UnscannedHost:
    name: str
    since: datetime  # when a scan covered it last


@dataclass(frozen=True)
class Unscanned:
    """Hosts of the ticket's range that no scan of the running iteration covered."""

    hosts: int = 0
    first: tuple[UnscannedHost, ...] = ()  # a few of them, those that were scanned last first


@dataclass(frozen=True)
class TicketView:
    """Everything that the text, the attachments and the JSON of one ticket show."""

    identifier: str
    title: str
    category: Category
    range: Range
    iteration: Iteration
    key: str | None
    due: date | None
    previous: Neighbour | None
    next: Neighbour | None
    then: HostNumbers  # at the ticket's iteration
    own: OwnNumbers  # now
    top: tuple[TopHost, ...]
    history: tuple[HistoryPoint, ...]  # oldest first, this iteration last
    sources: tuple[Source, ...]
    running: Iteration  # the running iteration of the range, now
    own_rows: pl.DataFrame  # REPORT: own findings with their state now
    all_rows: pl.DataFrame | None  # REPORT: all open findings of the cell at the iteration; None: frozen, leave as sent
    diff_rows: pl.DataFrame | None  # REPORT: against the last iteration; None: frozen, leave as sent
    unscanned: Unscanned = Unscanned()
    proofs: tuple[Proof, ...] = ()
    moved_from: tuple[MovedPart, ...] = ()
    moved_to: tuple[MovedPart, ...] = ()
    adopted: bool = False  # its range began with a backlog, iteration 0
    enriched: bool = False  # catalogues of exploitation are in use: the columns EXPLOITED tell something
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))  # in which times are shown
    name: str = ""  # what texts call its iteration …
    running_name: str = ""  # … and the running one; empty: by the number
    overdue: bool = False  # its due day is over, and findings are open
    settlement: Settlement = Settlement()


def timeless(view: TicketView) -> TicketView:
    """The view without what is only as of some time: seen while its own iteration runs, by scans that nobody names.

    What is rendered from it differs only if there is something to tell.
    """
    return replace(view, running=view.iteration, running_name=view.name, sources=(), unscanned=Unscanned(), proofs=())


#: Labels by which a ticket is found again: this one is on every ticket of ours, the other on one only.
LABEL, IDENTITY = "vmjira", "vm."
#: Begins the label that names the installation of vmjira to which a ticket belongs.
INSTALLATION = "vmjira-by."


def identity(identifier: str) -> str:
    """The label of the one ticket with this identifier."""
    return f"{IDENTITY}{identifier}"


def identifier(category: str, range_: str, label: str) -> str:
    return f"{category}.{range_}.{label}"


def labels(identifier: str) -> tuple[str, str]:
    """By which a ticket is found in the tracker: all of ours, and this one."""
    return LABEL, identity(identifier)


def installation_label(installation: str) -> str:
    """The label of all tickets of one installation of vmjira."""
    return f"{INSTALLATION}{installation}"


def identifiers(labels: Iterable[str]) -> tuple[str, ...]:
    """Of the tickets that an issue says to be."""
    return tuple(label.removeprefix(IDENTITY) for label in labels if label.startswith(IDENTITY))


def other_installation(labels: Iterable[str], ours: str) -> str:
    """The installation of vmjira to which an issue with these labels belongs, if that is not ours; else ""."""
    named = [label.removeprefix(INSTALLATION) for label in labels if label.startswith(INSTALLATION)]
    return "" if ours in named or not named else named[0]
