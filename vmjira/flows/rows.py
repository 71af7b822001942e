"""What the store keeps, row by row, as flows see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

OperationState = Literal["held", "waiting", "queued", "done", "refused", "dropped"]


@dataclass(frozen=True)
class OperationRow:
    """One planned change, why, and what became of it."""

    id: str
    operation: str  # those of `domain.operation.Kind`, and `flows.repairs`
    identifier: str
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)
    state: OperationState = "queued"
    plan: str = ""  # id of the plan it came with
    planned_at: datetime | None = None
    started_at: datetime | None = None  # set before the first call to the tracker
    ended_at: datetime | None = None
    attempts: int = 0
    answer: str = ""  # the tracker's own words, or what was done


@dataclass(frozen=True)
class AttachmentRow:
    identifier: str
    name: str
    attachment_id: str
    digest: str  # as in `tracking.File`
    size: int


#: Only a folded scan counts for anything.
ScanState = Literal["folded", "held", "dropped", "withdrawn"]


@dataclass(frozen=True)
class ScanRow:
    id: int
    digest: str
    scanner: str
    format: str
    name: str  # of the file
    path: str  # folder of its frames in the data store
    started_at: datetime | None
    finished_at: datetime
    hosts: int
    findings: int
    records: int
    records_by_severity: Mapping[str, int]
    warnings: tuple[str, ...]
    unreadable: int
    rescan: bool
    folded_at: datetime | None  # of one that is not folded: when it came in
    state: ScanState = "folded"
    note: str = ""  # who decided so, when and why


@dataclass(frozen=True)
class RulesRow:
    digest: str
    files: Mapping[str, str]
    since: datetime


#: By file name, who changed it last and when: {"who", "at", "from"}; "from" is "git" or "file".
Editors = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class RulesPeriod:
    """A time in which a rule set was in force: `since` then, until that of the next."""

    digest: str
    since: datetime
    how: str  # it came into force, in words
    released_by: str  # "" if nobody had to
    editors: Editors  # of the files that differ from those before


@dataclass(frozen=True)
class OfferedRules:
    """A valid rule set that waits for a person, or did: exactly what a release puts in force."""

    digest: str
    files: Mapping[str, str]
    offered_at: datetime
    editors: Editors


@dataclass(frozen=True)
class EnrichmentRow:
    """One version of the catalogues of exploitation; kept as long as an event of the ledger refers to it."""

    digest: str  # over the digests of its catalogues: the same files, the same version
    path: str  # of its CVES frame in the data store
    taken_at: datetime
    catalogues: Mapping[str, Mapping[str, Any]]  # kev, epss → digest, source, edition, cves (how many it names)


@dataclass(frozen=True)
class EventRow:
    """What changed the ledger, in order; replaying them rebuilds it."""

    version: int  # of the ledger after it
    kind: Literal["scan", "adopt", "rules", "accept", "unaccept", "gone", "withdraw", "restore"]
    scan: int | None  # of the kind `scan`
    rules: str  # digest of the rules in force
    #: When it was done, by our clock; None of scans folded by older programs. Of an acceptance: when the tracker says.
    at: datetime | None = None
    #: Of an acceptance: category, range, ordinal, until; `before`, if it was learned late: the version it comes before.
    #: Of an adoption: scans, their digests in order. Of hosts that are gone: range, as_of. Of a withdrawal: scan (id).
    details: Mapping[str, Any] = field(default_factory=dict)
    enrichment: str | None = None  # digest of the newest catalogues of exploitation when it happened


DeliveryState = Literal["queued", "done", "ignored", "failed"]


@dataclass(frozen=True)
class DeliveryRow:
    """A webhook as it came in, byte for byte, and what became of it."""

    id: str  # the delivery's own, or a digest of its body and time: the same event twice is the same row
    received_at: datetime
    headers: Mapping[str, str]  # without the signature
    body: bytes
    issue: str = ""  # id of the issue (else its key): events of one issue are handled in order
    state: DeliveryState = "queued"
    answer: str = ""  # what was decided and why, in words
    decided_at: datetime | None = None
    attempts: int = 0


@dataclass(frozen=True)
class AcceptanceRow:
    """A ticket closed with a resolution that accepts the risk of its own findings."""

    id: str
    identifier: str
    reason: str
    accepted_by: str
    accepted_at: datetime
    accepted_until: datetime
    ended_at: datetime | None = None  # ended before its time: the ticket was reopened


@dataclass(frozen=True)
class Mark:
    """Something of which only the last time counts, e.g. the last successful reconciliation."""

    name: str
    at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)


FiringState = Literal["queued", "done", "failed", "coalesced"]


@dataclass(frozen=True)
class FiringRow:
    """A moment at which a job was due, and what became of it."""

    job: str
    due: datetime
    state: FiringState = "queued"  # coalesced: an earlier firing of the job had not begun yet, and stands for this one
    words: str = ""  # what was done, or why not yet
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0


@dataclass(frozen=True)
class TakenRow:
    """A scan that was taken from a scanner."""

    scanner: str  # id in the rules
    remote: str  # its id in the scanner
    name: str
    digest: str  # of its content as in `ScanRow`; blanks between those of several scans in one file
    outcome: Literal["folded", "known", "refused", "held"]
    words: str  # why it was refused, or is held; what is doubtful about it
    finished_at: datetime | None
    taken_at: datetime
    settled: bool = False  # the source knows that it was taken


@dataclass(frozen=True)
class Tally:
    """How much there is of what: for monitoring."""

    deliveries: Mapping[str, int]  # by state
    operations: Mapping[tuple[str, str], int]  # by kind and state
    tickets: Mapping[str, int]  # by status category; "waiting": not made yet, "deleted"
    endings: Mapping[str, int]  # tickets whose own findings are open, settled (not all fixed), verified; "deleted"
    findings: Mapping[tuple[str, str], int]  # own findings of tickets, by range and state
    hosts: Mapping[tuple[str, str], int]  # in the newest iteration of each cell, by range and state
    queues: Mapping[str, int]  # how much waits, by queue
    firings: Mapping[tuple[str, str], int]  # by job and state
    rescans: Mapping[tuple[str, str], int]  # runs by scanner and state
    rescan_hosts: Mapping[tuple[str, str], int]  # hosts of closed tickets by scanner and state
    rescans_wait: Mapping[str, datetime]  # since when the oldest of those that wait does, by scanner


@dataclass(frozen=True)
class SlotRow:
    """A worker's place: see `vmjira.slots`."""

    slot: int
    host: str
    pid: int
    beat_at: datetime
