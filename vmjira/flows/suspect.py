"""Scans from the future: made by a wrong clock, so held. Until a person has looked, they count for nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from vmjira.domain.frames import Scan
from vmjira.domain.rulebook import Policy
from vmjira.flows.operations import SUSPECT
from vmjira.flows.ports import Unit
from vmjira.flows.rows import OperationRow, ScanRow


def why_suspect(scan: Scan, policy: Policy, now: datetime) -> str:
    """Why the scan is to be held, in words; empty if it is not."""
    latest = max(scan.hosts["scanned_at"].drop_nulls().to_list(), default=scan.finished_at)
    limit = now + policy.clock_tolerance
    if max(latest, scan.finished_at) <= limit:
        return ""
    what = "it ended" if scan.finished_at > limit else "one of its hosts was scanned"
    return (
        f"by its own time {what} at {_when(max(latest, scan.finished_at), policy)}, but the time here is "
        f"{_when(now, policy)}, and `clock_tolerance` allows {_span(policy.clock_tolerance)}. Check the clocks of the "
        "scanner and of this server"
    )


def hold(unit: Unit, row: ScanRow, why: str, policy: Policy, now: datetime) -> ScanRow:
    """Keep the scan and put a notice up; the row with its id."""
    row = replace(
        row, state="held", folded_at=now, note=f"held since {_when(now, policy)}, waiting for approval: {why}"
    )
    row = replace(row, id=unit.add_scan(row))
    notice = f"{SUSPECT}:{row.digest[:12]}"
    reason = (
        f"{row.scanner} scan {row.name} is from the future: {why}. It counts for nothing until it is released. If its "
        f"time is right, release it with `vmjira operations release {notice}`, else drop it with "
        f"`vmjira operations drop {notice}`"
    )
    details = {"scan": row.id, "digest": row.digest, "finished_at": row.finished_at.isoformat()}
    unit.add_operations(
        [OperationRow(notice, SUSPECT, f"scan.{row.id}", reason, details, "held", notice, planned_at=now)]
    )
    return row


def due(unit: Unit) -> list[OperationRow]:
    """Notices that were released, and whose scans are not folded yet."""
    return [row for row in unit.operations("waiting") if row.operation == SUSPECT]


def retell(unit: Unit, scan: ScanRow, outcome: str, words: str) -> None:
    """What was taken from a scanner counts as a delivery from now on, or does not any more."""
    for row in unit.taken():
        if scan.digest in row.digest.split():
            unit.put_taken(replace(row, outcome=outcome, words=words))  # type: ignore[arg-type]


def _when(moment: datetime, policy: Policy) -> str:
    return f"{moment.astimezone(policy.timezone):%Y-%m-%d %H:%M}"


def _span(length: timedelta) -> str:
    hours = length / timedelta(hours=1)
    return f"{hours:g} hour{'' if hours == 1 else 's'}" if hours >= 1 else f"{length.total_seconds() / 60:g} minutes"
