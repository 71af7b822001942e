"""Fetching: every whole scan once, in order, whatever happens in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.clock.world import HQ, Desk, said
from tests.flows.scans import APACHE, RDP, SMB, week
from vmjira.errors import ScannerRefused, ScannerUnavailable
from vmjira.flows import fetch as flow
from vmjira.flows.ports import Unit

PC = {"10.1.0.5": [SMB, RDP]}
WEB = {"10.1.0.9": [APACHE]}


def test_what_was_not_taken_yet_is_taken_oldest_first_and_once(anywhere: Desk):
    anywhere.offer("1/3", week(24), WEB)
    anywhere.offer("1/2", week(23), PC)
    fetched = anywhere.fetch()
    assert anywhere.folded() == ["1-2.nessus", "1-3.nessus"]
    assert [row.remote for row in fetched.taken] == ["1/2", "1/3"] and fetched.words == "2 scans folded"
    assert fetched.passed_over == ("scan running: is not finished",)
    assert anywhere.shelf.settled == [("1/2", ""), ("1/3", "")]
    row = anywhere.taken()["1/2"]
    assert (row.scanner, row.name, row.outcome, row.finished_at) == ("hq", "scan 1/2", "folded", week(23))
    with anywhere.world.store.reading() as unit:
        assert unit.scan_by_digest(row.digest)
    assert anywhere.fetch().words == "nothing new"
    assert anywhere.shelf.downloads == ["1/2", "1/3"]
    assert {name: each["own"]["total"] for name, each in anywhere.world.known().items()} == {
        "windows.boston.2026-W23": 2, "web.boston.2026-W24": 1,
    }  # fmt: skip


def test_scans_of_which_only_the_file_knows_the_end_are_folded_in_the_order_of_their_ends(desk: Desk):
    desk.offer("c", week(25), PC, dated=False)
    desk.offer("a", week(23), PC, dated=False)
    desk.offer("b", week(24), PC, dated=False)
    desk.fetch()
    assert desk.folded() == ["a.nessus", "b.nessus", "c.nessus"]
    assert desk.taken()["c"].finished_at == week(25)


def test_a_file_that_is_no_scan_is_kept_aside_told_and_not_fetched_again_until_a_person_says_so(desk: Desk):
    file = desk.offer("7", week(23), PC)
    good = file.read_bytes()
    file.write_bytes(b"<html>Session expired</html>")
    desk.offer("8", week(24), PC)
    fetched = desk.fetch()
    assert [row.outcome for row in fetched.taken] == ["refused", "folded"], "the others are taken all the same"
    (row,) = fetched.refused
    kept = Path(row.words.rpartition("kept as ")[2])
    assert kept.read_bytes() == b"<html>Session expired</html>"
    assert "incoming" not in row.words.partition("kept as")[0], "a path that is gone is of no use"
    assert desk.shelf.settled[0][0] == "7" and desk.shelf.settled[0][1] == row.words
    file.write_bytes(good)
    assert desk.fetch().words == "nothing new"
    flow.again(desk.outside, "hq", "7")
    assert desk.fetch().words == "1 scan folded"
    assert "no scan with the id '9' was ever taken" in said(lambda: flow.again(desk.outside, "hq", "9"))


def test_a_rescan_joins_the_running_iteration(desk: Desk):
    desk.world.write_rules(ranges="ranges:\n  - {id: boston, title: B, networks: [10.1.0.0/16], iteration: scan}\n")
    desk.offer("1", week(23), PC)
    desk.offer("2", week(24), WEB, rescan=True)
    desk.offer("3", week(25), {"10.1.0.6": [SMB]})
    desk.fetch()
    with desk.world.store.reading() as unit:
        assert [row.rescan for row in unit.scans()] == [False, True, False]
    assert sorted(desk.world.known()) == ["web.boston.1", "windows.boston.1", "windows.boston.2"]


def test_times_without_a_zone_are_in_the_zone_of_the_scanner(tmp_path: Path):
    from vmjira.bootstrap import Application
    from vmjira.settings import load_settings

    file = tmp_path / "scan.csv"
    file.write_text(Path("tests/scanners/samples/vmjira.csv").read_text(encoding="utf-8").replace("Z,", ","), "utf-8")
    app = Application(load_settings({"VMJIRA_DATA": str(tmp_path), "VMJIRA_RULES": str(tmp_path)}, Path("/dev/null")))
    ends = []
    for zone in ("UTC", "America/New_York"):
        with app.tools.intake(replace(HQ, timezone=ZoneInfo(zone))) as intake:
            ends.append(intake.read(file)[0].hosts["scanned_at"].max())
    assert ends[1] - ends[0] == timedelta(hours=4)


class Crash(BaseException):
    """As kill -9: nothing catches it."""


@pytest.mark.parametrize("moment", ["download", "ingested", "remembered", "settled"])
def test_a_crash_at_any_moment_is_made_good_and_nothing_is_folded_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, moment: str
):
    desk.offer("1", week(23), PC)
    desk.offer("2", week(24), PC)
    with monkeypatch.context() as patch:
        if moment == "download":
            desk.shelf.faults["1"] = Crash()  # type: ignore[assignment]
        elif moment == "ingested":
            _crash(patch, desk, "put_taken", before=True)
        elif moment == "remembered":
            desk.shelf.faults["settle 1"] = Crash()  # type: ignore[assignment]
        else:
            _crash(patch, desk, "put_taken", before=False, time=2)
        with pytest.raises(Crash):
            desk.fetch()
    desk.shelf.faults.clear()
    desk.fetch()
    assert desk.folded() == ["1.nessus", "2.nessus"]
    assert {id: row.outcome for id, row in desk.taken().items()} == {
        "1": "known" if moment == "ingested" else "folded", "2": "folded",
    }  # fmt: skip
    assert all(row.settled for row in desk.taken().values())
    assert {id for id, _ in desk.shelf.settled} == {"1", "2"}
    assert len(desk.world.operations()) == len({row.id for row in desk.world.operations()})


def _crash(patch: pytest.MonkeyPatch, desk: Desk, name: str, *, before: bool, time: int = 1) -> None:
    from vmjira.store.unit import SqlUnit

    kept, calls = getattr(SqlUnit, name), [0]

    def crash(unit: Unit, *given: object) -> object:
        calls[0] += 1
        if calls[0] == time and before:
            raise Crash
        kept(unit, *given)
        if calls[0] == time:
            raise Crash
        return None

    patch.setattr(SqlUnit, name, crash)


def test_when_the_scanner_is_lost_half_way_what_came_before_stays(desk: Desk):
    for number in (1, 2, 3):
        desk.offer(str(number), week(22 + number), PC)
    desk.shelf.faults["2"] = ScannerUnavailable("hq: connection lost after 4096 of 10000 bytes")
    with pytest.raises(ScannerUnavailable):
        desk.fetch()
    assert desk.folded() == ["1.nessus"], "a newer scan is not folded before an older one"
    desk.shelf.faults.clear()
    desk.fetch()
    assert desk.folded() == ["1.nessus", "2.nessus", "3.nessus"]


def test_a_scan_that_only_itself_is_not_given_keeps_no_other_waiting_and_is_asked_for_again(desk: Desk):
    desk.offer("1", week(23), PC)
    desk.offer("2", week(24), WEB)
    desk.shelf.faults["1"] = ScannerRefused("hq: 404 on the export: no right to this folder")
    assert "no right to this folder" in said(lambda: desk.job("fetch.hq"))
    assert desk.folded() == ["2.nessus"] and "1" not in desk.taken()
    desk.shelf.faults.clear()
    assert desk.job("fetch.hq") == "1 scan folded"


def test_a_download_without_end_is_stopped(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    desk.offer("1", week(23), PC)
    desk.shelf.size = flow.LARGEST + 1
    fetched = desk.fetch()
    assert "is larger than 16 GB" in fetched.words and desk.folded() == []
    assert desk.fetch().words == "nothing new", "it would be as large the next time"
    desk.shelf.size = 0
    desk.offer("2", week(24), PC)
    monkeypatch.setattr(flow, "LONGEST", -1.0)
    assert "has not come within" in said(desk.fetch)


def test_what_the_source_could_not_tidy_up_is_tidied_up_later(desk: Desk):
    desk.offer("1", week(23), PC)
    desk.shelf.faults["settle 1"] = ScannerUnavailable("hq: away")
    assert desk.fetch().words == "1 scan folded"
    assert not desk.taken()["1"].settled
    desk.shelf.faults.clear()
    assert desk.fetch().words == "nothing new"
    assert desk.taken()["1"].settled and desk.shelf.downloads == ["1"]


def test_what_was_handed_in_by_a_person_before_is_known(desk: Desk):
    file = desk.offer("1", week(23), PC)
    desk.world.ingest(file)
    assert desk.fetch().taken[0].outcome == "known"
    assert desk.folded() == ["1.nessus"]
