"""What a scan, or a change of rules, would do: everything that is decided, before anything is stored or sent.

`ingest` stores and queues the outcome, `plan` shows it, `replay` compares it: one computation for all three.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import partial

import polars as pl

from vmjira.domain import ledger
from vmjira.domain.acceptance import accept, reopen_accepted
from vmjira.domain.adoption import Adopted, adopt
from vmjira.domain.breaker import Trip, Vanished
from vmjira.domain.classify import newest
from vmjira.domain.digest import Shown, digests, shown
from vmjira.domain.fields import corrections
from vmjira.domain.frames import MOVES, Scan, Schema, Time, empty
from vmjira.domain.iterations import BACKLOG
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.ledger import BY_ITS_END, Circumstances, Folded
from vmjira.domain.lives import moved_between
from vmjira.domain.operation import count
from vmjira.domain.plan import Plan, Situation, TicketFacts, Title, make_plan
from vmjira.domain.renaming import Renaming
from vmjira.domain.rule_change import apply_rules
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.statistics import host_numbers, own_numbers, refuted, top_hosts
from vmjira.domain.ticket import (
    CellNumbers,
    HostNumbers,
    Iteration,
    Moved,
    OwnNumbers,
    TicketRow,
    TopHost,
    identifier,
)
from vmjira.flows.knowledge import (
    BEFORE,
    EXPLOITS,
    HOSTS,
    ITERATION_NAMES,
    ROUNDS,
    VULNERABILITIES,
    Base,
    iterations_of,
    part_name,
    running_of,
)
from vmjira.flows.rows import EventRow


@dataclass(frozen=True)
class Outcome:
    """What would be known and planned afterwards."""

    base: Base
    parts: Mapping[str, pl.DataFrame]  # the ledger parts that are new
    cells: tuple[CellNumbers, ...]
    plan: Plan
    before: Mapping[str, TicketRow]  # the tickets that the plan was made from …
    again: Callable[[Mapping[str, TicketRow]], Outcome]  # … and how to make it from others
    skipped: int = 0  # hosts of which something as new, or newer, was known
    unidentified: int = 0  # hosts with nothing to recognise them by
    trips: tuple[Trip, ...] = ()  # where the scan is not believed
    ranges: frozenset[str] = frozenset()  # whose tickets the plan looked at
    healed: frozenset[str] = frozenset()  # ranges of which it has again what an earlier one had lost
    moves: pl.DataFrame = field(default_factory=partial(empty, MOVES))  # what changed rules move
    renaming: Renaming = field(default_factory=Renaming)  # what changed rules call by another id
    running: Mapping[str, int] = field(default_factory=dict)  # iterations after these (by range) are over again
    vanished: tuple[Vanished, ...] = ()  # ranges of which so many hosts would be gone that none is
    rewound: Rewound | None = None


@dataclass(frozen=True)
class Rewound:
    """What is known after the past was changed, beside the knowledge itself."""

    parts: Mapping[str, pl.DataFrame]  # the ledger parts that differ from those of today
    cells: tuple[CellNumbers, ...]  # those that differ
    lost: frozenset[tuple[str, str, int]]  # cells that have no numbers any more: category, range, ordinal
    frozen: Mapping[tuple[str, int], int]  # range, ordinal → newest version in which that iteration was running
    written: Mapping[int, Mapping[str, str]]  # version → part → path of what is known of that time now
    trips: Mapping[tuple[str, str], tuple[Trip, int]] = field(default_factory=dict)  # range, scanner → by which scan


@dataclass(frozen=True)
class Change:
    """What a plan has to know of its cause."""

    rulebook: Rulebook
    title: Title
    at: datetime
    because: str
    withdrawn: str = ""  # the scan that does not count any more, in words
    by_edit: bool = False
    before: Rulebook | None = None  # the rules until then, if it is a change of rules


def foresee_scan(base: Base, scan: Scan, rulebook: Rulebook, title: Title, how: Circumstances = BY_ITS_END) -> Outcome:
    ranges = ledger.touched(base.part(HOSTS), scan, rulebook, how)
    folded = ledger.fold(base.knowledge(ranges), scan, rulebook, how)
    at = scan.finished_at.astimezone(rulebook.policy.timezone)
    return _outcome(base, folded, Change(rulebook, title, at, f"{scan.scanner} scan of {at:%Y-%m-%d %H:%M}"))


def foresee_adoption(
    base: Base, scans: Sequence[Scan], rulebook: Rulebook, title: Title, *, now: datetime | None = None
) -> tuple[Outcome, Adopted]:
    """The scans, the oldest end first, become iteration 0 of their ranges; `now`: the clock."""
    how = Circumstances(now)
    ranges = {name for scan in scans for name in ledger.touched(base.part(HOSTS), scan, rulebook, how)}
    adopted = adopt(base.knowledge(ranges), scans, rulebook, now=now)
    at = scans[-1].finished_at.astimezone(rulebook.policy.timezone)
    because = f"adoption of {count(len(scans), 'scan')} up to {at:%Y-%m-%d %H:%M}"
    return _outcome(base, adopted.folded, Change(rulebook, title, at, because)), adopted


def foresee_belief(base: Base, scan: Scan, rulebook: Rulebook, title: Title, ranges: Collection[str]) -> Outcome:
    """A scan that was folded, but not believed in these ranges, counts there after all."""
    touched = ledger.touched(base.part(HOSTS), scan, rulebook)
    folded = ledger.believe(base.knowledge(touched), scan, rulebook, ranges)
    at = scan.finished_at.astimezone(rulebook.policy.timezone)
    because = f"{scan.scanner} scan of {at:%Y-%m-%d %H:%M}, believed now"
    return _outcome(base, folded, Change(rulebook, title, at, because))


def foresee_rules(base: Base, rulebook: Rulebook, title: Title, *, at: datetime, before: Rulebook) -> Outcome:
    """`before`: the rules that these replace; acceptances that are no longer given end."""
    folded = apply_rules(base.knowledge(base.ranges), rulebook, at=at, before=before)
    at = at.astimezone(rulebook.policy.timezone)
    base = base.renamed(folded.renaming).without_later(folded.rounds)
    because = f"change of rules of {at:%Y-%m-%d %H:%M}"
    return _outcome(base, folded, Change(rulebook, title, at, because, by_edit=True, before=before))


def foresee_acceptance(base: Base, event: EventRow, rulebook: Rulebook, title: Title) -> Outcome:
    """A ticket was closed as accepted, or reopened from that: the open own findings it had end, or come back."""
    about, at = event.details, event.at
    if at is None:
        raise ValueError(f"an acceptance without a time: {event}")
    own = (pl.col("category") == about["category"]) & (pl.col("first_iteration") == about["ordinal"])
    known = base.knowledge([about["range"]])
    if event.kind == "accept":
        known = accept(known, own, at=at, until=datetime.fromisoformat(about["until"]))
    else:
        known = reopen_accepted(known, own & (pl.col("ended_at") == pl.lit(_moment(about["accepted_at"]), Time)))
    return _outcome(base, Folded(known, frozenset([about["range"]]), {}), acceptance_change(event, rulebook, title))


def acceptance_change(event: EventRow, rulebook: Rulebook, title: Title) -> Change:
    """What a plan has to know of it."""
    words = {"accept": "accepted as a risk", "unaccept": "reopened, so its acceptance ended"}[event.kind]
    if event.at is None:
        raise ValueError(f"an acceptance without a time: {event}")
    at = event.at.astimezone(rulebook.policy.timezone)
    return Change(rulebook, title, at, f"{event.details['identifier']} was {words}")


def foresee_gone(base: Base, event: EventRow, rulebook: Rulebook, title: Title) -> Outcome:
    """A person let go of the hosts of a range that were missed for so long: their findings end."""
    name, at = event.details["range"], event.at
    if at is None:
        raise ValueError(f"hosts that are gone without a time: {event}")
    as_of = _moment(event.details["as_of"])
    folded = ledger.let_go(base.knowledge(base.ranges), rulebook, name, as_of=as_of, at=at)
    at = at.astimezone(rulebook.policy.timezone)
    return _outcome(base, folded, Change(rulebook, title, at, f"hosts of {name} that are gone"))


def foresee_past(base: Base, known: Knowledge, ranges: Collection[str], change: Change, rewound: Rewound) -> Outcome:
    """The past was changed: `known` is what is known now of these ranges, those that differ from `base`."""
    return _outcome(base, Folded(known, frozenset(ranges), {}), change, rewound)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _outcome(base: Base, folded: Folded, change: Change, rewound: Rewound | None = None) -> Outcome:
    known = folded.knowledge
    lives = {name: known.lives.filter(pl.col("range").fill_null("") == name) for name in folded.changed}
    parts = {
        HOSTS: known.hosts,
        VULNERABILITIES: known.vulnerabilities,
        ITERATION_NAMES: known.iterations,
        BEFORE: known.baseline,
        ROUNDS: known.rounds,
        **({} if known.exploitation.is_empty() else {EXPLOITS: known.exploitation}),
        **{part_name(name): frame for name, frame in lives.items()},
    }
    running, iterations = running_of(known.iterations), iterations_of(known.iterations)
    cells: list[CellNumbers] = []
    mine: dict[str, pl.DataFrame] = {}
    for name in sorted((folded.changed | set(folded.rounds)) - {""}):
        if name in running or rewound:
            frame = lives[name] if name in lives else known.lives.filter(pl.col("range") == name)
            mine[name] = frame.filter(pl.col("category").is_not_null())
    looks = shown(known, pl.concat([known.lives.clear(), *mine.values()]))
    if rewound:
        parts, cells = dict(rewound.parts), list(rewound.cells)
    else:
        for name, frame in mine.items():
            cells += _cells(frame, name, iterations[name, running[name]], known, looks, change.rulebook)

    pairs = moved_between(pl.concat([known.lives.clear(), *mine.values()]), known.iterations)
    moved = [Moved(*row) for row in pairs.iter_rows() if base.moved.get(row[:2]) != row[2]]
    moved += _never_moved(base, set(mine), pairs) if rewound else []
    met = frozenset(
        frozenset((each.source, each.target))
        for each in moved
        if {(each.source, each.target), (each.target, each.source)} & base.moved.keys()
    )

    def planned(tickets: Mapping[str, TicketRow]) -> Outcome:
        facts = [each for name, frame in mine.items() for each in _facts(frame, name, running, looks, tickets.values())]
        facts += _empty(facts, set(mine), tickets.values(), iterations) if rewound else []
        situation = Situation(
            facts=tuple(facts),
            cells={**base.cells, **{(cell.category, cell.range, cell.ordinal): cell for cell in cells}},
            iterations=iterations,
            running=running,
            tickets=tickets,
            version=base.version + 1,
            at=change.at,
            because=change.because,
            moved=tuple(moved),
            met=met,
            withdrawn=change.withdrawn,
            frozen=rewound.frozen if rewound else {},
            by_edit=change.by_edit,
            renamed=folded.renaming,
        )
        plan = make_plan(situation, change.rulebook, change.title)
        after = replace(base, tickets=tickets).after(parts, plan, cells)
        if change.before:
            corrected = corrections(after.tickets.values(), change.before, change.rulebook)
            plan = replace(plan, operations=(*plan.operations, *corrected))
        return Outcome(
            base=after,
            parts=parts,
            cells=tuple(cells),
            plan=plan,
            before=tickets,
            again=planned,
            skipped=len(folded.skipped),
            unidentified=folded.unidentified,
            trips=folded.trips,
            ranges=frozenset(mine),
            healed=folded.healed,
            moves=folded.moves,
            vanished=folded.vanished,
            rewound=rewound,
            renaming=folded.renaming,
            running=folded.rounds if change.by_edit else {},
        )

    return planned(base.tickets)


def running_cells(base: Base, rulebook: Rulebook) -> list[CellNumbers]:
    """Host numbers of every cell of every range at its running iteration."""
    known = base.knowledge(base.ranges)
    looks = shown(known, known.lives)
    iterations, running = iterations_of(known.iterations), running_of(known.iterations)
    found: list[CellNumbers] = []
    for name in sorted(base.ranges & running.keys() - {""}):
        lives = base.part(part_name(name)).filter(pl.col("category").is_not_null())
        found += _cells(lives, name, iterations[name, running[name]], known, looks, rulebook)
    return found


def _cells(
    lives: pl.DataFrame, range_: str, running: Iteration, known: Knowledge, looks: Shown, rulebook: Rulebook
) -> list[CellNumbers]:
    """Host numbers of every cell of a range at its running iteration; zeros where nothing is left to count."""
    hosts = newest(known.hosts.join(lives.select("host").unique(), on="host", how="semi"))
    tops: dict[str, list[TopHost]] = {}
    for row in top_hosts(lives, running.ordinal, hosts, rulebook.policy.top_hosts).iter_rows(named=True):
        tops.setdefault(row.pop("category"), []).append(TopHost(**row))
    return [
        CellNumbers(
            category=row["category"],
            range=range_,
            ordinal=running.ordinal,
            label=running.label,
            numbers=HostNumbers(**{each.name: row[each.name] for each in fields(HostNumbers)}),
            top=tuple(tops.get(row["category"], ())),
            digest=str(row["digest"]),
        )
        for row in digests(lives, running.ordinal, looks, "category")
        .join(host_numbers(lives, running.ordinal), on="category", how="left")
        .with_columns(pl.col([each.name for each in fields(HostNumbers)]).fill_null(0))
        .rows(named=True)
    ]


def _facts(
    lives: pl.DataFrame, range_: str, running: Mapping[str, int], looks: Shown, tickets: Collection[TicketRow]
) -> list[TicketFacts]:
    lives = lives.filter(pl.col("first_iteration") != BACKLOG)
    keys = ["category", "first_iteration"]
    if lives.is_empty():
        return []  # where only scans that were withdrawn had looked, no iteration runs
    closed = closings(row for row in tickets if row.range == range_ and row.closing == "waiting")
    seen = refuted(lives, closed).drop("range")
    return [
        TicketFacts(
            category=row["category"],
            range=range_,
            ordinal=row["first_iteration"],
            own=OwnNumbers(**{each.name: row[each.name] for each in fields(OwnNumbers)}),
            digest=str(row["digest"]),
            refuted=row["refuted"] or 0,
        )
        for row in own_numbers(lives, running)
        .join(digests(lives, running[range_], looks, *keys), on=keys)
        .join(seen, on=keys, how="left")
        .rows(named=True)
    ]


def _empty(
    facts: Iterable[TicketFacts],
    ranges: set[str],
    tickets: Iterable[TicketRow],
    iterations: Mapping[tuple[str, int], Iteration],
) -> list[TicketFacts]:
    """Of the tickets of these ranges that have no findings any more: none of theirs ever was."""
    some = {identifier(each.category, each.range, iterations[each.range, each.ordinal].label) for each in facts}
    return [
        TicketFacts(row.category, row.range, row.ordinal, OwnNumbers(), "")
        for row in tickets
        if row.range in ranges and row.identifier not in some
    ]


def _never_moved(base: Base, ranges: set[str], pairs: pl.DataFrame) -> list[Moved]:
    """Between tickets of which the later is in one of these ranges: what had moved, and never did."""
    now = set(pairs.select("source", "target").iter_rows())
    there = {row.identifier for row in base.tickets.values() if row.range in ranges}
    return [Moved(*pair, 0) for pair, many in base.moved.items() if pair[1] in there and many and pair not in now]


def closings(rows: Iterable[TicketRow]) -> pl.DataFrame:
    """category, range, first_iteration, closed_at: what `statistics.refuted` has to know of closed tickets."""
    columns: Schema = {"category": pl.String(), "range": pl.String(), "first_iteration": pl.Int32(), "closed_at": Time}
    values = [(row.category, row.range, row.ordinal, row.closed_at) for row in rows]
    return pl.DataFrame(values, schema=columns, orient="row")
