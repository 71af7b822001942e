"""Health: whether the process is alive, and whether vmjira is ready to work. Never asks the tracker."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Blueprint

from vmjira.domain.rulebook import Rulebook
from vmjira.errors import VmjiraError
from vmjira.flows.identity import Known, known_tracker
from vmjira.flows.ports import Store, Unit
from vmjira.flows.rows import Mark

log = structlog.get_logger(__name__)

#: Marks of the last reconciliation, and of the last look at the schedule.
RECONCILED, SCHEDULE = "reconciled", "schedule"
Check = dict[str, Any]
#: Seconds after which a database that does not answer counts as away.
PATIENCE = 2.0
#: A worker whose last beat is older (seconds) does not count.
STALE = 60.0
#: With no worker, this much waiting means that nobody works.
UNATTENDED = timedelta(minutes=15)


def health(
    store: Callable[[], Store], rulebook: Callable[[], Rulebook | None], clock: Callable[[], datetime]
) -> Blueprint:
    views = Blueprint("health", __name__)
    asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readyz")  # who hangs, hangs there

    @views.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @views.get("/readyz")
    def readyz() -> tuple[dict[str, Any], int]:
        try:
            checks = asking.submit(_checks, store, rulebook, clock).result(timeout=PATIENCE)
        except TimeoutError:
            checks = _away(f"no answer within {PATIENCE:g} s")
        except VmjiraError as error:
            log.error("not ready", why=str(error))  # the words may name hosts and accounts: they are for the log only
            checks = _away("cannot be read; the reason is in the log of the server")
        ready = all(check["ok"] for check in checks.values())
        return {"ready": ready, "checks": checks}, 200 if ready else 503

    return views


def _away(why: str) -> dict[str, Check]:
    return {"database": {"ok": False, "why": why}}


def _checks(
    store: Callable[[], Store], rulebook: Callable[[], Rulebook | None], clock: Callable[[], datetime]
) -> dict[str, Check]:
    now = clock()
    with store().reading() as unit:
        queue, scanned, reconciled = _queue(unit, now), unit.last_scan(), unit.mark(RECONCILED)
        schedule, tracker = unit.mark(SCHEDULE), known_tracker(unit)
    return {
        "database": {"ok": True},
        "queue": queue,
        "rules": _rules(rulebook),
        "scans": {"ok": True, "age_seconds": _age(scanned, now)},
        "reconciliation": {"ok": True, "age_seconds": _age(reconciled.at if reconciled else None, now)},
        "schedule": _schedule(schedule, now),
        "tracker": _tracker(tracker),
    }


def _queue(unit: Unit, now: datetime) -> Check:
    """Not well if work waits and no worker is there to do it. A tracker that is away is the tracker's illness."""
    queues, workers = unit.waiting_since(), len(unit.live_slots(now, stale_after=STALE))
    oldest = min((since for since in queues.values() if since), default=now)
    ok = bool(workers) or now - oldest < UNATTENDED
    why = {} if ok else {"why": "work waits and no worker is running: start `vmjira worker`"}
    ages = {name: _age(since, now) for name, since in queues.items()}
    return {"ok": ok, "workers": workers, "oldest_seconds": ages, **why}


def _schedule(mark: Mark | None, now: datetime) -> Check:
    """Never ill: a scanner that is silent makes this server no less ready. But it is told."""
    details = mark.details if mark else {}
    silent = [name for name, each in details.get("scanners", {}).items() if each["silent"]]
    return {
        "ok": True,
        "age_seconds": _age(mark.at if mark else None, now),
        "silent_scanners": silent,
        "failed_jobs": list(details.get("failed", {})),
    }


def _tracker(known: Known | None) -> Check:
    """Never ill: this server can do nothing about it. Addresses are for people who have logged in."""
    if known and known.moved:
        return {"ok": True, "moved": True, "note": "the tracker has moved, so nothing is written: see `vmjira rebind`"}
    return {"ok": True, "moved": False}


def _rules(rulebook: Callable[[], Rulebook | None]) -> Check:
    try:
        rules = rulebook()
    except VmjiraError as error:
        log.error("the rules in force cannot be read", why=str(error))
        return {"ok": False, "why": "the rules in force cannot be read; see `vmjira rules check`"}
    return {"ok": True, "digest": rules.digest[:12]} if rules else {"ok": True, "why": "none were put in force yet"}


def _age(moment: datetime | None, now: datetime) -> float | None:
    """In seconds; a clock that runs ahead elsewhere makes nothing younger than now."""
    return round(max((now - moment).total_seconds(), 0.0), 1) if moment else None
