"""What a rule says of its scanner, ready to use: secrets from the environment, names of scans, limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerRefused

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
#: Runs that ended longer ago are not taken, unless the rule says otherwise: nobody wants last year's tickets.
HISTORY = timedelta(days=30)


@dataclass(frozen=True)
class Limits:
    """What a scanner may cost us: seconds and bytes. Far above what real ones need."""

    connect: float = 10.0
    read: float = 60.0  # of silence
    answer: int = 64 << 20  # of one answer that is no file
    file: int = 8 << 30
    prepare: float = 3600.0  # of waiting until an export is ready
    download: float = 2 * 3600.0
    poll: float = 2.0  # between two questions


LIMITS = Limits()


def resolved(scanner: Scanner, environ: Mapping[str, str]) -> dict[str, Any]:
    """The options of a rule with each `${NAME}` replaced; ScannerRefused names every variable that is not set."""
    missing: list[str] = []

    def fill(found: re.Match[str]) -> str:
        if not (value := environ.get(found[1], "")):
            missing.append(found[1])
        return value

    options = {
        key: REFERENCE.sub(fill, value) if isinstance(value, str) else value for key, value in scanner.options.items()
    }
    if missing:
        names = ", ".join(dict.fromkeys(missing))
        raise ScannerRefused(
            f"{scanner.id}: {names}: is not set; scanners.yaml takes it from the environment (or .env)"
        )
    return options


def secrets(scanner: Scanner, options: Mapping[str, Any]) -> tuple[str, ...]:
    """What came from the environment and must never be shown."""
    return tuple(
        str(options[key])
        for key, value in scanner.options.items()
        if isinstance(value, str) and REFERENCE.search(value)
    )


def oldest(options: Mapping[str, Any]) -> datetime:
    """The end of the oldest run that is taken."""
    return datetime.now(UTC) - (options.get("history") or HISTORY)


def wanted(patterns: Iterable[str] | None, name: str, *also: str) -> bool:
    """Whether a scan is meant: its name, or another way to call it (its id, `folder/name`), matches a pattern.

    `*` stands for anything, also for `/`. No pattern at all: every scan is.
    """
    if not patterns:
        return True
    called = (name, *also)
    return any(pattern == each or fnmatchcase(each, pattern) for pattern in patterns for each in called)
