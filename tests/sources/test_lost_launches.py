"""A rescan that was launched, and whose answer was lost: it is found again, so that nothing is launched twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sources import test_nessus, test_tenable, test_tenable_sc
from tests.sources.nessus_stand import NOW, CloudStand, History, NessusStand, ScansStand
from tests.sources.stand import Stand, lost
from tests.sources.test_tenable_sc import CenterStand, center, result
from vmjira.errors import ScannerUnavailable
from vmjira.flows.sources import Source

__all__ = ["center"]
SINCE = datetime.fromtimestamp(NOW, UTC) - timedelta(seconds=1)


def launched_without_answer(stand: Stand, ours: Source, where: str, host: str = "10.9.9.9") -> None:
    stand.fail(where, lost(stand), times=1)
    with pytest.raises(ScannerUnavailable):
        ours.launch([host], "vmjira 7")
    assert len(stand.asked(where)) == 1


@pytest.fixture(params=["nessus", "cloud"])
def scans(request: pytest.FixtureRequest) -> tuple[ScansStand, Source]:
    stand: NessusStand | CloudStand = request.getfixturevalue(request.param)
    make: Callable[[Any], Source] = {"nessus": test_nessus.source, "cloud": test_tenable.source}[request.param]
    return stand, make(stand)


def test_a_scan_that_was_launched_is_found_and_followed(scans: tuple[ScansStand, Source]):
    stand, ours = scans
    assert ours.launched_by_name("vmjira 7", SINCE) is None
    launched_without_answer(stand, ours, "POST /scans/10/launch")
    id = ours.launched_by_name("vmjira 7", SINCE)
    assert id == f"10/{stand.scans[0].runs[-1].uuid}" and ours.launched(id) is None
    stand.scans[0].runs[-1].status = "completed"
    assert ours.launched_by_name("vmjira 7", SINCE) == id
    found = ours.launched(id)
    assert found and (found.id, found.rescan) == ("10/6", True)


def test_the_run_of_another_launch_is_not_taken_for_it(scans: tuple[ScansStand, Source]):
    """Also if that one is newer: the answers of all others are known."""
    stand, ours = scans
    launched_without_answer(stand, ours, "POST /scans/10/launch")
    other = History(3, "v-3", NOW + 60, "running", other=True, hosts=("10.2.0.1",))
    stand.scans[1].runs = [*stand.scans[1].runs[:1], other]
    mine = f"10/{stand.scans[0].runs[-1].uuid}"
    assert ours.launched_by_name("vmjira 7", SINCE, ["11/v-3"]) == mine
    assert ours.launched_by_name("vmjira 7", SINCE, ["11/v-3", mine]) is None


def test_what_is_still_running_is_newer_than_what_is_over(scans: tuple[ScansStand, Source]):
    stand, ours = scans
    launched_without_answer(stand, ours, "POST /scans/10/launch")
    by_hand = History(3, "v-3", NOW + 60, other=True)
    stand.scans[1].runs = [*stand.scans[1].runs[:1], by_hand]
    assert ours.launched_by_name("vmjira 7", SINCE) == f"10/{stand.scans[0].runs[-1].uuid}"


def test_a_scan_of_its_own_is_found_by_its_name(center: CenterStand):
    ours = test_tenable_sc.source(center)
    center.results.append(result(30, "vmjira rescan: vmjira 7", 3))  # of an earlier vmjira
    assert ours.launched_by_name("vmjira 7", SINCE) is None
    launched_without_answer(center, ours, "POST /rest/scan$", "10.1.0.7")
    assert ours.launched_by_name("vmjira 7", SINCE) == "99"
    assert ours.launched("99") is None
    assert ours.launched_by_name("vmjira 8", SINCE) is None
