"""The people, projects and workflows that a sandbox has unless a file says otherwise."""

from __future__ import annotations

from typing import Any

#: Made-up credentials, good for this stand-in only.
TOKENS = {"vmjira": "sandbox-token", "admin": "sandbox-admin-token"}

#: Which site it is.
SERVER_ID = "b5d1c0de-0000-4000-8000-5a4db0c5a4db"

USERS: tuple[dict[str, Any], ...] = (
    {"name": "vmjira", "display": "vmjira", "email": "vmjira@example.com"},
    {"name": "admin", "display": "Jira Admin", "email": "admin@example.com", "admin": True},
    {"name": "boston-admins", "display": "Boston Admins", "email": "boston-admins@example.com"},
    {"name": "newyork-admins", "display": "New York Admins", "email": "newyork-admins@example.com"},
    {"name": "berlin-admins", "display": "Berlin Admins", "email": "berlin-admins@example.com"},
    {"name": "auditor", "display": "Audrey Auditor", "email": "auditor@example.com", "assignable": False},
    {"name": "former", "display": "Former Colleague", "email": "former@example.com", "active": False},
)

PROJECTS: tuple[dict[str, Any], ...] = (
    {"id": "10000", "key": "VM", "name": "Vulnerability Management", "components": ("Patching", "Configuration")},
    {"id": "10001", "key": "VMBOS", "name": "Boston Vulnerabilities", "components": ("Patching",)},
    {"id": "10002", "key": "OPS", "name": "Operations", "workflow": "long way", "components": ("Patching",)},
    {"id": "10003", "key": "ONE", "name": "One Way", "workflow": "one way"},
)

#: Transitions are (id, name, from, to, resolution on its screen: required, optional, no).
WORKFLOWS: dict[str, dict[str, Any]] = {
    "simple": {
        "statuses": {"To Do": "new", "In Progress": "indeterminate", "In Review": "indeterminate", "Done": "done"},
        "transitions": [
            ["11", "Start progress", ["To Do"], "In Progress", "no"],
            ["21", "Stop progress", ["In Progress", "In Review"], "To Do", "no"],
            ["31", "Ask for review", ["In Progress"], "In Review", "no"],
            ["41", "Done", ["To Do", "In Progress", "In Review"], "Done", "required"],
            ["51", "Reopen", ["Done"], "To Do", "no"],
        ],
    },
    "long way": {
        "statuses": {"Open": "new", "In Work": "indeterminate", "Resolved": "done", "Closed": "done"},
        "transitions": [
            ["4", "Take over", ["Open"], "In Work", "no"],
            ["5", "Resolve", ["In Work"], "Resolved", "optional"],
            ["701", "Close", ["Resolved"], "Closed", "no"],
            ["711", "Question the closing", ["Closed"], "Resolved", "no"],
            ["3", "Reopen", ["Resolved"], "Open", "no"],
        ],
    },
    "one way": {
        "statuses": {"To Do": "new", "Done": "done"},
        "transitions": [["2", "Finish", ["To Do"], "Done", "required"]],
    },
}

CUSTOM_FIELDS: tuple[dict[str, Any], ...] = (
    {"id": "customfield_10100", "name": "Scanning iteration"},
    {"id": "customfield_10101", "name": "Vulnerable hosts", "type": "number"},
    {"id": "customfield_10102", "name": "Networks", "type": "array"},
)

LINK_TYPES = (
    ("Blocks", "is blocked by", "blocks"),
    ("Cloners", "is cloned by", "clones"),
    ("Duplicate", "is duplicated by", "duplicates"),
    ("Relates", "relates to", "relates to"),
)

PRIORITIES = ("Highest", "High", "Medium", "Low", "Lowest")
RESOLUTIONS = ("Done", "Won't Fix", "Risk Accepted", "Duplicate", "Cannot Reproduce")
