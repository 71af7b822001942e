"""Issues that say to be a ticket of ours and are not: copies, those that our database does not know, and others'.

Only a duplicate is ever touched: another living issue beside our own living one, with the label of this installation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vmjira.domain.operation import count
from vmjira.domain.ticket import TicketRow, identifiers, other_installation
from vmjira.flows.drift import Drift
from vmjira.flows.identity import contradiction, suspect
from vmjira.flows.ports import Outside
from vmjira.flows.repairs import is_duplicate
from vmjira.flows.tracking import Issue

#: Tickets of another installation that are named.
SOME = 3


@dataclass(frozen=True)
class Seen:
    """What a search says of an issue."""

    key: str
    identifiers: tuple[str, ...]  # of the tickets that it says to be
    installation: str  # the other installation of vmjira that it belongs to


def seen_by(issue: Issue, ours: str) -> Seen:
    return Seen(issue.key, identifiers(issue.labels), other_installation(issue.labels, ours))


def of_others(strange: Sequence[Seen]) -> Iterator[Drift]:
    """One line an installation, however many tickets it has."""
    for name in sorted({each.installation for each in strange} - {""}):
        keys = [each.key for each in strange if each.installation == name]
        more = f" and {len(keys) - SOME} more" if len(keys) > SOME else ""
        what = (
            f"{count(len(keys), 'ticket')} of another installation of vmjira ({name}): {', '.join(keys[:SOME])}{more}"
        )
        yield Drift("", keys[0], what, "nothing; vmjira does not touch the tickets of others")


@dataclass(frozen=True)
class Strangers:
    outside: Outside
    ours: str  # our installation
    rows: Mapping[str, TicketRow]
    told: Mapping[str, str]  # issues that were duplicates before: state of the operation, by key

    def judge(self, strange: Sequence[Seen]) -> tuple[list[tuple[Issue, str]], list[Drift]]:
        """Duplicates that are to be closed, each with the identifier; and what is only listed."""
        mine = [each for each in strange if not each.installation]
        named = [self.rows[name].key or "" for each in mine for name in each.identifiers if name in self.rows]
        issues = self.outside.tracker().read([*(each.key for each in mine), *filter(None, named)]) if mine else {}
        duplicates, listed = list[tuple[Issue, str]](), list[Drift]()
        for each in mine:
            issue = issues.get(each.key)
            if issue is None or issue.status_category == "done":
                continue
            for name in each.identifiers:
                drift = self._drift(issue, name, issues)
                if drift == "duplicate":
                    duplicates.append((issue, name))
                elif isinstance(drift, Drift):
                    listed.append(drift)
        return duplicates, listed

    def _drift(self, issue: Issue, name: str, issues: Mapping[str, Issue]) -> Drift | str:
        """What is listed about it; `duplicate` if it is to be closed; empty if there is nothing to say."""
        row = self.rows.get(name)
        if row is None:
            what = "bears the label of a ticket that is not in our database"
            how = "nothing; take the label away, or bring back the newest backup of our database"
            return Drift(name, issue.key, what, how)
        ours = issues.get(row.key or "")
        if ours is None or row.gone:
            return ""  # none of ours lives beside it
        if why := contradiction(row, ours):
            raise suspect(self.outside, why)
        if not is_duplicate(issue, ours, row, self.ours):
            what = f"{issue.key} bears its label, and not that of this installation"
            return Drift(name, row.key or "", what, "nothing; take the label away if it is a copy")
        state = self.told.get(issue.key, "")
        if state and state not in ("queued", "held"):
            how = "nothing; it was closed once and is open again: take the label away"
            return Drift(name, row.key or "", f"{issue.key} is a duplicate of it", how)
        return "" if state else "duplicate"
