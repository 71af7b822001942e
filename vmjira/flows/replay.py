"""The proof of the ledger: rebuilt from the stored scans and rules, it is the same, row for row."""

from __future__ import annotations

from uuid import uuid4

import polars as pl

from vmjira.domain.rulebook import Rulebook
from vmjira.errors import VmjiraError
from vmjira.flows.foresee import foresee_acceptance, foresee_adoption, foresee_belief, foresee_rules, foresee_scan
from vmjira.flows.keep import titles
from vmjira.flows.knowledge import Base, enriched, load, nothing
from vmjira.flows.ports import Outside
from vmjira.flows.rules import read_rules


def rebuild(outside: Outside) -> Base:
    """Fold every stored scan, and apply every change of rules, in the order in which it happened."""
    with outside.store.reading() as unit:
        events, scans = unit.events(), {row.id: row for row in unit.scans()}
        rows = {event.rules: unit.rules(event.rules) for event in events}
        versions = {row.digest: row for row in unit.enrichments()}
    by_digest = {row.digest: row for row in scans.values()}
    base, before = nothing(), Rulebook()
    for event in events:
        row = rows[event.rules]
        if row is None:
            raise VmjiraError(f"ledger version {event.version}: its rules are missing from the database")
        rulebook = read_rules(outside.rulebook, row)
        words = titles(outside, rulebook)
        base = enriched(base, outside.store, versions[event.enrichment] if event.enrichment else None)
        if event.scan is not None:
            scan, believed = outside.store.load_scan(scans[event.scan]), event.details.get("believed")
            outcome = (
                foresee_belief(base, scan, rulebook, words, believed)
                if believed
                else foresee_scan(base, scan, rulebook, words)
            )
            base = outcome.base
        elif event.kind == "adopt":
            adopted = [outside.store.load_scan(by_digest[digest]) for digest in event.details["scans"]]
            base = foresee_adoption(base, adopted, rulebook, words)[0].base
        elif event.kind in ("accept", "unaccept"):
            base = foresee_acceptance(base, event, rulebook, words).base
        else:
            base = foresee_rules(base, rulebook, words, at=event.at or row.since, before=before).base
        before = rulebook
    return base


def differing(outside: Outside, rebuilt: Base) -> list[str]:
    """Names of the parts that are not what the scans say."""
    stored = load(outside.store)
    return [name for name in sorted(rebuilt.names | stored.names) if not _same(rebuilt.part(name), stored.part(name))]


def mend(outside: Outside, rebuilt: Base, names: list[str]) -> None:
    """Put the rebuilt parts in the place of those that differ."""
    paths = {name: f"ledger/{name}/{rebuilt.version}-{uuid4().hex[:8]}.parquet" for name in names}
    for name, path in paths.items():
        outside.store.write(path, rebuilt.part(name))
    with outside.store.begin() as unit:
        unit.mend_ledger(rebuilt.version, paths)


def _same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Equal in every value; the order of rows carries no meaning."""
    keys = [name for name, kind in one.schema.items() if not kind.is_nested()]
    return one.schema == other.schema and one.sort(keys).equals(other.sort(keys))
