"""The story of a reconciliation: what webhooks missed ─► looked at ─► brought back, or listed, each with its reason.

Found by search among the tickets that changed since the last time, and from time to time by reading every ticket that
lives: a search does not return what was deleted. What a search says is only a hint, so each ticket is read before
anything is concluded. Whatever is to be changed in the tracker goes through the queue like everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from vmjira.domain.limits import too_many
from vmjira.domain.ticket import TicketRow, installation_label, other_installation
from vmjira.flows.deleted import settle
from vmjira.flows.drift import Drift, Report, drift, lost_files, lost_links
from vmjira.flows.identity import REBIND, TrackerMoved, check, contradiction, known_tracker, suspect
from vmjira.flows.installation import installation
from vmjira.flows.missing import counts_as_deleted, there_again
from vmjira.flows.operations import commit, new_operation
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.react import look_again
from vmjira.flows.rows import AttachmentRow, Mark, OperationRow
from vmjira.flows.rules import rules_in_force
from vmjira.flows.show import fingerprint
from vmjira.flows.strangers import Seen, Strangers, of_others, seen_by
from vmjira.flows.tracking import Issue, Tracker

log = structlog.get_logger(__name__)

#: Marks of the last reconciliation, and of the last one that read every living ticket.
RECONCILED, READ_ALL = "reconciled", "reconciled all"
#: A search looks further back by this, beside its lag: clocks differ, and Jira counts whole minutes.
MARGIN = timedelta(minutes=2)
#: Every living ticket is read after so long, and after we were away for so long: nothing told us of deletions then.
READ_ALL_EVERY, AWAY = timedelta(days=1), timedelta(hours=1)
BATCH = 100  # tickets that are read in one call
LABELLED = 20  # tickets of before this version that one reconciliation labels: it may cost a mail each


def reconcile(outside: Outside, *, since: datetime | None = None, everything: bool = False) -> Report:
    """Compare what changed `since` (default: the last time) and mend it; a second one directly after finds nothing.

    `everything`: read every living ticket, also those that no search returns. So it is at least once a day, and when
    the last time is long ago.
    """
    at = outside.clock()
    with outside.store.reading() as unit:
        last, all_read = unit.mark(RECONCILED), unit.mark(READ_ALL)
    start = since or (last.at if last else None)
    everything = everything or not _younger(last, AWAY, at) or not _younger(all_read, READ_ALL_EVERY, at)
    run = _Run(outside, outside.tracker(), at, installation(outside))
    try:
        check(outside, fresh=True)
        settle(outside)  # whoever released it may have been cut off
        run.search(start)
        run.tickets(everything=everything)
        run.neighbours()
        run.strangers()
        run.labels()
    except TrackerMoved as error:  # nothing can be said of tickets; the next one begins where the last good one did
        drifts = (*run.drifts, Drift("", "", error.why, REBIND))
        return Report(at, start, run.read, drifts)
    with outside.store.begin() as unit:
        if last is None or since is None or since <= last.at:  # else what lies between was not looked at
            unit.put_mark(Mark(RECONCILED, at, {"read": run.read, "drifts": len(run.drifts)}))
        if everything:
            unit.put_mark(Mark(READ_ALL, at))
    log.info("reconciled", since=str(start), everything=everything, read=run.read, drifts=len(run.drifts))
    return Report(at, start, run.read, tuple(run.drifts))


def _younger(mark: Mark | None, age: timedelta, at: datetime) -> bool:
    return mark is not None and at - mark.at <= age


@dataclass
class _Run:
    outside: Outside
    tracker: Tracker
    at: datetime
    installation: str  # ours
    read: int = 0  # tickets
    seen: dict[str, Seen] = field(default_factory=dict)  # what changed, by the id of the issue
    drifts: list[Drift] = field(default_factory=list)
    links: dict[str, frozenset[str]] = field(default_factory=dict)  # keys, by identifier of what was read
    visible: dict[str, bool] = field(default_factory=dict)  # projects
    lost: list[TicketRow] = field(default_factory=list)  # what the tracker does not have, in a project that we see
    absent: set[str] = field(default_factory=set)  # identifiers of what is known not to be there
    unlabelled: list[TicketRow] = field(default_factory=list)  # made before tickets bore the label of an installation

    @property
    def because(self) -> str:
        return f"reconciliation of {self.at:%Y-%m-%d %H:%M} UTC"

    def search(self, start: datetime | None) -> None:
        since = start and start - MARGIN - timedelta(seconds=self.tracker.search_lag)
        self.seen = {issue.id: seen_by(issue, self.installation) for issue in self.tracker.changed_since(since)}

    def tickets(self, *, everything: bool) -> None:
        """Compare each of ours that changed, or each that lives."""
        with self.outside.store.reading() as unit:
            rows = [row for row in unit.tickets() if row.key and (not row.gone or row.issue_id in self.seen)]
            known = known_tracker(unit)
        self.absent = set(known.missing) if known else set()
        for row in rows:
            if row.identifier in self.absent:
                self._note(row, "was not found when the tracker was rebound", "nothing; see `vmjira rebind`")
        self._look([row for row in rows if everything or row.issue_id in self.seen])

    def _look(self, rows: Sequence[TicketRow]) -> None:
        rows = [row for row in rows if row.identifier not in self.absent]
        for start in range(0, len(rows), BATCH):
            self._batch(rows[start : start + BATCH])
        self._count_lost()

    def _batch(self, rows: Sequence[TicketRow]) -> None:
        self.read += len(rows)
        new_keys = {id: each.key for id, each in self.seen.items()}
        keys = {row.identifier: new_keys.get(row.issue_id or "", row.key or "") for row in rows}
        with self.outside.store.reading() as unit:  # before the tracker: what is sent meanwhile only seems to be lost
            files = {row.identifier: unit.attachments(row.identifier) for row in rows}
        began = self.outside.clock()
        issues = self.tracker.read(list(keys.values()))
        there_again(self.outside, {row.identifier for row in rows if keys[row.identifier] in issues})
        for row in rows:
            issue = issues.get(keys[row.identifier])
            if issue is None:
                self._missing(row)
                continue
            if why := contradiction(row, issue):
                raise suspect(self.outside, why)
            if other := other_installation(issue.labels, self.installation):
                self._note(row, f"belongs to the installation of vmjira {other} now", "nothing; vmjira leaves it alone")
                continue
            if installation_label(self.installation) not in issue.labels:
                self.unlabelled.append(row)
            self.links[row.identifier] = frozenset(issue.links)
            self._files(row, issue, files[row.identifier], began)
            self._decide(row, issue)

    def _missing(self, row: TicketRow) -> None:
        if row.gone:
            return  # the search has not noticed yet
        project = (row.key or "").rpartition("-")[0]
        if project not in self.visible:
            self.visible[project] = self.tracker.sees(project)
        if self.visible[project]:
            self.lost.append(row)
        else:
            how = f"nothing; give our account 'Browse Projects' in {project!r} again"
            self._note(row, "cannot be read: its project is hidden from our account", how)

    def _count_lost(self) -> None:
        """What the tracker does not have was deleted, unless too much is missing at once."""
        lost, self.lost = self.lost, []
        self.absent |= {row.identifier for row in lost}
        deleted = {row.identifier for row in counts_as_deleted(self.outside, lost)} if lost else set()
        for row in lost:
            if row.identifier in deleted:
                self._decide(row, None)
            else:
                how = "nothing, because many tickets are missing: see `vmjira operations list`"
                self._note(row, "is not in the tracker", how)

    def _decide(self, row: TicketRow, issue: Issue | None) -> None:
        """Let the same decide as after a webhook, if there is anything to decide."""
        what = drift(row, issue, fingerprint(self.outside.renderer.part(issue.description if issue else "")))
        if not what:
            return
        planned = look_again(self.outside, row, issue, because=self.because)
        with self.outside.store.reading() as unit:
            operations = list(filter(None, map(unit.operation, planned)))
            now = unit.ticket(row.identifier) or row
        if operations or _visibly(now) != _visibly(replace(row, status=row.status or now.status)):
            done = [f"{each.operation} is queued" for each in operations if each.identifier == row.identifier]
            self._note(now, what, "; ".join(done) or f"noted{f': {now.closing}' if now.closing else ''}")

    def _files(self, row: TicketRow, issue: Issue, known: Sequence[AttachmentRow], began: datetime) -> None:
        """Send again what somebody deleted; not of a ticket that is being written just now."""
        if not (lost := lost_files(known, issue)):
            return
        with self.outside.store.begin() as unit:
            if any(_at_work(each, began) for each in unit.operations(identifier=row.identifier)):
                return
            unit.put_attachments(row.identifier, [], removed=[each.attachment_id for each in lost])
            unit.update_ticket(row.identifier, sent_ledger=0)  # the lists of a past iteration are made once more
            self._mend(unit, row, "update", f"lost {', '.join(each.name for each in lost)}")

    def neighbours(self) -> None:
        """Tickets of a cell that are not linked with the one before; both are read, for one of them may be gone."""
        asked: set[str] = set()
        while unread := {row.identifier: row for row in self._loose_ends() if row.identifier not in asked}:
            asked |= unread.keys()
            self._look(list(unread.values()))
        with self.outside.store.reading() as unit:
            undone = unit.operations("queued", "held", "refused")
        known = {(row.identifier, row.details["other"]): row.state for row in undone if row.operation == "link"}
        for newer, older in self._unlinked():
            if not {newer.identifier, older.identifier} <= self.links.keys():
                continue
            what, state = f"is not linked with {older.key}", known.get((newer.identifier, older.identifier))
            if state == "refused":
                self._note(newer, what, "nothing; an earlier try was refused: see `vmjira operations list`")
            elif state is None:
                with self.outside.store.begin() as unit:
                    self._mend(unit, newer, "link", what, other=older.identifier)

    def _unlinked(self) -> list[tuple[TicketRow, TicketRow]]:
        with self.outside.store.reading() as unit:
            return list(lost_links(unit.tickets(), unit.moved(), self.links))

    def _loose_ends(self) -> list[TicketRow]:
        return [row for pair in self._unlinked() for row in pair if row.identifier not in self.links]

    def strangers(self) -> None:
        """Issues that say to be a ticket of ours and are not: duplicates are closed, all else is listed."""
        with self.outside.store.reading() as unit:
            rows = {row.identifier: row for row in unit.tickets()}
            told = {row.details["key"]: row.state for row in unit.operations() if row.operation == "duplicate"}
        own = {row.issue_id for row in rows.values()}
        strange = [each for id, each in self.seen.items() if id not in own and each.identifiers]
        self.drifts += of_others(strange)
        duplicates, listed = Strangers(self.outside, self.installation, rows, told).judge(strange)
        self.drifts += listed
        self._retire(duplicates, rows)

    def _retire(self, duplicates: Sequence[tuple[Issue, str]], rows: Mapping[str, TicketRow]) -> None:
        """Close them, unless they are too many for nobody to have looked."""
        living = sum(bool(row.key) and not row.gone for row in rows.values())
        limit = rules_in_force(self.outside).policy.limit_close if duplicates else 0
        held = len(duplicates) > limit or too_many(len(duplicates), living)
        with self.outside.store.begin() as unit:
            for issue, name in duplicates:
                what = f"{issue.key} is a duplicate of it"
                planned = self._operation("duplicate", rows[name], what, key=issue.key)
                self._queue(unit, [replace(planned, state="held") if held else planned])
                self._note(rows[name], what, f"duplicate is {'held: there are too many' if held else 'queued'}")

    def labels(self) -> None:
        """Put the label of this installation on some tickets that were made before there was one."""
        reason = "tickets bear the label of the installation of vmjira that they belong to"
        with self.outside.store.begin() as unit:
            waiting = {row.identifier for row in unit.operations("queued", "refused") if row.operation == "relabel"}
            rows = [row for row in self.unlabelled if row.identifier not in waiting][:LABELLED]
            planned = [replace(self._operation("relabel", row, reason), details={"labels": []}) for row in rows]
            self._queue(unit, planned)

    # how it is mended

    def _mend(self, unit: Unit, row: TicketRow, operation: str, what: str, **details: str) -> None:
        planned = self._operation(operation, row, what, **details)
        self._queue(unit, [planned])
        self._note(row, what, f"{operation} is queued")

    def _operation(self, operation: str, row: TicketRow, what: str, **details: str) -> OperationRow:
        reason, plan = f"{self.because}: {what}", f"reconcile-{self.at:%Y%m%dT%H%M%S.%f}"
        after = next(iter(details.values()), "")
        return replace(
            new_operation(operation, row.identifier, reason, plan=plan, now=self.at, after=after), details=details
        )

    def _queue(self, unit: Unit, rows: Iterable[OperationRow]) -> None:
        commit(self.outside, unit, [row for row in rows if unit.operation(row.id) is None])

    def _note(self, row: TicketRow, what: str, done: str) -> None:
        self.drifts.append(Drift(row.identifier, row.key or "", what, done))
        log.warning("drift", ticket=row.identifier, key=row.key, what=what, done=done)


def _visibly(row: TicketRow) -> tuple[object, ...]:
    return row.key, row.status, row.status_category, row.closing, row.closed_at, row.gone


def _at_work(operation: OperationRow, since: datetime) -> bool:
    """Whether an operation is changing the ticket, or did so after it was read."""
    return operation.state == "queued" or (operation.ended_at is not None and operation.ended_at >= since)
