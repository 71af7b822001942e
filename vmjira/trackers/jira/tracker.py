"""Jira Cloud and Data Center behind one connector: the port `Tracker`."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from vmjira.domain.rulebook import TicketRules
from vmjira.domain.ticket import identity
from vmjira.errors import TicketGone, TrackerRefused
from vmjira.flows.tracking import Attachment, Comment, Created, Draft, File, Issue, Tracker
from vmjira.trackers.jira import fields
from vmjira.trackers.jira.calls import Call, Refusal, understood
from vmjira.trackers.jira.client import Client, Observer, Site, nobody
from vmjira.trackers.jira.creation import Creation
from vmjira.trackers.jira.memory import FOR_EVER
from vmjira.trackers.jira.people import People
from vmjira.trackers.jira.settings import JiraSettings
from vmjira.trackers.jira.watching import Watching
from vmjira.trackers.jira.workflow import Walk

ISSUE = "/rest/api/2/issue/{}"
FILES_PER_CALL = 60  # Cloud answers 413 to more
KEYS_PER_CALL = 100


class JiraTracker(Watching, Tracker):
    """For one thread; `connect` gives each thread its own."""

    def __init__(self, site: Site) -> None:
        self.client = Client(site)
        self.people = People(self.client)
        self._memory = site.memory

    @cached_property  # read-only here, because it asks Jira
    def search_lag(self) -> float:  # type: ignore[override]
        """Cloud's search follows writes "from a few seconds to minutes", Data Center's at once (soon on other nodes).

        https://developer.atlassian.com/cloud/jira/platform/search-and-reconcile
        """
        configured = self.client.site.settings.search_lag
        if configured is not None:
            return configured
        return 60.0 if self.client.cloud else 2.0

    @property
    def shows_pictures(self) -> bool:  # type: ignore[override]
        """Data Center renders `!name.png!` when somebody looks; Cloud converts it when it is sent, before it exists."""
        return not self.client.cloud

    def create(self, draft: Draft) -> Created:
        with understood("create a ticket", writes=True):
            return Creation(self.client, self.people, self.link).create(draft)

    def find(self, identifier: str) -> list[Issue]:
        label = identity(identifier)
        jql = f"labels = {quoted(label)} ORDER BY created ASC, key ASC"
        with understood("search"):
            found = [fields.issue(each) for each in self.search(jql, 100)]
        if not found:
            self.client.confirm_credentials()  # an anonymous caller finds nothing, and we would make a second ticket
        return [each for each in found if label in each.labels]  # Jira compares labels without case

    def read(self, keys: Sequence[str]) -> dict[str, Issue]:
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Issue] = {}
        if len(wanted) > 1:
            for start in range(0, len(wanted), KEYS_PER_CALL):
                found |= self._read_many(wanted[start : start + KEYS_PER_CALL])
        for key in wanted:  # alone, or missing among the many: moved, or gone
            if key not in found and (issue := self._read_one(key)):
                found[key] = issue
        return {key: found[key] for key in wanted if key in found}

    def edit(
        self,
        key: str,
        *,
        description: str | None = None,
        summary: str | None = None,
        priority: str | None = None,
        labels: Sequence[str] = (),
        labels_off: Sequence[str] = (),
    ) -> None:
        steps = [{"add": label} for label in labels] + [{"remove": label} for label in labels_off]
        changes = {
            "description": description,
            "summary": None if summary is None else fields.line(summary),
            "priority": priority and {"name": priority},
        }
        body = {
            "fields": {name: value for name, value in changes.items() if value is not None},
            "update": {"labels": steps} if steps else {},
        }
        if sent := {name: part for name, part in body.items() if part}:
            self._put(key, sent)

    def name(self, key: str, identifier: str) -> None:
        call = Call(
            "PUT", f"{ISSUE}/properties/{{part}}", "set the property", subject=key, part=fields.PROPERTY,
            body=fields.property_of(identifier), needs="Edit Issues",
        )  # fmt: skip
        self.client.send(call)

    def watch(self, key: str, who: str) -> None:
        self.client.send(self.people.watching(key, who))

    def attach(self, key: str, files: Sequence[File]) -> list[Attachment]:
        attached: list[Attachment] = []
        for start in range(0, len(files), FILES_PER_CALL):
            attached += self._upload(key, files[start : start + FILES_PER_CALL])
        return attached

    def detach(self, attachment_id: str) -> None:
        needs = "Delete Own Attachments"
        call = Call("DELETE", "/rest/api/2/attachment/{}", "delete an attachment", subject=attachment_id, needs=needs)
        try:
            self.client.send(call)
        except Refusal as refusal:
            if refusal.status != 404:
                raise

    def link(self, key: str, other: str, link_type: str) -> None:
        body = {**fields.link(link_type, other), "inwardIssue": {"key": key}}
        call = Call("POST", "/rest/api/2/issueLink", f"link {key} with {other}", body=body, needs="Link Issues")
        try:
            self.client.send(call)
        except Refusal as refusal:
            if refusal.status == 404:
                self._why_not_linked(key, other)
            raise

    def comment(self, key: str, body: str) -> str:
        call = Call("POST", f"{ISSUE}/comment", "add a comment", subject=key, body={"body": body}, needs="Add Comments")
        with understood("add a comment", writes=True):
            return str(self.client.send(call)["id"])

    def edit_comment(self, key: str, id: str, body: str) -> bool:
        """Without mails where Jira has a switch for that: only Cloud has."""
        params = {"notifyUsers": "false"} if self.client.cloud else {}
        call = Call(
            "PUT", f"{ISSUE}/comment/{{part}}", "edit a comment", subject=key, part=id, body={"body": body},
            params=params, needs="Edit Own Comments",
        )  # fmt: skip
        try:
            self.client.send(call)
        except (TicketGone, Refusal):  # Data Center names only 400, and does not say what was not found
            if any(each.id == id for each in self.comments(key)):
                raise
            return False
        return True

    def comments(self, key: str) -> list[Comment]:
        """The newest hundred: what we look for was written last."""
        params = {"orderBy": "-created", "maxResults": "100"}
        call = Call("GET", f"{ISSUE}/comment", "read the comments", subject=key, params=params)
        with understood("read the comments"):
            return [Comment(str(each["id"]), str(each["body"])) for each in self.client.send(call)["comments"]]

    def transition(self, key: str, wanted: Literal["close", "reopen"], rules: TicketRules) -> str:
        with understood(f"{wanted} {key}", writes=True):
            now = self.client.send(Call("GET", ISSUE, "read the status", subject=key, params={"fields": "status"}))
            return Walk(self.client, key, wanted, rules).go(now["fields"]["status"])

    def upload_limit(self) -> int:
        limit: int = self._memory.recall("upload limit", self._upload_limit)
        return limit

    def _read_one(self, key: str) -> Issue | None:
        call = Call("GET", ISSUE, "read the ticket", subject=key, params={"fields": fields.READ})
        with understood(f"read {key}"):
            try:
                return fields.issue(self.client.send(call))
            except TicketGone:
                return None
            except Refusal as refusal:
                if refusal.status != 403:
                    raise
                self.client.confirm_credentials()  # raises if it is not this ticket alone that we may not see
                return None

    def _read_many(self, keys: Sequence[str]) -> dict[str, Issue]:
        with understood("read tickets"):
            answers = self._fetch(keys) if self.client.cloud else self._search_keys(keys)
            # A description that is no text (a document of API v3) is read again alone.
            issues = [fields.issue(each) for each in answers if not isinstance(each["fields"].get("description"), dict)]
        asked = {key.casefold(): key for key in keys}
        return {asked[issue.key.casefold()]: issue for issue in issues if issue.key.casefold() in asked}

    def _fetch(self, keys: Sequence[str]) -> list[Mapping[str, Any]]:
        if self._memory.recall("no bulkfetch", lambda: False):
            return []
        body = {"issueIdsOrKeys": list(keys), "fields": fields.READ.split(","), "fieldsByKeys": False}
        call = Call("POST", "/rest/api/2/issue/bulkfetch", "read tickets", body=body, reading=True)
        try:
            return list(self.client.send(call)["issues"])
        except Refusal as refusal:
            if refusal.status not in (404, 405, 410):
                raise
            self._memory.put("no bulkfetch", True)
            return []

    def _search_keys(self, keys: Sequence[str]) -> list[Mapping[str, Any]]:
        """As new as the index of the node that answers: on others of a cluster it may be seconds old."""
        try:
            return self.search(f"key in ({', '.join(quoted(key) for key in keys)})", len(keys), strict=False)
        except Refusal as refusal:
            if refusal.status != 400:  # a key that is gone, or none at all, spoils the query of some versions
                raise
            return []

    def search(self, jql: str, most: int, *, strict: bool = True) -> list[Mapping[str, Any]]:
        cloud = self.client.cloud
        body: dict[str, Any] = {"jql": jql, "fields": fields.READ.split(","), "maxResults": most}
        if not strict:
            body["validateQuery"] = False  # else one key that is gone makes an error of all
        path = "/rest/api/2/search/jql" if cloud else "/rest/api/2/search"
        return list(self.client.send(Call("POST", path, "search", body=body, reading=True))["issues"])

    def _put(self, key: str, body: Mapping[str, Any]) -> None:
        """Edit without mails to all watchers where we may: Data Center answers 403 where only administrators may."""
        project = key.rpartition("-")[0]
        loud = self._memory.recall(("loud", project), lambda: False)
        try:
            self._put_once(key, body, params={} if loud else {"notifyUsers": "false"})
        except Refusal as refusal:
            if loud or refusal.status != 403:
                raise
            self._put_once(key, body, params={})
            self._memory.put(("loud", project), True, seconds=FOR_EVER)

    def _put_once(self, key: str, body: Mapping[str, Any], params: Mapping[str, str]) -> None:
        needs = "Edit Issues"
        self.client.send(Call("PUT", ISSUE, "edit", subject=key, body=body, params=params, needs=needs))

    def _upload(self, key: str, files: Sequence[File]) -> list[Attachment]:
        needs = "Create Attachments"
        doing = f"attach {len(files)} file{'s' if len(files) > 1 else ''}"
        call = Call("POST", f"{ISSUE}/attachments", doing, subject=key, files=files, needs=needs)
        try:
            with understood(doing, writes=True):
                return [fields.attachment(each) for each in self.client.send(call)]
        except TicketGone:
            self._too_large(call)  # Data Center says 404 also to a file that is too large
            raise
        except Refusal as refusal:
            if refusal.status == 413:
                self._too_large(call)
            raise

    def _too_large(self, call: Call) -> None:
        """Raise with name, size and limit if a file is over Jira's limit."""
        limit = self.upload_limit()
        large = [f"{file.name!r} ({len(file.content):,} bytes)" for file in call.files if len(file.content) > limit]
        if large:
            raise TrackerRefused(
                f"{call.place}: larger than Jira's limit of {limit:,} bytes: {', '.join(large)}; "
                "raise the limit in Jira (System → Attachments) or make the category or the range smaller"
            )

    def _upload_limit(self) -> int:
        with understood("read the limit of attachments"):
            meta = self.client.send(Call("GET", "/rest/api/2/attachment/meta", "read the limit of attachments"))
            if not meta["enabled"]:
                raise TrackerRefused("Jira: attachments are turned off; turn them on in System → Attachments")
            return int(meta["uploadLimit"])

    def _why_not_linked(self, key: str, other: str) -> None:
        for each in (key, other):
            if self._read_one(each) is None:
                raise TicketGone(f"{each}: cannot be linked, it was deleted or our account may not see it any more")


def connect(
    settings: JiraSettings, *, calls_per_second: Callable[[], float] = lambda: 8.0, observe: Observer = nobody
) -> Callable[[], JiraTracker]:
    """A callable that gives this thread's tracker; pace and knowledge are shared by all. Nothing is sent yet."""
    site = Site(settings, calls_per_second, observe)
    here = threading.local()

    def tracker() -> JiraTracker:
        if getattr(here, "process", None) != os.getpid():  # a forked child must not share its parent's connections
            here.process, here.tracker = os.getpid(), JiraTracker(site)
        mine: JiraTracker = here.tracker
        return mine

    return tracker


def quoted(text: str) -> str:
    """A string in JQL, whatever is in it."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
