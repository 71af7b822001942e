"""The columns of every frame, in one place, checked at every edge.

All times are UTC with microseconds. `null` in a Boolean means: the scanner does not say.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

SEVERITIES = ("info", "low", "medium", "high", "critical")
Severity = pl.Enum(SEVERITIES)
Time = pl.Datetime("us", "UTC")

ENDINGS = ("fixed", "moved", "gone", "accepted")
#: "moved unverified": an edit of the rules moved it while no scan of the running iteration had seen it.
OPENINGS = ("found", "reappeared", "moved", "moved unverified", "acceptance ended")

Schema = dict[str, pl.DataType]

#: Hosts of one scan. `host` is a reference inside the scan, until `classify.identify` makes it the host's key.
HOSTS: Schema = {
    "host": pl.String(),
    "ip": pl.String(),  # canonical text of one address, or null
    "hostname": pl.String(),
    "netbios": pl.String(),
    "mac": pl.String(),
    "agent_uuid": pl.String(),
    "os": pl.String(),
    "scanned_at": Time,  # when the scanner finished with this host; never null
    "authenticated": pl.Boolean(),
    "complete": pl.Boolean(),
}

#: Checks of one scan that found something, one row each: text that the scanner repeats for every host, kept once.
VULNERABILITIES: Schema = {
    "scanner": pl.String(),
    "vulnerability_id": pl.String(),
    "title": pl.String(),
    "family": pl.String(),
    "severity": Severity,
    "cvss2": pl.Float64(),
    "cvss3": pl.Float64(),
    "cves": pl.List(pl.String()),
    "exploit_available": pl.Boolean(),
    "exploits": pl.List(pl.String()),
    "solution": pl.String(),
    "description": pl.String(),
    "synopsis": pl.String(),
    "published": pl.Date(),
    "patch_published": pl.Date(),
    "references": pl.List(pl.String()),
}

#: Findings of one scan: one row per host × vulnerability, ports merged. `host` as in HOSTS of the same scan.
FINDINGS: Schema = {
    "host": pl.String(),
    "scanner": pl.String(),
    "vulnerability_id": pl.String(),
    "ports": pl.List(pl.String()),  # sorted, distinct, e.g. "443/tcp"; [] when the finding has no port
    "severity": Severity,  # the highest among its ports
    "output": pl.String(),
}

#: Checks that the scanner reports as not made on a host (skipped, failed, unknown).
UNMADE: Schema = {"host": pl.String(), "vulnerability_id": pl.String()}

#: The ledger: one row per life of a finding. Iterations are ordinals, named in ITERATIONS; they compare within a range.
LEDGER: Schema = {
    "host": pl.String(),
    "scanner": pl.String(),
    "vulnerability_id": pl.String(),
    "category": pl.String(),  # null: no category takes it
    "range": pl.String(),  # null: no range owns the host
    "severity": Severity,
    "ports": pl.List(pl.String()),
    "first_seen": Time,
    "first_iteration": pl.Int32(),  # 0 (`iterations.BACKLOG`): recorded by an adoption, never gets a ticket
    "last_seen": Time,
    "last_iteration": pl.Int32(),
    "last_authenticated": pl.Boolean(),
    "last_scan": pl.String(),  # `Scan.id` of the scan that saw it last; null: an earlier program did not keep it
    "opened_as": pl.Enum(OPENINGS),
    "ended_at": Time,
    "ended_iteration": pl.Int32(),
    "ended_as": pl.Enum(ENDINGS),  # null: open
    "ended_scan": pl.String(),  # `Scan.id` of the scan that ended it; null: something else did
    "accepted_until": Time,  # of a life that ended as accepted
    "reappeared": pl.Int32(),
    "previous_ticket": pl.String(),  # identifier of the ticket of the life before
    "superseded": pl.Boolean(),  # a later life of the same finding exists
}

#: What is known of each host, by scanner: its newest observation.
KNOWN_HOSTS: Schema = {
    "host": pl.String(),
    "scanner": pl.String(),
    "range": pl.String(),
    "ip": pl.String(),
    "hostname": pl.String(),
    "netbios": pl.String(),
    "mac": pl.String(),
    "agent_uuid": pl.String(),
    "os": pl.String(),
    "observed_at": Time,
    "authenticated": pl.Boolean(),
    "complete": pl.Boolean(),
    "scan": pl.String(),  # `Scan.id` of that observation; null: an earlier program did not keep it
    "ranges": pl.List(pl.String()),  # every range that ever held lives of the host, "" for none
    "gone": pl.Boolean(),  # its open lives ended as gone, and nobody observed it since
}

#: The catalogue: VULNERABILITIES of all scans, newest text wins.
CATALOGUE: Schema = VULNERABILITIES | {"as_of": Time}

#: What catalogues outside of the scanners tell of exploitation: the columns that conditions may name.
EXPLOITED: Schema = {
    "kev": pl.Boolean(),  # listed as known to be exploited; null: no such list is known
    "kev_due": pl.Date(),  # the day by which the list wants it repaired, the earliest of several
    "epss": pl.Float64(),  # probability (0 to 1) that it is exploited in the next 30 days, the highest of several
}

#: One version of those catalogues: one row per CVE, in capitals. `kev` is null in all rows, or in none.
CVES: Schema = {"cve": pl.String()} | EXPLOITED

#: What of them is in use for each vulnerability of the catalogue; no row: nothing is known of it.
EXPLOITATION: Schema = {"scanner": pl.String(), "vulnerability_id": pl.String()} | EXPLOITED

#: Iterations of each range ("" for hosts in no range). `ordinal` grows with time, `label` is what people read.
ITERATIONS: Schema = {
    "range": pl.String(),
    "ordinal": pl.Int32(),
    "label": pl.String(),
    "number": pl.Int32(),  # what a title shows: day of the year, week, month, running number
    "begun": pl.Boolean(),  # false: an edit of the rules took away every host that was observed in it
}

#: The iteration that each scan belongs to, in each range of which it observed a host ("" for hosts in no range).
ROUNDS: Schema = {
    "scan": pl.String(),  # `Scan.id`
    "range": pl.String(),
    "ordinal": pl.Int32(),
    "ended_at": Time,  # the end of the scan
    "joins": pl.Boolean(),  # it joined the iteration that was running, as a rescan does
}

#: What the circuit breaker compares with: by host and scanner, how much was found there.
BASELINE: Schema = {
    "host": pl.String(),
    "scanner": pl.String(),
    "range": pl.String(),
    "round": pl.Int32(),  # ordinal of the round in which the scanner was last believed; null: not yet in this range
    "findings": pl.UInt32(),  # that it had then, informational ones too; null: not yet
    "pending": pl.UInt32(),  # that its newest observation has, if that is not believed; else null
}


#: What a change of rules moves: open findings, from where they belonged to where they belong.
MOVES: Schema = {
    "category": pl.String(),
    "range": pl.String(),
    "first_iteration": pl.Int32(),  # with the two above: the ticket they leave
    "to_category": pl.String(),
    "to_range": pl.String(),
    "findings": pl.UInt32(),
    "hosts": pl.UInt32(),
    "examples": pl.List(pl.String()),  # keys of a few of these hosts
}


def empty(schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)


def check(frame: pl.DataFrame | pl.LazyFrame, schema: Schema, name: str) -> None:
    """Raise TypeError unless `frame` has exactly the columns of `schema`, in order. A fault of ours, never a user's."""
    found = dict(frame.collect_schema())
    if found != schema or list(found) != list(schema):
        wrong = {column: found.get(column) for column in {*found, *schema} if found.get(column) != schema.get(column)}
        raise TypeError(f"{name}: columns differ from the schema (or their order does): {wrong}")


