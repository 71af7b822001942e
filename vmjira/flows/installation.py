"""Which installation of vmjira this is: its id stands on each of its tickets, so that two never touch each other's.

It is made once and kept in the database, so a restored backup is the same installation.
"""

from __future__ import annotations

import secrets

from vmjira.flows.ports import Outside, Unit
from vmjira.flows.rows import Mark

INSTALLATION = "installation"
#: No vowels and nothing that is easily mistaken: it is read out and typed by people.
_LETTERS = "bcdfghjkmnpqrstvwxz23456789"


def installation(outside: Outside) -> str:
    """The id of this installation; made by whoever needs it first."""
    with outside.store.reading() as unit:
        if found := known_installation(unit):
            return found
    with outside.store.begin() as unit:
        if not (found := known_installation(unit)):
            found = "".join(secrets.choice(_LETTERS) for _ in range(9))
            unit.put_mark(Mark(INSTALLATION, outside.clock(), {"id": found}))
        return found


def known_installation(unit: Unit) -> str:
    """Empty if nobody needed it yet."""
    mark = unit.mark(INSTALLATION)
    return str(mark.details["id"]) if mark else ""
