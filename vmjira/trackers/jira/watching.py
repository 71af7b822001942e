"""What happened in Jira without us: histories, recent changes, and the webhooks that tell of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from vmjira.errors import TrackerRefused
from vmjira.flows.ports import Issue, StatusChange, WebhookRegistration
from vmjira.trackers.jira import fields
from vmjira.trackers.jira.calls import Call
from vmjira.trackers.jira.client import Client

ISSUE = "/rest/api/2/issue/{}"
PAGE = 100
EVENTS = ("jira:issue_updated", "jira:issue_deleted", "comment_created")


class Watching:
    """The part of a tracker that looks; `client` is the tracker's."""

    client: Client

    def myself(self) -> str:
        me = self.client.site.memory.recall("myself", self.client.myself, seconds=300.0)
        return str(me["accountId"] if self.client.cloud else me["name"])

    def last_status_change(self, key: str) -> StatusChange | None:
        params = {"fields": "status,resolution", "expand": "changelog"}
        found = self.client.send(Call("GET", ISSUE, "read the history", subject=key, params=params))
        changes = [
            (history, item)
            for history in found["changelog"]["histories"]
            for item in history["items"]
            if item.get("field") == "status"
        ]
        if not changes:
            return None
        history, item = max(changes, key=lambda change: _time(change[0]["created"]))
        status, resolution = found["fields"]["status"], found["fields"].get("resolution")
        return StatusChange(
            at=_time(history["created"]),
            actor=_actor(history.get("author") or {}),
            status=str(item.get("toString") or status["name"]),
            done=fields.category(status) == "done",
            resolution=resolution["name"] if resolution else None,
        )

    def changed_since(self, moment: datetime) -> Iterator[Issue]:
        """Minutes back from now, as Jira counts them: its users' time zones do not matter then."""
        minutes = math.ceil((datetime.now(UTC) - moment).total_seconds() / 60) + 1
        yield from self._all(f"labels = vmjira AND updated >= -{max(minutes, 1)}m ORDER BY updated ASC, key ASC")

    def _all(self, jql: str) -> Iterator[Issue]:
        body: dict[str, Any] = {"jql": jql, "fields": fields.READ.split(","), "maxResults": PAGE}
        path = "/rest/api/2/search/jql" if self.client.cloud else "/rest/api/2/search"
        start = 0
        while True:
            answer = self.client.send(Call("POST", path, "search", body=body, reading=True))
            yield from (fields.issue(each) for each in answer["issues"])
            start += len(answer["issues"])
            if self.client.cloud:
                if not answer.get("nextPageToken"):
                    return
                body["nextPageToken"] = answer["nextPageToken"]
            else:
                if not answer["issues"] or start >= answer["total"]:
                    return
                body["startAt"] = start

    # webhooks: Data Center 10 moved them and changed their form (jira-facts part 1)

    @property
    def _new_webhooks(self) -> bool:
        info = self.client.site.memory.recall("serverInfo", self.client.server_info, seconds=300.0)
        return not self.client.cloud and int(info["versionNumbers"][0]) >= 10

    @property
    def _webhooks_path(self) -> str:
        return "/rest/jira-webhook/1.0/webhooks" if self._new_webhooks else "/rest/webhooks/1.0/webhook"

    def webhooks(self) -> list[WebhookRegistration]:
        found = self.client.send(Call("GET", self._webhooks_path, "list webhooks", needs="Administer Jira"))
        return [_registration(each) for each in found]

    def register_webhook(self, url: str, secret: str, jql: str) -> WebhookRegistration:
        body: dict[str, Any] = {"name": "vmjira", "url": url, "events": list(EVENTS)}
        if self._new_webhooks:
            configuration = {"FILTERS": jql, "EXCLUDE_BODY": "false", **({"SECRET": secret} if secret else {})}
            body |= {"active": True, "configuration": configuration}
        else:
            body |= {"filters": {"issue-related-events-section": jql}, "excludeBody": False}
            body |= {"secret": secret} if secret else {}
        call = Call("POST", self._webhooks_path, "register a webhook", body=body, needs="Administer Jira")
        return _registration(self.client.send(call))

    def remove_webhook(self, id: str) -> None:
        path = f"{self._webhooks_path}/{{}}"
        self.client.send(Call("DELETE", path, "remove a webhook", subject=id, needs="Administer Jira"))


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


def _actor(user: Mapping[str, Any]) -> str:
    return str(user.get("accountId") or user.get("name") or "")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
