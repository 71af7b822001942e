from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.trackers.scripted import TOKEN, Script, scripted
from vmjira.trackers.jira import JiraSettings, JiraTracker, Secret, connect


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as running:
        yield running


@pytest.fixture
def settings(script: Script) -> JiraSettings:
    return JiraSettings(script.url, Secret(TOKEN), user="bot@example.com", read_timeout=0.4, patience=0.05)


@pytest.fixture
def tracker(settings: JiraSettings) -> JiraTracker:
    return connect(settings, calls_per_second=lambda: 1000.0)()
