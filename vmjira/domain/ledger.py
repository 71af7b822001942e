"""Ledger + scan → ledger: every life of every finding, by the rules of domain part 5."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

import polars as pl

from vmjira.domain import breaker
from vmjira.domain.breaker import Trip, Vanished
from vmjira.domain.cells import Cells
from vmjira.domain.classify import identify, merge, newest
from vmjira.domain.exploitation import renew
from vmjira.domain.frames import MOVES, ROUNDS, Scan, empty
from vmjira.domain.iterations import NO_RANGE, assign, ordinals, running_ordinals
from vmjira.domain.knowledge import Knowledge, learn, lost, newer, remember
from vmjira.domain.lives import OPEN, advance, differs, end, found, ranges_in, split
from vmjira.domain.observation import Observation, observe
from vmjira.domain.renaming import Renaming
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import Iteration

_PIECE = 1_000_000  # lives looked at in one go: bounds the memory that a fold needs beside its input and its result


@dataclass(frozen=True)
class Folded:
    """What a scan, or new rules, made of the knowledge."""

    knowledge: Knowledge
    changed: frozenset[str]  # ranges whose lives differ from before, "" for none
    rounds: Mapping[str, int]  # range → ordinal of the iteration that the scan belongs to there
    skipped: frozenset[str] = frozenset()  # hosts of which the same scanner told something as new, or newer, before
    unidentified: int = 0  # hosts of the scan with nothing that identifies them in their range; not folded
    trips: tuple[Trip, ...] = ()  # ranges of which the scan lost so much that it is not believed there
    healed: frozenset[str] = frozenset()  # ranges of which it has again what an earlier one had lost
    moves: pl.DataFrame = field(default_factory=partial(empty, MOVES))  # what new rules moved
    vanished: tuple[Vanished, ...] = ()  # ranges of which so many hosts would be gone that none is
    renaming: Renaming = field(default_factory=Renaming)  # what new rules call by another id


@dataclass(frozen=True)
class Circumstances:
    """Under which a scan is folded."""

    now: datetime | None = None  # the clock; None: the end of the scan, as older programs did
    joins: bool = False  # it joins the running iteration, as a rescan does, whatever the cadence
    taken: Mapping[str, Iteration] = field(default_factory=dict)  # by range: up to these, running numbers are used

    def latest(self, scan: Scan) -> datetime:
        """The end of the scan, but never later than now: no host is missed before its time."""
        end = scan.finished_at.astimezone(UTC)
        return end if self.now is None else min(end, self.now.astimezone(UTC))


#: As older programs folded.
BY_ITS_END = Circumstances()


def touched(
    known_hosts: pl.DataFrame, scan: Scan, rulebook: Rulebook, circumstances: Circumstances = BY_ITS_END
) -> set[str]:
    """The ranges ("" for none) whose lives `fold` needs or may change."""
    hosts = merge(identify(scan, rulebook))
    known = known_hosts.join(hosts, on="host", how="semi")
    gone = lost(known_hosts, rulebook.policy.forget_after, at=circumstances.latest(scan))
    forgotten = known_hosts.filter(pl.col("host").is_in(gone.implode()))
    before = pl.concat([known, forgotten])["ranges"].explode().drop_nulls()
    return {*hosts["range"].fill_null(NO_RANGE), *known["range"].fill_null(NO_RANGE), *before}


def fold(knowledge: Knowledge, scan: Scan, rulebook: Rulebook, circumstances: Circumstances = BY_ITS_END) -> Folded:
    """The knowledge after the scan. The same scan once more changes nothing."""
    at = scan.finished_at.astimezone(UTC)
    identified = identify(scan, rulebook)
    merged = merge(identified)
    hosts = newer(merged, knowledge.hosts, scan.scanner)
    known = remember(knowledge.hosts, hosts, scan.scanner, scan.id)
    summary = newest(known.join(hosts, on="host", how="semi"))
    owners = summary["range"].fill_null(NO_RANGE).unique()
    rescan = scan.rescan or circumstances.joins
    iterations, rounds = assign(knowledge.iterations, owners, rulebook, at=at, rescan=rescan, taken=circumstances.taken)
    catalogue = learn(knowledge.vulnerabilities, scan.vulnerabilities, as_of=at)
    took = rounds_of(scan, rounds, joins=rescan)
    now = replace(knowledge, hosts=known, vulnerabilities=catalogue, iterations=iterations)
    now = renew(replace(now, rounds=pl.concat([now.rounds, took])))
    observed = observe(scan, identified, _facts(hosts, summary, rounds))
    now, trips, healed = _guard(now, scan, breaker.found(merged, observed.counts()), rounds, rulebook)
    observed = replace(observed, doubted=frozenset(trip.range for trip in trips))
    seen, changed = _observe(now, observed, Cells(rulebook, now.texts, summary), rounds)
    after, gone, vanished = _forget(seen, rulebook, at=circumstances.latest(scan))
    skipped = frozenset(merged["host"]) - frozenset(hosts["host"])
    unidentified = identified["key"].null_count()
    return Folded(after, changed | gone, rounds, skipped, unidentified, trips, healed, vanished=vanished)


def rounds_of(scan: Scan, rounds: Mapping[str, int], *, joins: bool) -> pl.DataFrame:
    """ROUNDS of a scan that belongs to these iterations, by range."""
    rows = [(scan.id, name, ordinal, scan.finished_at.astimezone(UTC), joins) for name, ordinal in rounds.items()]
    return pl.DataFrame(rows, schema=ROUNDS, orient="row")


def _facts(hosts: pl.DataFrame, summary: pl.DataFrame, rounds: Mapping[str, int]) -> pl.DataFrame:
    """The merged `hosts` of a scan with the range and the iteration that their findings belong to."""
    there = summary.select("host", to_range="range")
    return hosts.drop("range").join(there, on="host").with_columns(at="scanned_at", k=ordinals("to_range", rounds))


def _guard(
    now: Knowledge, scan: Scan, seen: pl.DataFrame, rounds: Mapping[str, int], rulebook: Rulebook
) -> tuple[Knowledge, tuple[Trip, ...], frozenset[str]]:
    """The knowledge with the scan's numbers in its baseline, where the breaker trips, and where it does no more."""
    share, scanner = rulebook.policy.breaker, scan.scanner
    doubted = breaker.in_doubt(now.baseline, scanner)
    trips = breaker.tripped(now.baseline, seen, rounds, scanner=scanner, share=share)
    if scan.rescan and scan.hosts.height <= rulebook.policy.rescan.hosts:
        trips = [trip for trip in trips if trip.range in doubted | breaker.untold(seen)]
        seen = seen.filter(pl.col("authenticated").fill_null(value=True))  # else it says nothing of what is normal
    after = breaker.remember(now.baseline, seen, rounds, scanner=scanner, trips=trips)
    healed = doubted & rounds.keys() - {trip.range for trip in trips}
    return replace(now, baseline=after), tuple(trips), frozenset(healed)


