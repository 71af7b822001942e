"""What a webhook of Jira says: what happened, to which issue, by whom. Only a hint, to be looked up before acting."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from vmjira.errors import VmjiraError

#: Events that are looked at. All others are kept, and nothing follows from them.
KINDS = frozenset(
    {
        "jira:issue_created", "jira:issue_updated", "jira:issue_deleted",
        "comment_created", "comment_updated", "comment_deleted",
        "issuelink_created", "issuelink_deleted",
    }
)  # fmt: skip
_ID, _KEY = re.compile(r"[0-9]{1,19}", re.ASCII), re.compile(r"[A-Z][A-Z0-9_]{0,254}-[0-9]{1,19}", re.ASCII)
#: A comment's own address names its issue; the bodies of a Data Center do not otherwise (JRASERVER-59980).
_COMMENTED = re.compile(r"/issue/([0-9]{1,19})/comment/", re.ASCII)


class EventUnreadable(VmjiraError):
    """The body of a webhook is no JSON object."""


@dataclass(frozen=True)
class Event:
    """A webhook in our words; what the body does not say, or says in no form we know, is empty."""

    kind: str  # `webhookEvent`
    issue_id: str  # of a link: the issue that it leads away from
    issue_key: str
    actor: str  # accountId (Cloud) or name (Data Center)
    timestamp: datetime | None  # the tracker's own time

    @property
    def issue(self) -> str:
        """Its id, else its key, else nothing."""
        return self.issue_id or self.issue_key


def parse(body: bytes) -> Event:
    """The event of a body as it came in; EventUnreadable if it is no JSON object."""
    return event_of(document(body))


def document(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is; EventUnreadable, with the reason in words, for all else."""
    if not body.strip():
        raise EventUnreadable("the body is empty; switch off 'Exclude body' of the webhook in Jira")
    try:
        found = json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise EventUnreadable(f"the body is not UTF-8: byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise EventUnreadable(f"the body is no JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits; thousands of brackets
        raise EventUnreadable("the body is no JSON that Jira sends: a number or the nesting is too large") from None
    if not isinstance(found, dict):
        raise EventUnreadable(f"the body is a JSON {type(found).__name__}; a webhook of Jira is an object")
    return found


def event_of(body: Mapping[str, Any]) -> Event:
    """The event of a decoded body, whatever is missing in it."""
    issue, comment, link = (_object(body, name) for name in ("issue", "comment", "issueLink"))
    commented = _COMMENTED.search(_text(comment, "self"))
    return Event(
        kind=_text(body, "webhookEvent"),
        issue_id=_like(_ID, issue, "id") or (commented[1] if commented else "") or _like(_ID, link, "sourceIssueId"),
        issue_key=_like(_KEY, issue, "key"),
        actor=_account(_object(body, "user"))
        or _account(_object(comment, "updateAuthor"))
        or _account(_object(comment, "author")),
        timestamp=_moment(body.get("timestamp")),
    )


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _text(body: Mapping[str, Any], name: str) -> str:
    found = body.get(name)
    return found if isinstance(found, str) else ""


def _like(pattern: re.Pattern[str], body: Mapping[str, Any], name: str) -> str:
    """Ids are texts in an issue and numbers in a link."""
    found = str(body.get(name, ""))
    return found if pattern.fullmatch(found) else ""


def _account(person: Mapping[str, Any]) -> str:
    return _text(person, "accountId") or _text(person, "name")


def _moment(timestamp: object) -> datetime | None:
    """Of milliseconds since 1970."""
    if isinstance(timestamp, bool) or not isinstance(timestamp, int):
        return None
    try:
        return datetime.fromtimestamp(timestamp / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
