"""A change of rules: everything that belongs elsewhere now moves there, at once, and its evidence moves along.

An edit observes nothing. A finding that was seen in the running iteration of its new range counts as vulnerable there
at once, and one that was unverified counts as unverified there at once (rule 4 of domain part 5).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl

from vmjira.domain import breaker
from vmjira.domain.cells import Cells
from vmjira.domain.classify import newest, ranges_of
from vmjira.domain.evidence import back_to, iterations_of, place, witnesses
from vmjira.domain.exploitation import renew
from vmjira.domain.frames import MOVES, Time
from vmjira.domain.iterations import NO_RANGE, ordinals, running_ordinals
from vmjira.domain.knowledge import Knowledge, within_ranges
from vmjira.domain.ledger import Folded
from vmjira.domain.lives import ELSEWHERE, NO_ROW, OPEN, advance, differs, ranges_in, split
from vmjira.domain.renaming import renamed, renamed_acceptances, renaming_of, touched_by
from vmjira.domain.rulebook import Rulebook

EXAMPLES = 3  #: hosts that are named of each move
_MOVING = pl.col("at").is_not_null() & ELSEWHERE
_INTO = _MOVING & ~NO_ROW & pl.col("range").ne_missing(pl.col("to_range"))  # into another range


def apply_rules(knowledge: Knowledge, rulebook: Rulebook, *, at: datetime, before: Rulebook | None = None) -> Folded:
    """The knowledge under new rules, accepted `at`. It needs all lives.

    What an alias names goes on under its new id. Acceptances that the rules `before` gave, and these do not give any
    more, hold no longer than till `at`.
    """
    at = at.astimezone(UTC)
    names = renaming_of(knowledge, rulebook)
    changed, knowledge = touched_by(knowledge.lives, names), renamed(knowledge, names)
    known = knowledge.hosts.with_columns(range=ranges_of(knowledge.hosts["ip"], rulebook))
    known = within_ranges(known, knowledge.hosts)
    now = renew(replace(knowledge, hosts=known, baseline=breaker.within(knowledge.baseline, known)))
    cells = Cells(rulebook, now.texts, newest(known))
    lives = knowledge.lives
    if before and before.acceptances:
        old = replace(before, acceptances=renamed_acceptances(before.acceptances, names))
        lives, shortened = _withdraw(lives, cells, replace(cells, rulebook=old), at=at)
        changed |= shortened
    rest, heads = split(lives, OPEN)
    rows = cells.place(_unseen(heads, known, cells, at=at))
    now, verdict, affected = _with_evidence(now, _ranges(knowledge.hosts), heads, rows, rulebook)
    running = running_ordinals(now.iterations)
    verdict = verdict.with_columns(k=ordinals("to_range", running), own_k=ordinals("range", running))
    kept, opened = advance(heads, verdict, now.iterations)
    changed |= ranges_in(heads.filter(differs(heads, kept)), opened)
    rounds = {name: running[name] for name in affected if name in running}
    after = replace(now, lives=pl.concat([rest, kept, opened]))
    return Folded(after, changed, rounds, moves=_moves(heads, rows), renaming=names)


def _with_evidence(
    now: Knowledge, before: pl.DataFrame, heads: pl.DataFrame, rows: pl.DataFrame, rulebook: Rulebook
) -> tuple[Knowledge, pl.DataFrame, set[str]]:
    """The iterations by what was seen of the hosts that are in each range now; `rows` with `evidence_k`; and the ranges
    that gained or lost hosts. `before` (host, range): where hosts were; `rows`: where `heads` (LEDGER) belong now."""
    there = _ranges(now.hosts)
    affected = _gained_or_lost(before, there) | ranges_in(rows.filter(_INTO).select(range="to_range"))
    chosen = pl.col("range").fill_null(NO_RANGE).is_in(sorted(affected))
    hosts = now.hosts.drop("range").join(there, on="host").filter(chosen).select("scan", "range", at="observed_at")
    lives = rows.select("to_range", into=_INTO, moving=_MOVING).hstack(
        heads.select("last_scan", "last_seen", "last_iteration", "ended_as")
    )
    told = witnesses(lives.select(scan="last_scan", range="to_range", at="last_seen"), now.rounds)
    seen = pl.concat([witnesses(hosts, now.rounds), told.filter(lives["into"])])
    placed = place(seen, now.iterations, now.rounds, rulebook)
    evidence = pl.when("into").then(iterations_of(told, placed.found)).when("moving").then("last_iteration")
    staying = lives.filter(~pl.col("moving"), OPEN).select(
        range=pl.col("to_range").fill_null(NO_RANGE), ordinal="last_iteration"
    )
    latest = pl.concat([placed.found.select("range", "ordinal"), staying]).filter(chosen)
    iterations = back_to(placed.iterations, latest.group_by("range").agg(pl.col("ordinal").max()))
    verdict = rows.with_columns(lives.select(evidence_k=evidence.cast(pl.Int32)))
    return replace(now, iterations=iterations, rounds=placed.rounds), verdict, affected


def _ranges(known_hosts: pl.DataFrame) -> pl.DataFrame:
    """host, range: where each host is, by its newest observation."""
    return newest(known_hosts).select("host", "range")


def _gained_or_lost(before: pl.DataFrame, now: pl.DataFrame) -> set[str]:
    """Ranges whose hosts are not those that were there before, "" for none."""
    moved = now.join(before.select("host", old="range"), on="host").filter(pl.col("range").ne_missing(pl.col("old")))
    return {*pl.concat([moved["range"], moved["old"]]).fill_null(NO_RANGE)}


def _moves(heads: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """MOVES of `heads` (LEDGER), where `rows` say, row by row, where they belong now. The largest first."""
    key = ["category", "range", "first_iteration", "to_category", "to_range"]
    return (
        heads.select("host", "first_iteration")
        .hstack(rows.select("category", "range", "to_category", "to_range"))
        .filter(rows.select(_MOVING).to_series())
        .group_by(key)
        .agg(findings=pl.len(), hosts=pl.col("host").n_unique(), examples=pl.col("host").unique().sort().head(EXAMPLES))
        .sort("findings", *key, descending=[True, *(False for _ in key)])
        .select(pl.col(name).cast(kind) for name, kind in MOVES.items())
    )


def _withdraw(lives: pl.DataFrame, now: Cells, before: Cells, *, at: datetime) -> tuple[pl.DataFrame, frozenset[str]]:
    """Shorten acceptances that the rules `before` gave and that end earlier `now`; the ranges in which any does."""
    accepted = (pl.col("ended_as") == "accepted").fill_null(value=False) & ~pl.col("superseded")
    rest, rows = lives.filter(~accepted), lives.filter(accepted)
    old, new = before.accepted_until, pl.max_horizontal(now.accepted_until, pl.lit(at, Time))
    earlier = rows.select((pl.col("accepted_until") == old) & (new < pl.col("accepted_until"))).to_series()
    shorter = pl.when(earlier).then(new).otherwise("accepted_until").alias("accepted_until")
    return pl.concat([rest, rows.with_columns(shorter)]), ranges_in(rows.filter(earlier))


def _unseen(lives: pl.DataFrame, known: pl.DataFrame, cells: Cells, *, at: datetime) -> pl.DataFrame:
    """Row by row, where the open `lives` belong now, as if their hosts were observed `at` without any finding."""
    facts = known.select("host", "scanner", *cells.columns)
    return (
        lives.select(
            *("host", "scanner", "vulnerability_id", "category", "range"),
            at=pl.when(OPEN).then(pl.lit(at, Time)),
            present=pl.lit(value=False),
            fixed=pl.lit(value=False),
            authenticated=pl.lit(None, pl.Boolean),
            scan=pl.lit(None, pl.String),
            to_severity="severity",
            to_ports="ports",
        )
        .join(facts, on=["host", "scanner"], how="left", maintain_order="left")
        .join(cells.hosts.select("host", to_range="range"), on="host", how="left", maintain_order="left")
    )
