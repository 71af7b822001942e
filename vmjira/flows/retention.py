"""Forgetting what nobody needs any more. Scans stay: replaying them rebuilds everything else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from vmjira.domain.rulebook import Policy
from vmjira.flows.ports import Outside


def forget(outside: Outside, policy: Policy, forget_work: Callable[[datetime], int]) -> str:
    """By the policy's `retention`; files to which no row refers go in any case. What was done, in words."""
    wanted = policy.retention
    versions = outside.store.prune_ledger(keep=wanted.versions) if wanted.versions is not None else 0
    files = outside.store.sweep()
    before = outside.clock() - wanted.firings
    with outside.store.begin() as unit:
        firings = unit.forget_firings(before)
    work = forget_work(before)
    return (
        f"forgotten: {versions} versions of the ledger, {files} files, {firings} firings, {work} records of the queues"
    )
