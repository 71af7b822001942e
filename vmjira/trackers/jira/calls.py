"""One call to Jira as a value, and what its answer means in our words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from vmjira.errors import TicketGone, TrackerError, TrackerRefused, TrackerUnavailable
from vmjira.flows.tracking import File

#: Trying wrong credentials again soon helps nobody, and on Data Center ends in a CAPTCHA that locks the account.
CREDENTIALS_PAUSE = 300.0
LONGEST_PAUSE = 3600.0  # Jira's quotas begin anew each hour
DEFAULT_PAUSE = 5.0
_LATER = (408, 409, 425, 429)  # no, but only for now; nothing was done
_REDIRECTED = "we are sent elsewhere, perhaps to log in; set JIRA_URL to where Jira's REST API itself answers"


@dataclass(frozen=True)
class Call:
    """`subject` (an issue's key, an attachment's id) goes where `path` has {}, and `part` of it where it has {part};
    `doing` and `needs` are for people."""

    method: str
    path: str
    doing: str
    subject: str = ""
    part: str = ""
    body: Any = None
    params: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[File] = ()
    needs: str = ""  # the permission, as Jira names it
    mend: str = "mend it in Jira or in the rules, then retry the operation"
    reading: bool = False  # a POST that changes nothing
    guarded: bool = False  # 401 may mean that only administrators may, not that nobody knows us

    @property
    def writes(self) -> bool:
        return self.method != "GET" and not self.reading

    @property
    def issue(self) -> str:
        return self.subject if self.path.startswith("/rest/api/2/issue/{}") else ""

    @property
    def endpoint(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def place(self) -> str:
        return f"{self.issue or 'Jira'}: {self.doing}"


class CredentialsRefused(TrackerUnavailable):
    """A person must mend the credentials; until then work waits rather than fails."""


class Refusal(TrackerRefused):
    """A refusal with what Jira said field by field, for those here who can do with less."""

    def __init__(self, message: str, *, status: int, fields: Mapping[str, str], messages: Sequence[str]) -> None:
        super().__init__(message)
        self.status = status
        self.fields = fields
        self.messages = tuple(messages)

    @property
    def words(self) -> str:
        return said(self.fields, self.messages)


def judge(call: Call, response: requests.Response) -> TrackerError | None:
    """What is wrong with an answer; None if it is good."""
    status = response.status_code
    if credentials := _credentials_problem(status, response.headers):
        return CredentialsRefused(f"{call.place}: {credentials}", retry_after=CREDENTIALS_PAUSE)
    if 200 <= status < 300:
        return None
    return _refused(call, response) if 400 <= status < 500 and status not in _LATER else _unavailable(call, response)


def _unavailable(call: Call, response: requests.Response) -> TrackerError:
    status = response.status_code
    text = f"{call.place}: HTTP {status}{said(*words(response), before=': ')}"
    if 300 <= status < 400:
        return TrackerUnavailable(f"{text}; {_REDIRECTED}", retry_after=CREDENTIALS_PAUSE)
    later = retry_after(response.headers)
    return TrackerUnavailable(text, retry_after=later, outcome_unknown=call.writes and status not in _LATER)


def _refused(call: Call, response: requests.Response) -> TrackerError:
    status = response.status_code
    fields, messages = words(response)
    text = f"{call.place}: HTTP {status}{said(fields, messages, before=': ')}"
    if status == 404 and call.issue:
        return TicketGone(f"{text}; the ticket was deleted, or our account may not see it any more")
    return Refusal(f"{text}; {_remedy(call, status)}", status=status, fields=fields, messages=messages)


def lost(call: Call, error: requests.RequestException, url: str) -> TrackerUnavailable:
    """No answer at all: did the request reach Jira?"""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    unsent = isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError)
    unsent = unsent or type(reason).__name__ in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")
    what = f"no connection to {url}" if unsent else f"no complete answer from {url}"
    text = f"{call.place}: {what} ({type(reason or error).__name__}); {_connection_remedy(error)}"
    return TrackerUnavailable(text, outcome_unknown=call.writes and not unsent)


def not_allowed(call: Call, response: requests.Response) -> Refusal:
    """For a 401 to an account that Jira knows."""
    fields, messages = words(response)
    text = f"{call.place}: HTTP {response.status_code}{said(fields, messages, before=': ')}"
    return Refusal(f"{text}; {call.mend}", status=response.status_code, fields=fields, messages=messages)


def words(response: requests.Response) -> tuple[dict[str, str], list[str]]:
    """What Jira says about single fields, and what it says in general."""
    try:
        body = response.json()
    except ValueError:
        return {}, [] if "html" in response.headers.get("Content-Type", "") else [response.text[:300]]
    if not isinstance(body, dict):
        return {}, []
    errors, messages = body.get("errors"), body.get("errorMessages")
    fields = {str(name): _text(text) for name, text in errors.items()} if isinstance(errors, dict) else {}
    general = list(messages) if isinstance(messages, list) else []
    general += [body[name] for name in ("message", "error") if not fields and not general and name in body]
    return fields, [_text(message) for message in general]


def said(fields: Mapping[str, str], messages: Sequence[str], *, before: str = "") -> str:
    """Jira's words on one line, however hostile, and not longer than a person reads."""
    text = "; ".join([*messages, *(f"{name}: {text}" for name, text in fields.items())])
    text = " ".join(re.sub(r"[^\x20-\x7e\u00a0-\U0010ffff]", " ", text).split())
    return f"{before}{text[:1000]}" if text else ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds, whether Jira (or a proxy before it) gives seconds or a date."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return min(float(value), LONGEST_PAUSE)
    when = http_date(value)
    if when is None:
        return None
    now = http_date(headers.get("Date", "")) or datetime.now(UTC)
    return min(max((when - now).total_seconds(), 0.0), LONGEST_PAUSE)


