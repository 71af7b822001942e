"""What the doctor says: one finding, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

#: The name of a rule file, then keys and indexes.
Place = tuple[str | int, ...]
#: `file:line` of the first place at which something is written; "" for a default.
Where = Callable[[Iterable[Place]], str]


@dataclass(frozen=True)
class Check:
    ok: bool
    what: str
    how: str = ""  # to mend it
    where: str = ""  # file:line of the rule


def named(name: str, known: Sequence[str], kind: str) -> Check:
    """Whether something of the rules exists, and what was perhaps meant."""
    if name in known:
        return Check(True, f"{kind} {name!r} exists")
    return Check(False, f"{kind} {name!r} does not exist", choice(kind, name, known))


def choice(kind: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    if not known:
        return f"there is no {kind} at all; take it out of the rules, or make it in Jira"
    return f"{guess}there is: {', '.join(known)}" if len(known) <= 40 else guess or f"see the list of {kind}s in Jira"
