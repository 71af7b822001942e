"""marshmallow's nested errors to problems with a place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vmjira.rulefiles.tree import Path, Tree
from vmjira.rulefiles.words import entity

#: Top-level key of a file → what one of its entries is called.
KINDS = {"categories": "category", "ranges": "range", "acceptances": "acceptance", "scanners": "scanner"}

UNKNOWN = "unknown key"


def report(tree: Tree, errors: Mapping[Any, Any]) -> None:
    """Add a problem to `tree` for every message in `errors`."""
    for path, message in _flat(errors, ()):
        tree.refuse(path, named(tree, path, message), key=message.startswith(UNKNOWN))


def named(tree: Tree, path: Path, message: str) -> str:
    """`category 'smb': due: message`: which entry, which key, what."""
    parts = list(path)
    words = []
    if len(parts) >= 2 and parts[0] in KINDS and isinstance(parts[1], int):
        entries = tree.data[parts[0]]
        words.append(entity(KINDS[str(parts[0])], parts[1], entries[parts[1]]))
        parts = parts[2:]
    if message.startswith(UNKNOWN):
        parts = parts[:-1]
    keys = ".".join(part for part in parts if isinstance(part, str))
    return ": ".join([*words, *([keys] if keys else []), message])


def _flat(errors: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(errors, Mapping):
        for key, inner in errors.items():
            yield from _flat(inner, path if key == "_schema" else (*path, key))
    elif isinstance(errors, list):
        for message in errors:
            yield from _flat(message, path)
    else:
        yield path, str(errors)
