"""Fingerprints of lives: they tell whether anything that a ticket shows of them has changed."""

from __future__ import annotations

import polars as pl

#: What a sighting, an ending or a move changes.
_SHOWN = (
    "host", "scanner", "vulnerability_id", "severity", "first_seen", "first_iteration", "last_seen", "last_iteration",
    "ended_at", "ended_as",
)  # fmt: skip


def digests(lives: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """One row per value of `keys`, with `digest` (UInt64): the same for the same lives, in any order."""
    return (
        lives.select(*keys, digest=pl.struct(_SHOWN).hash())
        .group_by(*keys)
        .agg(pl.col("digest").sum())  # wraps around, which is as good
        .sort(*keys)
    )
