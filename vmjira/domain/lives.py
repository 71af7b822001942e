"""One step in the lives of findings, once it is known what was seen of each: rules 1, 2, 4 and 6 of domain part 5."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from vmjira.domain.frames import ENDINGS, LEDGER, OPENINGS, Schema, Severity, Time
from vmjira.domain.iterations import BACKLOG, NO_RANGE, ordinals, running_ordinals

#: What is known of each life now, row by row beside the ledger's; of a life that is not concerned, `at` is null.
VERDICT: Schema = {
    "at": Time,  # when its host was observed, or when the rules changed
    "k": pl.Int32(),  # the iteration of that in `to_range` …
    "own_k": pl.Int32(),  # … and in the life's own range, where it may end
    "evidence_k": pl.Int32(),  # the iteration in `to_range` of the scan that saw it last; null: before k
    "scan": pl.String(),  # `Scan.id` of that observation; null: the rules changed
    "present": pl.Boolean(),  # seen: rules 1 and 2
    "fixed": pl.Boolean(),  # absent, on sufficient evidence: rule 3
    "authenticated": pl.Boolean(),
    "to_category": pl.String(),
    "to_range": pl.String(),
    "to_severity": Severity,
    "to_ports": pl.List(pl.String()),
    "until": Time,  # an acceptance names the finding in its present cell: its end
}

_OPENED = pl.Enum(OPENINGS)
_ENDED = pl.Enum(ENDINGS)

#: A finding that no category takes, and that tells nothing bad: it has no row.
NO_ROW = pl.col("to_category").is_null() & (pl.col("to_severity") == "info")

#: The life has not ended.
OPEN = pl.col("ended_as").is_null()
_CONCERNED = pl.col("at").is_not_null() & ~pl.col("superseded")
_ACCEPTED = (pl.col("until") > pl.col("at")).fill_null(value=False)
_STILL_ACCEPTED = (pl.col("accepted_until") > pl.col("at")).fill_null(value=False)

#: What is known now puts the finding in another cell, or nowhere.
ELSEWHERE = (
    pl.col("category").ne_missing(pl.col("to_category")) | pl.col("range").ne_missing(pl.col("to_range")) | NO_ROW
)


def advance(lives: pl.DataFrame, verdict: pl.DataFrame, iterations: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """LEDGER rows as they are now, and those that begin because an older one moved, or was seen again after its end."""
    rows = lives.hstack(verdict.select(*VERDICT)).with_columns(
        fixed=_CONCERNED & OPEN & pl.col("fixed"),
        moved=_CONCERNED & OPEN & ~pl.col("fixed") & ELSEWHERE,
        back=_CONCERNED & ~OPEN & pl.col("present") & ~NO_ROW & ~_ACCEPTED & ~_STILL_ACCEPTED,
    )
    begun = rows.filter((pl.col("moved") & ~NO_ROW) | pl.col("back"))
    return _updated(rows), _successors(begun, iterations)


def end(lives: pl.DataFrame, which: pl.Expr, ending: str, *, at: datetime, iterations: pl.DataFrame) -> pl.DataFrame:
    """LEDGER where the open lives that `which` selects end `at`, in the running iterations of their ranges."""
    ends = OPEN & which
    ordinal = ordinals("range", running_ordinals(iterations))
    return lives.with_columns(
        ended_at=pl.when(ends).then(pl.lit(at, Time)).otherwise("ended_at"),
        ended_iteration=pl.when(ends).then(ordinal).otherwise("ended_iteration"),
        ended_as=pl.when(ends).then(pl.lit(ending, _ENDED)).otherwise("ended_as"),
    )


def differs(before: pl.DataFrame, after: pl.DataFrame) -> pl.Series:
    """Which lives `advance` changed; a sighting always changes `last_seen`."""
    columns = ("last_seen", "ended_as", "superseded")
    return pl.select(pl.any_horizontal([before[column].ne_missing(after[column]) for column in columns])).to_series()


def split(lives: pl.DataFrame, which: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rest, and the lives to look at: at least those that `which` selects."""
    concerned = lives.select(which).to_series()
    if concerned.sum() * 2 > lives.height:  # looking at all costs less than copying those
        return lives.clear(), lives
    return lives.filter(~concerned), lives.filter(concerned)


def ranges_in(*lives: pl.DataFrame) -> frozenset[str]:
    """The ranges of these lives, "" for none."""
    return frozenset(pl.concat([part["range"] for part in lives]).fill_null(NO_RANGE).unique())


def found(findings: pl.DataFrame) -> pl.DataFrame:
    """The first lives of findings: host, scanner, vulnerability_id and VERDICT in, LEDGER out."""
    at, k = pl.col("at"), pl.col("k")
    return findings.filter(~NO_ROW & ~_ACCEPTED).select(
        "host",
        "scanner",
        "vulnerability_id",
        category="to_category",
        range="to_range",
        severity="to_severity",
        ports="to_ports",
        first_seen=at,
        first_iteration=k,
        last_seen=at,
        last_iteration=k,
        last_authenticated="authenticated",
        last_scan="scan",
        opened_as=pl.lit("found", _OPENED),
        ended_at=pl.lit(None, Time),
        ended_iteration=pl.lit(None, pl.Int32),
        ended_as=pl.lit(None, _ENDED),
        ended_scan=pl.lit(None, pl.String),
        accepted_until=pl.lit(None, Time),
        reappeared=pl.lit(0, pl.Int32),
        previous_ticket=pl.lit(None, pl.String),
        superseded=pl.lit(value=False),
    )


