"""The story of a delivery: one planned operation ─► tracker calls ─► recorded.

Exactly one ticket per identifier, whatever crashes: `started_at` of an operation is written before the first call that
changes something, and cleared when its outcome is known. Whoever finds it set looks into the tracker first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Any

import structlog

from vmjira.domain.plan import neighbours
from vmjira.domain.ticket import INSTALLATION, TicketRow, TicketView, identity, installation_label
from vmjira.errors import StoreUnavailable, TicketGone, TrackerUnavailable, VmjiraError
from vmjira.flows import life
from vmjira.flows.correct import correct_fields
from vmjira.flows.identity import TrackerMoved, as_named_here, believe, check, known_tracker
from vmjira.flows.installation import installation
from vmjira.flows.missing import counts_as_deleted
from vmjira.flows.moved import partners
from vmjira.flows.operations import new_operation
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.repairs import REPAIRS, retire
from vmjira.flows.rows import OperationRow, OperationState
from vmjira.flows.rules import rules_in_force
from vmjira.flows.show import Content, Job, begin, fingerprint, render, show
from vmjira.flows.tracking import Draft, Issue

log = structlog.get_logger(__name__)

#: Seconds until the next try when the tracker did not name any: doubles, up to five minutes.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
WAITS = "many tickets are missing, so this one waits: see `vmjira operations list`"
#: Tries after which an operation that meets a fault of ours is given to a person.
FAULTS = 5
#: By so much the tracker's clock may differ from ours.
CLOCKS = timedelta(minutes=2)


def attempt(outside: Outside, operation_id: str) -> float | None:
    """Try one operation. Seconds until the next try, or None: it has ended (done, refused, dropped)."""
    with outside.store.begin() as unit:
        operation = unit.operation(operation_id)
        row = unit.ticket(operation.identifier) if operation else None
        if operation is None or row is None or operation.state != "queued":
            return None
        if row.gone:
            unit.update_operation(
                operation_id, state="dropped", answer="the ticket was deleted", ended_at=outside.clock()
            )
            return None
        unit.update_operation(operation_id, attempts=operation.attempts + 1)
    return _deliver(outside, operation, row)


def _deliver(outside: Outside, operation: OperationRow, row: TicketRow) -> float | None:
    try:
        check(outside, row.identifier)
        answer = _HANDLERS[operation.operation](
            Job(outside, outside.tracker(), operation, row, rules_in_force(outside))
        )
    except TrackerUnavailable as error:
        return _later(outside, operation, error)
    except StoreUnavailable as error:
        return _later(outside, operation, TrackerUnavailable(str(error), outcome_unknown=True))
    except TicketGone as error:
        return _lost(outside, operation, row, error)
    except VmjiraError as error:
        _end(outside, operation, "refused", str(error))
    except Exception as error:  # a fault of ours: it must not take the operation with it
        log.exception("fault", operation=operation.id, ticket=operation.identifier)
        if operation.attempts < FAULTS:
            return _later(outside, operation, TrackerUnavailable(f"a fault of vmjira: {error}", outcome_unknown=True))
        _end(outside, operation, "refused", f"a fault of vmjira, please report it: {type(error).__name__}: {error}")
    else:
        _end(outside, operation, "done", answer)
    return None


# --- what each kind of operation does ---------------------------------------------------------------------------------


def _create(job: Job) -> str:
    """One ticket with its links and attachments; found again if it was made before."""
    if job.row.key is not None:
        return _update(job)
    if not job.row.own.total:
        return "nothing to do: all its findings came from a scan that was withdrawn"
    content = render(job)
    if found := _made_before(job):
        row = _record_created(job, found.key, found.id, None)
        if identity(row.identifier) not in found.labels:  # made before an alias gave it another identifier
            _label(job, found.key)
        return f"{found.key}: found again; " + show(replace(job, row=row), content, doubtful=True)
    begin(job)
    draft = _draft(job, content)
    made = job.tracker.create(draft)
    row = _record_created(
        job, made.key, made.id, content, described=fingerprint(draft.description), fields=dict(made.fields)
    )
    if made.notes:
        job.tracker.comment(made.key, job.outside.renderer.comment("created_notes", notes=made.notes))
    shown = show(replace(job, row=row), content, doubtful=job.crashed)
    return "; ".join([f"{made.key}: created", shown, *made.notes])


def _update(job: Job) -> str:
    """Description and attachments as they should be now; what did not change is not sent."""
    if job.row.key is None:
        return "nothing to do: the ticket is not made yet and will be made as it is then"
    return f"{job.row.key}: " + show(job, render(job), doubtful=job.crashed)


def _rename(job: Job) -> str:
    """Label, property, text and files under the identifier that an alias of the rules gave the ticket."""
    row = job.row
    if row.key is None:
        return "nothing to do: the ticket is not made yet and will be made under its new identifier"
    _label(job, row.key)
    return f"{row.key}: labelled {identity(row.identifier)}; " + show(job, render(job), doubtful=job.crashed)


def _label(job: Job, key: str) -> None:
    """Label and property by the present identifier."""
    row = job.row
    job.tracker.edit(key, labels=[identity(row.identifier)], labels_off=[identity(each) for each in row.former])
    job.tracker.name(key, row.identifier, installation(job.outside))


_HANDLERS = {
    "create": _create,
    "update": _update,
    "fields": correct_fields,
    "rename": _rename,
    "relabel": life.relabel,
    "verified": life.say_verified,
    "settled": life.say_settled,
    "closed": life.say_closed,
    "progress": life.say_progress,
    "waiting": life.say_waiting,
    "accepted": life.say_accepted,
    "unaccepted": life.say_unaccepted,
    "withdrawn": life.say_withdrawn,
    "close": life.close,
    "reopen": life.reopen,
    "escalate": life.escalate,
    "remind": life.remind,
    "lapsed": life.say_lapsed,
    **REPAIRS,
}


# --- making exactly one -----------------------------------------------------------------------------------------------


def _draft(job: Job, content: Content) -> Draft:
    view = content.view
    with job.outside.store.reading() as unit:
        rules = as_named_here(known_tracker(unit), view.range.ticket)
    return Draft(
        identifier=view.identifier,
        summary=job.row.title,
        description=content.describe(),
        rules=replace(rules, fields=job.outside.renderer.fields(view, rules.fields)),
        priority=view.category.priority,
        due=view.due,
        links=tuple(_others(view)),
        installation=installation(job.outside),
    )


def _others(view: TicketView) -> list[str]:
    """Keys of the tickets to link with."""
    near = [view.previous, view.next, *(part.ticket for part in (*view.moved_from, *view.moved_to))]
    return list(dict.fromkeys(each.key for each in near if each and each.key))


def _made_before(job: Job) -> Issue | None:
    """The ticket that is there already: made by an earlier attempt, or before a backup of ours was restored.

    A search may lag behind: after an attempt with unknown outcome, nothing found is believed only later.
    """
    started = job.operation.started_at
    names = (job.row.identifier, *job.row.former)
    found = _ours(job, list({issue.id: issue for name in names for issue in job.tracker.find(name)}.values()))
    if found:
        for newer in found[1:]:
            retire(job, newer, found[0].key)
        return found[0]
    now = job.outside.clock()
    sure = started + timedelta(seconds=job.tracker.search_lag) if started else now
    if (wait := (sure - now).total_seconds()) > 0:
        raise TrackerUnavailable(
            "an earlier attempt may have made the ticket; waiting until a search would surely find it",
            retry_after=wait + 1,
            outcome_unknown=True,
        )
    return None


def _ours(job: Job, found: Sequence[Issue]) -> list[Issue]:
    """Those that this installation made: by their label; without one, only what an earlier attempt may have made."""
    label, started = installation_label(installation(job.outside)), job.operation.started_at
    since = started and started - CLOCKS
    ours = [
        each
        for each in found
        if label in each.labels
        or (since and each.created and each.created >= since and not any(map(_of_somebody, each.labels)))
    ]
    there = job.tracker.read([each.key for each in ours]) if ours else {}  # a search may show what was deleted
    return [each for each in ours if each.key in there]


def _of_somebody(label: str) -> bool:
    return label.startswith(INSTALLATION)


def _record_created(job: Job, key: str, issue_id: str, sent: Content | None, **further: Any) -> TicketRow:
    """Remember the key, and have those that name the ticket show it: in the same transaction."""
    digest = sent.digest if sent else ""
    changes = {"key": key, "issue_id": issue_id, "description": digest, "described": "", **further}
    with job.outside.store.begin() as unit:
        unit.update_ticket(job.row.identifier, **changes, status_category="new")
        follow = [*_updates(job, unit, key), *_late_links(job, unit, _others(sent.view) if sent else ())]
        unit.add_operations(follow)
        job.outside.queue.put(unit, follow)
    return replace(job.row, key=key, issue_id=issue_id, description=digest)


def _updates(job: Job, unit: Unit, key: str) -> list[OperationRow]:
    """Of the tickets in the tracker that name this one; not of those whose update has not begun anyway."""
    near = zip(("next", "previous"), neighbours(job.row, unit.tickets(ranges=[job.row.range])), strict=True)
    why = {other: f"{key} is its {side} ticket" for side, other in near if other}
    for each in chain(*partners(unit, job.row.identifier)):
        why.setdefault(each.row, f"findings moved between it and {key}")
    waiting = unit.unstarted_updates()
    return [_follow(job, "update", other, reason) for other, reason in why.items()
            if other.key and other.identifier not in waiting]  # fmt: skip


def _late_links(job: Job, unit: Unit, linked: Collection[str]) -> list[OperationRow]:
    """With tickets that had no key when this one was sent, as both were made at the same time."""
    others = {each.row.identifier: each.row for each in chain(*partners(unit, job.row.identifier))}
    return [
        replace(
            _follow(job, "link", job.row, f"findings moved between it and {other.key}", after=other.identifier),
            details={"other": other.identifier},
        )
        for other in others.values()
        if other.key and other.key not in linked
    ]


def _follow(job: Job, operation: str, row: TicketRow, reason: str, *, after: str = "") -> OperationRow:
    return new_operation(
        operation,
        row.identifier,
        reason,
        plan=job.operation.plan,
        now=job.outside.clock(),
        after=after or job.row.identifier,
    )


# --- small things -----------------------------------------------------------------------------------------------------


def _later(outside: Outside, operation: OperationRow, error: TrackerUnavailable) -> float:
    pause = error.retry_after or min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(operation.attempts, 10))
    with outside.store.begin() as unit:
        if not error.outcome_unknown:  # it surely did nothing, so what was known before this attempt still holds
            unit.update_operation(operation.id, started_at=operation.started_at)
        unit.update_operation(operation.id, answer=str(error))
    if isinstance(error, TrackerMoved):  # said once, and shown to people: not by each that waits
        return pause
    log.warning("waiting", operation=operation.id, ticket=operation.identifier, seconds=pause, why=str(error))
    return pause


def _end(outside: Outside, operation: OperationRow, state: OperationState, answer: str) -> None:
    with outside.store.begin() as unit:
        unit.update_operation(operation.id, state=state, answer=answer, ended_at=outside.clock())
    log.info(state, operation=operation.operation, ticket=operation.identifier, why=operation.reason, answer=answer)


def _lost(outside: Outside, operation: OperationRow, row: TicketRow, error: TicketGone) -> float | None:
    """The ticket was deleted: its findings wait for a person's word, nothing is silently made anew. If many are, or it
    is not the tracker that we know, it waits."""
    with outside.store.reading() as unit:
        row = unit.ticket(row.identifier) or row  # it may have been made just now
    try:
        if believe(outside, row, None):  # it is another one that was deleted
            _end(outside, operation, "refused", str(error))
            return None
        deleted = counts_as_deleted(outside, [row])
    except TrackerUnavailable as unsure:
        return _later(outside, operation, unsure)
    if not deleted:
        return _later(outside, operation, TrackerUnavailable(f"{error}; {WAITS}", retry_after=LONGEST_PAUSE))
    with outside.store.begin() as unit:
        unit.update_ticket(operation.identifier, gone=True)
    _end(outside, operation, "refused", f"{error}; it is not made anew in this iteration")
    return None
