"""The same file again, files together, and files that are none."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import World

FIRST = {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB]}
NEXT = {"10.1.0.1": [SMB], "10.1.0.2": [SMB, APACHE]}
W23 = "windows.boston.2026-W23"


def test_the_same_scan_again_changes_nothing_whatever_its_name_and_however_it_is_packed(world: World):
    file = world.scan(week(23), FIRST)
    world.ingest(file)
    world.deliver()
    before = world.known()
    world.jira.calls()
    renamed = Path(shutil.copy(file, world.folder / "other-name.xml"))
    packed = world.folder / "packed.nessus.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    report = world.ingest(file, renamed, packed)
    assert [scan["outcome"] for scan in report.scans] == ["known already: nothing changed"] * 3
    assert report.operations == [] and world.deliver() == [] and world.jira.calls() == []
    assert world.known() == before
    with world.store.reading() as unit:
        assert (len(unit.scans()), unit.ledger_version()) == (1, 1)


def test_files_handed_in_together_are_folded_by_the_end_of_their_scan(world: World):
    later, earlier = world.scan(week(24), NEXT, name="a.nessus"), world.scan(week(23), FIRST, name="b.nessus")
    report = world.ingest(later, earlier)
    assert [scan["path"] for scan in report.scans] == [str(earlier), str(later)]
    world.deliver()
    assert set(world.jira.by_identifier()) == {W23, "web.boston.2026-W24"}
    assert world.known()[W23]["own"]["fixed"] == 1


def test_a_file_that_is_no_scan_is_kept_aside_with_the_reason_while_the_others_are_folded(world: World):
    good, bad = world.scan(week(23), FIRST), world.folder / "minutes of the meeting.nessus"
    bad.write_text("We met, we talked.")
    report = world.ingest(bad, good)
    (refused,) = report.refused
    assert refused["path"] == str(bad) and "known are: " in refused["reason"]
    kept = Path(refused["kept"])
    assert kept.read_text() == "We met, we talked."
    assert refused["reason"] in kept.with_name(kept.name + ".reason.txt").read_text()
    assert [scan["outcome"] for scan in report.scans] == ["folded"]
    assert world.deliver() == [f"create {W23}: done"]


def test_half_a_file_changes_nothing(world: World):
    world.fold(week(23), FIRST)
    whole = world.scan(week(24), NEXT)
    half = world.folder / "half.nessus"
    half.write_bytes(whole.read_bytes()[:-300])
    before = world.known()
    report = world.ingest(half)
    assert len(report.refused) == 1 and report.operations == []
    assert world.known() == before


def test_a_missing_file_is_named_and_nothing_is_kept(world: World):
    report = world.ingest(world.folder / "nowhere.nessus")
    (refused,) = report.refused
    assert "nowhere.nessus" in refused["reason"] and refused["kept"] == ""


def test_a_scan_with_records_that_cannot_be_read_fixes_nothing_and_says_so(world: World):
    world.fold(week(23), FIRST)
    report = world.ingest(world.scan(week(24), {"10.1.0.1": [], "10.1.0.2": []}, garbled=True))
    (scan,) = report.scans
    assert any("severity '77'" in str(warning) for warning in scan["warnings"])
    world.deliver()
    assert world.known()[W23]["own"] | {"unverified": 0} == {
        "total": 3, "fixed": 0, "open": 3, "unverified": 0, "moved": 0, "gone": 0, "accepted": 0,
    }  # fmt: skip


def test_a_scan_that_arrives_late_changes_nothing_where_something_newer_is_known(world: World):
    world.fold(week(24), {"10.1.0.1": [SMB]})
    world.fold(week(23), {"10.1.0.1": [RDP], "10.1.0.2": [RDP]})
    known = world.known()
    assert known["windows.boston.2026-W24"]["own"]["total"] == 1
    assert known[W23]["own"]["total"] == 1
    tickets = world.jira.by_identifier()
    assert tickets[W23].links == (tickets["windows.boston.2026-W24"].key,)
    assert f"Previous: {tickets[W23].key}" in tickets["windows.boston.2026-W24"].description
    assert f"Next: {tickets['windows.boston.2026-W24'].key}" in tickets[W23].description
