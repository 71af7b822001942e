"""What delivery does to bring back what somebody did in the tracker: a link, and one ticket of two."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
    """Close the issue `key` of the details, which bears our label too."""
    key = job.operation.details["key"]
    newer = job.tracker.read([key]).get(key)
    if newer is None or newer.status_category == "done" or job.row.key is None:
        return f"{key}: nothing to do: it is closed or gone"
    begin(job)
    retire(job, newer, job.row.key)
    return f"{key}: closed as a duplicate of {job.row.key}"


REPAIRS: Mapping[str, Callable[[Job], str]] = {"link": _link, "duplicate": _duplicate}


def retire(job: Job, newer: Issue, older: str) -> None:
    """Say in a duplicate where everything goes on, and close it."""
    if newer.status_category != "done":
        body = job.outside.renderer.comment("duplicate", older=older)
        said = {fingerprint(each.body) for each in job.tracker.comments(newer.key)} if job.crashed else set()
        if fingerprint(body) not in said:
            job.tracker.comment(newer.key, body)
        job.tracker.transition(newer.key, "close", ticket_rules(job))
