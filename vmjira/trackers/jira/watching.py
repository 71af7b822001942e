"""What happened in Jira without us: histories, recent changes, and the webhooks that tell of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from vmjira.domain.ticket import LABEL
from vmjira.errors import TrackerRefused
from vmjira.flows.tracking import Issue, StatusChange, TrackerIdentity, WebhookRegistration
from vmjira.trackers.jira import fields
from vmjira.trackers.jira.calls import Call, Refusal, understood
from vmjira.trackers.jira.client import Client
from vmjira.trackers.jira.identity import which

ISSUE = "/rest/api/2/issue/{}"
PAGE, OVERLAP = 100, 10
NAME = "vmjira"  # of our webhook in Jira
EVENTS = ("jira:issue_updated", "jira:issue_deleted", "comment_created")
_ADMINISTER = (
    "webhooks belong to Jira administrators: run this once with JIRA_USER and JIRA_TOKEN of one of them, or let one "
    "do it by hand (System → Webhooks)"
)


class Watching:
    """The part of a tracker that looks; `client` is the tracker's."""

    client: Client

    def myself(self) -> str:
        me = self.client.site.memory.recall("myself", self.client.myself, seconds=300.0)
        with understood("who are we"):
            return str(me["accountId"] if self.client.cloud else me["name"])

    def identity(self, *, fresh: bool = False) -> TrackerIdentity:
        return which(self.client, fresh=fresh)

    def last_status_change(self, key: str) -> StatusChange | None:
        with understood(f"read the history of {key}"):
            found = self._history(key)
            newest = _newest(found, "status")
            if newest is None:
                return None
            history, item = newest
            status, resolution = found["fields"]["status"], found["fields"].get("resolution")
            return StatusChange(
                at=_time(history["created"]),
                actor=_actor(history.get("author") or {}),
                status=str(item.get("toString") or status["name"]),
                done=fields.category(status) == "done",
                resolution=resolution["name"] if resolution else None,
            )

    def changed_by(self, key: str, field: str) -> str | None:
        with understood(f"read the history of {key}"):
            newest = _newest(self._history(key), field)
            return _actor(newest[0].get("author") or {}) if newest else None

    def _history(self, key: str) -> Mapping[str, Any]:
        params = {"fields": "status,resolution", "expand": "changelog"}
        found: Mapping[str, Any] = self.client.send(Call("GET", ISSUE, "read the history", subject=key, params=params))
        return found

    def changed_since(self, moment: datetime | None) -> Iterator[Issue]:
        """Minutes back from now, as Jira counts them: its users' time zones do not matter then.

        In the order of creation: an order that a change of a ticket does not change.
        """
        since = "" if moment is None else f" AND updated >= -{_minutes_since(moment)}m"
        for data in self._all(f"labels = {LABEL}{since} ORDER BY created ASC, key ASC"):
            with understood("search"):
                yield fields.issue(data)

    def _all(self, jql: str) -> Iterator[Mapping[str, Any]]:
        """Page by page. By number (Data Center), pages overlap: what leaves the result meanwhile moves up the rest."""
        body: dict[str, Any] = {"jql": jql, "fields": fields.READ.split(","), "maxResults": PAGE}
        path = "/rest/api/2/search/jql" if self.client.cloud else "/rest/api/2/search"
        while True:
            answer = self.client.send(Call("POST", path, "search", body=body, reading=True))
            with understood("search"):
                issues = list(answer["issues"])
                more = _next_page(answer, body.get("startAt", 0) + len(issues), cloud=self.client.cloud)
            yield from issues
            if not issues or not more:
                return
            body |= more

    def sees(self, project: str) -> bool:
        call = Call("GET", "/rest/api/2/project/{}", f"read the project {project!r}", subject=project)
        try:
            self.client.send(call)
        except Refusal as refusal:
            if refusal.status not in (403, 404):
                raise
            self.client.confirm_credentials()  # raises if it is not this project alone that we may not see
            return False
        return True

    # webhooks: Data Center 10 moved them and changed their form (jira-facts part 1)

    @property
    def _new_webhooks(self) -> bool:
        info = self.client.site.memory.recall("serverInfo", self.client.server_info, seconds=300.0)
        return not self.client.cloud and int(info["versionNumbers"][0]) >= 10

    @property
    def signs_webhooks(self) -> bool:
        """No source says that Data Center 8 or 9 signs what it sends."""
        return self.client.cloud or self._new_webhooks

    @property
    def _webhooks_path(self) -> str:
        return "/rest/jira-webhook/1.0/webhooks" if self._new_webhooks else "/rest/webhooks/1.0/webhook"

    def webhooks(self) -> list[WebhookRegistration]:
        found = self.client.send(Call("GET", self._webhooks_path, "list webhooks", mend=_ADMINISTER, guarded=True))
        with understood("list webhooks"):
            return [_registration(each) for each in found]

    def register_webhook(self, url: str, secret: str, jql: str) -> WebhookRegistration:
        body: dict[str, Any] = {"name": NAME, "url": url, "events": list(EVENTS)}
        if self._new_webhooks:  # a secret outside of `configuration` is ignored, and so is JQL in the older form
            body |= {"active": True, "configuration": {"FILTERS": jql, "EXCLUDE_BODY": "false", "SECRET": secret}}
        else:
            body |= {"filters": {"issue-related-events-section": jql}, "excludeBody": False}
            body |= {"secret": secret} if self.signs_webhooks else {}
        path = self._webhooks_path
        call = Call("POST", path, "register a webhook", body=body, mend=_ADMINISTER, guarded=True)
        answer = self.client.send(call)
        with understood("register a webhook", writes=True):
            return _registration(answer)

    def remove_webhook(self, id: str) -> None:
        path = f"{self._webhooks_path}/{{}}"
        self.client.send(Call("DELETE", path, "remove a webhook", subject=id, mend=_ADMINISTER, guarded=True))


def _registration(data: Mapping[str, Any]) -> WebhookRegistration:
    configuration, filters = data.get("configuration") or {}, data.get("filters") or {}
    id = str(data.get("id") or str(data.get("self", "")).rstrip("/").rpartition("/")[2])
    if not id:
        raise TrackerRefused("Jira: a webhook without an id cannot be handled; look at it in Jira's administration")
    return WebhookRegistration(
        id=id,
        name=str(data.get("name", "")),
        url=str(data.get("url", "")),
        events=tuple(data.get("events") or ()),
        jql=str(configuration.get("FILTERS") or filters.get("issue-related-events-section") or ""),
        signed=bool(data.get("isSigned") or configuration.get("SECRET")),
    )


def _newest(found: Mapping[str, Any], field: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The last change of a field in a history, whichever end of it comes first: the entry, and the line in it."""
    changes = [
        (history, item)
        for history in found["changelog"]["histories"]
        for item in history["items"]
        if item.get("field") == field
    ]
    return max(changes, key=lambda change: (_time(change[0]["created"]), int(change[0].get("id") or 0)), default=None)


def _next_page(answer: Mapping[str, Any], read: int, *, cloud: bool) -> dict[str, Any]:
    """What to add to the query for the next page; nothing after the last."""
    if cloud:
        return {"nextPageToken": answer["nextPageToken"]} if answer.get("nextPageToken") else {}
    if read >= int(answer["total"]):
        return {}
    return {"startAt": read - OVERLAP if len(answer["issues"]) > OVERLAP else read}


def _minutes_since(moment: datetime) -> int:
    return max(math.ceil((datetime.now(UTC) - moment).total_seconds() / 60), 0) + 1


def _actor(user: Mapping[str, Any]) -> str:
    return str(user.get("accountId") or user.get("name") or "")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
