"""Single hosts again: a copy of the target that covers them, a task like its own, both removed when it is over."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.gvm_api.gmp_server import Conversation, Gvmd, Report, Target, Task, result
from tests.gvm_api.test_gvm import bad_status, nothing
from vmjira.errors import ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import RemoteScan
from vmjira.scanners import read_scan
from vmjira.scanners.sources.gvm_rescan import MARK

NAME = "vmjira rescan ms-exploitable.boston.2026-W23"


def boston(gvmd: Gvmd) -> Task:
    task = gvmd.scans("Weekly Boston", "10.1.2.0/24, 10.1.3.1-20", Report("", end="2026-06-05T10:00:00Z"))
    task.config, task.scanner = "698f691e-7489-11df-9d8c-002264764cea", "34891919-37ff-5c69-1a2a-089e9018308a"
    return task


def finished(gvmd: Gvmd, id: str, status: str = "Done") -> Report:
    task, _, report = id.partition("/")
    run = gvmd.reports[report]
    run.status, run.end, gvmd.tasks[task].status = status, "2026-06-06T11:00:00Z", status
    run.hosts, run.results = {"10.1.2.3": "2026-06-06T10:30:00Z"}, [result("10.1.2.3", severity=2.6)]
    return run


def test_just_the_hosts_are_scanned_like_the_task_that_covers_them(gvmd, source):
    like = boston(gvmd)
    gvmd.scans("Weekly Berlin", "10.8.0.0/16", Report("", end="2026-06-05T10:00:00Z"))
    id = source().launch(["10.1.2.3", "10.1.3.7"], NAME)
    made = gvmd.tasks[id.partition("/")[0]]
    target = gvmd.targets[made.target]
    assert (made.name, made.comment, made.config, made.scanner) == (NAME, MARK, like.config, like.scanner)
    assert made.preferences == {"max_checks": "4", "max_hosts": "20"}
    # A copy keeps credentials, ports and alive test; only the hosts are others.
    assert (target.like, target.hosts, target.exclude, target.comment) == (like.target, "10.1.2.3,10.1.3.7", "", MARK)
    assert made.status == "Requested"


def test_of_several_tasks_the_one_that_ran_last_is_taken_as_the_example(gvmd, source):
    gvmd.scans("Old", "10.1.0.0/16", Report("", end="2026-05-01T10:00:00Z"))
    latest = gvmd.scans("New", "10.1.2.1-10.1.2.9", Report("", end="2026-06-05T10:00:00Z"))
    gvmd.scans("Older", "10.1.0.0/16", Report("", end="2026-04-01T10:00:00Z"))
    source().launch(["10.1.2.3"], NAME)
    assert list(gvmd.targets.values())[-1].like == latest.target


def test_the_result_is_a_rescan_and_its_task_and_target_go_when_it_was_taken(gvmd, source, tmp_path):
    boston(gvmd)
    before = (set(gvmd.tasks), set(gvmd.targets))
    gvm = source()
    id = gvm.launch(["10.1.2.3"], NAME)
    assert gvm.launched(id) is None
    finished(gvmd, id, "Processing")
    assert gvm.launched(id) is None
    finished(gvmd, id)
    scan = gvm.launched(id)
    assert scan == RemoteScan(id, NAME, datetime(2026, 6, 6, 11, tzinfo=UTC), rescan=True)
    assert id not in {offered.id for offered in gvm.listing().scans}  # it is no round
    (read,) = read_scan(gvm.download(scan, tmp_path, nothing), tmp_path / "read", timezone=ZoneInfo("UTC"))
    assert read.hosts["ip"].to_list() == ["10.1.2.3"]
    gvm.settle(scan, "")
    assert (set(gvmd.tasks), set(gvmd.targets)) == before


def test_a_second_try_under_the_same_name_finds_what_the_first_has_started(gvmd, source):
    boston(gvmd)
    first = source().launch(["10.1.2.3"], NAME)
    assert source().launch(["10.1.2.3"], NAME) == first
    assert len(gvmd.commands("start_task")) == 1


def test_a_try_that_broke_off_before_the_start_is_started_now(gvmd, source):
    boston(gvmd)
    gvmd.faults["start_task"] = lambda conversation: False
    gvmd.faults["delete_task"] = lambda conversation: False
    with pytest.raises(ScannerUnavailable):
        source().launch(["10.1.2.3"], NAME)
    gvmd.faults.clear()
    task, _, report = source().launch(["10.1.2.3"], NAME).partition("/")
    assert (gvmd.tasks[task].name, gvmd.reports[report].status) == (NAME, "Requested")
    assert len(gvmd.commands("create_task")) == 1


@pytest.mark.parametrize("command", ["modify_target", "create_task", "start_task"])
def test_a_launch_that_is_refused_leaves_nothing(gvmd, source, command):
    boston(gvmd)
    before = (set(gvmd.tasks), set(gvmd.targets))
    gvmd.faults[command] = bad_status(command, "400", "Permission denied")
    with pytest.raises(ScannerRefused, match="the account needs more rights"):
        source().launch(["10.1.2.3"], NAME)
    assert (set(gvmd.tasks), set(gvmd.targets)) == before


@pytest.mark.parametrize(
    ("hosts", "exclude"),
    [("10.1.2.0/24", "10.1.2.3"), ("pc3.example.com", ""), ("10.1.2.4-20", ""), ("fd00::/64", ""), ("", "")],
)
def test_hosts_that_no_task_covers_are_refused_because_nobody_knows_their_credentials(gvmd, source, hosts, exclude):
    gvmd.scans("Weekly", hosts, Report(""), exclude=exclude)
    with pytest.raises(ScannerRefused, match=r"no single task has all of 1 addresses .*10\.1\.2\.3.*next scheduled"):
        source().launch(["10.1.2.3"], NAME)
    assert gvmd.commands("create_target") == []


@pytest.mark.parametrize("hosts", ["fd00::/64", "fd00::1-ff", "fd00::1-fd00::9", "FD00:0:0::5"])
def test_addresses_of_version_6_are_matched_too(gvmd, source, hosts):
    gvmd.scans("Weekly", hosts, Report(""))
    assert source().launch(["fd00::5"], NAME)


@pytest.mark.parametrize("status", ["Stopped", "Interrupted", "Delete Requested"])
def test_a_rescan_that_ended_otherwise_tells_nothing(gvmd, source, status):
    boston(gvmd)
    id = source().launch(["10.1.2.3"], NAME)
    finished(gvmd, id, status)
    with pytest.raises(ScannerRefused, match=f"has ended as {status}, so it tells nothing"):
        source().launched(id)


def test_a_rescan_that_somebody_removed_is_refused(gvmd, source):
    boston(gvmd)
    id = source().launch(["10.1.2.3"], NAME)
    gvmd.on_delete_task(gvmd.commands("start_task")[-1])
    with pytest.raises(ScannerRefused, match="404"):
        source().launched(id)
    source().stop(id)  # gone already is done


def test_stop_stops_and_removes_only_what_is_ours(gvmd, source):
    theirs = boston(gvmd)
    id = source().launch(["10.1.2.3"], NAME)
    source().stop(id)
    assert [command.get("task_id") for command in gvmd.commands("stop_task")] == [id.partition("/")[0]]
    with pytest.raises(ScannerRefused, match="is not one of our rescans; it is left alone"):
        source().stop(f"{theirs.id}/x")
    assert set(gvmd.tasks) == {theirs.id}


def test_a_target_that_was_still_in_use_is_swept_by_the_next_launch(gvmd, source):
    boston(gvmd)
    left = Target("vmjira rescan old", "10.1.2.9", comment=MARK)
    gvmd.targets[left.id] = left
    theirs = Target("vmjira rescan mine", "10.1.2.9", comment="vmjira rescan: keep this one")
    gvmd.targets[theirs.id] = theirs
    source().launch(["10.1.2.3"], NAME)
    assert (left.id in gvmd.targets, theirs.id in gvmd.targets) == (False, True)


def test_a_connection_that_breaks_off_while_launching_is_unavailable(gvmd, source):
    def gone(conversation: Conversation) -> bool:
        return False

    boston(gvmd)
    for command in ("get_targets", "create_target", "modify_target", "create_task", "start_task"):
        gvmd.faults = {command: gone}
        with pytest.raises(ScannerUnavailable, match="broke off"):
            source().launch(["10.1.2.3"], f"{NAME} {command}")