def ticket_of(lives: pl.DataFrame, iterations: pl.DataFrame) -> pl.Series:
    """The identifier of the ticket that owns each life; null where it has no cell."""
    labels = iterations.select("range", "label", first_iteration="ordinal")
    named = lives.select("category", "range", "first_iteration").join(
        labels, on=["range", "first_iteration"], how="left", maintain_order="left"
    )
    return named.select(pl.format("{}.{}.{}", "category", "range", "label")).to_series()


def moved_between(lives: pl.DataFrame, iterations: pl.DataFrame) -> pl.DataFrame:
    """source, target, findings: how many findings moved from the ticket of one life to that of the next (`lives`)."""
    rows = lives.filter(
        pl.col("opened_as").is_in(["moved", "moved unverified"]), pl.col("previous_ticket").is_not_null()
    )
    finding = pl.struct("host", "scanner", "vulnerability_id")
    return (
        rows.with_columns(source="previous_ticket", target=ticket_of(rows, iterations))
        .filter(pl.col("target") != pl.col("source"))
        .group_by("source", "target")
        .agg(findings=finding.n_unique().cast(pl.Int64))
        .sort("source", "target")
    )


def _updated(rows: pl.DataFrame) -> pl.DataFrame:
    seen = _CONCERNED & OPEN & pl.col("present") & ~pl.col("moved")
    accepted = _CONCERNED & OPEN & ~pl.col("fixed") & ~pl.col("moved") & _ACCEPTED
    ends = pl.col("fixed") | pl.col("moved") | accepted
    ended_as = (
        pl.when("fixed")
        .then(pl.lit("fixed"))
        .when("moved")
        .then(pl.lit("moved"))
        .when(accepted)
        .then(pl.lit("accepted"))
    )

    def becomes(value: str | pl.Expr, old: str, when: pl.Expr) -> pl.Expr:
        return pl.when(when).then(value).otherwise(old).alias(old)

    return rows.with_columns(
        becomes("to_severity", "severity", seen),
        becomes("to_ports", "ports", seen),
        becomes(pl.max_horizontal("last_seen", "at"), "last_seen", seen),
        becomes(pl.max_horizontal("last_iteration", "k"), "last_iteration", seen),
        becomes("authenticated", "last_authenticated", seen),
        becomes("scan", "last_scan", seen),
        becomes("at", "ended_at", ends),
        becomes("own_k", "ended_iteration", ends),
        becomes(ended_as.otherwise(None).cast(_ENDED), "ended_as", ends),
        becomes("scan", "ended_scan", ends),
        becomes("until", "accepted_until", accepted),
        becomes(pl.lit(value=True), "superseded", (pl.col("moved") & ~NO_ROW) | pl.col("back")),
    ).select(*LEDGER)


def _successors(rows: pl.DataFrame, iterations: pl.DataFrame) -> pl.DataFrame:
    """The new lives of findings whose last life moved just now, or ended before and was seen again."""
    fixed_before = (pl.col("ended_as") == "fixed").fill_null(value=False)
    keeps_first = pl.col("ended_as").is_null() | pl.col("ended_as").is_in(["moved", "accepted"])
    moved = pl.col("ended_as").is_null() | (pl.col("ended_as") == "moved")
    stays_backlog = moved & (pl.col("first_iteration") == BACKLOG)
    seen = pl.col("present")
    by_edit = pl.col("scan").is_null()
    last_iteration = pl.when(seen).then("k").otherwise(pl.coalesce("evidence_k", pl.col("k") - 1))
    opened_as = (
        pl.when(fixed_before)
        .then(pl.lit("reappeared"))
        .when(pl.col("ended_as") == "gone")
        .then(pl.lit("found"))
        .when(pl.col("ended_as") == "accepted")
        .then(pl.lit("acceptance ended"))
        .when(by_edit & (last_iteration < pl.col("k")))
        .then(pl.lit("moved unverified"))
        .otherwise(pl.lit("moved"))
    )
    at_once = pl.when(_ACCEPTED)  # moved to where an acceptance names it
    return rows.with_columns(
        previous_ticket=ticket_of(rows, iterations),
        category="to_category",
        range="to_range",
        severity="to_severity",
        ports="to_ports",
        first_seen=pl.when(keeps_first).then("first_seen").otherwise("at"),
        first_iteration=pl.when(stays_backlog).then(pl.lit(BACKLOG, pl.Int32)).otherwise("k"),
        last_seen=pl.when(seen).then(pl.max_horizontal("last_seen", "at")).otherwise("last_seen"),
        last_iteration=last_iteration,
        last_authenticated=pl.when(seen).then("authenticated").otherwise("last_authenticated"),
        last_scan=pl.when(seen).then("scan").otherwise("last_scan"),
        opened_as=opened_as.cast(_OPENED),
        ended_at=at_once.then("at"),
        ended_iteration=at_once.then("k"),
        ended_as=at_once.then(pl.lit("accepted")).cast(_ENDED),
        ended_scan=at_once.then("scan"),
        accepted_until=at_once.then("until"),
        reappeared=pl.col("reappeared") + fixed_before.cast(pl.Int32),
        superseded=pl.lit(value=False),
    ).select(*LEDGER)
