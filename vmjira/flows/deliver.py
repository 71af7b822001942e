"""The story of a delivery: one planned operation ─► tracker calls ─► recorded.

Exactly one ticket per identifier, whatever crashes: `started_at` of an operation is written before the first call that
changes something, and cleared when its outcome is known. Whoever finds it set looks into the tracker first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from vmjira.domain.plan import neighbours
from vmjira.domain.rulebook import Rulebook, TicketRules
from vmjira.domain.ticket import TicketRow, TicketView
from vmjira.errors import TicketGone, TrackerError, TrackerUnavailable
from vmjira.flows.operations import new_operation
from vmjira.flows.ports import AttachmentRow, Draft, File, Issue, OperationRow, OperationState, Outside, Tracker
from vmjira.flows.rules import rules_in_force
from vmjira.flows.views import view_ticket

log = structlog.get_logger(__name__)

#: Seconds until the next try when the tracker did not name any: doubles, up to five minutes.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0


@dataclass(frozen=True)
class Job:
    """One operation being delivered, with all that its handler needs."""

    outside: Outside
    tracker: Tracker
    operation: OperationRow
    row: TicketRow
    rulebook: Rulebook

    @property
    def crashed(self) -> bool:
        """An earlier attempt got as far as calling the tracker, and nobody knows what became of it."""
        return self.operation.started_at is not None


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
    try:
        answer = _HANDLERS[operation.operation](
            Job(outside, outside.tracker(), operation, row, rules_in_force(outside))
        )
    except TrackerUnavailable as error:
        return _later(outside, operation, error)
    except TicketGone as error:
        _lost(outside, operation, error)
    except TrackerError as error:
        _end(outside, operation, "refused", str(error))
    else:
        _end(outside, operation, "done", answer)
    return None


# --- what each kind of operation does ---------------------------------------------------------------------------------


def _create(job: Job) -> str:
    """One ticket with its links and attachments; found again if an earlier attempt already made it."""
    row, said = job.row, []
    view, files = _rendered(job)
    ours = _description(job, view, files)
    if row.key is None:
        found = _made_before(job) if job.crashed else None
        if found is None:
            _begin(job)
            made = job.tracker.create(_draft(job, view, ours))
            key, issue_id, said = made.key, made.id, list(made.notes)
        else:
            key, issue_id = found.key, found.id
        row = _record_created(job, key, issue_id, ours)
    key = row.key or ""
    if said:
        job.tracker.comment(key, job.outside.renderer.comment("created_notes", notes=said))
    attached = _attach(job, row, files, crashed=job.crashed)
    _record_shown(job, row)
    return f"{key}: created" + (f", {attached} files attached" if attached else "") + "".join(f"; {n}" for n in said)


def _update(job: Job) -> str:
    """Description and attachments as they should be now; what did not change is not sent."""
    row = job.row
    if row.key is None:
        return "nothing to do: the ticket is not made yet and will be made as it is then"
    view, files = _rendered(job)
    ours = _description(job, view, files)
    done = []
    if job.crashed or _digest(ours.encode()) != row.description:
        issue = _read(job, row)
        fitting = _description(job, view, files, budget=job.outside.renderer.room(issue.description))
        merged = job.outside.renderer.merge(issue.description, fitting)
        if merged != issue.description:
            job.tracker.edit(issue.key, description=merged)
            done.append("description")
        with job.outside.store.begin() as unit:
            unit.update_ticket(row.identifier, description=_digest(ours.encode()))
    attached = _attach(job, row, files, crashed=job.crashed)
    _record_shown(job, row)
    if attached:
        done.append(f"{attached} files")
    return f"{row.key}: " + (" and ".join(done) + " updated" if done else "nothing had changed")


def _verified(job: Job) -> str:
    """Say once, with the evidence, that all own findings have ended."""
    view = view_ticket(job.outside.store, job.row, job.rulebook)
    return _say(job, job.outside.renderer.comment("verified", view=view))


def _close(job: Job) -> str:
    return _move(job, "close")


def _reopen(job: Job) -> str:
    return _move(job, "reopen")


_HANDLERS = {"create": _create, "update": _update, "verified": _verified, "close": _close, "reopen": _reopen}


def _rendered(job: Job) -> tuple[TicketView, list[File]]:
    view = view_ticket(job.outside.store, job.row, job.rulebook)
    return view, job.outside.renderer.files(view, job.tracker.upload_limit())


def _description(job: Job, view: TicketView, files: Sequence[File], *, budget: int | None = None) -> str:
    """Our part; `files` that were sent before and stay are named too."""
    with job.outside.store.reading() as unit:
        sent = {each.name for each in unit.attachments(view.identifier)}
    kinds = {_kind(file.name) for file in files}
    names = {file.name for file in files} | {name for name in sent if _kind(name) not in kinds}
    return job.outside.renderer.description(view, sorted(names), picture=job.tracker.shows_pictures, budget=budget)


# --- making exactly one -----------------------------------------------------------------------------------------------


def _draft(job: Job, view: TicketView, description: str) -> Draft:
    neighbour_keys = [each.key for each in (view.previous, view.next) if each and each.key]
    return Draft(
        identifier=view.identifier,
        summary=job.row.title,
        description=description,
        rules=view.range.ticket,
        priority=view.category.priority,
        due=view.due,
        links=tuple(neighbour_keys),
    )


def _made_before(job: Job) -> Issue | None:
    """The ticket that an earlier attempt made, if it did. A search may lag behind: then wait before believing it."""
    started = job.operation.started_at
    found = job.tracker.find(job.row.identifier)
    if found:
        for newer in found[1:]:
            _retire_duplicate(job, newer, found[0])
        return found[0]
    sure = started + timedelta(seconds=job.tracker.search_lag) if started else job.outside.clock()
    if (wait := (sure - job.outside.clock()).total_seconds()) > 0:
        raise TrackerUnavailable(
            "an earlier attempt may have made the ticket; waiting until a search would surely find it",
            retry_after=wait + 1,
            outcome_unknown=True,
        )
    return None


def _retire_duplicate(job: Job, newer: Issue, older: Issue) -> None:
    if newer.status_category != "done":
        job.tracker.comment(newer.key, job.outside.renderer.comment("duplicate", older=older.key))
        job.tracker.transition(newer.key, "close", _ticket_rules(job))


def _record_created(job: Job, key: str, issue_id: str, ours: str) -> TicketRow:
    """Remember the key, and have the neighbours show it: in the same transaction."""
    with job.outside.store.begin() as unit:
        changes = {"key": key, "issue_id": issue_id, "description": _digest(ours.encode()), "status_category": "new"}
        unit.update_ticket(job.row.identifier, **changes)
        cell = unit.tickets(ranges=[job.row.range])
        waiting = unit.unstarted_updates()
        follow = [
            new_operation(
                "update",
                other.identifier,
                f"{key} is its {side} ticket",
                plan=job.operation.plan,
                now=job.outside.clock(),
            )
            for side, other in zip(("next", "previous"), neighbours(job.row, cell), strict=True)
            if other and other.key and other.identifier not in waiting
        ]
        unit.add_operations(follow)
        job.outside.queue.put(unit, follow)
    return replace(job.row, key=key, issue_id=issue_id)


# --- attachments ------------------------------------------------------------------------------------------------------


def _attach(job: Job, row: TicketRow, files: Sequence[File], *, crashed: bool) -> int:
    """Send what is new in one call, then remove what it replaces. How many were sent."""
    key = row.key or ""
    with job.outside.store.begin() as unit:
        known = unit.attachments(row.identifier)
    wanted = {file.name: _digest(file.content) for file in files}
    present = {each.name: each for each in known if wanted.get(each.name) == each.digest}
    missing = [file for file in files if file.name not in present]
    if missing:
        _begin(job)
        sent = job.tracker.attach(key, missing)
        rows = [AttachmentRow(row.identifier, each.name, each.id, wanted[each.name], each.size) for each in sent]
        with job.outside.store.begin() as unit:
            unit.put_attachments(row.identifier, rows)
        present |= {each.name: each for each in rows}
    kept = {each.attachment_id for each in present.values()}
    stale = {each.attachment_id for each in known if _kind(each.name) in {_kind(name) for name in wanted}} - kept
    if crashed:
        issue = job.tracker.read([key]).get(key)
        lost = issue.attachments if issue else ()
        stale |= {each.id for each in lost if _kind(each.name) in {_kind(name) for name in wanted}} - kept
    for attachment_id in sorted(stale):
        job.tracker.detach(attachment_id)
    if stale:
        with job.outside.store.begin() as unit:
            unit.put_attachments(row.identifier, [], removed=sorted(stale))
    return len(missing)


def _kind(name: str) -> str:
    """`own`, `all`, `diff`, `png`: which of our files it is, however it is packed or split."""
    for kind in ("own", "all", "diff"):
        if f".{kind}." in name:
            return kind
    return name.rsplit(".", 1)[-1]


# --- small things -----------------------------------------------------------------------------------------------------


def _say(job: Job, body: str) -> str:
    if job.row.key is None:
        return "nothing to do: there is no ticket"
    if job.crashed and any(_squeezed(body) == _squeezed(other) for other in job.tracker.comments(job.row.key)):
        return f"{job.row.key}: had been said before a crash"
    _begin(job)
    job.tracker.comment(job.row.key, body)
    return f"{job.row.key}: commented"


def _move(job: Job, wanted: str) -> str:
    if job.row.key is None:
        return "nothing to do: there is no ticket"
    status = job.tracker.transition(job.row.key, "close" if wanted == "close" else "reopen", _ticket_rules(job))
    with job.outside.store.begin() as unit:
        unit.update_ticket(
            job.row.identifier, status=status, status_category="done" if wanted == "close" else "indeterminate"
        )
    return f"{job.row.key}: now {status}"


def _ticket_rules(job: Job) -> TicketRules:
    found = job.rulebook.range(job.row.range)
    return found.ticket if found else job.rulebook.policy.ticket


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(job: Job, row: TicketRow) -> Issue:
    """The ticket as the tracker has it now; a moved one is followed, a deleted one is gone."""
    key = row.key or ""
    issue = job.tracker.read([key]).get(key)
    if issue is None:
        raise TicketGone(f"{key} was deleted, or is no longer visible to vmjira")
    with job.outside.store.begin() as unit:
        unit.update_ticket(row.identifier, key=issue.key, status=issue.status, status_category=issue.status_category)
    return issue


def _begin(job: Job) -> None:
    with job.outside.store.begin() as unit:
        unit.update_operation(job.operation.id, started_at=job.outside.clock())


def _record_shown(job: Job, row: TicketRow) -> None:
    with job.outside.store.begin() as unit:
        unit.update_ticket(row.identifier, shown=row.facts, sent_ledger=row.ledger)


def _later(outside: Outside, operation: OperationRow, error: TrackerUnavailable) -> float:
    pause = error.retry_after or min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(operation.attempts, 10))
    with outside.store.begin() as unit:
        if not error.outcome_unknown:  # it surely did nothing, so what was known before this attempt still holds
            unit.update_operation(operation.id, started_at=operation.started_at)
        unit.update_operation(operation.id, answer=str(error))
    log.warning("waiting", operation=operation.id, ticket=operation.identifier, seconds=pause, why=str(error))
    return pause


def _end(outside: Outside, operation: OperationRow, state: OperationState, answer: str) -> None:
    with outside.store.begin() as unit:
        unit.update_operation(operation.id, state=state, answer=answer, ended_at=outside.clock())
    log.info(state, operation=operation.operation, ticket=operation.identifier, why=operation.reason, answer=answer)


def _lost(outside: Outside, operation: OperationRow, error: TicketGone) -> None:
    """The ticket was deleted: its findings wait for a person's word, nothing is silently made anew."""
    with outside.store.begin() as unit:
        unit.update_ticket(operation.identifier, gone=True)
    _end(outside, operation, "refused", f"{error}; it is not made anew in this iteration")
