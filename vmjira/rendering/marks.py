"""Our part of a description lies between two marks; all else belongs to people and is never touched.

The marks are plain characters, because Cloud turns wiki markup into its document format and back.
"""

from __future__ import annotations

import re
from itertools import pairwise

from vmjira.rendering.wiki import units

LIMIT = 32_767  # units; "The entered text is too long. It exceeds the allowed limit of 32,767 characters."

OPEN = "⟦vmjira: this part is kept up to date by vmjira; please write above or below it⟧"
CLOSE = "⟦/vmjira⟧"
SHORTENED = "Shortened, because this description is full: the rest is in the attachments."

_MARK = re.compile(r"⟦\s*(?P<close>/?)\s*vmjira\b[^⟦⟧\n]*⟧", re.IGNORECASE)
_BLANK = re.compile(r"\n{3,}")
_GAP = "\n\n"


def wrap(body: str) -> str:
    """`body` between the marks; marks inside of it are taken out, and so are needless blank lines."""
    return f"{OPEN}\n{_BLANK.sub(_GAP, _MARK.sub('', body)).strip()}\n{CLOSE}"


def merge(current: str, ours: str, *, limit: int = LIMIT) -> str:
    """`current` with our part replaced by `ours`, or `ours` in front of it.

    Our part is the first opening mark that is directly followed by a closing one: a mark that was deleted, doubled or
    moved never makes us remove what a person wrote. If `ours` does not fit beside their text, `ours` gives way.
    """
    before, after = _around(current)
    ours = shrink(ours, limit - units(before) - units(after))
    return before + ours + after if ours else current


def room(current: str, *, limit: int = LIMIT) -> int:
    """Units that our part may have in `current`."""
    return max(limit - sum(map(units, _around(current))), 0)


def shrink(ours: str, limit: int) -> str:
    """`ours` with whole lines left out before its closing mark, and a line that says so; empty if nothing fits."""
    if units(ours) <= limit:
        return ours
    tail = f"\n{SHORTENED}\n{CLOSE}"
    kept: list[str] = []
    left = limit - units(tail) + 1
    for line in ours.split("\n")[:-1]:
        left -= units(line) + 1
        if left < 0:
            break
        kept.append(line)
    return "\n".join(kept) + tail if kept else ""


def part(current: str) -> str:
    """Our part of `current`, with its marks; empty if it is not there."""
    found = _between(current)
    return current[slice(*found)] if found else ""


def _around(current: str) -> tuple[str, str]:
    """What people wrote before and after our part, with the gap to it if we are not in there yet."""
    if found := _between(current):
        return current[: found[0]], current[found[1] :]
    return "", _GAP + current if current else ""


def _between(current: str) -> tuple[int, int] | None:
    """Where our part begins and ends."""
    marks = list(_MARK.finditer(current))
    for opening, closing in pairwise(marks):
        if not opening["close"] and closing["close"]:
            return opening.start(), closing.end()
    return None
