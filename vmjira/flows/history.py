"""Which rules were in force from when till when, who changed what in them, and what differs between any two."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff
from itertools import pairwise
from typing import Any

from vmjira.errors import VmjiraError
from vmjira.flows.ports import Store, Unit
from vmjira.flows.rows import RulesPeriod

#: Characters of a digest by which a rule set is called.
SHORT = 12

Files = Mapping[str, str]


def history(store: Store) -> list[dict[str, Any]]:
    """The periods of the rule sets, the newest first: digest, since, until, how, released_by, files.

    `files`: what differs from the period before, each with file, added and removed (lines), who, at, from.
    """
    with store.reading() as unit:
        periods = unit.rules_periods()
        texts = {digest: _files(unit, digest) for digest in {period.digest for period in periods}}
    rows = []
    for before, period, after in zip([None, *periods], periods, [*periods[1:], None], strict=False):
        old = texts[before.digest] if before else {}
        rows.append(_period(period, after, old, texts[period.digest]))
    return rows[::-1]


def _period(period: RulesPeriod, after: RulesPeriod | None, old: Files, new: Files) -> dict[str, Any]:
    files = [
        {"file": name, **_lines(old.get(name, ""), new.get(name, "")), **(period.editors.get(name) or {})}
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    return {
        "digest": period.digest,
        "since": period.since.isoformat(),
        "until": after.since.isoformat() if after else None,
        "how": period.how,
        "released_by": period.released_by or None,
        "files": files,
    }


def page(unit: Unit, limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
    """Some periods as in `history`, each with `changes` against the period before, a unified diff; and how many are."""
    periods = unit.rules_periods()[::-1]
    shown = periods[offset : offset + limit + 1]
    texts = {digest: _files(unit, digest) for digest in {period.digest for period in shown}}
    rows = []
    for index, period in enumerate(shown[:limit]):
        before = shown[index + 1] if index + 1 < len(shown) else None
        after = periods[offset + index - 1] if offset + index else None
        old, new = texts[before.digest] if before else {}, texts[period.digest]
        changes = difference(old, new, before.digest[:SHORT], period.digest[:SHORT]) if before else ""
        rows.append({**_period(period, after, old, new), "changes": changes})
    return rows, len(periods)


def diff(store: Store, files: Files, one: str = "", other: str = "") -> str:
    """What differs between two rule sets, as a unified diff; a set is called by the beginning of its digest.

    Without any: from those in force to `files`, those in the folder. With one: from those that were in force before it
    (or are in force, if it only waits) to it.
    """
    with store.reading() as unit:
        if not one:
            row = unit.rules_in_force()
            return difference(row.files if row else {}, files, "in force", "in the folder")
        digest, new = _named(unit, one)
        if other:
            old_digest, old = digest, new
            digest, new = _named(unit, other)
        else:
            old_digest = _predecessor(unit, digest)
            old = _files(unit, old_digest) if old_digest else {}
    return difference(old, new, old_digest[:SHORT] or "nothing", digest[:SHORT])


def _predecessor(unit: Unit, digest: str) -> str:
    """Of the newest period of that set; if it never was in force, those that are; "" if there is none."""
    digests = [period.digest for period in unit.rules_periods()]
    if digest not in digests:
        return digests[-1] if digests else ""
    return next((before for before, after in reversed(list(pairwise(digests))) if after == digest), "")


def _named(unit: Unit, beginning: str) -> tuple[str, Files]:
    found = unit.rules_named(beginning.lower()) if beginning else {}
    if len(found) != 1:
        few = (
            "there is none whose digest begins so" if not found else f"{len(found)} digests begin so: write more of it"
        )
        raise VmjiraError(f"rules '{beginning}': {few}; see `vmjira rules history`")
    return next(iter(found.items()))


def _files(unit: Unit, digest: str) -> Files:
    row = unit.rules(digest)
    return row.files if row else {}


def difference(old: Files, new: Files, old_name: str, new_name: str) -> str:
    parts = []
    for name in sorted(old.keys() | new.keys()):
        before, after = (texts.get(name, "").splitlines(keepends=True) for texts in (old, new))
        lines = unified_diff(before, after, f"{name} ({old_name})", f"{name} ({new_name})")
        parts += [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
    return "".join(parts)


def _lines(old: str, new: str) -> dict[str, int]:
    lines = list(unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0))[2:]
    return {"added": sum(line[:1] == "+" for line in lines), "removed": sum(line[:1] == "-" for line in lines)}
