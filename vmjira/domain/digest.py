"""Fingerprints of lives: they tell whether anything that a ticket shows of them has changed.

When a finding was last seen, and which iteration is running, are not a change: a scan that saw the same costs no call.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from vmjira.domain.classify import newest
from vmjira.domain.knowledge import Knowledge

#: What of a life a ticket shows, beside its state.
_LIFE = (
    "host", "scanner", "vulnerability_id", "severity", "first_seen", "first_iteration", "opened_as", "ended_at",
    "ended_iteration", "ended_as",
)  # fmt: skip
#: What it shows of the vulnerability. Of the host it shows address and name; a name in other letters is the same.
_TEXT = ("title", "description", "cvss2", "cvss3", "exploit_available", "solution", "kev", "kev_due", "epss")
_CHECK = ["scanner", "vulnerability_id"]


@dataclass(frozen=True)
class Shown:
    """Fingerprints of what tickets show of hosts and vulnerabilities."""

    hosts: pl.DataFrame  # host, host_shown
    texts: pl.DataFrame  # scanner, vulnerability_id, text_shown


def shown(knowledge: Knowledge, lives: pl.DataFrame) -> Shown:
    """Of those hosts and vulnerabilities that the lives (LEDGER) name."""
    hosts = newest(knowledge.hosts.join(lives.select("host").unique(), on="host", how="semi"))
    texts = knowledge.texts.join(lives.select(_CHECK).unique(), on=_CHECK, how="semi")
    return Shown(
        hosts.select("host", host_shown=pl.struct("ip", pl.col("hostname").str.to_lowercase()).hash()),
        texts.select(*_CHECK, text_shown=pl.struct(*_TEXT, pl.col("cves").list.join(" ")).hash()),
    )


def digests(lives: pl.DataFrame, k: int, shown: Shown, *keys: str) -> pl.DataFrame:
    """One row per value of `keys`, with `digest` (UInt64): the same for the same lives, in any order.

    `lives` (LEDGER): of one range; `k`: its running iteration.
    """
    unverified = pl.col("ended_as").is_null() & (pl.col("last_iteration") < k)
    rows = lives.join(shown.hosts, on="host", how="left").join(shown.texts, on=_CHECK, how="left")
    looks = pl.struct(
        *_LIFE, pl.col("ports").list.join(" "), "host_shown", "text_shown", unverified.alias("unverified")
    )
    return (
        rows.select(*keys, digest=looks.hash())
        .group_by(*keys)
        .agg(pl.col("digest").sum())  # wraps around, which is as good
        .sort(*keys)
    )
