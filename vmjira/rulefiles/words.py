"""Words for problems: what a value is, what was probably meant, what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from typing import Any

SHOWN = 60  # characters of a value that a message repeats


def plain(value: object) -> str:
    """The value on one line, without characters that a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(str(value).split()))


def quoted(value: object) -> str:
    """The value in quotes, on one line, cut where it is long."""
    text = plain(value)
    return f"'{text}'" if len(text) <= SHOWN else f"'{text[:SHOWN]}…'"


def described(value: Any) -> str:
    """What kind of YAML value this is, and which."""
    if value is None:
        return "nothing"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping of keys"
    if isinstance(value, bool):
        return f"{quoted(str(value).lower())} (true or false)"
    kind = " (a number)" if isinstance(value, int | float) else " (a date)" if isinstance(value, date) else ""
    return quoted(value) + kind


def near(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like `word`."""
    folded = {name.casefold(): name for name in known}
    found = get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def meant(word: str, known: Iterable[str]) -> str:
    """`did you mean …?` where one of `known` is near, else all that is allowed."""
    names = list(known)
    guess = near(word, names)
    if guess:
        return f"did you mean '{guess}'?"
    return f"allowed: {', '.join(names)}" if names else "none is defined"


def chosen(value: Any, known: Iterable[str]) -> str:
    return meant(value, known) if isinstance(value, str) else f"allowed: {', '.join(known)}"


def entity(kind: str, index: int, entry: Any) -> str:
    """How an entry of a list is called in messages: by its id, else by its place."""
    id = entry.get("id") if isinstance(entry, Mapping) else None
    return f"{kind} {quoted(id)}" if isinstance(id, str) else f"{kind} {index + 1}"
