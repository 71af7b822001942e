"""Whom the rules mean by an assignee or a watcher: Jira's reference to that account."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vmjira.errors import TrackerRefused
from vmjira.trackers.jira.calls import Call
from vmjira.trackers.jira.client import Client

_ACCOUNT_ID = re.compile(r"[0-9a-f]{24}|\d{1,8}:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Person:
    """An account, and by what it may be found on another site."""

    reference: str  # account id (Cloud), name (Data Center)
    email: str
    display: str


class People:
    """Looks accounts up once an hour, also those that do not exist."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._memory = client.site.memory

    def assignee(self, who: str, project: str) -> dict[str, str] | None:
        """`{"accountId": …}` on Cloud, `{"name": …}` on Data Center; None if nobody assignable has that name."""
        if self._memory.recall(("refused", project, who), lambda: False):
            return None
        return self.assignable(who, project) or self._as_login(who)

    def refused(self, who: str, project: str) -> None:
        """Jira refused that assignee: do not try again for a while."""
        self._memory.put(("refused", project, who), True)

    def assignable(self, who: str, project: str) -> dict[str, str] | None:
        """The account, if a search confirms it."""
        call = Call("GET", "/rest/api/2/user/assignable/search", f"find assignee {who!r}", params={"project": project})
        return self._remembered(("assignable", project, who), call, who)

    def watcher(self, who: str) -> str:
        """The account's id or login name; `who` itself if a search does not confirm it: Jira will say."""
        found = self._person(who)
        return next(iter(found.values())) if found else who

    def exists(self, who: str) -> bool:
        return self._person(who) is not None

    def known_as(self, who: str) -> Person | None:
        """The account that the rules name so; None if there is none."""
        cloud = self._client.cloud
        by_id = cloud and _ACCOUNT_ID.fullmatch(who)
        call = Call("GET", "/rest/api/2/user" if by_id else "/rest/api/2/user/search", f"find {who!r}")
        name = "accountId" if by_id else "query" if cloud else "username"
        try:
            found = self._client.send(replace(call, params={name: who, **({} if by_id else {"maxResults": "50"})}))
        except TrackerRefused:
            return None
        user = found if by_id else _match(found, who)
        if not user:
            return None
        reference = str(user["accountId" if cloud else "name"])
        return Person(reference, str(user.get("emailAddress") or ""), str(user.get("displayName") or ""))

    def _person(self, who: str) -> dict[str, str] | None:
        return self._remembered(("person", who), Call("GET", "/rest/api/2/user/search", f"find {who!r}"), who)

    def watching(self, key: str, who: str) -> Call:
        """The call that makes `who` a watcher."""
        path, needs = "/rest/api/2/issue/{}/watchers", "Manage Watchers"
        return Call("POST", path, f"add watcher {who!r}", subject=key, body=self.watcher(who), needs=needs)

    def unwatching(self, key: str, who: str) -> Call:
        """The call that makes `who` no watcher any more."""
        path, needs = "/rest/api/2/issue/{}/watchers", "Manage Watchers"
        params = {"accountId" if self._client.cloud else "username": self.watcher(who)}
        return Call("DELETE", path, f"remove watcher {who!r}", subject=key, params=params, needs=needs)

    def _as_login(self, who: str) -> dict[str, str] | None:
        """A login name of Data Center needs no search, and is right where searching is forbidden."""
        return None if self._client.cloud else {"name": who}

    def _remembered(self, key: tuple[str, ...], call: Call, who: str) -> dict[str, str] | None:
        found: dict[str, str] | None = self._memory.recall(key, lambda: self._look_up(call, who))
        return found

    def _look_up(self, call: Call, who: str) -> dict[str, str] | None:
        cloud = self._client.cloud
        if cloud and _ACCOUNT_ID.fullmatch(who):
            return {"accountId": who}
        params = {**call.params, "query" if cloud else "username": who, "maxResults": "50"}
        try:
            users = self._client.send(replace(call, params=params))
        except TrackerRefused:  # we may not search for people; a ticket without assignee is better than none
            return None
        user = _match(users, who)
        name = "accountId" if cloud else "name"
        return {name: str(user[name])} if user else None


def _match(users: Sequence[Mapping[str, Any]], who: str) -> Mapping[str, Any] | None:
    """The one account that bears exactly this name: Jira's search matches beginnings, and strangers with them."""
    for names in (_references, _spoken):
        exact = [user for user in users if who.casefold() in names(user)]
        if exact:
            return exact[0] if len(exact) == 1 else None
    hidden = "@" in who and len(users) == 1 and not users[0].get("emailAddress")  # Cloud finds by e-mail, but hides it
    return users[0] if hidden else None


def _references(user: Mapping[str, Any]) -> set[str]:
    return {str(user.get(name, "")).casefold() for name in ("accountId", "name", "key", "emailAddress")}


def _spoken(user: Mapping[str, Any]) -> set[str]:
    """`Boston Admins`, `boston-admins`, and the part of `boston-admins@example.com` before the @."""
    display = str(user.get("displayName", "")).casefold()
    return {display, re.sub(r"\W+", "-", display), str(user.get("emailAddress", "")).casefold().partition("@")[0]}
