"""Accounts and custom fields that the rules name, when a tracker is exported into another site, where ids differ.

What they are called is remembered while all is well: by that they are found again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vmjira.domain.rulebook import Rulebook
from vmjira.trackers.jira.doctor.asked import Asked, asked
from vmjira.trackers.jira.doctor.check import Check, Where
from vmjira.trackers.jira.doctor.known import Known
from vmjira.trackers.jira.people import Person
from vmjira.trackers.jira.tracker import JiraTracker

#: accounts, fields → what the rules say → what it is called.
Names = Mapping[str, Mapping[str, Any]]
CUSTOM = "customfield_"


def names_of(tracker: JiraTracker, rulebook: Rulebook) -> dict[str, dict[str, Any]]:
    """What the accounts and custom fields of the rules are called here; what is not here is left out."""
    tracker = tracker.aside()
    known, wishes = Known(tracker), asked(rulebook)
    people = {who: tracker.people.known_as(who) for who in _accounts(wishes)}
    return {
        "accounts": {who: [found.email, found.display] for who, found in people.items() if found},
        "fields": {id: known.fields[id] for id in _fields(wishes) if id in known.fields},
    }


class OtherNames:
    """What the rules name, as it is called on this site. `before`: names on the site of before."""

    def __init__(self, tracker: JiraTracker, rulebook: Rulebook, before: Names, where: Where) -> None:
        self._known, self._before, self._where = Known(tracker), before, where
        self._wishes = asked(rulebook)
        self.accounts: dict[str, str] = {}
        self.fields: dict[str, str] = {}

    def checks(self) -> Iterator[Check]:
        """One for each account and custom field; wrong is what has to be written anew in the rules."""
        for who, each in _accounts(self._wishes).items():
            yield self._account(who, self._where(each.places))
        for id, each in _fields(self._wishes).items():
            yield self._field(id, self._where(each.places))

    def _account(self, who: str, where: str) -> Check:
        if self._known.tracker.people.known_as(who):
            return Check(True, f"account {who!r} is here", where=where)
        if found := self._by_name(who):
            self.accounts[who] = found.reference
            how = f"vmjira takes {found.reference!r} ({found.display}) for it; write that in the rules"
            return Check(True, f"account {who!r} is {found.reference!r} here", how, where)
        how = "write the account of this site in the rules"
        return Check(False, f"account {who!r} is not found on this site", how, where)

    def _by_name(self, who: str) -> Person | None:
        people = self._known.tracker.people
        known = self._before.get("accounts", {}).get(who, ())
        return next(filter(None, (people.known_as(name) for name in known if name)), None)

    def _field(self, id: str, where: str) -> Check:
        """By its name: the same id may be another field here."""
        name = self._before.get("fields", {}).get(id)
        same = [each for each, title in self._known.fields.items() if name and title.casefold() == name.casefold()]
        if id in same or (name is None and id in self._known.fields):
            return Check(True, f"field {id!r} is here", where=where)
        if len(same) == 1:
            self.fields[id] = same[0]
            how = f"vmjira takes {same[0]!r} for it; write that in the rules"
            return Check(True, f"field {id!r} ({name}) is {same[0]!r} here", how, where)
        what = f"field {id!r}{f' ({name})' if name else ''} is not found on this site"
        return Check(False, what, "write the id that it has here, or take it out of the rules", where)


def _accounts(wishes: list[Asked]) -> dict[str, Asked]:
    return {each.name: each for each in reversed(wishes) if each.kind in ("assignee", "watcher")}


def _fields(wishes: list[Asked]) -> dict[str, Asked]:
    kinds = ("field", "transition_field")
    return {each.name: each for each in reversed(wishes) if each.kind in kinds and each.name.startswith(CUSTOM)}
