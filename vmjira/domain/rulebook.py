"""What admins decide, as frozen values: categories, ranges, policy, acceptances, scanners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from typing import Any, Literal
from zoneinfo import ZoneInfo

Cadence = Literal["day", "week", "month", "scan"]
IdentityKind = Literal["agent_uuid", "mac", "hostname", "netbios", "ip"]
OnClose = Literal["verify", "strict", "trust"]
#: Which tickets are closed when their own findings have ended: none; those whose findings all were fixed or moved; all.
AutoClose = Literal[False, "verified", "settled"]

#: What a condition in `where` may name: columns of vulnerabilities and of their exploitation, `ports`, and these.
CONDITION_HOST_COLUMNS = ("ip", "hostname", "netbios", "os")


@dataclass(frozen=True)
class Category:
    """Findings that are repaired in the same way. First match in file order wins."""

    id: str
    title: str
    where: str  # an SQL expression for `polars.sql_expr`
    priority: str | None = None
    due: timedelta | None = None
    aliases: tuple[str, ...] = ()  # ids that it had before


@dataclass(frozen=True)
class Network:
    """Addresses from `first` to `last`, both included, of one IP version."""

    first: IPv4Address | IPv6Address
    last: IPv4Address | IPv6Address

    @property
    def size(self) -> int:
        return int(self.last) - int(self.first) + 1

    def __str__(self) -> str:
        """As people write it: one address, a network, or else a span."""
        if self.size == 1:
            return str(self.first)
        blocks = list(summarize_address_range(self.first, self.last))
        return str(blocks[0]) if len(blocks) == 1 else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class TicketRules:
    """How a ticket is made in the tracker. A range's own values are already merged over the policy's."""

    project: str = ""
    issue_type: str = "Task"
    assignee: str | None = None
    watchers: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)  # further fields; text may hold Jinja
    link_type: str = "Relates"
    transitions: Mapping[str, str] = field(default_factory=dict)  # close, reopen: wanted status by name
    transition_fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Range:
    """Named networks owned by one group of administrators."""

    id: str
    title: str
    networks: tuple[Network, ...]
    iteration: Cadence = "week"
    identity: tuple[IdentityKind, ...] = ("ip",)
    ticket: TicketRules = TicketRules()
    aliases: tuple[str, ...] = ()  # ids that it had before


@dataclass(frozen=True)
class Escalation:
    """What happens when a ticket was refuted `reopen_limit` times."""

    priority: str | None = None
    label: str | None = None
    watcher: str | None = None


@dataclass(frozen=True)
class Enrichment:
    """Where catalogues of exploitation come from: an https address or a path each; None: not used."""

    kev: str | None = None
    epss: str | None = None


@dataclass(frozen=True)
class Schedule:
    """When each job is due that belongs to no scanner: cron expressions in the policy's time zone; None: never."""

    reconcile: str | None = "*/15 * * * *"
    doctor: str | None = "0 5 * * *"
    acceptances: str | None = "30 5 * * *"
    reminders: str | None = "0 7 * * *"
    retention: str | None = "30 3 * * *"
    schedule: str | None = "*/10 * * * *"
    enrich: str | None = "0 4 * * *"
    rules: str | None = "* * * * *"


@dataclass(frozen=True)
class Reminders:
    """How long before and after the due date of an open ticket a comment says so, once each; None: never."""

    before: timedelta | None = timedelta(days=3)
    after: timedelta | None = timedelta(days=1)


@dataclass(frozen=True)
class Retention:
    """What the job `retention` may forget. Scans are never forgotten: the ledger is rebuilt from them."""

    versions: int | None = None  # of the ledger, the newest so many; None: all
    firings: timedelta = timedelta(days=30)  # what the clock did, and the queue's own record of all work


@dataclass(frozen=True)
class Hours:
    """A part of each day, by the clock on the wall; one that ends before it begins goes over midnight."""

    begin: time
    end: time

    def __str__(self) -> str:
        return f"{self.begin:%H:%M} to {self.end:%H:%M}"

    def hold(self, local: datetime) -> bool:
        clock = local.time()
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end

    def next(self, local: datetime) -> datetime:
        """When they begin next, in the zone of `local`."""
        day = local.date() if local.time() < self.begin else local.date() + timedelta(days=1)
        return datetime.combine(day, self.begin, tzinfo=local.tzinfo)


@dataclass(frozen=True)
class RescanRules:
    """How hosts of closed tickets may be scanned again."""

    enabled: bool = True
    at_most: int = 2  # running at a time, on one scanner
    hours: Hours | None = None  # in which rescans begin, in the policy's zone; None: at any time
    cooldown: timedelta = timedelta(hours=12)  # between two rescans of one host
    hosts: int = 256  # in one rescan
    give_up: timedelta = timedelta(days=3)  # a rescan that has not begun, or not ended, after so long


AdoptionMode = Literal["iteration0", "silent", "cap"]


@dataclass(frozen=True)
class Adoption:
    """Which cells of the backlog get a ticket of iteration 0: all, none, or `cap` a range."""

    mode: AdoptionMode = "iteration0"
    cap: int = 3


@dataclass(frozen=True)
class Policy:
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    title: str = "{category.title} – {range.title} – Scan {iteration.name}"
    top_hosts: int = 10
    ticket: TicketRules = TicketRules()
    on_close: OnClose = "verify"
    auto_close: AutoClose = False
    reopen_limit: int = 3
    escalation: Escalation = Escalation()
    accept_resolutions: tuple[str, ...] = ()
    accept_for: timedelta = timedelta(days=180)
    forget_after: timedelta | None = None  # None: never
    clock_tolerance: timedelta = timedelta(hours=1)  # a scan that ends later than so much from now is held
    limit_create: int = 100  # a plan that creates more is held for a person
    limit_close: int = 500
    limit_move: int = 500  # a change of rules that takes open findings out of more tickets is held for a person
    breaker: float = 0.2  # a scan that loses more of a range's hosts or findings is held for a person
    calls_per_second: float = 8.0  # to the tracker, by one process
    enrichment: Enrichment = Enrichment()
    schedule: Schedule = Schedule()
    reminders: Reminders = Reminders()
    retention: Retention = Retention()
    rescan: RescanRules = RescanRules()
    adoption: Adoption = Adoption()


@dataclass(frozen=True)
class Acceptance:
    """An entry of acceptances.yaml. Every scope that is given must match; it holds to the end of the day `until`."""

    reason: str
    approver: str
    until: date
    category: str | None = None
    range: str | None = None
    host: str | None = None  # key, address or host name
    network: Network | None = None
    vulnerability: str | None = None  # vulnerability id, or a CVE


@dataclass(frozen=True)
class Scanner:
    """Where scans come from; `options` are the connector's own, secrets not yet resolved."""

    id: str
    type: str
    fetch: str | None = None  # cron expression
    expect: timedelta | None = None  # at least so often a scan comes; None: judged by what came before
    timezone: ZoneInfo | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rulebook:
    categories: tuple[Category, ...] = ()
    ranges: tuple[Range, ...] = ()
    policy: Policy = Policy()
    acceptances: tuple[Acceptance, ...] = ()
    scanners: tuple[Scanner, ...] = ()
    digest: str = ""  # SHA-256 over the files; the same rules, the same digest
    files: Mapping[str, str] = field(default_factory=dict)  # name → text, to keep what was in force when

    def category(self, id: str) -> Category | None:
        return next((category for category in self.categories if category.id == id), None)

    def range(self, id: str) -> Range | None:
        return next((range_ for range_ in self.ranges if range_.id == id), None)
