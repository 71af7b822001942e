"""Every table of ours. Columns are named, and stand in the order, of the rows in `flows.rows`.

DBOS keeps its own tables in the same database; none of ours has the name of one of those.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
)

from vmjira.store.columns import BigCounter, UtcTime, Words

#: Where Alembic keeps the revision of the database.
VERSION_TABLE = "vmjira_version"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Rule books that were ever in force. The one with the highest `sequence` is in force.
rules = Table(
    "rules",
    metadata,
    Column("digest", Words, primary_key=True),
    Column("files", JSON, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("sequence", BigInteger, nullable=False, unique=True),
)

#: When each was in force: a period ends where the next begins.
rule_periods = Table(
    "rule_periods",
    metadata,
    Column("number", BigCounter, primary_key=True),
    Column("digest", ForeignKey("rules.digest"), nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("how", Words, nullable=False),
    Column("released_by", Words, nullable=False),
    Column("editors", JSON, nullable=False),
)

#: Rule books that waited for a person, byte for byte.
offered_rules = Table(
    "offered_rules",
    metadata,
    Column("digest", Words, primary_key=True),
    Column("files", JSON, nullable=False),
    Column("offered_at", UtcTime, nullable=False),
    Column("editors", JSON, nullable=False),
)

scans = Table(
    "scans",
    metadata,
    Column("id", BigCounter, primary_key=True),
    Column("digest", Words, nullable=False, unique=True),
    Column("scanner", Words, nullable=False),
    Column("format", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("path", Words, nullable=False),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime, nullable=False),
    Column("hosts", BigInteger, nullable=False),
    Column("findings", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("records_by_severity", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("unreadable", BigInteger, nullable=False),
    Column("rescan", Boolean, nullable=False),
    Column("folded_at", UtcTime),
    Column("state", Words, nullable=False),
    Column("note", Words, nullable=False),
)

#: Versions of the catalogues of exploitation. The one with the highest `sequence` is the newest.
enrichments = Table(
    "enrichments",
    metadata,
    Column("digest", Words, primary_key=True),
    Column("path", Words, nullable=False),
    Column("taken_at", UtcTime, nullable=False),
    Column("catalogues", JSON, nullable=False),
    Column("sequence", BigInteger, nullable=False, unique=True),
)

#: One row per version of the ledger: its primary key is the compare-and-swap of `Unit.move_ledger`.
ledger_versions = Table(
    "ledger_versions",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Words, nullable=False),
    Column("scan", ForeignKey("scans.id")),
    Column("rules", ForeignKey("rules.digest"), nullable=False),
    Column("at", UtcTime),
    Column("details", JSON, nullable=False),
    Column("enrichment", Words),  # no foreign key: SQLite cannot add one to a table that is there
    Column("pruned", Boolean, nullable=False),  # its parts may be gone: only replaying shows this version again
)

#: Only what changed: the path of a part at version v is the one with the newest version up to v.
ledger_parts = Table(
    "ledger_parts",
    metadata,
    Column("version", ForeignKey("ledger_versions.version"), primary_key=True),
    Column("name", Words, primary_key=True),
    Column("path", Words, nullable=False),
)

cell_numbers = Table(
    "cell_numbers",
    metadata,
    Column("category", Words, primary_key=True),
    Column("range", Words, primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("label", Words, nullable=False),
    Column("numbers", JSON, nullable=False),
    Column("top", JSON, nullable=False),
    Column("digest", Words, nullable=False),
)

tickets = Table(
    "tickets",
    metadata,
    Column("identifier", Words, primary_key=True),
    Column("category", Words, nullable=False),
    Column("range", Words, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("label", Words, nullable=False),
    Column("number", Integer, nullable=False),
    Column("title", Words, nullable=False),
    Column("ledger", BigInteger, nullable=False),
    Column("key", Words, unique=True),
    Column("issue_id", Words),
    Column("closed_at", UtcTime),
    Column("closing", Words, nullable=False),
    Column("reopened", Integer, nullable=False),
    Column("noted", Integer, nullable=False),
    Column("status", Words),
    Column("status_category", Words),
    Column("gone", Boolean, nullable=False),
    Column("due", Date),
    Column("sent_ledger", BigInteger, nullable=False),
    Column("own", JSON, nullable=False),
    Column("facts", Words, nullable=False),
    Column("shown", Words, nullable=False),
    Column("description", Words, nullable=False),
    Column("described", Words, nullable=False),
    Column("created_at", UtcTime),
    Column("answer", Words, nullable=False),
    Column("former", JSON, nullable=False),
    Column("fields", JSON, nullable=False),
    Column("told", Words, nullable=False),
    Column("name", Words, nullable=False),
)

#: From which ticket to which findings moved. No foreign keys: either may have had nothing open, and so never been made.
moved = Table(
    "moved",
    metadata,
    Column("source", Words, primary_key=True),
    Column("target", Words, primary_key=True, index=True),
    Column("findings", BigInteger, nullable=False),
)

attachments = Table(
    "attachments",
    metadata,
    Column("identifier", ForeignKey("tickets.identifier"), primary_key=True),
    Column("name", Words, nullable=False),
    Column("attachment_id", Words, primary_key=True),
    Column("digest", Words, nullable=False),
    Column("size", BigInteger, nullable=False),
)

#: No foreign key to tickets: an operation may be planned, or held, before its ticket exists.
operations = Table(
    "operations",
    metadata,
    Column("id", Words, nullable=False, unique=True),
    Column("operation", Words, nullable=False),
    Column("identifier", Words, nullable=False, index=True),
    Column("reason", Words, nullable=False),
    Column("details", JSON, nullable=False),
    Column("state", Words, nullable=False, index=True),
    Column("plan", Words, nullable=False),
    Column("planned_at", UtcTime),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("attempts", Integer, nullable=False),
    Column("answer", Words, nullable=False),
    Column("sequence", BigCounter, primary_key=True),  # the order in which they were planned
)

#: Webhooks as they came in, byte for byte, so that the signature can be checked again.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Words, primary_key=True),
    Column("received_at", UtcTime, nullable=False, index=True),
    Column("headers", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("issue", Words, nullable=False, index=True),
    Column("state", Words, nullable=False, index=True),
    Column("answer", Words, nullable=False),
    Column("decided_at", UtcTime),
    Column("attempts", Integer, nullable=False),
)

#: Risk acceptances of tickets: of their own findings that were open at that moment.
acceptances = Table(
    "acceptances",
    metadata,
    Column("id", Words, primary_key=True),
    Column("identifier", Words, nullable=False, index=True),
    Column("reason", Words, nullable=False),
    Column("accepted_by", Words, nullable=False),
    Column("accepted_at", UtcTime, nullable=False),
    Column("accepted_until", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
)

#: What people did to operations: who retried, dropped or released one, and when.
audit = Table(
    "audit",
    metadata,
    Column("at", UtcTime, nullable=False),
    Column("actor", Words, nullable=False),
    Column("via", Words, nullable=False),
    Column("action", Words, nullable=False),
    Column("operation", Words, nullable=False, index=True),
    Column("sequence", BigCounter, primary_key=True),
)

#: Runs of scanners over hosts of closed tickets.
rescans = Table(
    "rescans",
    metadata,
    Column("id", BigCounter, primary_key=True),
    Column("scanner", Words, nullable=False),
    Column("hosts", JSON, nullable=False),
    Column("tickets", JSON, nullable=False),
    Column("state", Words, nullable=False, index=True),
    Column("asked_at", UtcTime, nullable=False),
    Column("launched_at", UtcTime, nullable=False),
    Column("remote", Words, nullable=False),
    Column("ended_at", UtcTime),
    Column("words", Words, nullable=False),
    Column("faulty_since", UtcTime),
    Column("again_at", UtcTime),
)

#: Hosts that closed tickets ask for.
rescan_requests = Table(
    "rescan_requests",
    metadata,
    Column("id", BigCounter, primary_key=True),
    Column("identifier", Words, nullable=False, index=True),
    Column("host", Words, nullable=False),
    Column("product", Words, nullable=False),
    Column("address", Words, nullable=False),
    Column("scanner", Words, nullable=False),
    Column("part", Words, nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("state", Words, nullable=False, index=True),
    Column("rescan", ForeignKey("rescans.id")),
    Column("words", Words, nullable=False),
)

#: Of each name only the last time counts.
marks = Table(
    "marks",
    metadata,
    Column("name", Words, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("details", JSON, nullable=False),
)

#: When each job was due, and what became of it: nothing is done for a due time that has no row.
firings = Table(
    "firings",
    metadata,
    Column("job", Words, primary_key=True),
    Column("due", UtcTime, primary_key=True),
    Column("state", Words, nullable=False, index=True),
    Column("words", Words, nullable=False),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("attempts", Integer, nullable=False),
)

#: Scans that were taken from a scanner, by its own id for them. `digest`: as in `scans`, with blanks between several.
taken = Table(
    "taken",
    metadata,
    Column("scanner", Words, primary_key=True),
    Column("remote", Words, primary_key=True),
    Column("name", Words, nullable=False),
    Column("digest", Words, nullable=False),
    Column("outcome", Words, nullable=False),
    Column("words", Words, nullable=False),
    Column("finished_at", UtcTime),
    Column("taken_at", UtcTime, nullable=False),
    Column("settled", Boolean, nullable=False),
)

worker_slots = Table(
    "worker_slots",
    metadata,
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("host", Words, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("beat_at", UtcTime, nullable=False),
)

Index("ix_tickets_cell", tickets.c.category, tickets.c.range, tickets.c.ordinal)