def believe(knowledge: Knowledge, scan: Scan, rulebook: Rulebook, ranges: Collection[str]) -> Folded:
    """The knowledge when a scan that was folded before, but not believed in these ranges, counts there after all.

    Only where it is still the scanner's newest word: what it did not find, and all else proves fixed, ends.
    """
    pending = knowledge.baseline.filter(
        pl.col("scanner") == scan.scanner, pl.col("range").is_in(sorted(ranges)), pl.col("pending").is_not_null()
    )
    identified = identify(scan, rulebook)
    word = knowledge.hosts.filter(pl.col("scanner") == scan.scanner).select("host", scanned_at="observed_at")
    hosts = merge(identified).join(pending, on="host", how="semi").join(word, on=["host", "scanned_at"], how="semi")
    running = running_ordinals(knowledge.iterations)
    summary = newest(knowledge.hosts.join(hosts, on="host", how="semi"))
    observed = observe(scan, identified, _facts(hosts, summary, running))
    cells = Cells(rulebook, knowledge.texts, summary)
    rest, heads = split(knowledge.lives, pl.col("host").is_in(hosts["host"].implode()) & OPEN)
    rows = cells.place(observed.compare(heads, observed.match(heads), cells.columns))
    only_fixed = pl.when("fixed").then("at").alias("at")
    kept, _ = advance(heads, rows.with_columns(only_fixed, own_k=ordinals("range", running)), knowledge.iterations)
    after = breaker.believe(knowledge.baseline, hosts, scan.scanner, running)
    rounds = {name: running[name] for name in {*hosts["range"].drop_nulls()} if name in running}
    lives = pl.concat([rest, kept])
    return Folded(
        replace(knowledge, lives=lives, baseline=after), ranges_in(heads.filter(differs(heads, kept))), rounds
    )


