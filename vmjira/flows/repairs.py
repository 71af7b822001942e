"""What delivery does to bring back what somebody did in the tracker: a link, and one ticket of two."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vmjira.domain.ticket import TicketRow, identity, installation_label
from vmjira.flows.installation import installation
from vmjira.flows.life import ticket_rules
from vmjira.flows.show import Job, begin, fingerprint
from vmjira.flows.tracking import Issue


def _link(job: Job) -> str:
    """Link the ticket with its neighbour again; a link that is there already stays the only one."""
    with job.outside.store.reading() as unit:
        other = unit.ticket(job.operation.details["other"])
    if job.row.key is None or other is None or other.key is None or other.gone:
        return "nothing to do: one of the two tickets is not there"
    issue = job.tracker.read([job.row.key]).get(job.row.key)
    if issue and other.key in issue.links:
        return f"{job.row.key}: linked with {other.key} already"
    job.tracker.link(job.row.key, other.key, ticket_rules(job).link_type)
    return f"{job.row.key}: linked with {other.key}"


def _duplicate(job: Job) -> str:
    """Close the issue `key` of the details, which bears our labels too, as long as ours lives beside it."""
    key, own = job.operation.details["key"], job.row.key
    if own is None:
        return f"{key}: nothing to do: there is no ticket of ours"
    issues = job.tracker.read([key, own])
    newer, ours = issues.get(key), issues.get(own)
    if newer is None or newer.status_category == "done":
        return f"{key}: nothing to do: it is closed or gone"
    if ours is None or ours.id != job.row.issue_id or not is_duplicate(newer, ours, job.row, installation(job.outside)):
        return f"{key}: nothing to do: it is not a duplicate of {own}"
    begin(job)
    retire(job, newer, own)
    return f"{key}: closed as a duplicate of {own}"


def is_duplicate(other: Issue, ours: Issue, row: TicketRow, installation: str) -> bool:
    """Whether it is another living issue of this installation beside our own living one, for the same ticket."""
    labels = {identity(row.identifier), installation_label(installation)}
    return other.id != ours.id and other.status_category != "done" and labels <= set(other.labels)


REPAIRS: Mapping[str, Callable[[Job], str]] = {"link": _link, "duplicate": _duplicate}


def retire(job: Job, newer: Issue, older: str) -> None:
    """Say in a duplicate where everything goes on, and close it."""
    if newer.status_category != "done":
        body = job.outside.renderer.comment("duplicate", older=older)
        said = {fingerprint(each.body) for each in job.tracker.comments(newer.key)} if job.crashed else set()
        if fingerprint(body) not in said:
            job.tracker.comment(newer.key, body)
        job.tracker.transition(newer.key, "close", ticket_rules(job))
