"""What should change in the tracker, and why: ledger + known tickets ─► a plan, which is a value.

An operation says "make the tracker show the present truth of this ticket, because …". So a preview, a limit, a retry
and a repair after a crash all use the same value, and nothing is decided twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cached_property

from vmjira.domain.decide import News, after_data
from vmjira.domain.iterations import ZERO, name_of
from vmjira.domain.operation import Kind, Operation, count
from vmjira.domain.renaming import Renaming
from vmjira.domain.rulebook import Category, Policy, Range, Rulebook
from vmjira.domain.ticket import CellNumbers, Iteration, Moved, OwnNumbers, TicketRow, identifier

#: Category, range, iteration, and the name of the iteration (`iterations.name_of`) ─► title of a ticket.
Title = Callable[[Category, Range, Iteration, str], str]


@dataclass(frozen=True)
class Plan:
    """Operations in order, and the ticket rows that are new or changed by deciding them."""

    operations: tuple[Operation, ...] = ()
    tickets: tuple[TicketRow, ...] = ()
    moved: tuple[Moved, ...] = ()  # what is new, or more than before

    def exceeded(self, policy: Policy) -> str | None:
        """Why a person has to look at this plan first; None if it is within the policy's limits."""
        limits: dict[Kind, int] = {"create": policy.limit_create, "close": policy.limit_close}
        over = [
            f"{number} tickets to {kind}, limits.{kind} is {limit}"
            for kind, limit in limits.items()
            if (number := self.count(kind)) > limit
        ]
        return "; ".join(over) or None

    def count(self, kind: Kind) -> int:
        return sum(operation.operation == kind for operation in self.operations)

    def shrunk(self, before: Mapping[str, TicketRow]) -> list[TicketRow]:
        """The tickets that have fewer open findings than `before`."""
        return [
            row
            for row in self.tickets
            if (known := before.get(row.identifier)) is not None and row.own.open < known.own.open
        ]


@dataclass(frozen=True)
class TicketFacts:
    """Own findings of one (would-be) ticket, now. `digest` changes whenever a finding of it does."""

    category: str
    range: str
    ordinal: int
    own: OwnNumbers
    digest: str
    refuted: int = 0  # of the open ones: seen after the closing of the ticket


@dataclass(frozen=True)
class Situation:
    """All that a plan is made from, for the ranges that a change touched."""

    facts: tuple[TicketFacts, ...]
    cells: Mapping[tuple[str, str, int], CellNumbers]  # by category, range, ordinal
    iterations: Mapping[tuple[str, int], Iteration]  # by range, ordinal
    running: Mapping[str, int]  # range → ordinal
    tickets: Mapping[str, TicketRow]
    version: int  # of the ledger
    at: datetime  # the end of the scan (or the time of the rule change), in the policy's time zone
    because: str  # what happened, in words: "scan 'weekly' of 2026-06-05"
    moved: tuple[Moved, ...] = ()  # what is new, or more than before
    met: frozenset[frozenset[str]] = frozenset()  # tickets between which findings had moved before
    by_edit: bool = False  # an edit of the rules is the cause, not a scan
    withdrawn: str = ""  # the scan that does not count any more, in words, if that is the cause
    frozen: Mapping[tuple[str, int], int] = field(default_factory=dict)  # range, ordinal → what `TicketRow.ledger` is
    renamed: Renaming = field(default_factory=Renaming)  # what the edit calls by another id; `tickets` are so already

    @cached_property
    def called(self) -> Mapping[tuple[str, int], str]:
        """Range, ordinal → what the tickets that are there already call that iteration."""
        return {(row.range, row.ordinal): row.called for row in self.tickets.values()}


def make_plan(situation: Situation, rulebook: Rulebook, title: Title) -> Plan:
    """Compare what should be with what is known of the tracker."""
    operations: list[Operation] = []
    rows: list[TicketRow] = []
    # In a cell the newest first: a ticket that is updated after its successor was made shows the link to it at once.
    for facts in sorted(situation.facts, key=lambda each: (each.range, each.category, -each.ordinal)):
        known = _ticket(situation, facts)
        iteration = situation.iterations.get((facts.range, facts.ordinal))
        if iteration and (known is None or _never_made(known)):
            planned = _new(situation, facts, iteration, rulebook, title)
        elif known:
            planned = _known(situation, facts, known, rulebook.policy)
        if planned:
            operations += planned[0]
            rows.append(planned[1])
    # Tickets are made first: a comment on a ticket whose findings moved names the keys of the tickets they moved to.
    made, others = ([each for each in operations if (each.operation == "create") is create] for create in (True, False))
    return Plan((*_renames(situation), *made, *others, *_links(situation)), tuple(rows), situation.moved)


def _renames(situation: Situation) -> Iterator[Operation]:
    """Labels and files of the tickets that an alias gives another identifier."""
    names = situation.renamed
    for row in situation.tickets.values():
        if row.former and names and names.identifier(row.former[-1]) == row.identifier and row.key and not row.gone:
            reason = f"{situation.because}: {row.former[-1]} is {row.identifier} now"
            yield Operation("rename", row.identifier, row.key, reason, {"former": list(row.former)})


