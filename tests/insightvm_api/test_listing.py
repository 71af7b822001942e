"""Which runs are offered, which are passed over, and which are rescans; and scans that we start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.insightvm_api.conftest import ENVIRON, QUICK, Fetch, rule
from tests.insightvm_api.model import Model
from tests.insightvm_api.stand import Console, body, status
from vmjira.errors import ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import RemoteScan
from vmjira.scanners.sources.insightvm import InsightVM


@pytest.fixture
def two(console: Console) -> Console:
    console.site(1, "Boston", assets=10)
    console.site(2, "Austin lab", assets=10)
    return console


def ids(source: InsightVM) -> list[str]:
    return [scan.id for scan in source.listing().scans]


def test_finished_runs_are_offered_oldest_first(two: Console, source: InsightVM) -> None:
    two.scan(9, 1, endTime="2026-06-12T10:00:00Z")
    two.scan(5, 2, endTime="2026-06-05T11:00:00Z")
    two.scan(8, 1, endTime="2026-06-05T10:00:00Z")
    assert ids(source) == ["1/8", "2/5", "1/9"]
    assert source.listing().scans[0] == RemoteScan(
        "1/8", "Boston: Weekly", datetime(2026, 6, 5, 10, tzinfo=UTC), rescan=False
    )


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["Bos*"], ["1/1"]),
        (["*lab"], ["2/2"]),
        (["2"], ["2/2"]),
        (["Bos*", "Austin lab"], ["1/1", "2/2"]),
        (["boston"], []),
    ],
)
def test_sites_are_chosen_by_name_or_number(two: Console, patterns: list[str], expected: list[str]) -> None:
    two.scan(1, 1)
    two.scan(2, 2)
    assert ids(InsightVM(rule(two, scans=patterns), ENVIRON, QUICK)) == expected


def test_runs_of_long_ago_are_not_offered(two: Console) -> None:
    two.scan(1, 1, endTime=f"{datetime.now(UTC) - timedelta(days=31):%Y-%m-%dT%H:%M:%SZ}")
    two.scan(2, 1, endTime=f"{datetime.now(UTC) - timedelta(days=29):%Y-%m-%dT%H:%M:%SZ}")
    two.scan(3, 1, endTime=f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}")
    assert ids(InsightVM(rule(two, history=None), ENVIRON, QUICK)) == ["1/2", "1/3"]
    assert ids(InsightVM(rule(two, history=timedelta(days=1)), ENVIRON, QUICK)) == ["1/3"]


def test_no_such_site_is_said(two: Console) -> None:
    listing = InsightVM(rule(two, scans=["Chicago"]), ENVIRON, QUICK).listing()
    assert listing.passed_over == ("no site of that name is visible to the account; see `scans` of the rule",)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("running", "is running"),
        ("integrating", "is being written into the console's database"),
        ("dispatched", "is starting"),
        ("paused", "is paused"),
        ("stopped", "was stopped"),
        ("aborted", "was aborted"),
        ("error", "failed"),
        ("unknown", "is unknown"),
    ],
)
def test_a_run_that_is_not_finished_is_passed_over_with_the_reason(
    two: Console, source: InsightVM, state: str, words: str
) -> None:
    two.scan(3, 1)
    two.scan(4, 1, state)
    listing = source.listing()
    assert [scan.id for scan in listing.scans] == ["1/3"]
    assert listing.passed_over == (f"Boston: Weekly: scan 4 of 2026-06-05 {words}",)


def test_a_failure_before_a_finished_run_is_history(two: Console, source: InsightVM) -> None:
    two.scan(3, 1, "aborted")
    two.scan(4, 1)
    assert source.listing().passed_over == ()


def test_a_finished_run_without_an_end_is_passed_over(two: Console, source: InsightVM) -> None:
    two.scan(4, 1, endTime=None)
    listing = source.listing()
    assert (listing.scans, listing.passed_over) == ((), ("Boston: Weekly: scan 4 of 2026-06-05 is finished",))


def test_all_pages_are_read_and_a_run_that_moves_between_them_comes_once(two: Console, source: InsightVM) -> None:
    two.page = 2
    for id in range(1, 8):
        two.scan(id, 1)
    assert len(ids(source)) == 7
    calls = iter(range(100))

    def more() -> None:
        if next(calls) == 4:  # within the pages of the finished runs
            two.scan(20, 1)
            two.scan(21, 1)
            two.scan(0, 1)  # an older one comes to light: all after it move

    two.before[r"GET /sites/1/scans"] = more
    found = ids(source)
    assert len(found) == len(set(found))
    assert {f"1/{id}" for id in range(3, 8)} | {"1/20", "1/21"} <= set(found)


def test_a_site_that_moves_to_another_page_comes_once(two: Console, source: InsightVM) -> None:
    two.page = 1
    two.scan(4, 1)
    calls = iter(range(100))

    def more() -> None:
        if next(calls) == 1:
            two.site(0, "Older")

    two.before["GET /sites"] = more
    assert ids(source) == ["1/4"]


def test_pages_that_vanish_end_the_list(two: Console, source: InsightVM) -> None:
    two.page = 2
    for id in range(1, 8):
        two.scan(id, 1)
    calls = iter(range(100))

    def fewer() -> None:
        if next(calls) == 3:
            for id in (4, 5, 6, 7):
                del two.scans[id]

    two.before[r"GET /sites/1/scans"] = fewer
    assert set(ids(source)) == {"1/1", "1/2", "1/3", "1/4"}


def test_a_console_that_never_ends_its_pages_is_given_up(
    two: Console, source: InsightVM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmjira.scanners.sources.console.PAGES", 3)
    endless = body(b'{"resources": [{"id": 1, "name": "Boston"}], "page": {"totalPages": 1000000}}')
    two.fault("GET /sites", *[endless] * 3)
    with pytest.raises(ScannerUnavailable, match="more than 3 pages of sites"):
        source.listing()


@pytest.mark.parametrize(
    "strange", [b'{"resources": 5}', b'{"resources": [5]}', b'{"resources": [], "page": 7}', b"null"]
)
def test_an_answer_of_another_form_is_told(two: Console, source: InsightVM, strange: bytes) -> None:
    two.fault("GET /sites", body(strange))
    with pytest.raises(ScannerUnavailable, match="is url the address of its API"):
        source.listing()


@pytest.mark.parametrize(
    ("name", "kind", "assets", "expected"),
    [
        ("Weekly", "Scheduled", 1, False),
        ("Weekly", "Automated", 1, False),
        ("Before the holidays", "Manual", 10, False),
        ("Before the holidays", "Manual", 5, False),
        ("Only two", "Manual", 2, True),
        ("vmjira ms.boston.2026-W23", "Manual", 10, True),
        ("vmjira ms.boston.2026-W23", "Automated", 10, True),
    ],
)
def test_a_rescan_is_one_of_ours_or_a_small_one_by_hand(
    two: Console, source: InsightVM, name: str, kind: str, assets: int, expected: bool
) -> None:
    two.scan(4, 1, scanName=name, scanType=kind, assets=assets)
    assert source.listing().scans[0].rescan is expected


# --- scans that we start ----------------------------------------------------------------------------------------------


@pytest.fixture
def places(two: Console, model: Model) -> Console:
    """10.1.0.1 and .2 were scanned in Boston, .2 and .3 in Austin, later; .4 nowhere."""
    for id in range(1, 5):
        model.asset(id, f"10.1.0.{id}")
    for site, scan, day, assets in ((1, 7, "05", (1, 2)), (2, 8, "06", (2, 3))):
        two.scan(scan, site)
        model.scan(scan, site, f"2026-06-{day}T08:00:00Z", f"2026-06-{day}T10:00:00Z")
        for asset in assets:
            model.scanned(asset, scan, finished=f"2026-06-{day}T09:00:00")
    return two


@pytest.mark.parametrize(
    ("addresses", "site"), [(["10.1.0.1", "10.1.0.2"], 1), (["10.1.0.2"], 2), (["10.1.0.3", "10.1.0.2"], 2)]
)
def test_exactly_these_hosts_are_scanned_where_they_were_scanned_last(
    places: Console, source: InsightVM, addresses: list[str], site: int
) -> None:
    id = source.launch(addresses, "ms.boston.2026-W23")
    started = places.bodies[-1]
    assert started == {"name": "vmjira ms.boston.2026-W23", "hosts": sorted(addresses)}
    assert id == f"{site}/{max(places.scans)}"
    assert places.calls[-1] == ("POST", f"/sites/{site}/scans")
    assert places.reports == {}


def test_a_launch_whose_answer_was_lost_is_found_by_its_name(places: Console, source: InsightVM) -> None:
    asked = datetime.now(UTC)
    assert source.launched_by_name("rescan 7", asked) is None
    places.fault(r"POST /sites/1/scans", body(b"<html>"))
    with pytest.raises(ScannerUnavailable):
        source.launch(["10.1.0.1"], "rescan 7")
    number = max(places.scans)
    places.scans[number]["startTime"] = f"{asked - timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}"
    assert source.launched_by_name("rescan 7", asked) == f"1/{number}"
    places.scans[number]["status"] = "finished"
    assert source.launched_by_name("rescan 7", asked) == f"1/{number}"
    assert source.launched_by_name("rescan 8", asked) is None
    assert source.launched_by_name("rescan 7", asked + timedelta(hours=1)) is None


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        (
            ["10.1.0.1", "10.1.0.3"],
            "one scan is of one site, and none has all of these hosts: site '.*' never scanned 10",
        ),
        (["10.1.0.4"], "never scanned 10.1.0.4"),
        (["pc1.example.com"], "only addresses can be scanned again: 'pc1.example.com'"),
        (["10.1.0.1'; DROP TABLE x"], "only addresses can be scanned again"),
    ],
)
def test_hosts_that_no_one_site_has_are_refused(
    places: Console, source: InsightVM, addresses: list[str], words: str
) -> None:
    with pytest.raises(ScannerRefused, match=words):
        source.launch(addresses, "x")
    assert places.called(r"POST /sites/\d+/scans") == 0


def test_only_sites_of_the_rule_that_an_engine_scans_are_used(places: Console) -> None:
    source = InsightVM(rule(places, scans=["Boston"]), ENVIRON, QUICK)
    assert source.launch(["10.1.0.2"], "x").startswith("1/")
    places.sites[0]["type"] = "agent"
    with pytest.raises(ScannerRefused, match="no site is visible"):
        source.launch(["10.1.0.2"], "y")


def test_a_console_that_does_not_start_it_is_told_in_its_words(places: Console, source: InsightVM) -> None:
    places.scan(99, 1, "running", endTime=None)
    with pytest.raises(ScannerRefused, match="400: The site is already being scanned"):
        source.launch(["10.1.0.1"], "x")
    places.fault(r"POST /sites/1/scans", status(401, "Unauthorized"))
    with pytest.raises(ScannerRefused, match="401"):
        source.launch(["10.1.0.1"], "x")


def test_a_launched_scan_is_waited_for_and_then_fetched_as_a_rescan(
    places: Console, model: Model, source: InsightVM, fetch: Fetch
) -> None:
    id = source.launch(["10.1.0.1"], "x")
    number = int(id.partition("/")[2])
    for state in ("dispatched", "running", "paused", "integrating", "unknown"):
        places.scans[number]["status"] = state
        assert source.launched(id) is None
    places.scans[number] |= {"status": "finished", "endTime": "2026-06-07T10:00:00Z"}
    model.scan(number, 1, "2026-06-07T08:00:00Z", "2026-06-07T10:00:00Z")
    model.scanned(1, number, started="2026-06-07T08:00:00Z", finished="2026-06-07T09:00:00")
    remote = source.launched(id)
    assert remote == RemoteScan(id, "vmjira x", datetime(2026, 6, 7, 10, tzinfo=UTC), rescan=True)
    assert fetch(source, remote).hosts["ip"].to_list() == ["10.1.0.1"]
    listed = next(scan for scan in source.listing().scans if scan.id == id)
    assert listed.rescan


@pytest.mark.parametrize(
    ("state", "words"), [("stopped", "was stopped"), ("aborted", "was aborted"), ("error", "failed")]
)
def test_a_launched_scan_that_broke_off_is_refused(places: Console, source: InsightVM, state: str, words: str) -> None:
    id = source.launch(["10.1.0.1"], "x")
    places.scans[int(id.partition("/")[2])]["status"] = state
    with pytest.raises(ScannerRefused, match=words):
        source.launched(id)
    places.scans.clear()
    with pytest.raises(ScannerRefused, match="does not exist any more"):
        source.launched(id)
    with pytest.raises(ScannerRefused, match=r"'\.\./9' is no scan of a Rapid7 console"):
        source.launched("../9")


def test_stopping_stops_and_what_has_ended_is_done(places: Console, source: InsightVM) -> None:
    id = source.launch(["10.1.0.1"], "x")
    number = int(id.partition("/")[2])
    source.stop(id)
    assert places.scans[number]["status"] == "stopped"
    source.stop(id)
    assert places.called(r"POST /scans/\d+/stop") == 1
    places.scans[number]["status"] = "running"
    places.before[r"POST /scans/\d+/stop"] = lambda: places.scans[number].update(status="finished")  # just now
    source.stop(id)
    places.scans.clear()
    source.stop(id)
