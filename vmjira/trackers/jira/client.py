"""Sends calls to one Jira site through atlassian-python-api, with none of that library's own retries."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import copy
from typing import Any, Protocol
from urllib.parse import quote

import requests
from atlassian import Jira

from vmjira.errors import TicketGone, TrackerError, TrackerUnavailable
from vmjira.trackers.jira.calls import (
    DEFAULT_PAUSE,
    Call,
    CredentialsRefused,
    Refusal,
    judge,
    lost,
    not_allowed,
    retry_after,
)
from vmjira.trackers.jira.memory import FOR_EVER, Memory
from vmjira.trackers.jira.pace import EVERYTHING, Aside, Pace
from vmjira.trackers.jira.settings import JiraSettings

SLOWEST_UPLOAD = 50_000  # bytes per second


class Observer(Protocol):
    """Hears of each call that was made: which, its HTTP status (or lost), and seconds."""

    def __call__(self, call: str, outcome: str, *, waited: float, took: float) -> None: ...


def nobody(call: str, outcome: str, *, waited: float, took: float) -> None:
    """Observes nothing."""


class Site:
    """What all threads share about one Jira: settings, pace, and what was learnt."""

    def __init__(
        self, settings: JiraSettings, calls_per_second: Callable[[], float], observe: Observer = nobody
    ) -> None:
        self.settings = settings
        self.observe = observe
        self.pace = Pace(calls_per_second, patience=settings.patience)
        self.memory = Memory()

    def aside(self) -> Site:
        """For somebody who only looks: keeps the common pace, but what it runs into stops nobody else."""
        site = copy(self)
        site.pace = Aside(self.pace, patience=self.settings.patience)
        return site


class Client:
    """For one thread: the library's client and its session are not made for several."""

    def __init__(self, site: Site) -> None:
        self.site = site
        settings = site.settings
        token = settings.token.reveal()
        self._session = requests.Session()
        self._jira = Jira(
            settings.url,
            username=settings.user or None,
            password=token,
            token=None if settings.user else token,
            session=self._session,
            # Both would repeat a POST, and so make a ticket twice, or wait half an hour; who calls us decides on that.
            backoff_and_retry=False,
            retry_with_header=False,
        )
        # The constructor takes one whole number; `request` passes on what stands here.
        self._jira.timeout = (settings.connect_timeout, settings.read_timeout)  # type: ignore[assignment]
        self.date = ""  # of the last answer, as the server says

    @property
    def cloud(self) -> bool:
        """Asked once in a process. Anything that does not call itself Cloud is Data Center."""
        return bool(self.site.memory.recall("cloud", self._is_cloud, seconds=FOR_EVER))

    def send(self, call: Call) -> Any:
        """The answer's JSON, None where there is none. Raises only `TrackerError`s, and never sends twice."""
        try:
            response = self._answer(call)
        except requests.RequestException as error:
            raise self._safe(lost(call, error, self.site.settings.url)) from None
        self.date = response.headers.get("Date", "")
        if problem := judge(call, response):
            if call.guarded and isinstance(problem, CredentialsRefused):
                self.myself()  # raises if it is really us that Jira does not know
                problem = not_allowed(call, response)
            self._slow_down(call, response, problem)
            if isinstance(problem, TicketGone):
                self.confirm_credentials()
            raise self._safe(problem)
        return self._json(call, response)

    def _answer(self, call: Call) -> requests.Response:
        """Whatever it is, when it is the call's turn."""
        began = time.monotonic()
        self.site.pace.wait((call.endpoint, call.issue) if call.issue else (call.endpoint,))
        sent, outcome = time.monotonic(), "lost"
        try:
            response = self._upload(call) if call.files else self._request(call)
            outcome = str(response.status_code)
            return response
        finally:
            self.site.observe(call.endpoint, outcome, waited=sent - began, took=time.monotonic() - sent)

    def confirm_credentials(self) -> None:
        """Raise if Jira does not know us: it shows an anonymous caller an empty site rather than an error."""
        self.site.memory.recall("myself", self.myself, seconds=10.0)

    def myself(self) -> Any:
        return self.send(Call("GET", "/rest/api/2/myself", "who are we"))

    def server_info(self) -> Any:
        return self.send(Call("GET", "/rest/api/2/serverInfo", "which Jira is this"))

    def _is_cloud(self) -> bool:
        info = self.server_info()
        return isinstance(info, dict) and info.get("deploymentType") == "Cloud"

    def _request(self, call: Call) -> requests.Response:
        return self._jira.request(
            call.method,
            _path(call),
            data=call.body,
            params=dict(call.params),
            advanced_mode=True,  # the library's own errors lose the names of fields
            allow_redirects=False,  # a POST that is sent to a log-in page comes back as a GET with status 200
        )

    def _upload(self, call: Call) -> requests.Response:
        # The library takes one file a call. While the body is sent, the socket has the timeout for connecting, and it
        # is for all bytes together; so it grows with them.
        settings = self.site.settings
        size = sum(len(file.content) for file in call.files)
        response = self._session.request(
            call.method,
            settings.url.rstrip("/") + _path(call),
            files=[("file", (file.name, file.content, file.media_type)) for file in call.files],
            headers={"X-Atlassian-Token": "no-check", "Accept": "application/json"},
            timeout=(settings.connect_timeout + math.ceil(size / SLOWEST_UPLOAD), settings.read_timeout),
            allow_redirects=False,
        )
        response.encoding = "utf-8"
        return response

    def _slow_down(self, call: Call, response: requests.Response, problem: TrackerError) -> None:
        """Let later calls wait for what this one ran into, and only those that would run into it too."""
        pause, why = self.site.pace.pause, self.site.settings.redact(str(problem))
        if isinstance(problem, CredentialsRefused):
            pause(EVERYTHING, problem.retry_after or DEFAULT_PAUSE, why)
        elif response.status_code == 429:
            reason = response.headers.get("RateLimit-Reason", "")
            scope = {"jira-burst-based": call.endpoint, "jira-per-issue-on-write": call.issue}.get(reason, EVERYTHING)
            pause(scope, retry_after(response.headers) or DEFAULT_PAUSE, why)
        elif response.status_code == 503 and (seconds := retry_after(response.headers)):
            pause(EVERYTHING, seconds, why)

    def _json(self, call: Call, response: requests.Response) -> Any:
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            text = (
                f"{call.place}: the answer is no JSON (HTTP {response.status_code}); does JIRA_URL lead to Jira itself?"
            )
            raise TrackerUnavailable(text, outcome_unknown=call.writes) from None

    def _safe(self, error: TrackerError) -> TrackerError:
        """Whatever Jira or a library put into the words, no secret is among them."""
        redact = self.site.settings.redact
        error.args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in error.args)
        if isinstance(error, Refusal):
            error.fields = {name: redact(text) for name, text in error.fields.items()}
            error.messages = tuple(redact(text) for text in error.messages)
        return error


def _path(call: Call) -> str:
    return call.path.replace("{}", quote(call.subject, safe="")).replace("{part}", quote(call.part, safe=""))