@dataclass(frozen=True)
class Scan:
    """One result set of one scanner, as observed.

    `findings` is lazy: it usually lies in Parquet on disk, because `output` is large. All else fits in memory.
    """

    scanner: str  # the product whose checks these are: nessus, nexpose, gvm, qualys, …
    format: str  # how it was written: the registry's name of the format
    digest: str  # SHA-256 of the content, or "scanner:scan id:history id" of an API: the scan's identity
    started_at: datetime | None
    finished_at: datetime  # the end of the scan, aware
    hosts: pl.DataFrame  # HOSTS
    vulnerabilities: pl.DataFrame  # VULNERABILITIES
    findings: pl.LazyFrame  # FINDINGS
    unmade: pl.DataFrame  # UNMADE
    checks: frozenset[str] = frozenset()  # enabled checks; empty: the scanner does not tell
    records: int = 0  # result records as written in the file
    records_by_severity: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    unreadable: int = 0  # records that could not be read; more than 0: this scan fixes nothing
    rescan: bool = False  # run with other targets than its own: joins the running iteration

    @property
    def id(self) -> str:
        """Its name in the ledger, in reports and for people: 12 hexadecimal characters that follow from its digest."""
        return scan_id(self.digest)


def scan_id(digest: str) -> str:
    """The name of the scan with that digest, which itself may be long, or hold what a scanner calls its scans."""
    return hashlib.sha256(digest.encode()).hexdigest()[:12]
