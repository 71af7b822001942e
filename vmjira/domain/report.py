"""Ledger → rows of a ticket's attachments."""

from __future__ import annotations

import polars as pl

from vmjira.domain.classify import newest
from vmjira.domain.iterations import running
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.lives import OPEN, ticket_of
from vmjira.domain.rulebook import Category
from vmjira.domain.scan_evidence import traced
from vmjira.domain.statistics import latest
from vmjira.domain.ticket import REPORT

_ORDER = [
    pl.col("severity"),
    pl.col("hostname").str.to_lowercase(),
    *map(pl.col, ("ip", "host", "vulnerability_id", "scanner", "first_seen")),
]


def own_rows(knowledge: Knowledge, category: Category, range_: str, ordinal: int) -> pl.DataFrame:
    """REPORT: what the ticket of iteration `ordinal` asks to patch, with the state now."""
    newest_round = running(knowledge.iterations).get(range_)  # none where the only scans of the range were withdrawn
    now = newest_round.ordinal if newest_round else ordinal
    own = _cell(knowledge, category, range_).filter(pl.col("first_iteration") == ordinal)
    return _report(knowledge, latest(own), category, now)


def all_rows(knowledge: Knowledge, category: Category, range_: str, k: int) -> pl.DataFrame:
    """REPORT: all open findings of the cell, seen from its running iteration `k`."""
    return _report(knowledge, _cell(knowledge, category, range_).filter(OPEN), category, k)


def diff_rows(knowledge: Knowledge, category: Category, range_: str, k: int) -> pl.DataFrame:
    """REPORT: what is new, remaining, fixed or unverified at the running iteration `k` of the cell."""
    fixed_now = (pl.col("ended_as") == "fixed") & (pl.col("ended_iteration") == k)
    rows = latest(_cell(knowledge, category, range_).filter(OPEN | fixed_now))
    return _report(knowledge, rows, category, k)


def _cell(knowledge: Knowledge, category: Category, range_: str) -> pl.DataFrame:
    return knowledge.lives.filter(pl.col("category") == category.id, pl.col("range") == range_)


def state_at(k: int) -> pl.Expr:
    """States of domain part 6, else the ending."""
    seen = pl.col("last_iteration") == k
    open_ = (
        pl.when(~seen)
        .then(pl.lit("unverified"))
        .when(pl.col("first_iteration") == k)
        .then(pl.lit("new"))
        .otherwise(pl.lit("remaining"))
    )
    return pl.coalesce(pl.col("ended_as").cast(pl.String), open_).cast(REPORT["state"])


def _report(knowledge: Knowledge, lives: pl.DataFrame, category: Category, k: int) -> pl.DataFrame:
    """REPORT rows of the lives, the most severe first, then by host and vulnerability."""
    known = knowledge.hosts.join(lives, on="host", how="semi")
    texts = knowledge.texts.drop("severity", "as_of").with_columns(cvss=pl.coalesce("cvss3", "cvss2"))
    return (
        traced(lives, known)
        .with_columns(ticket=ticket_of(lives, knowledge.iterations), state=state_at(k))
        .with_columns(category=pl.lit(category.title), fixed_at=pl.when(pl.col("ended_as") == "fixed").then("ended_at"))
        .join(newest(known).select("host", "ip", "hostname"), on="host", how="left")
        .join(texts, on=["scanner", "vulnerability_id"], how="left")
        .sort(_ORDER, descending=[True, *(False for _ in _ORDER[1:])])
        .select(*REPORT)
    )
