"""Operations of a ticket's life after it was made: comments, closing, reopening, escalating, putting a label back.

Each shows the present truth, not that of its planning: what has been settled since is only said in the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Literal

from vmjira.domain.decide import closed_for_good, closes
from vmjira.domain.operation import count
from vmjira.domain.rulebook import TicketRules
from vmjira.domain.ticket import installation_label
from vmjira.errors import TrackerRefused, TrackerUnavailable, TransitionImpossible, VmjiraError
from vmjira.flows.installation import installation
from vmjira.flows.moved import partners
from vmjira.flows.show import Job, begin, fingerprint
from vmjira.flows.verification import verification
from vmjira.flows.views import open_hosts, view_ticket

#: Seconds until the next look for the key of a ticket that is being made.
KEYS = 5.0

#: Instead of a comment's id: the tracker was moved, so it has another id now. What it said goes on in a new comment.
LOST_COMMENT = "lost"

# --- comments ---------------------------------------------------------------------------------------------------------


def say_verified(job: Job) -> str:
    """Once, with the evidence: all own findings are fixed."""
    return _comment(job, "verified") if job.row.own.verified else _changed(job)


def say_settled(job: Job) -> str:
    """Once: what became of the own findings that were not fixed, with the keys of the tickets where they are now."""
    if job.row.own.ending != "settled":
        return _changed(job)
    with job.outside.store.reading() as unit:
        keyless = [each.row.identifier for each in partners(unit, job.row.identifier)[1] if not each.row.key]
        made = [
            name
            for name in keyless
            if any(each.operation == "create" for each in unit.operations("queued", identifier=name))
        ]
    if made:
        raise TrackerUnavailable(f"waiting until {', '.join(made)} is made, to name its key", retry_after=KEYS)
    return _comment(job, "settled")


def say_closed(job: Job) -> str:
    """The answer to a closing: what is not verified yet, and how and when it will be."""
    return _answer(job) if job.row.closing == "waiting" else _changed(job)


def say_progress(job: Job) -> str:
    """How the verification goes on, in the comment that answered the closing; in a new one if somebody deleted that."""
    row = job.row
    if not row.answer:
        return _changed(job)
    body = _text(job, "closed", **_verification(job))
    if row.answer != LOST_COMMENT and job.tracker.edit_comment(row.key or "", row.answer, body):
        return f"{row.key}: its comment says so"
    return _answer(job)


def _answer(job: Job) -> str:
    if job.row.key is None:
        return "nothing to do: there is no ticket"
    id, done = _say(job, _text(job, "closed", **_verification(job)))
    _record(job, answer=id)
    return f"{job.row.key}: {done}"


def _verification(job: Job) -> dict[str, Any]:
    return {"closing": job.row.closing, "verification": verification(job.outside, job.row, job.rulebook)}


def say_waiting(job: Job) -> str:
    """The newest data did not settle all of a closed ticket."""
    return _comment(job, "waiting") if job.row.closing == "waiting" and job.row.own.open else _changed(job)


def say_accepted(job: Job) -> str:
    about = job.operation.details
    until = datetime.fromisoformat(about["until"]).astimezone(job.rulebook.policy.timezone).date()
    return _comment(job, "accepted", resolution=about["resolution"], findings=about["findings"], until=until)


def say_unaccepted(job: Job) -> str:
    return _comment(job, "unaccepted")


def say_withdrawn(job: Job) -> str:
    """A scan does not count any more: the ticket has no findings, or a comment called it done too early."""
    if job.row.own.total and not job.row.own.open:
        return _changed(job)
    return _comment(job, "withdrawn", reason=job.operation.reason)


def say_lapsed(job: Job) -> str:
    about = job.operation.details
    return _comment(job, "lapsed", reason=about["reason"], until=date.fromisoformat(about["until"]))


def remind(job: Job) -> str:
    """Of the due date, as long as there is something to do."""
    row, about = job.row, job.operation.details
    if not row.own.open or row.closing or row.status_category == "done":
        return _changed(job)
    return _comment(job, "reminder", date=date.fromisoformat(about["due"]), overdue=about["side"] == "after")


def _comment(job: Job, kind: str, **values: Any) -> str:
    if job.row.key is None:
        return "nothing to do: there is no ticket"
    return f"{job.row.key}: {_say(job, _text(job, kind, **values))[1]}"


def _text(job: Job, kind: str, **values: Any) -> str:
    """From the template of that kind."""
    view = view_ticket(job.outside.store, job.row, job.rulebook, job.today)
    return job.outside.renderer.comment(kind, view=view, lines=open_hosts(view, job.row.closed_at), **values)


def _say(job: Job, body: str) -> tuple[str, str]:
    """Id of the comment, and what was done; crashed or not, it is said once, even if it would be another text now."""
    key, said = job.row.key or "", fingerprint(body)
    if job.crashed:
        ours = (said, job.operation.details.get("said"))
        for found in job.tracker.comments(key):
            if fingerprint(found.body) in ours:
                return found.id, "had been said before a crash"
    begin(job, said=said)
    return job.tracker.comment(key, body), "commented"


# --- status -----------------------------------------------------------------------------------------------------------


def close(job: Job) -> str:
    """Its findings have ended as the policy's `auto_close` wants it, unless that has changed since."""
    if job.row.closing or not closes(job.rulebook.policy, job.row.own):
        return _changed(job)
    moved = _move(job, "close")
    change = job.tracker.last_status_change(job.row.key or "")
    if change and change.actor != job.tracker.myself():  # perhaps with a resolution that accepts: see `decide`
        return f"{moved}; a person had closed it before, which is looked at when the tracker tells of it"
    _record(job, closing=closed_for_good(job.row.own), closed_at=change.at if change else job.outside.clock())
    return moved


