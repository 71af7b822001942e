"""A running sandbox Jira over real HTTP, and what a test wants to see of it or do as a person."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import requests
from werkzeug.serving import make_server

from vmjira.sandbox.app import create_app
from vmjira.trackers.jira import JiraSettings, JiraTracker, Secret, connect

TOKENS = {"vmjira": "sandbox-token", "admin": "sandbox-admin-token", "boston-admins": "sandbox-boston-token"}
Wsgi = Callable[..., Any]


@dataclass(frozen=True)
class Ticket:
    """A ticket as the tracker has it."""

    key: str
    summary: str
    description: str
    status: str
    labels: tuple[str, ...]
    links: tuple[str, ...]  # keys, sorted
    names: tuple[str, ...]  # of the attachments, as often as they are there
    comments: tuple[str, ...]
    fields: dict[str, Any]
    fetch: Callable[[str], bytes]

    @cached_property
    def files(self) -> dict[str, bytes]:
        return {each["filename"]: self.fetch(each["content"]) for each in self.fields["attachment"]}

    @property
    def identifier(self) -> str:
        (found,) = [label.removeprefix("vm.") for label in self.labels if label.startswith("vm.")]
        return found


@dataclass
class Jira:
    """`rest` and what is built on it act as `actor`."""

    url: str
    flavour: str
    actor: str = "admin"

    def settings(self, who: str = "vmjira", **further: Any) -> JiraSettings:
        user = who if self.flavour == "cloud" else ""
        return JiraSettings(self.url, Secret(TOKENS[who]), user=user, patience=0.05, search_lag=0.0, **further)

    @property
    def environ(self) -> dict[str, str]:
        """Settings with which vmjira reaches it."""
        user = {"JIRA_USER": "vmjira"} if self.flavour == "cloud" else {"JIRA_USER": ""}
        return {"JIRA_URL": self.url, "JIRA_TOKEN": TOKENS["vmjira"], **user}

    def tracker(self, who: str = "vmjira", **further: Any) -> JiraTracker:
        return connect(self.settings(who, **further), calls_per_second=lambda: 10_000.0)()

    def account(self, who: str) -> str:
        """As a tracker names it."""
        return self.tracker(who).myself()

    # --- as a person --------------------------------------------------------------------------------------------------

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        response = self._send(method, f"{self.url}/rest/api/2/{path}", json=body)
        return response.json() if response.content else None

    def write(self, key: str, description: str) -> None:
        self.rest("PUT", f"issue/{key}", {"fields": {"description": description}})

    def delete(self, key: str) -> None:
        self.rest("DELETE", f"issue/{key}")

    def create(self, summary: str, *labels: str, project: str = "VM") -> str:
        own = {"project": {"key": project}, "issuetype": {"name": "Task"}, "summary": summary, "labels": list(labels)}
        return str(self.rest("POST", "issue", {"fields": own})["key"])

    def fields(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.rest("GET", f"issue/{key}?fields=*all")["fields"]
        return found

    def status(self, key: str) -> str:
        return str(self.fields(key)["status"]["name"])

    def comments(self, key: str) -> list[str]:
        return [each["body"] for each in self.fields(key)["comment"]["comments"]]

    def linked(self, key: str) -> set[str]:
        return {(each.get("outwardIssue") or each["inwardIssue"])["key"] for each in self.fields(key)["issuelinks"]}

    def transit(self, key: str, name: str, **fields: Any) -> None:
        steps = self.rest("GET", f"issue/{key}/transitions")["transitions"]
        id_ = next(step["id"] for step in steps if step["name"] == name)
        self.rest("POST", f"issue/{key}/transitions", {"transition": {"id": id_}, "fields": fields})

    def close(self, key: str, resolution: str = "Done") -> None:
        self.transit(key, "Done", resolution={"name": resolution})

    def comment(self, key: str, body: str) -> None:
        self.rest("POST", f"issue/{key}/comment", {"body": body})

    def move(self, key: str, project: str) -> str:
        """Into another project, by the pages, because REST cannot; the new key."""
        cookies = {"sandbox_csrf": "form", "sandbox_actor": self.actor}
        form = {"project": project, "token": "form"}
        address = f"{self.url}/browse/{key}/move"
        requests.post(address, data=form, cookies=cookies, timeout=20, allow_redirects=False).raise_for_status()
        return str(self.rest("GET", f"issue/{key}")["key"])

    def tickets(self, project: str = "VM") -> list[Ticket]:
        """All tickets of a project, the oldest first."""
        body = {"jql": f"project = {project} ORDER BY key ASC", "fields": ["summary"], "maxResults": 1000}
        path = "search/jql" if self.flavour == "cloud" else "search"
        keys = [each["key"] for each in self.rest("POST", path, body)["issues"]]
        return [self.ticket(key) for key in sorted(keys, key=lambda key: int(key.split("-")[1]))]

    def ticket(self, key: str) -> Ticket:
        fields = self.rest("GET", f"issue/{key}?fields=*all")["fields"]
        others = [link.get("outwardIssue") or link["inwardIssue"] for link in fields["issuelinks"]]
        return Ticket(
            key=key,
            summary=fields["summary"],
            description=fields["description"] or "",
            status=fields["status"]["name"],
            labels=tuple(fields["labels"]),
            links=tuple(sorted(other["key"] for other in others)),
            names=tuple(sorted(each["filename"] for each in fields["attachment"])),
            comments=tuple(each["body"] for each in fields["comment"]["comments"]),
            fields=fields,
            fetch=lambda address: self._send("GET", address).content,
        )

    def by_identifier(self) -> dict[str, Ticket]:
        """Every ticket by its identifier; there must be no two of the same."""
        tickets = self.tickets()
        found = {ticket.identifier: ticket for ticket in tickets}
        assert len(found) == len(tickets), f"duplicates: {sorted(ticket.identifier for ticket in tickets)}"
        return found

    def page(self, key: str) -> str:
        return self._send("GET", f"{self.url}/browse/{key}").text

    # --- its own switches ---------------------------------------------------------------------------------------------

    def control(self, method: str, path: str, body: Any = None) -> Any:
        response = self._send(method, f"{self.url}/sandbox{path}", json=body)
        return response.json() if response.content else None

    def fault(self, **fault: Any) -> None:
        self.control("POST", "/faults", fault)

    def calls(self) -> list[str]:
        """`METHOD path` of vmjira's calls since the last time this was asked."""
        rows = self.control("GET", "/calls")
        self.control("DELETE", "/calls")
        return [
            f"{row['method']} {row['path'].removeprefix('/rest/api/2/')}" for row in rows if row["user"] == "vmjira"
        ]

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        cloud = self.flavour == "cloud"
        auth = (self.actor, TOKENS[self.actor]) if cloud else None
        headers = {} if cloud else {"Authorization": f"Bearer {TOKENS[self.actor]}"}
        response = requests.request(method, url, auth=auth, headers=headers, timeout=20, **options)
        response.raise_for_status()
        return response


@contextmanager
def running(
    folder: Path, flavour: str, *, around: Callable[[Wsgi], Wsgi] = lambda app: app, **settings: Any
) -> Iterator[Jira]:
    """A sandbox whose state is in `folder`; `around` may wrap its WSGI application."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = create_app(folder / "jira.sqlite", flavour, tokens=TOKENS, **settings)  # type: ignore[arg-type]
    server = make_server("127.0.0.1", 0, around(app), threaded=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield Jira(f"http://127.0.0.1:{server.server_port}", flavour)
    finally:
        server.shutdown()
        server.server_close()
