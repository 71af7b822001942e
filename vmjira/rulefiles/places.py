"""Where a value of a rule book was written: asked for when a person must be sent there, kept nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from vmjira.rulefiles.tree import Tree, read

#: The name of a rule file, then keys and indexes: ("ranges.yaml", "ranges", 0, "ticket", "project").
Place = tuple[str | int, ...]


def where(files: Mapping[str, str], places: Iterable[Place]) -> str:
    """`file:line` of the first of these places at which something is written; "" if none is, so it is a default.

    `files` are texts by name, as in `Rulebook.files`.
    """
    for file, *path in places:
        tree = _tree(str(file), files.get(str(file), ""))
        if tuple(path) in tree.values:
            return f"{file}:{tree.place(tuple(path))[0]}"
    return ""


@lru_cache(maxsize=8)
def _tree(file: str, text: str) -> Tree:
    return read(file, text)
