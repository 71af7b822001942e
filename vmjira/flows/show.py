"""Bringing one ticket to what it should show: description and attachments, and nothing that did not change."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from vmjira.domain.operation import count
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import TicketRow, TicketView, installation_label, other_installation, timeless
from vmjira.errors import TicketGone, TrackerRefused
from vmjira.flows.identity import contradiction, suspect
from vmjira.flows.installation import installation
from vmjira.flows.ports import Outside
from vmjira.flows.rows import AttachmentRow, OperationRow
from vmjira.flows.tracking import File, Issue, Tracker
from vmjira.flows.views import view_ticket

_WORDS = re.compile(r"[^\W_]+")


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

    @property
    def today(self) -> date:
        """In the policy's time zone."""
        return self.outside.clock().astimezone(self.rulebook.policy.timezone).date()


@dataclass(frozen=True)
class Content:
    """What a ticket should show."""

    view: TicketView
    files: Sequence[File]
    write: Callable[[TicketView, int | None], str]  # our part of the description, within a budget

    def describe(self, budget: int | None = None) -> str:
        return self.write(self.view, budget)

    @cached_property
    def digest(self) -> str:
        """Of what the description tells: a newer time of observation alone is nothing to tell."""
        return fingerprint(self.write(timeless(self.view), None))


def render(job: Job) -> Content:
    view = view_ticket(job.outside.store, job.row, job.rulebook, job.today)
    files = job.outside.renderer.files(view, job.tracker.upload_limit())
    with job.outside.store.reading() as unit:
        sent = {each.name for each in unit.attachments(view.identifier)}
    kinds = {_kind(job.row, file.name) for file in files}
    names = sorted({file.name for file in files} | {name for name in sent if _kind(job.row, name) not in kinds})

    def write(view: TicketView, budget: int | None) -> str:
        return job.outside.renderer.description(view, names, picture=job.tracker.shows_pictures, budget=budget)

    return Content(view, files, write)


def show(job: Job, content: Content, *, doubtful: bool) -> str:
    """Bring the ticket to `content`. `doubtful`: it may not be as we last knew it, so look at all of it."""
    done = []
    if doubtful or content.digest != job.row.description:
        issue = read(job)
        text = merged(job, content, issue)
        if text != issue.description:
            label = installation_label(installation(job.outside))
            job.tracker.edit(issue.key, description=text, labels=[] if label in issue.labels else [label])
            done.append("description")
        remember(job, content, text)
    if attached := _attach(job, content.files, doubtful=doubtful):
        done.append(count(attached, "file"))
    with job.outside.store.begin() as unit:
        unit.update_ticket(job.row.identifier, shown=job.row.facts, sent_ledger=job.row.ledger)
    return " and ".join(done) + " sent" if done else "nothing had changed"


def merged(job: Job, content: Content, issue: Issue) -> str:
    """The whole description: our part as it should be, in the room that a person's text leaves."""
    fitting = content.describe(job.outside.renderer.room(issue.description))
    return job.outside.renderer.merge(issue.description, fitting)


def remember(job: Job, content: Content, text: str) -> None:
    """That the description stands in the tracker as `text`."""
    standing = fingerprint(job.outside.renderer.part(text))
    with job.outside.store.begin() as unit:
        unit.update_ticket(job.row.identifier, description=content.digest, described=standing)


def _attach(job: Job, files: Sequence[File], *, doubtful: bool) -> int:
    """Send what is new in one call, then remove what it replaces. How many were sent."""
    row, key = job.row, job.row.key or ""
    with job.outside.store.reading() as unit:
        known = unit.attachments(row.identifier)
    wanted = {file.name: file.digest or digest_of(file.content) for file in files}
    present = {each.name: each for each in known if wanted.get(each.name) == each.digest}
    missing = [file for file in files if file.name not in present]
    if missing:
        begin(job)
        sent = job.tracker.attach(key, missing)
        rows = [AttachmentRow(row.identifier, each.name, each.id, wanted[each.name], each.size) for each in sent]
        with job.outside.store.begin() as unit:
            unit.put_attachments(row.identifier, rows)
        present |= {each.name: each for each in rows}
    kept = {each.attachment_id for each in present.values()}
    kinds = {_kind(row, name) for name in wanted}
    stale = {each.attachment_id for each in known if _kind(row, each.name) in kinds} - kept
    if doubtful:
        issue = job.tracker.read([key]).get(key)
        lost = issue.attachments if issue else ()
        stale |= {each.id for each in lost if _kind(row, each.name) in kinds} - kept
    for attachment_id in sorted(stale):
        job.tracker.detach(attachment_id)
    if stale:
        with job.outside.store.begin() as unit:
            unit.put_attachments(row.identifier, [], removed=sorted(stale))
    return len(missing)


def _kind(row: TicketRow, name: str) -> str:
    """`own`, `all`, `diff`, `png`: which of our files it is, however it is packed or split; empty if it is not ours.
    Files may also be named by an identifier that the ticket had before."""
    beginning = next((f"{each}." for each in (row.identifier, *row.former) if name.startswith(f"{each}.")), "")
    return name.removeprefix(beginning).split(".")[0] if beginning else ""


def read(job: Job) -> Issue:
    """The ticket as the tracker has it now; a moved one is followed, a deleted one is gone."""
    row, key = job.row, job.row.key or ""
    issue = job.outside.tickets.read(job.tracker, key)
    if issue is None:
        raise TicketGone(f"{key} was deleted, or is no longer visible to vmjira")
    if why := contradiction(row, issue):
        raise suspect(job.outside, why)
    if other := other_installation(issue.labels, installation(job.outside)):
        raise TrackerRefused(f"{key} belongs to another installation of vmjira ({other}); vmjira leaves it alone")
    with job.outside.store.begin() as unit:
        unit.update_ticket(row.identifier, key=issue.key)  # its status is for `react`, which decides what follows
    return issue


def begin(job: Job, **details: str) -> None:
    """From here on nobody knows what came through; `details` may help whoever has to find out."""
    with job.outside.store.begin() as unit:
        merged = {**job.operation.details, **details}
        unit.update_operation(job.operation.id, started_at=job.outside.clock(), details=merged)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fingerprint(text: str) -> str:
    """Of its words alone: Cloud turns wiki markup into its document format and back, and marks may come out others."""
    return digest_of(" ".join(_WORDS.findall(text)).encode())
