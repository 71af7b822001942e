"""Which rules are in force: those that were last accepted, not those that happen to lie in the folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import structlog

from vmjira.domain.rulebook import Rulebook
from vmjira.errors import RulesInvalid, VmjiraError
from vmjira.flows.ports import Outside
from vmjira.flows.rows import RulesRow

log = structlog.get_logger(__name__)


def rules_in_force(outside: Outside) -> Rulebook:
    """The rule book in force; VmjiraError if none was ever accepted."""
    with outside.store.reading() as unit:
        row = unit.rules_in_force()
    if row is None:
        raise VmjiraError(
            "no rules are in force yet. `vmjira rules apply` puts those of the rules folder in force, and so does the "
            "first `vmjira ingest`"
        )
    return read_rules(outside.rulebook, row)


def read_rules(rulebook: Callable[[Mapping[str, str]], Rulebook], row: RulesRow) -> Rulebook:
    """The rule book of files that were valid once, read by `rulebook`."""
    return _parsed(rulebook, row.digest, tuple(sorted(row.files.items())))


class LastGood:
    """The rules as they lie in the folder; while those are broken, the last that were not, else those in force."""

    def __init__(self, load: Callable[[], Rulebook], in_force: Callable[[], Rulebook | None]) -> None:
        self._load, self._in_force = load, in_force
        self._last: Rulebook | None = None
        self._said = ""

    def __call__(self) -> Rulebook:
        """Raises RulesInvalid if there never were any that can be used."""
        try:
            self._last, self._said = self._load(), ""
        except RulesInvalid as error:
            self._last = self._last or self._in_force()
            if self._last is None:
                raise
            if str(error) != self._said:
                self._said = str(error)
                log.error(
                    "the rules are broken; the last good ones stay", problems=[str(each) for each in error.problems]
                )
        return self._last


@lru_cache(maxsize=8)
def _parsed(rulebook, digest: str, files: tuple[tuple[str, str], ...]) -> Rulebook:  # type: ignore[no-untyped-def]
    del digest  # the key that makes this cheap to look up
    found: Rulebook = rulebook(dict(files))
    return found
