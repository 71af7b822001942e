"""What somebody did to tickets while nobody listened is found, and brought back or listed, in both flavours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.flows.jira import Jira, running
from tests.flows.scans import SMB, week
from tests.watch.world import World, a_world
from vmjira.errors import TrackerUnavailable
from vmjira.flows.reconcile import reconcile

W23, W24, NY23 = "windows.boston.2026-W23", "windows.boston.2026-W24", "windows.newyork.2026-W23"


def files_of(jira: Jira, key: str) -> set[str]:
    return {each["filename"] for each in jira.fields(key)["attachment"]}


def test_where_nothing_changed_one_search_is_all(world: World):
    jira = world.jira
    jira.control("PUT", "/clock", {"now": (datetime.now(UTC) + timedelta(hours=1)).isoformat()})
    assert world.reconcile() == []
    which = ("GET serverInfo", "GET /rest/applinks/1.0/manifest")
    calls = [call for call in jira.calls() if call not in which]
    assert calls == [f"POST search{'/jql' if jira.flavour == 'cloud' else ''}"]


def test_a_part_of_ours_that_somebody_edited_is_written_again_and_their_own_text_stays(world: World):
    jira = world.jira
    key = world.key(W24)
    ours = jira.fields(key)["description"]
    jira.actor = "boston-admins"
    jira.write(
        key, "Ask Jane first.\r\n\r\n" + ours.replace("|*Remaining*|2|", "|*Remaining*|0|").replace("\n", "\r\n")
    )
    found = world.reconcile()
    assert found == [(W24, "vmjira's part of its description was edited", "update is queued")]
    assert jira.fields(key)["description"].replace("\r\n", "\n") == "Ask Jane first.\n\n" + ours
    assert world.reconcile() == []


def test_text_that_a_person_writes_beside_our_part_is_no_drift_whatever_line_ends_it_has(world: World):
    jira = world.jira
    key = world.key(W24)
    jira.actor = "boston-admins"
    jira.write(key, ("Ask Jane first.\n\n" + jira.fields(key)["description"]).replace("\n", "\r\n"))
    assert world.reconcile() == []
    assert jira.fields(key)["description"].startswith("Ask Jane first.\r\n")


def test_a_description_without_our_marks_gets_our_part_in_front(world: World):
    jira = world.jira
    key = world.key(W24)
    ours = jira.fields(key)["description"]
    jira.actor = "boston-admins"
    jira.write(key, "All mine.")
    assert [what for _, what, _ in world.reconcile()] == ["vmjira's part of its description was edited"]
    assert jira.fields(key)["description"] == f"{ours}\n\nAll mine."
    assert world.reconcile() == []


def test_what_the_tracker_itself_made_of_our_text_is_no_drift(world: World):
    jira = world.jira
    key = world.key(W24)
    tracker = world.outside.tracker()
    tracker.edit(key, description=jira.fields(key)["description"].replace("*New*", "*{color:black}New{color}*"))
    assert world.reconcile() == []
    jira.actor = "boston-admins"
    jira.write(key, jira.fields(key)["description"].replace("{color:black}New{color}", "Old"))
    assert [ticket for ticket, _, _ in world.reconcile()] == [W24]


def test_deleted_attachments_are_sent_again_also_the_lists_of_a_past_week(world: World):
    jira = world.jira
    for identifier, kind in ((W24, "own"), (W23, "all")):
        key = world.key(identifier)
        (file,) = [each for each in jira.fields(key)["attachment"] if each["filename"] == f"{identifier}.{kind}.csv"]
        jira.rest("DELETE", f"attachment/{file['id']}")
    before = files_of(jira, world.key(W23)) | {f"{W23}.all.csv"}
    found = world.reconcile()
    assert sorted(found) == [
        (W23, f"lost {W23}.all.csv", "update is queued"),
        (W24, f"lost {W24}.own.csv", "update is queued"),
    ]
    assert files_of(jira, world.key(W23)) == before
    assert f"{W24}.own.csv" in files_of(jira, world.key(W24))
    assert world.reconcile() == []


def test_a_link_that_somebody_removed_is_made_again_once(world: World):
    jira = world.jira
    (link,) = jira.fields(world.key(W24))["issuelinks"]
    jira.rest("DELETE", f"issueLink/{link['id']}")
    assert world.reconcile() == [(W24, f"is not linked with {world.key(W23)}", "link is queued")]
    assert jira.linked(world.key(W24)) == {world.key(W23)} and len(jira.fields(world.key(W23))["issuelinks"]) == 1
    assert world.reconcile() == []


def test_a_link_that_the_tracker_refuses_is_listed_and_not_tried_for_ever(world: World):
    jira = world.jira
    (link,) = jira.fields(world.key(W24))["issuelinks"]
    jira.rest("DELETE", f"issueLink/{link['id']}")
    jira.control("POST", "/faults", {"method": "POST", "path": "/issueLink$", "status": 400})
    reconcile(world.outside)
    assert "refused" in world.deliver()[0]
    ((ticket, _, done),) = world.reconcile()
    assert ticket == W24 and "refused" in done


def test_removed_labels_are_put_back(world: World):
    jira = world.jira
    key = world.key(W24)
    jira.rest("PUT", f"issue/{key}", {"update": {"labels": [{"remove": f"vm.{W24}"}, {"add": "ours"}]}})
    assert world.reconcile() == [(W24, f"lost the label vm.{W24}", "relabel is queued")]
    assert set(jira.fields(key)["labels"]) == {"vmjira", f"vm.{W24}", world.label, "ours"}
    assert world.reconcile() == []


def test_without_the_common_label_no_search_finds_a_ticket_but_reading_all_does(world: World):
    jira = world.jira
    key = world.key(W24)
    jira.rest("PUT", f"issue/{key}", {"fields": {"labels": []}})
    assert world.reconcile() == []
    assert world.reconcile(everything=True) == [(W24, f"lost the label vmjira and vm.{W24}", "relabel is queued")]
    assert set(jira.fields(key)["labels"]) == {"vmjira", f"vm.{W24}", world.label}


def test_every_living_ticket_is_read_once_a_day(world: World):
    jira = world.jira
    jira.delete(world.key(W24))
    jira.control("PUT", "/clock", {"now": (datetime.now(UTC) + timedelta(hours=1)).isoformat()})
    assert world.reconcile() == []
    world.ahead = timedelta(hours=25)
    assert [ticket for ticket, _, _ in world.reconcile()] == [W24]


def test_a_link_that_went_with_a_deleted_ticket_leads_to_that_ticket(world: World):
    world.jira.delete(world.key(W24))
    assert [(ticket, what.split(",")[0]) for ticket, what, _ in world.reconcile()] == [(W24, "was deleted")]
    assert world.reconcile() == []


def test_a_clone_is_told_where_everything_goes_on_and_closed_once(world: World):
    jira = world.jira
    clone = jira.create("CLONE - Windows updates", "vmjira", f"vm.{W24}", world.label)
    assert world.reconcile() == [(W24, f"{clone} is a duplicate of it", "duplicate is queued")]
    assert jira.status(clone) == "Done" and jira.status(world.key(W24)) == "To Do"
    (comment,) = jira.comments(clone)
    assert f"duplicate of {world.key(W24)}" in comment
    assert world.reconcile() == []
    jira.transit(clone, "Reopen")
    ((_, _, done),) = world.reconcile()
    assert "take the label away" in done
    assert jira.status(clone) == "To Do" and len(jira.comments(clone)) == 1


def test_a_ticket_that_our_database_does_not_know_is_listed_and_left_alone(world: World):
    jira = world.jira
    key = jira.create("of another vmjira", "vmjira", "vm.web.rome.2026-W20")
    ((ticket, _, done),) = world.reconcile()
    assert ticket == "web.rome.2026-W20" and done.startswith("nothing; ")
    assert jira.status(key) == "To Do" and jira.comments(key) == []


def test_a_search_that_breaks_off_leaves_the_time_of_the_last_success(world: World):
    jira = world.jira
    with world.store.reading() as unit:
        before = unit.mark("reconciled")
    jira.control("POST", "/faults", {"path": "/search", "status": 503})
    with pytest.raises(TrackerUnavailable):
        reconcile(world.outside)
    with world.store.reading() as unit:
        assert unit.mark("reconciled") == before


def test_a_look_at_the_last_hour_does_not_count_as_one_at_all_of_it(world: World):
    with world.store.reading() as unit:
        before = unit.mark("reconciled")
    world.ahead = timedelta(minutes=5)
    reconcile(world.outside, since=datetime.now(UTC) + world.ahead)
    with world.store.reading() as unit:
        assert unit.mark("reconciled") == before


def test_when_a_whole_project_is_hidden_nothing_counts_as_deleted(tmp_path: Path):
    with running(tmp_path, "datacenter") as jira, a_world(tmp_path / "world", jira) as world:
        world.fold(week(23), {"10.1.0.1": [SMB], "10.2.0.1": [SMB]})
        world.reconcile()
        for path in ("/project/VM$", "/issue/VM-"):
            jira.control("POST", "/faults", {"path": path, "status": 404, "times": 9})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("vmjira.trackers.jira.tracker.JiraTracker._read_many", lambda *_: {})
            found = world.reconcile(everything=True)
        assert len(found) == 2
        assert all("hidden" in what and "Browse Projects" in done for _, what, done in found)
        jira.control("DELETE", "/faults")
        assert world.reconcile(everything=True) == []


def test_while_a_ticket_is_being_written_nothing_is_concluded_of_its_content(world: World):
    jira = world.jira
    key = world.key(W24)
    for file in jira.fields(key)["attachment"]:
        jira.rest("DELETE", f"attachment/{file['id']}")
    assert len(reconcile(world.outside).drifts) == 1
    assert reconcile(world.outside).drifts == ()
    assert len(world.deliver()) == 1
    assert world.reconcile() == []


# --- status, deletion, move: decided upon as after a webhook


def test_a_closing_that_nobody_told_us_of_is_answered_once(world: World):
    jira = world.jira
    key = world.key(W24)
    jira.close(key)
    ((ticket, what, done),) = world.reconcile()
    assert (ticket, what) == (W24, "is 'Done', not 'To Do' as we knew") and "closed is queued" in done
    assert len(jira.comments(key)) == 1
    with world.store.reading() as unit:
        row = unit.ticket(W24)
    assert row and row.closing == "waiting" and row.closed_at
    assert world.reconcile() == []


def test_a_reopening_ends_the_closing(world: World):
    jira = world.jira
    key = world.key(W24)
    jira.close(key)
    world.reconcile()
    jira.transit(key, "Reopen")
    assert [(ticket, done) for ticket, _, done in world.reconcile()] == [(W24, "noted")]
    with world.store.reading() as unit:
        row = unit.ticket(W24)
    assert row and (row.closing, row.status_category) == ("", "new")
    assert world.reconcile() == []


def test_a_ticket_that_was_opened_and_closed_again_counts_from_the_last_closing(world: World):
    jira = world.jira
    key = world.key(W24)
    jira.close(key)
    world.reconcile()
    jira.control("PUT", "/clock", {"now": (datetime.now(UTC) + timedelta(seconds=30)).isoformat()})
    jira.transit(key, "Reopen")
    jira.close(key)
    assert [what for _, what, _ in world.reconcile()] == ["was perhaps opened and closed again"]
    change = jira.tracker().last_status_change(key)
    with world.store.reading() as unit:
        row = unit.ticket(W24)
    assert row and change and row.closed_at == change.at
    assert world.reconcile() == []


def test_a_moved_ticket_is_followed_and_its_neighbour_says_so(world: World):
    jira = world.jira
    new = jira.move(world.key(W24), "VMBOS")
    ((ticket, what, _),) = world.reconcile()
    assert ticket == W24 and what.endswith(f"is {new} now")
    assert world.key(W24) == new
    assert new in jira.fields(world.key(W23))["description"]
    assert world.reconcile() == []


def test_a_ticket_that_is_visible_again_is_no_longer_deleted(world: World):
    with world.store.begin() as unit:
        unit.update_ticket(W24, gone=True)
    world.jira.comment(world.key(W24), "I am here")
    ((ticket, what, _),) = world.reconcile()
    assert ticket == W24 and "there again" in what
    with world.store.reading() as unit:
        row = unit.ticket(W24)
    assert row and not row.gone


def test_after_we_were_away_every_living_ticket_is_read(world: World):
    jira = world.jira
    jira.delete(world.key(NY23))
    jira.control("PUT", "/clock", {"now": (datetime.now(UTC) + timedelta(hours=3)).isoformat()})
    assert world.reconcile() == []
    world.ahead = timedelta(hours=3)
    assert [ticket for ticket, _, _ in world.reconcile()] == [NY23]
