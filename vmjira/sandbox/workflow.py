"""Workflows: which statuses there are, and which transitions lead from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Jira's own ids, names and colours of the three status categories.
CATEGORIES = {
    "new": (2, "To Do", "blue-gray"),
    "indeterminate": (4, "In Progress", "yellow"),
    "done": (3, "Done", "green"),
}


@dataclass(frozen=True)
class Status:
    id: str
    name: str
    category: str


@dataclass(frozen=True)
class Transition:
    id: str
    name: str
    sources: tuple[str, ...]
    target: str
    resolution: str  # on its screen: required, optional, no


@dataclass(frozen=True)
class Workflow:
    categories: Mapping[str, str]  # status name → category; the first status is the one of a new issue
    transitions: tuple[Transition, ...]

    @classmethod
    def build(cls, rows: Mapping[str, Any]) -> Workflow:
        """From the seed's or a file's rows; raises ValueError with the reason."""
        categories = dict(rows["statuses"])
        transitions = tuple(
            Transition(id_, name, tuple(sources), target, resolution)
            for id_, name, sources, target, resolution in rows["transitions"]
        )
        for name, category in categories.items():
            if category not in CATEGORIES:
                raise ValueError(f"status {name!r}: category {category!r}; one of {', '.join(CATEGORIES)}")
        for step in transitions:
            unknown = {*step.sources, step.target} - categories.keys()
            if unknown or step.resolution not in {"required", "optional", "no"}:
                raise ValueError(f"transition {step.name!r}: unknown status or resolution: {sorted(unknown)}")
        return cls(categories, transitions)

    @property
    def initial(self) -> str:
        return next(iter(self.categories))

    def possible(self, status: str) -> list[Transition]:
        return [step for step in self.transitions if status in step.sources]

    def nearest(self, status: str, category: str) -> str:
        """Where an issue lands that moves into this workflow: the same status, else one alike, else the first."""
        if status in self.categories:
            return status
        return next((name for name, own in self.categories.items() if own == category), self.initial)