def http_date(value: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


@contextmanager
def understood(doing: str, *, writes: bool = False) -> Iterator[None]:
    """Jira's answer is from outside: one that is not as documented is an error in our words, never a crash."""
    try:
        yield
    except TrackerError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        text = f"Jira: {doing}: the answer is not as documented ({type(error).__name__}: {str(error)[:100]})"
        raise TrackerUnavailable(text, outcome_unknown=writes) from error


def _credentials_problem(status: int, headers: Mapping[str, str]) -> str:
    # Jira may answer a caller with wrong credentials like an anonymous one: 200 with nothing in it, or 404. Only these
    # headers tell (Seraph, the login part of Jira).
    denied = headers.get("X-Authentication-Denied-Reason", "")
    reason = headers.get("X-Seraph-LoginReason", "")
    if "CAPTCHA" in denied or "AUTHENTICATION_DENIED" in reason:
        return (
            "Jira asks our account for a CAPTCHA after too many failed log-ins; log in once in a browser as that "
            "account, check JIRA_USER and JIRA_TOKEN, or use a personal access token. Nothing is lost: work waits"
        )
    if status == 401 or "AUTHENTICATED_FAILED" in reason or headers.get("X-AUSERNAME") == "anonymous":
        return (
            f"Jira does not accept our credentials (HTTP {status}); check JIRA_USER and JIRA_TOKEN: tokens expire and "
            "may be revoked. Nothing is lost: work waits"
        )
    return ""


def _remedy(call: Call, status: int) -> str:
    if status == 403 and call.needs:
        return f"give our account the permission {call.needs!r} in that project's permission scheme"
    if status == 404 and not call.subject:
        return "check JIRA_URL (with its context path, or with the cloud id at the gateway)"
    if status == 413:
        return "too large for Jira or for a proxy before it"
    return call.mend


def _connection_remedy(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "check the certificate; REQUESTS_CA_BUNDLE may name your own authority's file"
    if isinstance(error, requests.Timeout):
        return "Jira is slow or a firewall drops the connection"
    return "check JIRA_URL, the network, and the proxy settings"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