def _observe(
    now: Knowledge, observed: Observation, cells: Cells, rounds: Mapping[str, int]
) -> tuple[Knowledge, frozenset[str]]:
    """The knowledge after the observation, and the ranges in which any life differs."""
    rest, heads = split(now.lives, pl.col("host").is_in(observed.hosts["host"].implode()) & ~pl.col("superseded"))
    matched = observed.match(heads)
    own = running_ordinals(now.iterations) | dict(rounds)
    to_category = pl.when("ours").then("to_category").otherwise("category").alias("to_category")
    new = found(cells.place(observed.news(matched, cells.columns)))
    parts, changed = [rest, new], ranges_in(new)
    for start in range(0, heads.height, _PIECE):
        piece = heads[start : start + _PIECE]
        rows = cells.place(observed.compare(piece, matched[start : start + _PIECE], cells.columns))
        kept, begun = advance(piece, rows.with_columns(to_category, own_k=ordinals("range", own)), now.iterations)
        parts += [kept, begun]
        changed |= ranges_in(piece.filter(differs(piece, kept)), begun)
    return replace(now, lives=pl.concat(parts)), changed


def _split(lives: pl.DataFrame, which: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rest, and the lives to look at: at least those that `which` selects."""
    concerned = lives.select(which).to_series()
    if concerned.sum() * 2 > lives.height:  # looking at all costs less than copying those
        return lives.clear(), lives
    return lives.filter(~concerned), lives.filter(concerned)


def _forget(
    now: Knowledge, rulebook: Rulebook, *, at: datetime
) -> tuple[Knowledge, frozenset[str], tuple[Vanished, ...]]:
    """Rule 5: the open lives of hosts that nobody observed for long end as gone; not where that would be too many."""
    hosts = lost(now.hosts, rulebook.policy.forget_after, at=at)
    if hosts.is_empty():
        return now, frozenset(), ()
    too_many = tuple(breaker.vanished(newest(now.hosts), hosts, share=rulebook.policy.breaker))
    doubted = breaker.in_doubt(now.baseline)  # there, nothing ends before a scan is believed again
    if held := doubted | {each.range for each in too_many}:
        rows = now.hosts.filter(pl.col("range").is_in(sorted(held)))
        hosts = hosts.filter(~hosts.is_in(rows["host"].implode()))
    return *_gone(now, hosts, at=at), too_many


def let_go(knowledge: Knowledge, rulebook: Rulebook, range_: str, *, as_of: datetime, at: datetime) -> Folded:
    """A person says that the hosts of a range that were missed `as_of` are gone: since `at`."""
    hosts = lost(knowledge.hosts, rulebook.policy.forget_after, at=as_of.astimezone(UTC))
    there = newest(knowledge.hosts).filter(pl.col("range") == range_)
    after, changed = _gone(knowledge, hosts.filter(hosts.is_in(there["host"].implode())), at=at.astimezone(UTC))
    return Folded(after, changed, {})


def _gone(now: Knowledge, hosts: pl.Series, *, at: datetime) -> tuple[Knowledge, frozenset[str]]:
    if hosts.is_empty():
        return now, frozenset()
    forgotten = pl.col("host").is_in(hosts.implode())
    lives = end(now.lives, forgotten, "gone", at=at, iterations=now.iterations)
    known = now.hosts.with_columns(gone=forgotten | pl.col("gone"))
    return replace(now, lives=lives, hosts=known), ranges_in(now.lives.filter(forgotten, OPEN))
