"""What follows from a closing: when a ticket is found closed, reopened or changed, and when new data came in.

`decide` looks at a ticket as the tracker has it now; `after_data` at one of which new data came in. Both compare with
what our row says already: so the same state twice, or the echo of our own change, decides nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from vmjira.domain.operation import Kind, Operation, count
from vmjira.domain.rulebook import Policy
from vmjira.domain.ticket import Closing, OwnNumbers, StatusCategory, TicketRow


@dataclass(frozen=True)
class Seen:
    """A ticket as the tracker has it now; `since` and `by` are of its last change of status there."""

    key: str
    status: str
    status_category: StatusCategory
    resolution: str | None
    since: datetime
    by: str
    ours: bool = False  # that change was ours …
    busy: bool = False  # … and we are closing or reopening right now
    labels_missing: tuple[str, ...] = ()
    intact: bool = True  # our part of the description is as we wrote it
    same_clock: bool = False  # the tracker's clock agrees with ours
    open_then: int | None = None  # own findings that were open at that time, if newer data came in since

    @property
    def done(self) -> bool:
        return self.status_category == "done"


@dataclass(frozen=True)
class News:
    """New data of the range of a ticket."""

    because: str
    running: int  # ordinal of the iteration that runs now
    refuted: int = 0  # open own findings that were seen after the closing, host by host
    came_in: bool = False  # there are more own findings than before
    by_edit: bool = False  # it is not a scan but an edit of the rules that changed the numbers
    withdrawn: str = ""  # it is the withdrawal of this scan that changed them


@dataclass(frozen=True)
class Decision:
    """What our row becomes, and what has to be done, each with its reason; `acceptance` begins or ends."""

    row: TicketRow
    operations: tuple[Operation, ...] = ()
    words: tuple[str, ...] = ()
    acceptance: Literal["", "accept", "unaccept"] = ""


# --- the ticket as it is in the tracker -------------------------------------------------------------------------------


def decide(row: TicketRow, seen: Seen | None, refuted: int, policy: Policy) -> Decision:
    """`seen`: None if it was deleted; `refuted`: open own findings seen after the closing, if it is `newly_closed`."""
    if seen is None:
        if row.gone:
            return Decision(row)
        return Decision(replace(row, gone=True), words=("deleted: its findings wait for a person's word",))
    now = replace(row, key=seen.key, status=seen.status, status_category=seen.status_category, gone=False)
    decision = _by_status(now, seen, refuted, policy)
    return _mended(decision, row, seen)


def newly_closed(row: TicketRow, seen: Seen) -> bool:
    """Closed, and nothing was decided about it yet.

    A step from one closed status to another is no new closing, nor is a step on a way of ours that leads through one.
    """
    later = row.closed_at is None or seen.since > row.closed_at
    return seen.done and not row.closing and later and not (seen.ours and seen.busy)


def _by_status(row: TicketRow, seen: Seen, refuted: int, policy: Policy) -> Decision:
    if newly_closed(row, seen):
        return _closed(row, seen, refuted, policy)
    if not seen.done and row.closing:
        return _reopened(row, seen, policy)
    if seen.done and row.own.open and row.closing in ("waiting", "trusted", "escalated") and _accepts(seen, policy):
        return _accepted(row, seen, policy)  # the resolution was changed afterwards
    if seen.done and row.closing == "waiting" and row.closed_at and seen.since > row.closed_at and not seen.ours:
        return Decision(replace(row, closed_at=seen.since))  # reopened and closed again meanwhile, or a step further
    return Decision(row)


def _closed(row: TicketRow, seen: Seen, refuted: int, policy: Policy) -> Decision:
    row, told = replace(row, closed_at=seen.since), f"closed by {seen.by} at {_when(seen.since, policy)}"
    own = row.own
    if not own.open and not (seen.open_then and _accepts(seen, policy)):
        return _decision(
            replace(row, closing=closed_for_good(own), told=own.ending), f"{told}: {_ended(own)}", *_tell_ending(row)
        )
    told += f" with {count(own.open, 'finding')} open on {count(own.open_hosts, 'host')}"
    if _accepts(seen, policy) and seen.open_then != 0:
        return _accepted(row, seen, policy)
    if policy.on_close == "trust":
        return _decision(replace(row, closing="trusted"), f"{told}: left alone, on_close is trust")
    if policy.on_close == "strict":
        return _refute(row, f"{told}: on_close is strict", policy)
    if refuted:
        return _refute(row, f"{told}: data newer than the closing still shows {refuted} of them", policy)
    return _decision(replace(row, closing="waiting"), f"{told}: not verified yet, waiting for newer data", "closed")


def _accepts(seen: Seen, policy: Policy) -> bool:
    wanted = {name.casefold() for name in policy.accept_resolutions}
    return (seen.resolution or "").casefold() in wanted


def _accepted(row: TicketRow, seen: Seen, policy: Policy) -> Decision:
    until = seen.since + policy.accept_for
    findings = row.own.open if seen.open_then is None else seen.open_then
    reason = (
        f"closed as {seen.resolution!r} by {seen.by} at {_when(seen.since, policy)}: "
        f"{count(findings, 'open finding')} accepted until {_when(until, policy)}"
    )
    details = {"resolution": seen.resolution, "until": until.isoformat(), "findings": findings}
    decision = _decision(replace(row, closing="accepted", closed_at=seen.since), reason, "accepted", **details)
    return replace(decision, acceptance="accept")


def _reopened(row: TicketRow, seen: Seen, policy: Policy) -> Decision:
    reason = f"reopened by {seen.by} at {_when(seen.since, policy)}"
    if row.closing != "accepted":
        return _decision(replace(row, closing=""), reason)
    decision = _decision(replace(row, closing=""), f"{reason}: its acceptance ends", "unaccepted")
    return replace(decision, acceptance="unaccept")


def _mended(decision: Decision, before: TicketRow, seen: Seen) -> Decision:
    """Also whatever a person changed of what is ours."""
    row, words, operations = decision.row, list(decision.words), list(decision.operations)
    if before.key and seen.key != before.key:
        words.append(f"moved from {before.key} to {seen.key}")
    if before.gone:
        words.append("visible again")
        operations.append(Operation("update", row.identifier, seen.key, "visible again"))
    if seen.labels_missing:
        reason = f"label {', '.join(seen.labels_missing)} was removed: put back"
        words.append(reason)
        details = {"labels": list(seen.labels_missing)}
        operations.append(Operation("relabel", row.identifier, seen.key, reason, details))
    if not seen.intact:
        words.append("our part of the description was changed: restored")
        operations.append(Operation("update", row.identifier, seen.key, words[-1]))
        row = replace(row, description="")  # nothing is known of what it shows, so it is written again
    return replace(decision, row=row, operations=tuple(operations), words=tuple(words))


# --- new data ---------------------------------------------------------------------------------------------------------


def after_data(before: TicketRow, row: TicketRow, news: News, policy: Policy) -> Decision:
    """`row`: with the numbers of now; `before`: as it was until then."""
    if news.withdrawn and (decision := _withdrawn(before, row, news)):
        return decision
    if not row.own.open:
        return _all_ended(row, news, policy)
    row = replace(row, told="")
    still = f"{news.because}: {count(row.own.open, 'finding')} open"
    if _does_not_hold(row, news):
        return _undo(row, still, news, policy)
    if row.closing == "waiting" and row.own.open != before.own.open and row.noted != news.running:
        reason = f"{still}, none of them verified by data newer than the closing"
        return _decision(replace(row, noted=news.running), reason, "waiting")
    return Decision(row)


def _does_not_hold(row: TicketRow, news: News) -> bool:
    """Whether a ticket with open findings cannot stay closed."""
    if row.closing == "waiting" and news.refuted:
        return True
    return row.closing in ("confirmed", "settled", "accepted") or (
        news.came_in and row.closing in ("waiting", "trusted")
    )


def _undo(row: TicketRow, still: str, news: News, policy: Policy) -> Decision:
    if news.by_edit:
        return _reopen_for_rules(row, f"{still}, because the rules were changed")
    if row.closing == "waiting" and news.refuted:
        return _refute(row, f"{still}, {news.refuted} of them seen after the closing", policy)
    return _reopen(row, f"{still}, new in a ticket that was closed")


def _withdrawn(before: TicketRow, row: TicketRow, news: News) -> Decision | None:
    """What a scan said of a ticket does not count any more: that is told once, and undone. None: nothing to tell.

    A reopening is not held against anybody: it does not count towards the policy's `reopen_limit`.
    """
    told = f"{news.withdrawn} was withdrawn, so what it reported does not count"
    if not row.own.total and before.own.total:
        return _decision(replace(row, told=""), f"{told}: no finding is left", "withdrawn")
    if not row.own.open or before.own.open:
        return None
    told = f"{told}: {count(row.own.open, 'finding')} open"
    if row.closing in ("confirmed", "settled"):
        return _decision(replace(row, closing="", told=""), told, "reopen")
    if before.told and row.closing != "accepted":
        return _decision(replace(row, told=""), told, "withdrawn")
    return None


def _all_ended(row: TicketRow, news: News, policy: Policy) -> Decision:
    own = row.own
    if not own.total or row.closing == "accepted":
        return Decision(row)
    kinds = _tell_ending(row)
    if kinds and not row.closing and closes(policy, own):
        kinds.append("close")
    closing = row.closing if row.closing in ("", "trusted") else closed_for_good(own)
    return _decision(replace(row, told=own.ending, closing=closing), f"{news.because}: {_ended(own)}", *kinds)


def closes(policy: Policy, own: OwnNumbers) -> bool:
    """Whether `auto_close` closes a ticket with these numbers."""
    if policy.auto_close == "verified":
        return own.settled and own.fixed + own.moved == own.total
    return policy.auto_close == "settled" and own.settled


def closed_for_good(own: OwnNumbers) -> Closing:
    """What a closing is whose ticket has no open finding: only what was fixed is confirmed."""
    return "confirmed" if own.verified else "settled"


def _tell_ending(row: TicketRow) -> list[Kind]:
    """The comment on the end of its findings, unless the last one said the same."""
    ending = row.own.ending
    return [ending] if ending and ending != row.told else []


def _ended(own: OwnNumbers) -> str:
    """In words, for the reason of a change."""
    if not own.total:
        return "it has no findings of its own"
    parts = ((own.fixed, "fixed"), (own.moved, "moved"), (own.accepted, "accepted"), (own.gone, "gone"))
    ways = ", ".join(f"{number} {name}" for number, name in parts if number)
    return f"no finding is open any more, of {own.total} in total: {ways}"


# --- reopening --------------------------------------------------------------------------------------------------------


def _refute(row: TicketRow, reason: str, policy: Policy) -> Decision:
    """A closing that does not hold: reopened, or escalated if that has been of no use often enough."""
    if row.reopened < policy.reopen_limit:
        return _reopen(row, reason)
    reason = f"{reason}; reopened {count(row.reopened, 'time')} already, so it stays closed and is escalated"
    return _decision(replace(row, closing="escalated"), reason, "escalate")


def _reopen(row: TicketRow, reason: str) -> Decision:
    return _decision(replace(row, closing="", reopened=row.reopened + 1), reason, "reopen")


def _reopen_for_rules(row: TicketRow, reason: str) -> Decision:
    """Nobody closed it too early, so it does not count towards the policy's `reopen_limit`."""
    return _decision(replace(row, closing=""), reason, "reopen", by_edit=True)


# --- small things -----------------------------------------------------------------------------------------------------


def _decision(row: TicketRow, reason: str, *kinds: Kind, **details: Any) -> Decision:
    about = {
        "own": asdict(row.own),
        "closed_at": row.closed_at.isoformat() if row.closed_at else None,
        "times": row.reopened,
        **details,
    }
    operations = tuple(Operation(kind, row.identifier, row.key, reason, about) for kind in kinds)
    return Decision(row, operations, (reason,))


def _when(moment: datetime, policy: Policy) -> str:
    return f"{moment.astimezone(policy.timezone):%Y-%m-%d %H:%M}"