def _ticket(situation: Situation, facts: TicketFacts) -> TicketRow | None:
    """By its identifier; an iteration that never was has tickets, but no label."""
    iteration = situation.iterations.get((facts.range, facts.ordinal))
    if iteration:
        return situation.tickets.get(identifier(facts.category, facts.range, iteration.label))
    place = (facts.category, facts.range, facts.ordinal)
    return next((row for row in situation.tickets.values() if (row.category, row.range, row.ordinal) == place), None)


def _never_made(row: TicketRow) -> bool:
    """The scan that gave it its findings was withdrawn before the tracker had it."""
    return row.key is None and not row.own.total and not row.gone


def _links(situation: Situation) -> Iterator[Operation]:
    """Between tickets that are there already; one that is made now is linked as it is made."""
    met = set(situation.met)
    for each in situation.moved:
        pair = frozenset((each.source, each.target))
        source, target = situation.tickets.get(each.source), situation.tickets.get(each.target)
        if each.findings and pair not in met and source and target and not (source.gone or target.gone):
            reason = f"{situation.because}: {count(each.findings, 'finding')} moved here from {each.source}"
            yield Operation("link", each.target, target.key, reason, {"other": each.source})
        met.add(pair)


def _new(
    situation: Situation, facts: TicketFacts, iteration: Iteration, rulebook: Rulebook, title: Title
) -> tuple[list[Operation], TicketRow] | None:
    if not facts.own.open:
        return None  # all of it ended before anybody could be asked to patch it
    category, range_ = rulebook.category(facts.category), rulebook.range(facts.range)
    if category is None or range_ is None:
        raise ValueError(f"open findings in a cell that the rules do not have: {facts.category} × {facts.range}")
    name = identifier(facts.category, facts.range, iteration.label)
    called = _called(situation, facts.range, iteration)
    words = title(category, range_, iteration, called)
    since = "known from the beginning" if iteration == ZERO else f"first detected in {iteration.label}"
    found = f"{count(facts.own.open, 'finding')} on {count(facts.own.open_hosts, 'host')}"
    reason = f"{situation.because}: {found} {since}"
    row = TicketRow(
        identifier=name,
        category=facts.category,
        range=facts.range,
        ordinal=facts.ordinal,
        label=iteration.label,
        number=iteration.number,
        title=words,
        ledger=situation.version,
        due=(situation.at + category.due).date() if category.due else None,
        own=facts.own,
        facts=_digest(situation, facts),
        created_at=situation.at,
        name=called,
    )
    return [Operation("create", name, None, reason, {"title": words, "own": asdict(facts.own)})], row


def _called(situation: Situation, range_: str, iteration: Iteration) -> str:
    """As the tickets of the range that are there already call the iteration: it never has two names."""
    if known := situation.called.get((range_, iteration.ordinal)):
        return known
    return name_of(iteration, (one for (name, _), one in situation.iterations.items() if name == range_))


def _known(
    situation: Situation, facts: TicketFacts, known: TicketRow, policy: Policy
) -> tuple[list[Operation], TicketRow] | None:
    running = situation.running.get(known.range) == facts.ordinal
    digest = _digest(situation, facts)
    changed = digest != known.facts
    then = known.ledger
    if changed:  # a version that shows the same is not worth keeping, nor writing
        then = situation.version if running else situation.frozen.get((known.range, facts.ordinal), then)
    row = replace(known, ordinal=facts.ordinal, ledger=then, own=facts.own, facts=digest)
    if known.gone:  # nothing is sent, but its numbers go on: they say whether a person still has to decide
        return ([], row) if row != known else None
    operations: list[Operation] = []
    if changed:
        details = {"own": asdict(facts.own), "running": running}
        operations.append(
            Operation("update", known.identifier, known.key, f"{situation.because}: numbers or lists changed", details)
        )
    came_in = facts.own.total > known.own.total
    news = News(
        because=situation.because,
        running=situation.running.get(known.range, 0),
        refuted=facts.refuted,
        came_in=came_in,
        by_edit=situation.by_edit,
        withdrawn=situation.withdrawn,
    )
    decision = after_data(known, row, news, policy)  # also if all is as before: it may refute a closing
    operations += decision.operations
    return (operations, decision.row) if operations or decision.row != known else None


def _digest(situation: Situation, facts: TicketFacts) -> str:
    """Everything about a ticket that a scan can change, times of observation apart; delivery follows neighbours."""
    cell = situation.cells.get((facts.category, facts.range, facts.ordinal))
    shown = [asdict(facts.own), facts.digest, asdict(cell.numbers) if cell else None, cell.digest if cell else None]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def neighbours(row: TicketRow, cell: Iterable[TicketRow]) -> tuple[TicketRow | None, TicketRow | None]:
    """The nearest older and the nearest newer ticket of the same cell that still exist."""
    others = [other for other in cell if (other.category, other.range) == (row.category, row.range) and not other.gone]
    older = [other for other in others if other.ordinal < row.ordinal]
    newer = [other for other in others if other.ordinal > row.ordinal]
    key = lambda other: other.ordinal  # noqa: E731
    return max(older, key=key, default=None), min(newer, key=key, default=None)
