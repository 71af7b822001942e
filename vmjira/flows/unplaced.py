"""What the rules do not cover: hosts in no range and findings in no category, of one scan or of all that is known.

Informational findings without category are no work for anybody, so they are not counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import polars as pl

from vmjira.domain import ledger
from vmjira.domain.classify import identify, merge, newest
from vmjira.domain.frames import LEDGER, SEVERITIES, Scan, Schema, empty
from vmjira.domain.lives import OPEN
from vmjira.domain.operation import count
from vmjira.domain.preview import UNTAKEN, condition, unowned, untaken, untaken_total
from vmjira.domain.rulebook import Rulebook
from vmjira.flows.foresee import Outcome
from vmjira.flows.knowledge import HOSTS, NO_RANGE, VULNERABILITIES, Base, lives_of, part_name
from vmjira.flows.ports import Store

#: Rows that each list shows; its totals count all. FEW: those that a sentence names.
TOP, FEW = 20, 5
WORST_FIRST = tuple(reversed(SEVERITIES))

# --- one scan ---------------------------------------------------------------------------------------------------------


def of_scan(foreseen: Outcome, scan: Scan, rulebook: Rulebook) -> dict[str, Any]:
    """`unowned`, `untaken` and `hints` of a scan that is folded as foreseen, as JSON values."""
    hosts, after = merge(identify(scan, rulebook)), foreseen.base
    ranges = sorted({*hosts["range"].fill_null("")})
    lives = pl.concat([empty(LEDGER), *(after.part(part_name(name)) for name in ranges)])
    said = _of_scan(scan, hosts, lives, after.part(VULNERABILITIES))
    return {**said, "hints": [*said["hints"], *_left_out(foreseen, hosts.height)]}


def _left_out(foreseen: Outcome, hosts: int) -> Iterator[str]:
    if number := foreseen.skipped:
        yield (
            f"{number} of {count(hosts, 'host')} {'was' if number == 1 else 'were'} skipped, because a scan that is as "
            "new or newer was ingested before."
        )
    if number := foreseen.unidentified:
        yield (
            f"{count(number, 'host')} {_has(number)} nothing that identifies {_it(number)}, so vmjira left "
            f"{_it(number)} out. Check `identity` in ranges.yaml."
        )


def alone(base: Base, scan: Scan, rulebook: Rulebook) -> dict[str, Any]:
    """The same of a scan by itself, as if it were the first. `base`: nothing, but for what is known of exploitation."""
    known = ledger.fold(base.knowledge(()), scan, rulebook).knowledge
    return _of_scan(scan, merge(identify(scan, rulebook)), known.lives, known.vulnerabilities)


def _of_scan(scan: Scan, hosts: pl.DataFrame, lives: pl.DataFrame, catalogue: pl.DataFrame) -> dict[str, Any]:
    word = hosts.select("host", last_seen="scanned_at")
    nowhere = pl.col("category").is_null() | pl.col("range").is_null()  # few, so that a large scan costs little
    rows = lives.select(_LIFE).filter(nowhere, OPEN, pl.col("scanner") == scan.scanner)
    seen = rows.join(word, on=["host", "last_seen"], how="semi")
    said = {
        "unowned": {**unowned_json(unowned(hosts)), "findings": seen.filter(pl.col("range").is_null()).height},
        "untaken": untaken_json(untaken_total([untaken(seen.lazy(), catalogue)])),
    }
    return {**said, "hints": list(hints(said, "of this scan "))}


_LIFE = ("host", "scanner", "vulnerability_id", "category", "range", "severity", "last_seen", "ended_as")


# --- all that is known ------------------------------------------------------------------------------------------------


def known(store: Store) -> dict[str, Any]:
    """`unowned`, `untaken` and `hints` of the newest ledger, as JSON values."""
    with store.reading() as unit:
        parts = unit.ledger_parts()
    nowhere = _severities(store.scan, parts[NO_RANGE]) if NO_RANGE in parts else {}
    said = {
        "unowned": {
            **unowned_json(_unowned(store.scan, parts[HOSTS]) if HOSTS in parts else unowned(empty(_HOSTS))),
            "findings": sum(nowhere.values()),
            "severities": nowhere,
        },
        "untaken": untaken_json(_untaken(store, parts)),
    }
    return {**said, "hints": list(hints(said, ""))}


def families(store: Store) -> dict[tuple[str, str], int]:
    """Open findings in no category, by family ("" if it has none) and severity: all of them."""
    with store.reading() as unit:
        rows = _untaken(store, unit.ledger_parts())
    return {
        (row["family"] or "", name): row[name] for row in rows.iter_rows(named=True) for name in SEVERITIES if row[name]
    }


def _untaken(store: Store, parts: Mapping[str, str]) -> pl.DataFrame:
    """UNTAKEN without hosts: a host may be in several parts."""
    found = _of_all(store.scan, tuple(lives_of(parts)))
    if found.is_empty():
        return empty(UNTAKEN).drop("hosts")
    checks = store.scan(parts[VULNERABILITIES]).select("scanner", "vulnerability_id", "family")
    number = pl.col("findings")
    return (
        found.lazy()
        .join(checks, on=_CHECK[:2], how="left")
        .group_by("family")
        .agg(
            number.sum(),
            *(number.filter(pl.col("severity") == name).sum().alias(name) for name in SEVERITIES),
            lowest=pl.col("severity").min(),
        )
        .sort(*WORST_FIRST, "family", descending=[*(True for _ in SEVERITIES), False])
        .collect()
    )


_CHECK = ["scanner", "vulnerability_id", "severity"]
_COUNTED = {**{column: LEDGER[column] for column in _CHECK}, "findings": pl.UInt32()}
_HOSTS: Schema = {"host": pl.String(), "ip": pl.String(), "range": pl.String()}


@lru_cache(maxsize=4)
def _of_all(scan: Callable[[str], pl.LazyFrame], paths: tuple[str, ...]) -> pl.DataFrame:
    rows = pl.concat([empty(_COUNTED), *(_without_category(scan, path) for path in paths)])
    return rows.group_by(_CHECK).agg(pl.col("findings").sum())


@lru_cache(maxsize=4096)
def _without_category(scan: Callable[[str], pl.LazyFrame], path: str) -> pl.DataFrame:
    """Open findings in no category by check and severity: what is written at a path never changes."""
    rows = scan(path).filter(OPEN, pl.col("category").is_null()).group_by(_CHECK).agg(findings=pl.len())
    return rows.select(*_CHECK, pl.col("findings").cast(pl.UInt32)).collect()


@lru_cache(maxsize=4)
def _unowned(scan: Callable[[str], pl.LazyFrame], path: str) -> pl.DataFrame:
    """Those that are gone do not count."""
    hosts = newest(scan(path).filter(~pl.col("gone").fill_null(value=False)).collect())
    return unowned(hosts.select("host", "ip", "range"))


@lru_cache(maxsize=4)
def _severities(scan: Callable[[str], pl.LazyFrame], path: str) -> dict[str, int]:
    rows = scan(path).filter(OPEN).group_by("severity").agg(findings=pl.len()).collect()
    counts = dict(rows.iter_rows())
    return {name: counts[name] for name in WORST_FIRST if name in counts}


# --- in words ---------------------------------------------------------------------------------------------------------


def listed(rows: list[dict[str, Any]], **totals: int) -> dict[str, Any]:
    return {**totals, "total": len(rows), "top": rows[:TOP]}


def unowned_json(rows: pl.DataFrame) -> dict[str, Any]:
    """`rows`: UNOWNED."""
    lost = rows.filter(pl.col("network").is_null())["hosts"].sum()
    return listed(rows.to_dicts(), hosts=int(rows["hosts"].sum()), without_address=int(lost))


def untaken_json(rows: pl.DataFrame) -> dict[str, Any]:
    """`rows`: UNTAKEN."""
    found = [
        {
            "family": row["family"],
            "findings": row["findings"],
            **({"hosts": row["hosts"]} if "hosts" in row else {}),
            "severities": {name: row[name] for name in WORST_FIRST if row[name]},
            "where": condition(row["family"], row["lowest"]),
        }
        for row in rows.iter_rows(named=True)
    ]
    totals = {name: int(rows[name].sum()) for name in WORST_FIRST}
    severities = {name: number for name, number in totals.items() if number}
    return {**listed(found, findings=int(rows["findings"].sum())), "severities": severities}


def hints(said: Mapping[str, Any], whose: str) -> Iterator[str]:
    """What is not covered, in words, with the next step. `whose`: "of this scan ", or nothing."""
    hosts, findings = said["unowned"], said["untaken"]
    lost = hosts["without_address"]
    if placed := hosts["hosts"] - lost:
        networks = [f"{each['network']} ({each['hosts']})" for each in hosts["top"] if each["network"]]
        yield (
            f"{count(placed, 'host')} {whose}{_are(placed)} in no range: "
            f"{_few(networks, hosts['total'] - bool(lost))}. "
            f"Add {'its network' if placed == 1 else 'their networks'} to ranges.yaml."
        )
    if lost:
        yield (
            f"{count(lost, 'host')} {whose}{_has(lost)} no address, so no range can hold {_it(lost)}. Configure the "
            "scanner to report addresses."
        )
    if number := findings["findings"]:
        by_severity = ", ".join(f"{many} {name}" for name, many in findings["severities"].items())
        families = [f"{each['family'] or 'no family'} ({each['findings']})" for each in findings["top"]]
        yield (
            f"{count(number, 'finding')} {whose}{_are(number)} in no category ({by_severity}): "
            f"{_few(families, findings['total'])}. Add a category to categories.yaml; `vmjira plan --preview` proposes "
            "conditions."
        )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _has(number: int) -> str:
    return "has" if number == 1 else "have"


def _it(number: int) -> str:
    return "it" if number == 1 else "them"


def _few(names: list[str], total: int) -> str:
    shown = names[:FEW]
    return ", ".join(shown) + (f" and {total - len(shown)} more" if total > len(shown) else "")
