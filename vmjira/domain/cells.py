"""Where findings belong now, by the rules: their category, and the acceptance that names them there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from vmjira.domain.acceptance import accepted_until
from vmjira.domain.categories import categorise, columns_needed
from vmjira.domain.rulebook import Rulebook


@dataclass(frozen=True)
class Cells:
    """`catalogue`: `Knowledge.texts`. `hosts`: KNOWN_HOSTS, the newest observation of each host that matters."""

    rulebook: Rulebook
    catalogue: pl.DataFrame
    hosts: pl.DataFrame

    @property
    def columns(self) -> list[str]:
        """Columns of the host that the conditions name."""
        return sorted(columns_needed(self.rulebook.categories) - {"ports"})

    def place(self, findings: pl.DataFrame) -> pl.DataFrame:
        """`findings` with `to_category` and `until`, the end of the latest acceptance that names them (or null).

        Needs host, scanner, vulnerability_id, to_range, to_severity, to_ports and `columns`.
        """
        category = categorise(
            findings.select("scanner", "vulnerability_id", *self.columns, severity="to_severity", ports="to_ports"),
            self.catalogue,
            self.rulebook.categories,
        )
        placed = findings.with_columns(to_category=category)
        named = placed.select("host", "scanner", "vulnerability_id", category="to_category", range="to_range")
        return placed.hstack(named.with_columns(until=self.accepted_until).select("until"))

    @cached_property
    def accepted_until(self) -> pl.Expr:
        """The end of the latest acceptance that names a life: on host, scanner, vulnerability_id, category, range."""
        policy = self.rulebook.policy
        return accepted_until(self.rulebook.acceptances, self.hosts, self.catalogue, policy.timezone)
