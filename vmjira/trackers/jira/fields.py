"""A draft as Jira's fields, and Jira's issues as ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from vmjira.domain.ticket import LABEL, StatusCategory, identity
from vmjira.flows.tracking import Attachment, Draft, Issue
from vmjira.trackers.jira.calls import Refusal

PROPERTY = "vmjira"
READ = "summary,description,status,resolution,labels,attachment,issuelinks,created,updated"

#: Without these there is no ticket, or it is not what the rules promise: a ticket that lost its security level would
#: show to everybody where the hosts are weak.
_INDISPENSABLE = ("project", "issuetype", "summary", "description", "security", "parent")


def line(text: str, *, limit: int = 255) -> str:
    """One line that Jira takes as a summary: no line ends, at most 255 of Java's characters."""
    text = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", " ", text).split())
    encoded = text.encode("utf-16-le")
    if len(encoded) <= 2 * limit:
        return text
    return encoded[: 2 * (limit - 1)].decode("utf-16-le", "ignore").rstrip() + "…"


def request(draft: Draft, assignee: Mapping[str, str] | None) -> dict[str, Any]:
    """The body of the one call that makes a ticket with its labels, property and links."""
    rules = draft.rules
    ours: dict[str, Any] = {
        "project": {"key": rules.project},
        "issuetype": {"name": rules.issue_type},
        "summary": line(draft.summary),
        "description": draft.description,
        "labels": list(dict.fromkeys([LABEL, identity(draft.identifier), *rules.labels])),
        "priority": draft.priority and {"name": draft.priority},
        "duedate": draft.due and draft.due.isoformat(),
        "components": [{"name": name} for name in rules.components],
        "assignee": assignee,
    }
    body: dict[str, Any] = {
        "fields": {**rules.fields, **{name: value for name, value in ours.items() if value}},
        "properties": [{"key": PROPERTY, "value": property_of(draft.identifier)}],
    }
    if draft.links:
        body["update"] = {"issuelinks": [{"add": link(rules.link_type, other)} for other in draft.links]}
    return body


def property_of(identifier: str) -> dict[str, str]:
    return {"identifier": identifier}


def link(link_type: str, other: str) -> dict[str, Any]:
    return {"type": {"name": link_type}, "outwardIssue": {"key": other}}


def lighten(body: dict[str, Any], refusal: Refusal) -> dict[str, str]:
    """Take out of `body` what Jira refuses and a ticket can live without: field → Jira's words. Empty: nothing to do.

    A refusal says for sure that no ticket was made.
    """
    if any(name in _INDISPENSABLE or name not in _given(body) for name in refusal.fields):
        return {}
    dropped = {name: text for name, text in refusal.fields.items() if _drop(body, name)}
    if not refusal.fields and _drop(body, "issuelinks"):  # Jira names no field for an unknown link type or issue
        dropped["issuelinks"] = refusal.words
    return dropped


def _given(body: Mapping[str, Any]) -> set[str]:
    return {*body["fields"], *body.get("update", ())}


def _drop(body: dict[str, Any], name: str) -> bool:
    if name == "issuelinks":
        return body.pop("update", None) is not None
    labels = body["fields"].get("labels", [])
    if name == "labels" and len(labels) > 2:  # one of the rules' labels may be the bad one: ours first
        body["fields"]["labels"] = labels[:2]
        return True
    return body["fields"].pop(name, None) is not None


def issue(data: Mapping[str, Any]) -> Issue:
    """Raises KeyError, TypeError, AttributeError or ValueError where Jira's answer is not as documented."""
    fields = data["fields"]
    status = fields["status"]
    return Issue(
        id=str(data["id"]),
        key=data["key"],
        summary=fields.get("summary") or "",
        description=fields.get("description") or "",
        status=status["name"],
        status_category=category(status),
        resolution=(fields.get("resolution") or {}).get("name"),
        labels=tuple(fields.get("labels") or ()),
        attachments=tuple(attachment(file) for file in fields.get("attachment") or ()),
        links=tuple(_linked(each) for each in fields.get("issuelinks") or ()),
        created=_time(fields.get("created")),
        updated=_time(fields.get("updated")),
    )


def attachment(data: Mapping[str, Any]) -> Attachment:
    return Attachment(id=str(data["id"]), name=data["filename"], size=int(data.get("size") or 0))


def category(status: Mapping[str, Any]) -> StatusCategory:
    """`undefined` (a status that nobody put into a category) counts as not begun."""
    key = (status.get("statusCategory") or {}).get("key")
    return cast(StatusCategory, key) if key in ("new", "indeterminate", "done") else "new"


def _linked(data: Mapping[str, Any]) -> str:
    other = data.get("outwardIssue") or data["inwardIssue"]
    return str(other["key"])


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
