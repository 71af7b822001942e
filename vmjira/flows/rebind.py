"""The story of a rebind: the tracker as it is now ─► our tickets in it, by key and label ─► all bound at once.

For a tracker that was exported into another site, restored or renamed: keys and labels stay, every id changes. Nothing
is written to the tracker, so nobody gets a mail, except the label of a ticket that is taken over from another
installation. What is not found is counted and left for a person; it is never marked as deleted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import structlog

from vmjira.domain.operation import count
from vmjira.domain.ticket import TicketRow, identifiers, identity, installation_label, other_installation
from vmjira.errors import VmjiraError
from vmjira.flows.identity import Known, known_tracker, remember
from vmjira.flows.installation import installation
from vmjira.flows.life import LOST_COMMENT
from vmjira.flows.missing import there_again
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.rows import AttachmentRow
from vmjira.flows.show import fingerprint
from vmjira.flows.tracking import Attachment, Issue, TrackerIdentity

log = structlog.get_logger(__name__)


class Named(Protocol):
    """What is said of an account or a field that the rules name."""

    @property
    def ok(self) -> bool: ...
    @property
    def what(self) -> str: ...
    @property
    def how(self) -> str: ...
    @property
    def where(self) -> str: ...


class RulesNames(Protocol):
    """What accounts and fields of the rules are called on this site; `before`: on the one before."""

    def __call__(self, before: Mapping[str, Any]) -> tuple[Sequence[Named], Mapping[str, Any]]: ...


@dataclass(frozen=True)
class Found:
    """A ticket in the tracker, as much of it as has to be kept."""

    id: str
    key: str
    labels: tuple[str, ...]
    attachments: tuple[Attachment, ...]
    standing: str  # digest of our part of its description


@dataclass(frozen=True)
class Lost:
    identifier: str
    key: str
    why: str


@dataclass
class Rebinding:
    """What a rebind does, or would do."""

    before: TrackerIdentity | None
    now: TrackerIdentity
    bound: dict[str, Found] = field(default_factory=dict)  # by identifier: they have another id, or another key
    unchanged: int = 0
    missing: list[Lost] = field(default_factory=list)
    taken: dict[str, Found] = field(default_factory=dict)  # by identifier: from another installation
    refused: list[str] = field(default_factory=list)  # why something of the list is not taken over
    names: Sequence[Named] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "before": asdict(self.before) if self.before else None,
            "now": asdict(self.now),
            "rebound": len(self.bound),
            "unchanged": self.unchanged,
            "missing": [asdict(each) for each in self.missing],
            "taken_over": [{"identifier": name, "key": each.key} for name, each in self.taken.items()],
            "refused": self.refused,
            "names": [{"ok": each.ok, "what": each.what, "how": each.how, "where": each.where} for each in self.names],
        }


def rebind(outside: Outside, names: RulesNames, *, dry_run: bool = False, take_over: Sequence[str] = ()) -> Rebinding:
    """Make the tracker as it is now ours. `take_over`: identifiers or keys of tickets of another installation.

    VmjiraError, and nothing is changed, if not one of our tickets is in this tracker.
    """
    run = _Rebind(outside, installation(outside))
    run.look(take_over)
    checks, mapped = names(run.known.names if run.known and run.known.names else {})
    run.report.names = checks
    if not dry_run:
        run.keep(mapped)
        there_again(outside, {*run.report.bound, *run.report.taken})
        log.info("rebound", tickets=len(run.report.bound), missing=len(run.report.missing), url=run.report.now.url)
    return run.report


class _Rebind:
    def __init__(self, outside: Outside, ours: str) -> None:
        self.outside, self.ours = outside, ours
        self.tracker = outside.tracker()
        with outside.store.reading() as unit:
            self.known = known_tracker(unit)
            self.rows = {row.identifier: row for row in unit.tickets()}
        now = self.tracker.identity(fresh=True)
        self.report = Rebinding(self.known.identity if self.known else None, now)
        self.by_key: dict[str, Found] = {}
        self.foreign: dict[str, list[Found]] = {}  # by identifier

    # what is there

    def look(self, take_over: Sequence[str]) -> None:
        """Page by page: as many calls as it takes to read the tickets once, however many there are."""
        for issue in self.tracker.changed_since(None):
            found = self._found(issue)
            if other_installation(issue.labels, self.ours):
                for name in identifiers(issue.labels):
                    self.foreign.setdefault(name, []).append(found)
            else:
                self.by_key[issue.key] = found
        self._match([row for row in self.rows.values() if row.key])
        self._take(take_over)

    def _found(self, issue: Issue) -> Found:
        standing = fingerprint(self.outside.renderer.part(issue.description))
        return Found(issue.id, issue.key, issue.labels, issue.attachments, standing)

    def _match(self, rows: Sequence[TicketRow]) -> None:
        by_label = self._by_label()
        for row in rows:
            found = self.by_key.get(row.key or "")
            if found is None or not _is(row, found):
                found = next((by_label[name] for name in (row.identifier, *row.former) if name in by_label), None)
            if found is None:
                if not row.gone:
                    self.report.missing.append(Lost(row.identifier, row.key or "", self._why(row)))
            elif (found.id, found.key) == (row.issue_id, row.key):
                self.report.unchanged += 1
            else:
                self.report.bound[row.identifier] = found
        living = sum(not row.gone for row in rows)
        if living and len(self.report.missing) == living:
            raise VmjiraError(
                f"rebind: {self.report.now.url} has none of the {count(living, 'ticket')} of this installation "
                f"({self.ours}). Check JIRA_URL, whether the import is complete, and whether the account of vmjira may "
                "browse the projects. Nothing was changed"
            )

    def _by_label(self) -> dict[str, Found]:
        """Under another key: only what bears our installation's label, and is the only one that does."""
        found: dict[str, list[Found]] = {}
        for each in self.by_key.values():
            if installation_label(self.ours) in each.labels:
                for name in identifiers(each.labels):
                    found.setdefault(name, []).append(each)
        return {name: issues[0] for name, issues in found.items() if len(issues) == 1}

    def _why(self, row: TicketRow) -> str:
        if found := self.by_key.get(row.key or ""):
            return (
                f"{found.key} is another ticket here ({', '.join(identifiers(found.labels)) or 'no label of vmjira'})"
            )
        if row.identifier in self.foreign:
            other = other_installation(self.foreign[row.identifier][0].labels, self.ours)
            return f"it belongs to the installation of vmjira {other} here"
        return f"no ticket here has the key {row.key} and the label {identity(row.identifier)}"

    # tickets of another installation

    def _take(self, wanted: Iterable[str]) -> None:
        by_key = {each.key: name for name, issues in self.foreign.items() for each in issues}
        for text in dict.fromkeys(wanted):
            name = by_key.get(text, text)
            issues = [each for each in self.foreign.get(name, ()) if text in (name, each.key)]
            row = self.rows.get(name)
            if len(issues) != 1:
                many = "there are several; name one by its key" if issues else "no other installation has such a ticket"
                self.report.refused.append(f"{text}: {many}")
            elif row is None:
                self.report.refused.append(f"{text}: this installation plans no such ticket; ingest its scans first")
            elif row.key and not row.gone and not any(lost.identifier == name for lost in self.report.missing):
                self.report.refused.append(f"{text}: {row.key} is the ticket of this installation for it")
            else:
                self.report.taken[name] = issues[0]
                self.report.missing = [lost for lost in self.report.missing if lost.identifier != name]

    # keeping

    def keep(self, mapped: Mapping[str, Any]) -> None:
        """First the labels of what is taken over: whoever dies in between finds it ours by its label the next time."""
        for found in self.report.taken.values():
            theirs = other_installation(found.labels, self.ours)
            self.tracker.edit(
                found.key, labels=[installation_label(self.ours)], labels_off=[installation_label(theirs)]
            )
        bound = {**self.report.bound, **self.report.taken}
        with self.outside.store.begin() as unit:
            self._refuse_changed(unit, bound)
            for name, found in bound.items():
                if self.rows[name].key not in (None, found.key):
                    unit.update_ticket(name, key=None)  # two tickets may have changed their keys
            for name, found in bound.items():
                self._bind(unit, name, found)
            for row in self.rows.values():
                if row.gone and row.identifier not in bound:
                    unit.update_ticket(row.identifier, issue_id=None)  # another ticket may have that id here
            for lost in self.report.missing:
                unit.update_ticket(lost.identifier, issue_id=None)
            missing = tuple(lost.identifier for lost in self.report.missing)
            remember(self.outside, unit, Known(self.report.now, missing=missing, names=mapped))

    def _refuse_changed(self, unit: Unit, names: Iterable[str]) -> None:
        for name in names:
            row, now = self.rows[name], unit.ticket(name)
            if now is None or (now.key, now.issue_id, now.gone) != (row.key, row.issue_id, row.gone):
                raise VmjiraError(f"rebind: {name} changed meanwhile; run it again")

    def _bind(self, unit: Unit, name: str, found: Found) -> None:
        row = self.rows[name]
        # Ids of comments are others here, too, and a person's comment is never taken for ours.
        changes: dict[str, Any] = {"key": found.key, "issue_id": found.id, "answer": row.answer and LOST_COMMENT}
        if row.key and not row.gone:
            changes["described"] = found.standing if row.described else ""
        else:  # nothing is known of it: the next update sends all
            changes |= {"description": "", "described": "", "shown": "", "sent_ledger": 0, "gone": False}
            changes["status_category"] = "new"
        unit.update_ticket(name, **changes)
        known = unit.attachments(name)
        removed = [each.attachment_id for each in known]
        unit.put_attachments(name, _mapped(known, found.attachments), removed=removed)


def _is(row: TicketRow, found: Found) -> bool:
    return any(identity(name) in found.labels for name in (row.identifier, *row.former))


def _mapped(known: Sequence[AttachmentRow], present: Sequence[Attachment]) -> list[AttachmentRow]:
    """The same files under their new ids. One of another size is replaced by the next update, as its digest is not
    known; one that did not come along is sent again by it."""
    there = {(each.name, each.size): each for each in present} | {(each.name, -1): each for each in present}
    mapped = []
    for row in known:
        if same := there.get((row.name, row.size)):
            mapped.append(replace(row, attachment_id=same.id))
        elif other := there.get((row.name, -1)):
            mapped.append(replace(row, attachment_id=other.id, digest="", size=other.size))
    return mapped
