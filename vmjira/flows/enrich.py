"""The story of a catalogue of exploitation: file or address ─► read ─► checked against the last one ─► kept.

Nothing moves because of it: from then on, scans and changes of rules take from the newest version (see
`domain.exploitation`), and what they do goes through the limits like everything else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any
from uuid import uuid4

import polars as pl
import structlog

from vmjira.domain.exploitation import by_cve, epss_of, kev_of
from vmjira.domain.frames import CVES, check
from vmjira.domain.rulebook import Enrichment
from vmjira.errors import CatalogueUnreadable, VmjiraError
from vmjira.flows.ports import Outside
from vmjira.flows.rows import EnrichmentRow, Mark
from vmjira.flows.rules import rules_in_force

log = structlog.get_logger(__name__)

#: Mark of the last time that every catalogue that is wanted was read and is good.
ENRICHED = "enriched"
#: A catalogue with less than this share of the CVEs that the last one named is not believed.
LEAST = 0.5
TITLES = {"kev": "CISA KEV", "epss": "FIRST EPSS"}


@dataclass(frozen=True)
class Catalogue:
    """One catalogue as it was read. `rows`: one per CVE, with kev_due (kev) or with epss (epss)."""

    rows: pl.DataFrame
    digest: str  # of its content
    edition: str  # by which its publisher tells it from others; may be empty
    source: str  # for people


#: Reads the catalogue (kev, epss) from an address or a path; raises CatalogueUnreadable.
ReadCatalogue = Callable[[str, str], Catalogue]


@dataclass
class Report:
    """What became of the catalogues that were asked for."""

    catalogues: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # good ones, as in EnrichmentRow
    refused: dict[str, str] = field(default_factory=dict)  # why, in words
    changed: bool = False  # whether there is a new version

    def words(self) -> str:
        good = [
            f"{TITLES[name]}{about['edition'] and ' '}{about['edition']}: {about['cves']:,} CVEs"
            for name, about in self.catalogues.items()
        ]
        if not good:
            return "nothing was taken"
        return ("taken: " if self.changed else "nothing new: ") + ", ".join(good)


def run(outside: Outside, read: ReadCatalogue) -> str:
    """The job: take what the policy in force names. VmjiraError if any of it is refused; the last good one stays."""
    sources = rules_in_force(outside).policy.enrichment
    if sources == Enrichment():
        return "no catalogue is named in policy.yaml (enrichment)"
    report = enrich(outside, read, sources)
    if report.refused:
        raise VmjiraError("\n".join([*report.refused.values(), report.words()]))
    return report.words()


def enrich(outside: Outside, read: ReadCatalogue, sources: Enrichment, *, shrunk: bool = False) -> Report:
    """Take catalogues; one that is refused leaves the other, and the last good one, in use.

    `shrunk`: also one that names far fewer CVEs than the last one.
    """
    report, found = Report(), dict[str, Catalogue]()
    for name, source in asdict(sources).items():
        if source:
            try:
                found[name] = read(name, source)
            except CatalogueUnreadable as error:
                report.refused[name] = f"{TITLES[name]}: {error}"
    _keep(outside, found, report, shrunk=shrunk)
    for name, why in report.refused.items():
        log.error("catalogue refused", catalogue=name, why=why)
    if report.catalogues and not report.refused:
        with outside.store.begin() as unit:
            unit.put_mark(Mark(ENRICHED, outside.clock(), report.catalogues))
    return report


def _keep(outside: Outside, found: Mapping[str, Catalogue], report: Report, *, shrunk: bool) -> None:
    """Make the next version of what was found; again from the start if somebody else made one meanwhile."""
    while True:
        with outside.store.reading() as unit:
            last = unit.enrichment()
        before = last.catalogues if last else {}
        good = {}
        for name, each in found.items():
            if not shrunk and (why := _doubt(each, before.get(name))):
                report.refused[name] = f"{TITLES[name]}: {why}"
            else:
                good[name] = each
        report.catalogues = {name: _about(each) for name, each in good.items()}
        catalogues = {**before, **report.catalogues}
        digest = sha256(json.dumps({name: catalogues[name]["digest"] for name in sorted(catalogues)}).encode())
        if not good or (last and last.digest == digest.hexdigest()):
            return
        path = f"enrichment/{digest.hexdigest()[:16]}-{uuid4().hex[:8]}.parquet"
        outside.store.write(path, _next(outside, last, good))
        row = EnrichmentRow(digest.hexdigest(), path, outside.clock(), catalogues)
        with outside.store.begin() as unit:
            if unit.enrichment() == last:
                unit.put_enrichment(row)
                report.changed = True
                break
    log.info("enriched", **{name: about["cves"] for name, about in report.catalogues.items()})


def _next(outside: Outside, last: EnrichmentRow | None, good: Mapping[str, Catalogue]) -> pl.DataFrame:
    """CVES of the new catalogues, and of the last version where there is none."""
    frame = outside.store.scan(last.path).collect() if last else None
    kev = good["kev"].rows if "kev" in good else kev_of(frame) if frame is not None else None
    epss = good["epss"].rows if "epss" in good else epss_of(frame) if frame is not None else None
    cves = by_cve(kev, epss)
    check(cves, CVES, "cves")
    return cves


def _doubt(found: Catalogue, before: Mapping[str, Any] | None) -> str:
    """Why the catalogue is not believed; empty if it is."""
    if before is None or found.rows.height >= LEAST * before["cves"]:
        return ""
    return (
        f"{found.source}: names only {found.rows.height:,} CVEs, the last one named {before['cves']:,}: it is probably "
        "incomplete, so the last one stays; if it is right, take it with `vmjira enrich --shrunk`"
    )


def _about(found: Catalogue) -> dict[str, Any]:
    return {
        "digest": found.digest,
        "source": found.source,
        "edition": found.edition,
        "cves": found.rows.height,
    }
