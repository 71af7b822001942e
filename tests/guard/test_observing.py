"""Whoever wants to know hears how each call to the tracker went."""

from __future__ import annotations

import pytest

from tests.trackers.conftest import script  # noqa: F401
from tests.trackers.scripted import TOKEN, Answer, Script
from vmjira.errors import TrackerError
from vmjira.trackers.jira import JiraSettings, Secret, connect


class Notes:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.waited: list[float] = []

    def __call__(self, call: str, outcome: str, *, waited: float, took: float) -> None:
        assert took >= 0
        self.calls.append((call, outcome))
        self.waited.append(waited)


def test_each_call_is_told_once_with_its_status_whatever_became_of_it(script: Script):  # noqa: F811
    notes = Notes()
    settings = JiraSettings(url=script.url, token=Secret(TOKEN), read_timeout=2.0)
    tracker = connect(settings, calls_per_second=lambda: 1000.0, observe=notes)()
    script.say("POST .*/comment", Answer(201, {"id": "1"}))
    script.say("POST .*/comment", Answer(400, {"errorMessages": ["no"]}))
    script.say("POST .*/comment", Answer(silent=True))
    tracker.comment("VM-1", "x")
    for _ in range(2):
        with pytest.raises(TrackerError):
            tracker.comment("VM-1", "x")
    told = [call for call in notes.calls if "comment" in call[0]]
    assert told == [("POST /rest/api/2/issue/{}/comment", outcome) for outcome in ("201", "400", "lost")]


def test_what_a_call_waited_for_our_own_limit_is_told(script: Script):  # noqa: F811
    notes = Notes()
    settings = JiraSettings(url=script.url, token=Secret(TOKEN))
    tracker = connect(settings, calls_per_second=lambda: 2.0, observe=notes)()
    script.say("POST .*/comment", Answer(201, {"id": "1"}), times=4)
    for _ in range(4):
        tracker.comment("VM-1", "x")
    assert 0.1 < sum(notes.waited) < 3
