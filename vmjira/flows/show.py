"""Bringing one ticket to what it should show: description and attachments, and nothing that did not change."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from vmjira.domain.operation import count
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import TicketRow, TicketView
from vmjira.errors import TicketGone
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


@dataclass(frozen=True)
class Content:
    """What a ticket should show."""

    view: TicketView
    files: Sequence[File]
    describe: Callable[[int | None], str]  # our part of the description, within a budget

    @cached_property
    def description(self) -> str:
        return self.describe(None)

    @property
    def digest(self) -> str:
        return fingerprint(self.description)


def render(job: Job) -> Content:
    view = view_ticket(job.outside.store, job.row, job.rulebook)
    files = job.outside.renderer.files(view, job.tracker.upload_limit())
    with job.outside.store.reading() as unit:
        sent = {each.name for each in unit.attachments(view.identifier)}
    kinds = {_kind(job.row, file.name) for file in files}
    names = sorted({file.name for file in files} | {name for name in sent if _kind(job.row, name) not in kinds})

    def describe(budget: int | None) -> str:
        return job.outside.renderer.description(view, names, picture=job.tracker.shows_pictures, budget=budget)

    return Content(view, files, describe)


def show(job: Job, content: Content, *, doubtful: bool) -> str:
    """Bring the ticket to `content`. `doubtful`: it may not be as we last knew it, so look at all of it."""
    done = []
    if doubtful or content.digest != job.row.description:
        issue = _read(job)
        fitting = content.describe(job.outside.renderer.room(issue.description))
        merged = job.outside.renderer.merge(issue.description, fitting)
        if merged != issue.description:
            job.tracker.edit(issue.key, description=merged)
            done.append("description")
        with job.outside.store.begin() as unit:
            standing = fingerprint(job.outside.renderer.part(merged))
            unit.update_ticket(job.row.identifier, description=content.digest, described=standing)
    if attached := _attach(job, content.files, doubtful=doubtful):
        done.append(count(attached, "file"))
    with job.outside.store.begin() as unit:
        unit.update_ticket(job.row.identifier, shown=job.row.facts, sent_ledger=job.row.ledger)
    return " and ".join(done) + " sent" if done else "nothing had changed"


def _attach(job: Job, files: Sequence[File], *, doubtful: bool) -> int:
    """Send what is new in one call, then remove what it replaces. How many were sent."""
    row, key = job.row, job.row.key or ""
    with job.outside.store.reading() as unit:
        known = unit.attachments(row.identifier)
    wanted = {file.name: digest_of(file.content) for file in files}
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


def _read(job: Job) -> Issue:
    """The ticket as the tracker has it now; a moved one is followed, a deleted one is gone."""
    row, key = job.row, job.row.key or ""
    issue = job.outside.tickets.read(job.tracker, key)
    if issue is None:
        raise TicketGone(f"{key} was deleted, or is no longer visible to vmjira")
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
