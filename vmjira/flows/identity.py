"""Whether the tracker is still the one that our tickets are in: while it is not, nothing is written.

An export into another site keeps keys and labels and changes every id. So whatever we know by an id would be deleted,
or another ticket. What we know of the tracker is kept in the mark `tracker`, from the first contact on; only
`vmjira rebind` makes another tracker ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from vmjira.domain.rulebook import TicketRules
from vmjira.domain.ticket import TicketRow, identifiers
from vmjira.errors import TrackerUnavailable
from vmjira.flows.ports import Outside, Unit
from vmjira.flows.rows import Mark
from vmjira.flows.tracking import Issue, TrackerIdentity

log = structlog.get_logger(__name__)

TRACKER = "tracker"
#: Seconds until what waits for a rebind looks again.
AGAIN = 300.0
#: Tickets that are looked at when nobody knows yet which tracker ours was.
SAMPLE = 5
REBIND = "Nothing is written to the tracker. Run `vmjira rebind --dry-run`, then `vmjira rebind`"


class TrackerMoved(TrackerUnavailable):
    """The tracker is not the one that our tickets are in, or not as we know it: what is to be written waits."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}. {REBIND}", retry_after=AGAIN)
        self.why = why


@dataclass(frozen=True)
class Known:
    """What we know of the tracker."""

    identity: TrackerIdentity
    moved: str = ""  # why it counts as moved, in words
    evidence: bool = False  # a ticket told so, not its identity: only a rebind ends that
    missing: tuple[str, ...] = ()  # tickets that the last rebind did not find
    names: Mapping[str, Any] | None = None  # accounts and fields of the rules: as called here, and `mapped` by a rebind


def known_tracker(unit: Unit) -> Known | None:
    mark = unit.mark(TRACKER)
    if mark is None:
        return None
    about = mark.details
    return Known(
        TrackerIdentity(**about["identity"]),
        about["moved"],
        about["evidence"],
        tuple(about["missing"]),
        about.get("names"),
    )


def remember(outside: Outside, unit: Unit, known: Known) -> None:
    details: dict[str, Any] = {**vars(known), "identity": asdict(known.identity), "missing": list(known.missing)}
    unit.put_mark(Mark(TRACKER, outside.clock(), details))


def check(outside: Outside, *tickets: str, fresh: bool = False) -> None:
    """Raise TrackerMoved if nothing may be written now, or not to one of these tickets.

    `fresh`: ask the tracker now; else an answer of the last minutes will do.
    """
    now = outside.tracker().identity(fresh=fresh)
    with outside.store.reading() as unit:
        known = known_tracker(unit)
    if known is None:
        known = _first_contact(outside, now)
    if not known.evidence:
        known = _compared(outside, known, now)
    if known.moved:
        raise TrackerMoved(known.moved)
    if lost := [each for each in tickets if each in known.missing]:
        raise TrackerMoved(f"{lost[0]} was not found in the tracker when it was rebound")


def _compared(outside: Outside, known: Known, now: TrackerIdentity) -> Known:
    """Keep, and say once, whether it is another one; the new address of the same one is only noted."""
    moved = difference(known.identity, now)
    if moved == known.moved and (moved or now == known.identity):
        return known
    found = replace(known, moved=moved, identity=known.identity if moved else _merged(known.identity, now))
    with outside.store.begin() as unit:
        remember(outside, unit, found)
    if moved:
        log.error("the tracker has moved", why=moved, what=REBIND)
    else:
        log.info("the tracker is known", url=now.url, server=now.server, before=known.identity.url)
    return found


def _merged(known: TrackerIdentity, now: TrackerIdentity) -> TrackerIdentity:
    return replace(now, server=now.server or known.server)


def difference(known: TrackerIdentity, now: TrackerIdentity) -> str:
    """Why it is another tracker, in words; empty if it is the same one. Where it tells no id, its address has to do."""
    if known.product != now.product:
        return f"The tickets are in {known.product} at {known.url}, and {now.url} is {now.product}"
    if known.server and now.server:
        other = known.server != now.server
    else:
        other = _address(known.url) != _address(now.url)
    if not other:
        return ""
    ids = f" (server {known.server})", f" (server {now.server})"
    return f"The tickets are in the tracker {known.url}{ids[0]}, and this is {now.url}{ids[1]}"


