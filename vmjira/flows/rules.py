"""Which rules are in force: those that were last accepted, not those that happen to lie in the folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from vmjira.domain.rulebook import Rulebook
from vmjira.errors import VmjiraError
from vmjira.flows.ports import Outside, RulesRow


def rules_in_force(outside: Outside) -> Rulebook:
    """The rule book in force; VmjiraError if none was ever accepted."""
    with outside.store.reading() as unit:
        row = unit.rules_in_force()
    if row is None:
        raise VmjiraError(
            "no rules are in force yet; they are taken from the rules folder by the first `vmjira ingest`"
        )
    return read_rules(outside.rulebook, row)


def read_rules(rulebook: Callable[[Mapping[str, str]], Rulebook], row: RulesRow) -> Rulebook:
    """The rule book of files that were valid once, read by `rulebook`."""
    return _parsed(rulebook, row.digest, tuple(sorted(row.files.items())))


@lru_cache(maxsize=8)
def _parsed(rulebook, digest: str, files: tuple[tuple[str, str], ...]) -> Rulebook:  # type: ignore[no-untyped-def]
    del digest  # the key that makes this cheap to look up
    found: Rulebook = rulebook(dict(files))
    return found
