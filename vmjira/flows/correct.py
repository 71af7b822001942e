"""Delivering corrected fields: what changed rules give to a ticket, except where a person has set something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from vmjira.domain.fields import LEFT, SINGLE, Correction, Given, correct, given
from vmjira.errors import TrackerUnavailable, VmjiraError
from vmjira.flows.show import Job, merged, read, remember, render
from vmjira.flows.tracking import Issue

#: What a tracker's history calls a field.
_IN_HISTORY = {"assignee": "assignee", "due": "duedate", "priority": "priority"}


def correct_fields(job: Job) -> str:
    """Set what the rules in force now give, in one edit; the answer lists what was left as a person set it."""
    row, wanted = job.row, given(job.row, job.rulebook)
    if row.key is None:
        with job.outside.store.begin() as unit:
            unit.update_ticket(row.identifier, due=wanted.due or row.due)
        return "nothing to do: the ticket is not made yet and will be made as the rules say then"
    if not row.own.open or row.closing or row.status_category == "done":
        return f"{row.key}: nothing to do: it is closed or has nothing open any more"
    issue, notes = read(job), list[str]()
    found = _compare(job, issue, wanted, notes)
    due = wanted.due if wanted.due and "due" not in found.left else row.due
    sent = _send(replace(job, row=replace(row, due=due)), issue, found.changes, notes, told=due != row.due)
    watchers, said = _watch(job, issue, wanted, notes)
    fields = {**row.fields, **found.right, **sent, "watchers": watchers, LEFT: dict(found.left)}
    with job.outside.store.begin() as unit:
        unit.update_ticket(row.identifier, due=due, fields=fields)
    done = [f"{name} is now {value}" for name, value in sent.items()]
    left = [f"{name} is left as a person set it ({value or 'nothing'})" for name, value in found.left.items()]
    return f"{row.key}: " + ("; ".join([*done, *said, *left, *notes]) or "nothing had changed")


# --- assignee, due date, priority -------------------------------------------------------------------------------------


def _compare(job: Job, issue: Issue, wanted: Given, notes: list[str]) -> Correction:
    old, project = job.operation.details["before"], issue.key.rpartition("-")[0]
    now = {
        "assignee": issue.assignee,
        "due": issue.due.isoformat() if issue.due else None,
        "priority": issue.priority,
    }
    assignee = job.tracker.assignee(wanted.assignee, project) if wanted.assignee else None
    if wanted.assignee and assignee is None:
        notes.append(f"assignee {wanted.assignee!r} is not set: nobody assignable in {project!r} has that name")

    def ours(name: str) -> bool:
        """It is as vmjira set it (if that is not known: as the rules gave it before), or nobody else changed it."""
        before = old[name]
        if name == "assignee" and name not in job.row.fields and before:
            before = job.tracker.assignee(before, project)
        known = job.row.fields.get(name, before)
        if known and now[name] == known:
            return True
        return job.tracker.changed_by(issue.key, _IN_HISTORY[name]) in (None, job.tracker.myself())

    values = {**wanted.as_json(), "assignee": assignee}
    return correct(now, {name: values[name] for name in SINGLE}, ours)


def _send(job: Job, issue: Issue, changes: Mapping[str, str], notes: list[str], *, told: bool) -> dict[str, str]:
    """All in one edit, with the description if it tells another due date; one by one if the tracker refuses that.
    What was set.
    """
    if told:
        content = render(job)
        text = merged(job, content, issue)
        if text != issue.description and _edit(job, issue, {"description": text, **changes}):
            remember(job, content, text)
            return dict(changes)
    if not changes or _edit(job, issue, changes):
        return dict(changes)
    return {name: value for name, value in changes.items() if _edit(job, issue, {name: value}, notes)}


def _edit(job: Job, issue: Issue, values: Mapping[str, str], notes: list[str] | None = None) -> bool:
    return _done(partial(job.tracker.correct, issue.key, values), f"{', '.join(values)} could not be set", notes)


# --- watchers ---------------------------------------------------------------------------------------------------------


def _watch(job: Job, issue: Issue, wanted: Given, notes: list[str]) -> tuple[list[str], list[str]]:
    """Add whom the rules name newly, remove whom they named before; nobody else is touched. Whom vmjira has made
    watchers now, and what was done in words.
    """
    before = job.row.fields.get("watchers", job.operation.details["before"]["watchers"])
    watch, unwatch = partial(job.tracker.watch, issue.key), partial(job.tracker.unwatch, issue.key)
    new, old = (
        [who for who in wanted.watchers if who not in before],
        [who for who in before if who not in wanted.watchers],
    )
    added = [who for who in new if _done(partial(watch, who), f"watcher {who!r} is not added", notes)]
    removed = [who for who in old if _done(partial(unwatch, who), f"watcher {who!r} is not removed", notes)]
    said = [f"{who} watches it now" for who in added] + [f"{who} no longer watches it" for who in removed]
    return [*(who for who in before if who not in removed), *added], said


def _done(act: Callable[[], None], missing: str, notes: list[str] | None) -> bool:
    """False, and a note, if the tracker refuses it."""
    try:
        act()
    except TrackerUnavailable:
        raise
    except VmjiraError as error:
        if notes is not None:
            notes.append(f"{missing}: {error}")
        return False
    return True