def _address(url: str) -> str:
    return url.partition("://")[2].rstrip("/").casefold()


# --- what a ticket tells ----------------------------------------------------------------------------------------------


def contradiction(row: TicketRow, issue: Issue) -> str:
    """Why an issue that answers for `row` cannot be in the tracker as we know it, in words; empty if it can."""
    if row.issue_id and issue.id != row.issue_id and issue.key == row.key:
        return f"{issue.key} has the id {issue.id}, and vmjira knows it by {row.issue_id}"
    others = identifiers(issue.labels)
    if others and row.identifier not in others and issue.key != row.key and not set(others) & set(row.former):
        return f"The issue {issue.id} is {issue.key} ({others[0]}), and vmjira knows it as {row.key} ({row.identifier})"
    return ""


def suspect(outside: Outside, why: str) -> TrackerMoved:
    """Keep what a ticket told, for all processes; the error that says so, to be raised."""
    with outside.store.begin() as unit:
        known = known_tracker(unit)
        if known is not None and not known.moved:
            remember(outside, unit, replace(known, moved=why, evidence=True))
            log.error("the tracker has moved", why=why, what=REBIND)
    return TrackerMoved(known.moved if known and known.moved else why)


def believe(outside: Outside, row: TicketRow, issue: Issue | None) -> Issue | None:
    """The ticket as the tracker has it, None if it was deleted; TrackerMoved if it only tells that this is not the
    tracker that we know.

    A ticket that is not there by its id, but by its key, is the same one after an import.
    """
    if issue is None and row.key:
        check(outside, fresh=True)
        issue = outside.tracker().read([row.key]).get(row.key)
    if issue is not None and (why := contradiction(row, issue)):
        raise suspect(outside, why)
    return issue


def _first_contact(outside: Outside, now: TrackerIdentity) -> Known:
    """Whatever it is, unless the tickets that we have in a tracker are not in this one."""
    with outside.store.reading() as unit:
        rows = [row for row in unit.tickets() if row.key and row.issue_id and not row.gone]
    why = _told_by(outside, rows[-SAMPLE:])
    with outside.store.begin() as unit:
        found = known_tracker(unit) or Known(now, why, bool(why))
        remember(outside, unit, found)
    if why:
        log.error("the tracker has moved", why=why, what=REBIND)
    return found


def _told_by(outside: Outside, rows: Sequence[TicketRow]) -> str:
    issues = outside.tracker().read([row.key or "" for row in rows]) if rows else {}
    told = [contradiction(row, issues[row.key]) for row in rows if row.key in issues]
    return next(filter(None, told), "")


def as_named_here(known: Known | None, rules: TicketRules) -> TicketRules:
    """With the accounts and fields of this site, as the last rebind found them, where the rules still name others."""
    mapped = (known.names or {}).get("mapped", {}) if known else {}
    people, fields = mapped.get("accounts", {}), mapped.get("fields", {})
    if not (people or fields):
        return rules
    return replace(
        rules,
        assignee=people.get(rules.assignee, rules.assignee),
        watchers=tuple(people.get(each, each) for each in rules.watchers),
        fields={fields.get(name, name): value for name, value in rules.fields.items()},
    )


def remember_names(outside: Outside, names: Mapping[str, Mapping[str, Any]]) -> None:
    """What accounts and fields of the rules are called, as long as the tracker is the one that we know."""
    with outside.store.begin() as unit:
        known = known_tracker(unit)
        if known is None or known.moved:
            return
        before: Mapping[str, Any] = known.names or {}
        mapped = before.get("mapped", {})
        merged = {
            kind: {
                **before.get(kind, {}),
                **{name: of for name, of in found.items() if name not in mapped.get(kind, {})},
            }
            for kind, found in names.items()
        }
        if {**before, **merged} != before:
            remember(outside, unit, replace(known, names={**before, **merged}))
