"""Operations as people handle them: what waits, failed or is held; retry, drop, release."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from vmjira.domain.operation import Operation
from vmjira.errors import VmjiraError
from vmjira.flows.looking import Act
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.rows import OperationRow, OperationState

#: A held change of rules: releasing it puts them in force, exactly as they were held.
RULES = "rules"
#: A scan that is not believed in a range: releasing it lets the scan count.
BREAKER = "breaker"
#: Many tickets that are not in the tracker any more: releasing it lets them count as deleted.
MISSING = "missing"
#: A scan from the future: releasing it folds it in.
SUSPECT = "suspect"
#: So many hosts of a range that were not seen for long that none of them ends as gone: releasing it lets them go.
GONE = "gone"
#: What is held for a person, and is nothing that the tracker gets.
NOTICES = (RULES, BREAKER, MISSING, SUSPECT, GONE)
#: Events that are taken up again at once, at most: the newest.
EVENTS = 10_000
#: What a released operation becomes that is not for the tracker.
_RELEASED: dict[str, OperationState] = dict.fromkeys(NOTICES, "waiting")


@dataclass(frozen=True)
class Person:
    """Who does something to operations, and by which way."""

    name: str = "a person"
    via: str = "program"


NOBODY = Person()


def new_operation(
    operation: str, identifier: str, reason: str, *, plan: str, now: datetime, after: str = ""
) -> OperationRow:
    """A queued operation. Its id carries what it is: the same operation of the same plan (`after` another ticket's
    operation of it) is the same row."""
    id = f"{plan}:{operation}:{identifier}" + (f":after:{after}" if after else "")
    return OperationRow(id, operation, identifier, reason, plan=plan, planned_at=now)


def rows_of(
    operations: Iterable[Operation], *, plan: str, now: datetime, state: OperationState = "queued"
) -> list[OperationRow]:
    return [
        replace(
            new_operation(
                each.operation, each.identifier, each.reason, plan=plan, now=now, after=each.details.get("other", "")
            ),
            details=each.details,
            state=state,
        )
        for each in operations
    ]


def commit(outside: Outside, unit: Unit, rows: Sequence[OperationRow]) -> list[OperationRow]:
    """Store and queue them; those that were new: an update that waits unstarted already covers another one."""
    covered = unit.unstarted_updates()
    fresh = [row for row in rows if not (row.operation == "update" and row.identifier in covered)]
    unit.add_operations(fresh)
    outside.queue.put(unit, [row for row in fresh if row.state == "queued"])
    return fresh


def retry(outside: Outside, ids: Sequence[str], *, by: Person = NOBODY) -> list[str]:
    """Queue refused operations again; the ids that were."""
    return _requeue(outside, ids, "refused", "retry", by)


def release(outside: Outside, ids: Sequence[str], *, by: Person = NOBODY) -> list[str]:
    """A person has looked at held operations (or whole plans, by the plan's id): deliver them.

    Rules that were held are in force, scans that were held count, and hosts that were missed are gone, from the next
    `ingest.settle` on.
    """
    return _requeue(outside, ids, "held", "release", by)


def _requeue(outside: Outside, ids: Sequence[str], state: OperationState, action: str, by: Person) -> list[str]:
    with outside.store.begin() as unit:
        chosen = _chosen(unit, ids, state)
        for row in chosen:
            unit.update_operation(row.id, state=_RELEASED.get(row.operation, "queued"), ended_at=None, answer="")
            if row.operation == RULES:
                unit.update_operation(row.id, details={**row.details, "released_by": by.name})
        unit.add_acts(_acts(chosen, action, by, outside.clock()))
        outside.queue.put(unit, [row for row in chosen if row.operation not in _RELEASED])
    return [row.id for row in chosen]


def retry_events(outside: Outside, ids: Sequence[str], *, by: Person = NOBODY) -> list[str]:
    """Take up events again that failed, by their ids, or all that did; the ids that were."""
    with outside.store.begin() as unit:
        rows = [row for row in unit.heard("failed", limit=EVENTS) if not ids or row.id in ids]
        for row in rows:
            unit.update_delivery(row.id, state="queued", decided_at=None, answer="")
            outside.queue.put_event(unit, row)
        unit.add_acts([Act(outside.clock(), by.name, by.via, "retry", f"event:{row.id}") for row in rows])
    return [row.id for row in rows]


def drop(outside: Outside, ids: Sequence[str], *, by: Person = NOBODY) -> list[str]:
    """Do not deliver these. A ticket whose creation is dropped is not planned again in its iteration; changed rules are
    not judged again before the files change."""
    now = outside.clock()
    with outside.store.begin() as unit:
        chosen = _chosen(unit, ids, "held") if not ids else _chosen(unit, ids, "held", "refused", "queued")
        for row in chosen:
            unit.update_operation(row.id, state="dropped", ended_at=now, answer=f"dropped by {by.name}")
            if row.operation == "create" and unit.ticket(row.identifier):
                unit.update_ticket(row.identifier, gone=True)
            if row.operation == SUSPECT:
                unit.update_scan(
                    row.details["scan"], state="dropped", note=f"dropped by {by.name} at {now:%Y-%m-%d %H:%M}"
                )
        unit.add_acts(_acts(chosen, "drop", by, now))
    return [row.id for row in chosen]


def _acts(rows: Iterable[OperationRow], action: str, by: Person, now: datetime) -> list[Act]:
    return [Act(now, by.name, by.via, action, row.id) for row in rows]


def _chosen(unit: Unit, ids: Sequence[str], *states: OperationState) -> list[OperationRow]:
    """Operations in these states, by id, plan or ticket; all of them when no id is given."""
    rows = unit.operations(*states)
    unknown = [id for id in ids if not any(id in (row.id, row.plan, row.identifier) for row in rows)]
    if unknown:
        raise VmjiraError(
            "\n".join(
                f"operation '{id}': there is none with this id, plan or ticket that is {' or '.join(states)}; "
                "see `vmjira operations list`"
                for id in unknown
            )
        )
    return [row for row in rows if not ids or any(id in (row.id, row.plan, row.identifier) for id in ids)]
