"""What the connector sees of what happened without us, over HTTP in both flavours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.flows.jira import Jira, running
from tests.trackers.scripted import TOKEN, Answer, Script, scripted
from vmjira.errors import TicketGone, TrackerUnavailable
from vmjira.trackers.jira import JiraSettings, Secret, connect

LONG_AGO = timedelta(days=3)


def now() -> datetime:
    return datetime.now(UTC)


def test_a_ticket_whose_status_never_changed_has_no_last_change(jira: Jira):
    key = jira.create("new", "vmjira")
    jira.write(key, "edited")
    assert jira.tracker().last_status_change(key) is None


def test_the_last_change_of_status_has_the_tracker_s_time_and_the_actor(jira: Jira):
    jira.control("PUT", "/clock", {"now": "2026-06-05T12:00:00+00:00"})
    key = jira.create("new", "vmjira")
    jira.transit(key, "Start progress")
    jira.actor = "boston-admins"
    jira.close(key, "Risk Accepted")
    jira.control("PUT", "/clock", {"now": "2026-06-07T12:00:00+00:00"})
    jira.comment(key, "patched")
    change = jira.tracker().last_status_change(key)
    assert change is not None
    assert abs(change.at - datetime(2026, 6, 5, 12, tzinfo=UTC)) < timedelta(minutes=1)
    assert change.actor == jira.account("boston-admins")
    assert (change.status, change.done, change.resolution) == ("Done", True, "Risk Accepted")


def test_after_a_reopening_the_last_change_is_not_done_and_has_no_resolution(jira: Jira):
    key = jira.create("new", "vmjira")
    jira.close(key)
    jira.transit(key, "Reopen")
    change = jira.tracker().last_status_change(key)
    assert change is not None
    assert (change.status, change.done, change.resolution) == ("To Do", False, None)


def test_the_history_of_a_deleted_ticket_is_a_ticket_that_is_gone(jira: Jira):
    key = jira.create("new")
    jira.delete(key)
    with pytest.raises(TicketGone):
        jira.tracker().last_status_change(key)


def test_who_changed_the_description_last_is_known_and_nobody_did_when_it_was_made(jira: Jira):
    key = jira.create("new", "vmjira")
    tracker = jira.tracker()
    assert tracker.changed_by(key, "description") is None
    tracker.edit(key, description="ours")
    assert tracker.changed_by(key, "description") == tracker.myself()
    jira.actor = "boston-admins"
    jira.write(key, "theirs")
    jira.comment(key, "a comment is no description")
    assert tracker.changed_by(key, "description") == jira.account("boston-admins") != tracker.myself()


def test_changes_since_a_moment_are_those_of_labelled_tickets_only(jira: Jira):
    jira.control("PUT", "/clock", {"now": (now() - LONG_AGO).isoformat()})
    old, touched = jira.create("old", "vmjira"), jira.create("touched", "vmjira")
    jira.control("PUT", "/clock", {"now": None})
    fresh, _ = jira.create("fresh", "vmjira"), jira.create("of somebody else", "other")
    jira.comment(touched, "hello")
    tracker = jira.tracker()
    found = {issue.key: issue for issue in tracker.changed_since(now() - timedelta(minutes=5))}
    assert set(found) == {touched, fresh}
    assert found[fresh].labels == ("vmjira",) and found[fresh].summary == "fresh"
    assert {issue.key for issue in tracker.changed_since(None)} == {old, touched, fresh}
    assert {issue.key for issue in tracker.changed_since(now() - LONG_AGO - timedelta(minutes=5))} == {
        old, touched, fresh,
    }  # fmt: skip


def test_a_moment_in_the_future_is_asked_as_the_last_minute(jira: Jira):
    key = jira.create("new", "vmjira")
    assert [issue.key for issue in jira.tracker().changed_since(now() + timedelta(hours=1))] == [key]


def test_more_than_a_page_of_changes_is_read_to_the_end(jira: Jira):
    made = bulk(jira, 230)
    tracker = jira.tracker()
    tracker.myself()
    jira.calls()
    assert {issue.key for issue in tracker.changed_since(now() - timedelta(minutes=5))} == made
    searches = [call for call in jira.calls() if "search" in call]
    assert searches == [f"POST search{'/jql' if jira.flavour == 'cloud' else ''}"] * 3


def test_tickets_deleted_between_two_pages_by_number_hide_no_others(tmp_path: Path):
    with running(tmp_path, "datacenter") as jira:
        made = bulk(jira, 150)
        changes = jira.tracker().changed_since(None)
        first = [next(changes).key for _ in range(100)]
        for key in first[:8]:
            jira.delete(key)
        assert {*first, *(issue.key for issue in changes)} == made


def test_what_is_written_within_the_lag_of_cloud_s_search_is_found_later(tmp_path: Path):
    with running(tmp_path, "cloud", index_lag=0.4) as jira:
        tracker = jira.tracker()
        key = jira.create("new", "vmjira")
        assert list(tracker.changed_since(None)) == []
        deadline = now() + timedelta(seconds=10)
        while not (found := list(tracker.changed_since(None))) and now() < deadline:
            pass
        assert [issue.key for issue in found] == [key]


def test_labels_are_added_and_others_stay(jira: Jira):
    key = jira.create("new", "patching")
    jira.tracker().edit(key, labels=["vmjira", "vm.web.boston.2026-W23"])
    assert set(jira.fields(key)["labels"]) == {"patching", "vmjira", "vm.web.boston.2026-W23"}


def test_a_project_is_seen_or_not(jira: Jira):
    tracker = jira.tracker()
    assert tracker.sees("VM") and not tracker.sees("NOPE")


# --- answers that no well-behaved Jira gives


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as running:
        yield running


def told(script: Script) -> Any:
    settings = JiraSettings(script.url, Secret(TOKEN), user="bot@example.com", read_timeout=0.4, patience=0.05)
    return connect(settings, calls_per_second=lambda: 1000.0)()


def test_the_newest_change_counts_whichever_end_of_the_history_comes_first(script: Script):
    def entry(at: str, actor: str, to: str) -> dict[str, Any]:
        item = {"field": "status", "toString": to}
        return {"created": at, "author": {"accountId": actor}, "items": [{"field": "resolution"}, item]}

    late = entry("2026-06-05T14:00:00.000+0200", "b", "Done")
    early = entry("2026-06-05T11:30:00.000+0000", "a", "In Progress")
    status = {"name": "Done", "statusCategory": {"key": "done"}}
    for histories in ([late, early], [early, late]):
        script.say(
            "GET .*/issue/VM-1",
            {"fields": {"status": status, "resolution": None}, "changelog": {"histories": histories}},
        )
        change = told(script).last_status_change("VM-1")
        assert (change.actor, change.at) == ("b", datetime(2026, 6, 5, 12, tzinfo=UTC))


@pytest.mark.parametrize("body", [{}, {"changelog": {}}, {"changelog": {"histories": [{}]}}, [], None])
def test_a_history_that_is_not_as_documented_is_an_error_in_our_words(script: Script, body: Any):
    script.say("GET .*/issue/VM-1", body)
    with pytest.raises(TrackerUnavailable, match="not as documented"):
        told(script).last_status_change("VM-1")


def test_a_search_that_breaks_off_in_the_middle_says_so_and_gives_no_half_for_the_whole(script: Script):
    issue = {"id": "1", "key": "VM-1", "fields": {"status": {"name": "Done"}}}
    script.say("POST .*/search/jql", {"issues": [issue], "nextPageToken": "t"})
    script.say("POST .*/search/jql", Answer(503))
    changes = told(script).changed_since(None)
    assert next(changes).key == "VM-1"
    with pytest.raises(TrackerUnavailable):
        next(changes)


def test_the_next_page_is_asked_with_the_token_of_the_one_before(script: Script):
    issue = {"id": "1", "key": "VM-1", "fields": {"status": {"name": "Done"}}}
    script.say("POST .*/search/jql", {"issues": [issue], "nextPageToken": "page-2"})
    script.say("POST .*/search/jql", {"issues": [issue | {"id": "2", "key": "VM-2"}], "isLast": True})
    assert [each.key for each in told(script).changed_since(None)] == ["VM-1", "VM-2"]
    assert [call.json.get("nextPageToken") for call in script.calls("POST .*/search/jql")] == [None, "page-2"]


def bulk(jira: Jira, count: int) -> set[str]:
    own = {"project": {"key": "VM"}, "issuetype": {"name": "Task"}, "labels": ["vmjira"]}
    updates = [{"fields": {**own, "summary": f"ticket {number}"}} for number in range(count)]
    answers = [jira.rest("POST", "issue/bulk", {"issueUpdates": updates[at : at + 50]}) for at in range(0, count, 50)]
    return {issue["key"] for answer in answers for issue in answer["issues"]}
