"""Where a Jira says which site it is: neither kind tells that in its serverInfo.

A Data Center answers anybody with its manifest for application links, Cloud with the id of the tenant.
https://support.atlassian.com/jira/kb/retrieve-my-atlassian-sites-cloud-id/
"""

from __future__ import annotations

from flask import Blueprint, jsonify

from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.rest import Answer
from vmjira.sandbox.session import sandbox

views = Blueprint("site", __name__)


@views.get("/rest/applinks/1.0/manifest")
def manifest() -> Answer:
    config = sandbox().config
    if config.cloud:
        raise JiraError(404, "null for uri: /rest/applinks/1.0/manifest")
    return jsonify({"id": config.server_id, "name": "Sandbox", "typeId": "jira", "version": config.version})


@views.get("/_edge/tenant_info")
def tenant() -> Answer:
    config = sandbox().config
    if not config.cloud:
        raise JiraError(404, "There is no such page.")
    return jsonify({"cloudId": config.server_id})
