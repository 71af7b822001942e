"""The story of a firing: due ─► said once, whoever says it ─► queued ─► the job is run ─► recorded.

A firing is a row of the database, put in and queued in one transaction; its primary key is the job and the due time. So
any number of clocks may say that a job is due, and it is done once. Firings of one job run one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from vmjira.errors import ScannerUnavailable, StoreUnavailable, TrackerUnavailable, VmjiraError
from vmjira.flows.deliver import FAULTS, FIRST_PAUSE, LONGEST_PAUSE
from vmjira.flows.ports import Outside
from vmjira.flows.queue import JOB
from vmjira.flows.rows import FiringRow, FiringState

log = structlog.get_logger(__name__)

#: Runs a job by its name; what was done, in words.
Run = Callable[[str], str]
_FORM = "%Y-%m-%dT%H:%M:%S%z"


def ring(outside: Outside, job: str, due: datetime) -> bool:
    """Say that a job is due. False if that was said already.

    If an earlier firing of the job has not begun yet, it stands for this one too: a job does what there is to do.
    """
    with outside.store.reading() as unit:
        if unit.firing(job, due):
            return False
    with outside.store.begin() as unit:
        waits = any(row.attempts == 0 for row in unit.firings("queued", job=job))
        if waits:
            row = FiringRow(job, due, "coalesced", "an earlier firing had not begun yet", ended_at=outside.clock())
        else:
            row = FiringRow(job, due)
        if not unit.add_firing(row):
            return False
        if not waits:
            id = firing_id(job, due)
            outside.queue.put_work(unit, JOB, id, workflow=f"job.{id}", partition=job)
    return True


def firing_id(job: str, due: datetime) -> str:
    """`<job>.<due>`."""
    return f"{job}.{due:{_FORM}}"


def fire(outside: Outside, run: Run, id: str) -> float | None:
    """Run one firing. Seconds until the next try, or None: it has ended (done, failed)."""
    job, _, written = id.rpartition(".")
    due = datetime.strptime(written, _FORM)
    with outside.store.begin() as unit:
        row = unit.firing(job, due)
        if row is None or row.state != "queued":
            return None
        started = row.started_at or outside.clock()
        unit.update_firing(job, due, attempts=row.attempts + 1, started_at=started)
    try:
        words = run(job)
    except (ScannerUnavailable, TrackerUnavailable) as error:
        return _later(outside, row, str(error), error.retry_after)
    except StoreUnavailable as error:
        return _later(outside, row, str(error))
    except VmjiraError as error:
        _end(outside, row, "failed", str(error))
    except Exception as error:  # a fault of ours: the next firing must not wait for it
        log.exception("fault", job=job)
        if row.attempts < FAULTS:
            return _later(outside, row, f"a fault of vmjira: {error}")
        _end(outside, row, "failed", f"a fault of vmjira, please report it: {type(error).__name__}: {error}")
    else:
        _end(outside, row, "done", words)
    return None


def _later(outside: Outside, row: FiringRow, why: str, retry_after: float | None = None) -> float:
    pause = retry_after or min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(row.attempts, 10))
    with outside.store.begin() as unit:
        unit.update_firing(row.job, row.due, words=why)
    log.warning("waiting", job=row.job, seconds=pause, why=why)
    return pause


def _end(outside: Outside, row: FiringRow, state: FiringState, words: str) -> None:
    with outside.store.begin() as unit:
        unit.update_firing(row.job, row.due, state=state, words=words, ended_at=outside.clock())
    told = log.info if state == "done" else log.error
    told(state, job=row.job, due=row.due.isoformat(), words=words)