def reopen(job: Job) -> str:
    """A closing that did not hold, with the list. Where the workflow has no way back, the list is all there is."""
    row, about = job.row, job.operation.details
    if not row.own.open:
        _record(job, closing=row.closing or closed_for_good(row.own))
        return _changed(job)
    if row.closed_at and row.closed_at.isoformat() != about["closed_at"]:
        return _changed(job)
    try:
        moved = _move(job, "reopen")
    except TransitionImpossible as error:
        _record(job, closing="waiting")  # the next data is looked at again, until it is escalated
        return f"{_comment(job, 'stuck', answer=str(error))}; cannot be reopened: {error}"
    except TrackerRefused:
        _record(job, closing="waiting")
        raise
    _record(job, closing="")
    by_edit = bool(about.get("by_edit"))
    return f"{moved}; {_comment(job, 'reopened', reason=job.operation.reason, by_edit=by_edit)}"


def escalate(job: Job) -> str:
    """What the policy says, as far as the tracker allows it; the comment says what it did not."""
    key, wanted = job.row.key or "", job.rulebook.policy.escalation
    if job.row.closing != "escalated":
        return _changed(job)
    tracker, notes = job.tracker, list[str]()
    if wanted.priority:
        _try(notes, f"priority {wanted.priority!r}", lambda: tracker.edit(key, priority=wanted.priority))
    if wanted.label:
        _try(notes, f"label {wanted.label!r}", lambda: tracker.edit(key, labels=[wanted.label or ""]))
    if wanted.watcher:
        _try(notes, f"watcher {wanted.watcher!r}", lambda: tracker.watch(key, wanted.watcher or ""))
    return "; ".join([_comment(job, "escalated", times=job.operation.details["times"], notes=notes), *notes])


def _try(notes: list[str], what: str, act: Callable[[], None]) -> None:
    try:
        act()
    except TrackerUnavailable:
        raise
    except VmjiraError as error:
        notes.append(f"{what} could not be set: {error}")


def _move(job: Job, wanted: Literal["close", "reopen"]) -> str:
    if job.row.key is None:
        return "nothing to do: there is no ticket"
    status = job.tracker.transition(job.row.key, wanted, ticket_rules(job))
    _record(job, status=status, status_category="done" if wanted == "close" else "indeterminate")
    return f"{job.row.key}: now {status}"


# --- small things -----------------------------------------------------------------------------------------------------


def relabel(job: Job) -> str:
    if job.row.key is None:
        return "nothing to do: there is no ticket"
    labels = list(dict.fromkeys([*job.operation.details["labels"], installation_label(installation(job.outside))]))
    job.tracker.edit(job.row.key, labels=labels)
    return f"{job.row.key}: labelled {', '.join(labels)}"


def ticket_rules(job: Job) -> TicketRules:
    found = job.rulebook.range(job.row.range)
    return found.ticket if found else job.rulebook.policy.ticket


def _changed(job: Job) -> str:
    row = job.row
    state = f"{count(row.own.open, 'finding')} open, {row.closing or 'not closed'}"
    return f"nothing to do: it has changed since this was planned ({state})"


def _record(job: Job, **changes: Any) -> None:
    with job.outside.store.begin() as unit:
        unit.update_ticket(job.row.identifier, **changes)
