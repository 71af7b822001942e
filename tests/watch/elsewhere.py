"""A Jira that was exported into another site: same keys, labels and texts; other ids, accounts and fields."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.flows.jira import Jira, running
from vmjira.sandbox.config import CustomField
from vmjira.sandbox.move import move

OFFSET = 50_000
FIELDS = {"customfield_10100": "customfield_20100", "customfield_10101": "customfield_20101"}
PEOPLE = {"boston-admins": "bos-admins"}
CUSTOM_FIELDS = (
    CustomField("customfield_20100", "Scanning iteration"),
    CustomField("customfield_20101", "Vulnerable hosts", "number"),
)
SERVER = "0ffb0a4d-1111-4222-8333-444455556666"


@contextmanager
def imported(folder: Path, flavour: str, *, into: str = "elsewhere", offset: int = OFFSET) -> Iterator[Jira]:
    """Another site with what the one in `folder` has now."""
    (folder / into).mkdir()
    move(folder / "jira.sqlite", folder / into / "jira.sqlite", offset=offset, fields=FIELDS, people=PEOPLE)
    with running(folder / into, flavour, server_id=SERVER, accounts="elsewhere", custom_fields=CUSTOM_FIELDS) as jira:
        yield jira


def writes(jira: Jira) -> list[str]:
    """vmjira's calls since the last time this was asked that change something."""
    return [call for call in jira.calls() if not call.startswith("GET ") and not _reads(call)]


def _reads(call: str) -> bool:
    return call.split(" ", 1)[1].startswith(("search", "issue/bulkfetch"))
