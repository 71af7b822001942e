"""One intended change of one ticket, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal[
    "create", "update", "rename", "fields", "relabel", "link",
    "verified", "settled", "closed", "progress", "waiting", "accepted", "unaccepted", "withdrawn",  # comments
    "close", "reopen", "escalate",
]  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """One intended change of one ticket, with its reason in words."""

    operation: Kind
    identifier: str
    key: str | None
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"details": dict(self.details)}


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
