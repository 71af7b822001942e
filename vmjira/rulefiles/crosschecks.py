"""Checks between entries and between files, on raw values: they say what they can even where other values are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from vmjira.domain.rulebook import Network
from vmjira.rulefiles import conditions, networks
from vmjira.rulefiles.problems import KINDS
from vmjira.rulefiles.tree import Tree
from vmjira.rulefiles.words import entity, meant, quoted


def check(trees: Mapping[str, Tree]) -> None:
    """Add to each tree what its entries, or other files, contradict."""
    categories, ranges = trees["categories.yaml"], trees["ranges.yaml"]
    for tree, top in ((categories, "categories"), (ranges, "ranges"), (trees["scanners.yaml"], "scanners")):
        _unique(tree, top, "id")
        _unique(tree, top, "title")
    _aliases(categories, "categories")
    _aliases(ranges, "ranges")
    _reachable(categories)
    _networks_once(ranges)
    _projects(ranges, trees["policy.yaml"])
    _references(trees["acceptances.yaml"], "category", categories)
    _references(trees["acceptances.yaml"], "range", ranges)


def _entries(tree: Tree, top: str) -> Iterator[tuple[int, dict[str, Any]]]:
    entries = tree.data.get(top) if isinstance(tree.data, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict):
            yield index, entry


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _unique(tree: Tree, top: str, key: str) -> None:
    first: dict[str, int] = {}
    for index, entry in _entries(tree, top):
        value = entry.get(key)
        if not isinstance(value, str):
            continue
        same = " ".join(value.casefold().split())
        if same in first:
            place = tree.place((top, first[same], key))
            problem = f"{key} {quoted(value)} is already taken in line {place[0]}; choose another {key}"
            tree.refuse((top, index, key), f"{entity(KINDS[top], index, entry)}: {problem}")
        first.setdefault(same, index)


def _aliases(tree: Tree, top: str) -> None:
    """An alias is an id that is in use no more, and the alias of one entry only."""
    ids = {entry["id"]: index for index, entry in _entries(tree, top) if isinstance(entry.get("id"), str)}
    taken: dict[str, int] = {}
    for index, entry in _entries(tree, top):
        listed = entry.get("aliases")
        for place, alias in enumerate(listed if isinstance(listed, list) else []):
            if not isinstance(alias, str):
                continue
            owner = ids.get(alias, taken.get(alias))
            if owner is not None:
                line = tree.place((top, owner))[0]
                use = f"is the id of another {KINDS[top]}" if alias in ids else f"is an alias of another {KINDS[top]}"
                problem = f"aliases: {quoted(alias)} {use} (line {line}); an alias is an id that is no longer in use"
                tree.refuse((top, index, "aliases", place), f"{entity(KINDS[top], index, entry)}: {problem}")
            taken.setdefault(alias, index)


def _reachable(tree: Tree) -> None:
    earlier: list[tuple[int, dict[str, Any], pl.Expr]] = []
    for index, entry in _entries(tree, "categories"):
        try:
            condition = conditions.parsed(conditions.check(_text(entry.get("where"))))
        except ValueError:  # the schema has said so
            continue
        path = ("categories", index, "where")
        for other, taker, takes in earlier:
            everything = _takes_all(takes)
            if everything or takes.meta.eq(condition):
                line = tree.place(("categories", other, "where"))[0]
                takes_what = "takes everything" if everything else "has the same condition"
                problem = f"never takes a finding: {entity('category', other, taker)} in line {line} {takes_what}"
                tree.refuse(
                    path, f"{entity('category', index, entry)}: {problem}; move this one before it, or remove it"
                )
                break
        earlier.append((index, entry, condition))


def _takes_all(condition: pl.Expr) -> bool:
    return not condition.meta.root_names() and pl.select(condition).item() is True


def _networks_once(tree: Tree) -> None:
    first: dict[Network, tuple[int, int, dict[str, Any]]] = {}
    for index, entry in _entries(tree, "ranges"):
        listed = entry.get("networks")
        for place, text in enumerate(listed if isinstance(listed, list) else []):
            try:
                network = networks.parse(_text(text))
            except ValueError:  # the schema has said so
                continue
            if network in first:
                other, at, owner = first[network]
                line, column = tree.place(("ranges", other, "networks", at))
                problem = f"{quoted(text)} is already in {entity('range', other, owner)} (line {line}, column {column})"
                tree.refuse(
                    ("ranges", index, "networks", place),
                    f"{entity('range', index, entry)}: networks: {problem}; keep one of them",
                )
            first.setdefault(network, (index, place, entry))


def _projects(tree: Tree, policy: Tree) -> None:
    if _has_project(policy.data) or (policy.data is None and policy.problems):
        return
    for index, entry in _entries(tree, "ranges"):
        if not _has_project(entry):
            problem = "no project for its tickets; write ticket: {project: VM} here or in policy.yaml"
            tree.refuse(("ranges", index), f"{entity('range', index, entry)}: {problem}")


def _has_project(data: Any) -> bool:
    ticket = data.get("ticket") if isinstance(data, dict) else None
    return isinstance(ticket, dict) and "project" in ticket


def _references(tree: Tree, key: str, other: Tree) -> None:
    if other.data is None:
        return
    top = next(top for top, kind in KINDS.items() if kind == key)
    known = [entry["id"] for _, entry in _entries(other, top) if isinstance(entry.get("id"), str)]
    for index, entry in _entries(tree, "acceptances"):
        value = entry.get(key)
        if isinstance(value, str) and value and value not in known:
            problem = f"{key}: unknown {key} {quoted(value)}; {meant(value, known)}"
            tree.refuse(("acceptances", index, key), f"acceptance {index + 1}: {problem}")
