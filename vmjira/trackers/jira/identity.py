"""Which Jira answers us: neither kind says so in its serverInfo (the official documents of both name no id).

A Data Center tells anybody its id as an application (its manifest for application links), which is made from its server
id; Cloud tells the id of the tenant, which also stands in an address at the gateway.
https://support.atlassian.com/jira/kb/retrieve-my-atlassian-sites-cloud-id/
"""

from __future__ import annotations

import re
from typing import Any

from vmjira.errors import TrackerError
from vmjira.flows.tracking import TrackerIdentity
from vmjira.trackers.jira.calls import Call, understood
from vmjira.trackers.jira.client import Client

#: Seconds that an answer is good for.
GOOD = 300.0
_GATEWAY = re.compile(r"^https://api\.atlassian\.com/ex/jira/([0-9a-f-]{36})", re.IGNORECASE)


def which(client: Client, *, fresh: bool) -> TrackerIdentity:
    memory = client.site.memory
    if fresh:
        memory.put("identity", _ask(client), seconds=GOOD)
    found: TrackerIdentity = memory.recall("identity", lambda: _ask(client), seconds=GOOD)
    return found


def _ask(client: Client) -> TrackerIdentity:
    with understood("which Jira is this"):
        info = client.server_info()
        client.site.memory.put("serverInfo", info, seconds=GOOD)
        cloud = info.get("deploymentType") == "Cloud"
        url = str(info.get("baseUrl") or client.site.settings.url).rstrip("/")
        server = _tenant(client) if cloud else _told(client, "/rest/applinks/1.0/manifest", "id")
        return TrackerIdentity("Jira Cloud" if cloud else "Jira Data Center", server, url)


def _tenant(client: Client) -> str:
    if found := _GATEWAY.match(client.site.settings.url):
        return found[1].lower()
    return _told(client, "/_edge/tenant_info", "cloudId")


def _told(client: Client, path: str, name: str) -> str:
    """Empty if this Jira, or a proxy before it, does not tell: then its address has to do."""
    try:
        answer: Any = client.send(Call("GET", path, "which Jira is this", guarded=True))
    except TrackerError:
        return ""
    return str(answer.get(name) or "") if isinstance(answer, dict) else ""
