"""The story of a webhook: delivery ─► our ticket ─► as it is in the tracker now ─► decision ─► recorded and queued.

The event is only a hint: what it says is never acted upon, only what the tracker says when it is asked. So an event
that comes twice, late or out of order does no harm, and one that never came is made up for by reconciliation, which
looks at the ticket in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import structlog

from vmjira.domain.ticket import TicketRow, other_installation
from vmjira.errors import StoreUnavailable, TrackerUnavailable, VmjiraError
from vmjira.flows.deliver import FAULTS, FIRST_PAUSE, LONGEST_PAUSE
from vmjira.flows.events import Event, document, event_of
from vmjira.flows.identity import TrackerMoved, believe, check, known_tracker
from vmjira.flows.installation import installation
from vmjira.flows.look import keep_decision, look_at
from vmjira.flows.missing import counts_as_deleted, there_again
from vmjira.flows.ports import Conflict, Outside, Unit
from vmjira.flows.rows import DeliveryRow, DeliveryState
from vmjira.flows.rules import rules_in_force
from vmjira.flows.tracking import Issue

log = structlog.get_logger(__name__)


class Record(Protocol):
    """What else belongs into the transaction of a decision."""

    def __call__(self, unit: Unit, words: str) -> None: ...


def react(outside: Outside, delivery_id: str) -> float | None:
    """Take up one webhook. Seconds until the next try, or None: it has ended (done, ignored, failed)."""
    with outside.store.begin() as unit:
        delivery = unit.delivery(delivery_id)
        if delivery is None or delivery.state != "queued":
            return None
        unit.update_delivery(delivery_id, attempts=delivery.attempts + 1)
    try:
        _take_up(outside, delivery)
    except TrackerUnavailable as error:
        return _later(outside, delivery, error)
    except StoreUnavailable as error:
        return _later(outside, delivery, TrackerUnavailable(str(error)))
    except VmjiraError as error:
        _end(outside, delivery, "failed", str(error))
    except Exception as error:  # a fault of ours: the next event must not wait for it
        log.exception("fault", delivery=delivery.id, issue=delivery.issue)
        if delivery.attempts < FAULTS:
            return _later(outside, delivery, TrackerUnavailable(f"a fault of vmjira: {error}"))
        _end(outside, delivery, "failed", f"a fault of vmjira, please report it: {type(error).__name__}: {error}")
    return None


def _take_up(outside: Outside, delivery: DeliveryRow) -> None:
    body = document(delivery.body)
    event = event_of(body)
    check(outside)
    row = _our_ticket(outside, event, delivery)
    if row is None:
        _end(outside, delivery, "ignored", "no ticket of ours")
    elif _was_not_found(outside, row):
        _end(outside, delivery, "ignored", f"{row.key}: was not found when the tracker was rebound")
    elif _is_echo(outside, event, row, body):
        _end(outside, delivery, "ignored", f"{row.key}: what we did ourselves")
    else:
        with outside.store.reading() as unit:  # before the ticket is read: one look answers all that came until then
            waiting = unit.queued_deliveries(event.issue)

        def record(unit: Unit, words: str) -> None:
            unit.update_delivery(delivery.id, state="done", answer=words, decided_at=outside.clock())
            for other in set(waiting) - {delivery.id}:
                answer = f"decided together with another event of {row.key}: {words}"
                unit.update_delivery(other, state="done", answer=answer, decided_at=outside.clock())

        issue = read_issue(outside, row)
        if not (why := leave_alone(outside, row, issue)):
            _look(outside, row, issue, because=f"webhook {event.kind}", record=record)
        else:
            _end(outside, delivery, "ignored", f"{row.key}: {why}")


def _our_ticket(outside: Outside, event: Event, delivery: DeliveryRow) -> TicketRow | None:
    with outside.store.reading() as unit:
        for name in filter(None, (event.issue_id, event.issue_key)):
            if row := unit.ticket_of_issue(name):
                return row
    if b'"vm.' in delivery.body and event.issue:
        _wait_if_being_made(outside, event.issue)
    return None


def _wait_if_being_made(outside: Outside, issue: str) -> None:
    """Its label names a ticket of ours that has no issue yet: our creation has not heard of it yet. A copy that
    somebody made of a ticket bears its label too, but is none of ours."""
    found = outside.tracker().read([issue]).get(issue)
    names = [label.removeprefix("vm.") for label in found.labels if label.startswith("vm.")] if found else []
    if found and other_installation(found.labels, installation(outside)):
        return
    with outside.store.reading() as unit:
        for row in filter(None, map(unit.ticket, names)):
            if row.key is None and unit.operations("queued", identifier=row.identifier):
                raise TrackerUnavailable(f"{row.identifier}: its ticket is just being made")


def _was_not_found(outside: Outside, row: TicketRow) -> bool:
    with outside.store.reading() as unit:
        known = known_tracker(unit)
    return known is not None and row.identifier in known.missing


def _is_echo(outside: Outside, event: Event, row: TicketRow, body: Mapping[str, Any]) -> bool:
    """What we did ourselves, as far as our row says so already: by actor and by change."""
    if event.kind == "jira:issue_deleted" or event.actor != outside.tracker().myself():
        return False
    done = _done(body)
    return done is None or done == bool(row.closing)


def _done(body: Any) -> bool | None:
    """Whether the issue in the body has a status of that category; None if the body does not tell."""
    for name in ("issue", "fields", "status", "statusCategory"):
        body = body.get(name) if isinstance(body, Mapping) else None
    return None if not isinstance(body, Mapping) else body.get("key") == "done"


def look_again(outside: Outside, row: TicketRow, issue: Issue | None, *, because: str) -> list[str]:
    """Decide from the ticket as it is in the tracker now (None: deleted); ids of the operations that follow.

    Nothing that was decided before is decided again. `row` must have been read before `issue`.
    """
    return _look(outside, row, issue, because=because, record=_nothing)


def _look(outside: Outside, row: TicketRow, issue: Issue | None, *, because: str, record: Record) -> list[str]:
    """Again from the start if our row, the ledger or the ticket changed while we looked."""
    while True:
        rulebook = rules_in_force(outside)
        try:
            look = look_at(outside, row, issue, rulebook.policy)
            words = f"{because}: " + ("; ".join(look.decision.words) or "nothing to do")
            ids = keep_decision(outside, look, rulebook, partial(record, words=words))
        except Conflict:
            row, issue = _afresh(outside, row)
            continue
        log.info("decided", ticket=row.identifier, key=row.key, why=words, operations=len(ids))
        return ids


def _nothing(unit: Unit, words: str) -> None:
    """Nothing else belongs to it."""


def _afresh(outside: Outside, row: TicketRow) -> tuple[TicketRow, Issue | None]:
    with outside.store.reading() as unit:
        row = unit.ticket(row.identifier) or row
    issue = read_issue(outside, row)
    if issue is None and leave_alone(outside, row, issue):
        raise TrackerUnavailable(f"{row.key} is missing in the tracker, and so are others")
    return row, issue


def read_issue(outside: Outside, row: TicketRow) -> Issue | None:
    """By its id, which stays when it is moved; None if it was deleted. TrackerMoved if the tracker is not ours."""
    name = row.issue_id or row.key or ""
    return believe(outside, row, outside.tracker().read([name]).get(name))


def leave_alone(outside: Outside, row: TicketRow, issue: Issue | None) -> str:
    """Why nothing is decided about a ticket as it is in the tracker, in words; empty if it is ours to look at."""
    if issue is None:
        deleted = row.gone or counts_as_deleted(outside, [row])
        return "" if deleted else "it is not in the tracker, and neither are others: a person has to look first"
    there_again(outside, [row.identifier])
    other = other_installation(issue.labels, installation(outside))
    return f"it belongs to another installation of vmjira now ({other})" if other else ""


def _later(outside: Outside, delivery: DeliveryRow, error: TrackerUnavailable) -> float:
    pause = error.retry_after or min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(delivery.attempts, 10))
    with outside.store.begin() as unit:
        unit.update_delivery(delivery.id, answer=str(error))
    if isinstance(error, TrackerMoved):  # said once, and shown to people
        return pause
    log.warning("waiting", delivery=delivery.id, issue=delivery.issue, seconds=pause, why=str(error))
    return pause


def _end(outside: Outside, delivery: DeliveryRow, state: DeliveryState, answer: str) -> None:
    with outside.store.begin() as unit:
        unit.update_delivery(delivery.id, state=state, answer=answer, decided_at=outside.clock())
    log.info(state, delivery=delivery.id, issue=delivery.issue, answer=answer)
