"""The proof of the ledger: rebuilt from the stored scans and rules, it is the same, row for row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

import polars as pl

from vmjira.domain.frames import Scan
from vmjira.domain.ledger import Circumstances
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import Iteration
from vmjira.errors import VmjiraError
from vmjira.flows import course
from vmjira.flows.foresee import (
    Outcome,
    foresee_acceptance,
    foresee_adoption,
    foresee_belief,
    foresee_gone,
    foresee_rules,
    foresee_scan,
)
from vmjira.flows.keep import titles
from vmjira.flows.knowledge import ITERATION_NAMES, Base, enriched, iterations_of, load, nothing, running_of
from vmjira.flows.ports import Outside
from vmjira.flows.rows import EnrichmentRow, EventRow, RulesRow, ScanRow
from vmjira.flows.rules import read_rules


@dataclass(frozen=True)
class Records:
    """All that ledger entries refer to."""

    scans: Mapping[int, ScanRow]
    rules: Mapping[str, RulesRow | None]
    enrichments: Mapping[str, EnrichmentRow]


@dataclass
class Replay:
    """Does ledger entries again, one after the other, in the order in which they count."""

    outside: Outside
    records: Records
    withdrawn: frozenset[int]
    before: Rulebook = field(default_factory=Rulebook)  # that is in force
    _taken: dict[int, dict[str, Iteration]] = field(default_factory=dict)  # numbers of rounds of withdrawn scans

    def step(self, base: Base, event: EventRow) -> Outcome | None:
        """What the entry does to what is known; None: nothing."""
        if event.kind in ("withdraw", "restore"):
            self._taken.pop(int(event.details["scan"]), None)
            return None
        if "before" in event.details:  # learned late, by rules that were not in force then
            base = replace(base, version=int(event.details["before"]) - 2)
            return foresee_acceptance(base, event, self.before, titles(self.outside, self.before))
        rulebook = self.rules(event)
        newest = self.records.enrichments[event.enrichment] if event.enrichment else None
        base = enriched(replace(base, version=event.version - 1), self.outside.store, newest)
        outcome = self._step(base, event, rulebook)
        self.before = rulebook
        return outcome

    def _step(self, base: Base, event: EventRow, rulebook: Rulebook) -> Outcome | None:
        words = titles(self.outside, rulebook)
        if event.kind == "scan":
            return self._scan(base, event, rulebook)
        if event.kind == "adopt":
            scans = self._adopted(event)
            return foresee_adoption(base, scans, rulebook, words, now=event.at)[0] if scans else None
        if event.kind == "gone":
            return foresee_gone(base, event, rulebook, words)
        if event.kind in ("accept", "unaccept"):
            return foresee_acceptance(base, event, rulebook, words)
        row = self.records.rules[event.rules]
        at = event.at or (row.since if row else None)
        if at is None:
            raise VmjiraError(f"ledger version {event.version}: nobody knows when its rules came into force")
        return foresee_rules(base, rulebook, words, at=at, before=self.before)

    def _scan(self, base: Base, event: EventRow, rulebook: Rulebook) -> Outcome | None:
        words, row = titles(self.outside, rulebook), self.records.scans[event.scan or 0]
        believed = event.details.get("believed")
        if row.id in self.withdrawn and (believed or all(each.iteration != "scan" for each in rulebook.ranges)):
            return None
        scan = self.outside.store.load_scan(row)
        if believed:
            return foresee_belief(base, scan, rulebook, words, believed)
        outcome = foresee_scan(base, scan, rulebook, words, Circumstances(event.at, taken=self._numbers()))
        if row.id in self.withdrawn:
            self._taken[row.id] = _counted(base, outcome, rulebook)
            return None
        return outcome

    def _numbers(self) -> dict[str, Iteration]:
        """By range, the highest running number that a scan had which was withdrawn later: none is given twice."""
        found: dict[str, Iteration] = {}
        for rounds in self._taken.values():
            for name, one in rounds.items():
                found[name] = max(found.get(name, one), one, key=lambda each: each.ordinal)
        return found

    def _adopted(self, event: EventRow) -> list[Scan]:
        by_digest = {row.digest: row for row in self.records.scans.values()}
        rows = [by_digest[digest] for digest in event.details["scans"]]
        return [self.outside.store.load_scan(row) for row in rows if row.id not in self.withdrawn]

    def rules(self, event: EventRow) -> Rulebook:
        row = self.records.rules[event.rules]
        if row is None:
            raise VmjiraError(f"ledger version {event.version}: its rules are missing from the database")
        return read_rules(self.outside.rulebook, row)


def _counted(base: Base, outcome: Outcome, rulebook: Rulebook) -> dict[str, Iteration]:
    """The rounds that a scan begins in ranges whose rounds are its scans."""
    old = running_of(base.part(ITERATION_NAMES))
    frame = outcome.base.part(ITERATION_NAMES)
    names, new = iterations_of(frame), running_of(frame)
    begun = {name for name, ordinal in new.items() if ordinal != old.get(name)}
    by_scan = {each.id for each in rulebook.ranges if each.iteration == "scan"}
    return {name: names[name, new[name]] for name in begun & by_scan}


def start(outside: Outside, events: Sequence[EventRow]) -> Replay:
    """What does these entries again, from any of them on."""
    with outside.store.reading() as unit:
        records = Records(
            scans={row.id: row for row in unit.scans()},
            rules={event.rules: unit.rules(event.rules) for event in events},
            enrichments={row.digest: row for row in unit.enrichments()},
        )
    return Replay(outside, records, course.withdrawn(events))


def rebuild(outside: Outside) -> Base:
    """Fold every stored scan, and apply every change of rules, in the order in which they count."""
    with outside.store.reading() as unit:
        events = unit.events()
    base, replay = nothing(), start(outside, events)
    for event in course.ordered(events):
        if outcome := replay.step(base, event):
            base = outcome.base
    return replace(base, version=max((event.version for event in events), default=0))


def differing(outside: Outside, rebuilt: Base) -> list[str]:
    """Names of the parts that are not what the scans say."""
    stored = load(outside.store)
    return [name for name in sorted(rebuilt.names | stored.names) if not same(rebuilt.part(name), stored.part(name))]


def mend(outside: Outside, rebuilt: Base, names: list[str]) -> None:
    """Put the rebuilt parts in the place of those that differ."""
    paths = {name: f"ledger/{name}/{rebuilt.version}-{uuid4().hex[:8]}.parquet" for name in names}
    for name, path in paths.items():
        outside.store.write(path, rebuilt.part(name))
    with outside.store.begin() as unit:
        unit.mend_ledger(rebuilt.version, paths)


def same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Equal in every value; the order of rows carries no meaning."""
    keys = [name for name, kind in one.schema.items() if not kind.is_nested()]
    return one.schema == other.schema and one.sort(keys).equals(other.sort(keys))
