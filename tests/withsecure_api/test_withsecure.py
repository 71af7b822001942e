"""Scan groups of a stand-in for WithSecure Elements VM, through to frames.

The stand-in was built from what the vendor's published adapter does; no recorded answer of a real service exists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from werkzeug.wrappers import Request, Response

from tests.sources.stand import Stand, listening
from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerRefused, ScannerUnavailable, ScanUnreadable
from vmjira.flows.sources import RemoteScan
from vmjira.scanners import read_scan
from vmjira.scanners.sources import connect
from vmjira.scanners.sources import withsecure as module
from vmjira.scanners.sources.options import LIMITS

ACCESS, SECRET = "access-opens", "secret-opens"
RUN = RemoteScan("g1/20260605T094000", "Boston weekly", datetime(2026, 6, 5, 9, 40, tzinfo=UTC))


class Elements(Stand):
    """Two hosts in one group; `most` is how many items it gives at a time, whatever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 1000
        self.groups = [{"Id": "g1", "Name": "Boston weekly"}]
        self.scans: dict[str, list[dict[str, Any]]] = {
            "g1": [
                {"Id": "s1", "Name": "pc3", "Hostname": "PC3.example.com", "ScanLastCompleted": "2026-06-05T09:30:00Z"},
                {"Id": "s2", "Name": "pc9", "Hostname": "10.1.2.9", "ScanLastCompleted": "2026-06-05T09:40:00Z"},
            ]
        }
        self.assets = [
            {"Id": "a3", "Hostname": "pc3.example.com", "IpAddress": "10.1.2.3", "MacAddress": "02:00:00:AA:BB:01",
             "OperatingSystem": "Windows 11", "FriendlyName": "Reception"},
            {"Id": "a9", "Hostname": "", "IpAddress": "10.1.2.9", "MacAddress": None, "OperatingSystem": None},
        ]  # fmt: skip
        self.findings: dict[tuple[str, str], list[dict[str, Any]]] = {
            ("a3", "s1"): [{"PluginGuidId": "7a1c", "PortNo": 445, "Proto": "TCP", "Evidence": "build 1"},
                           {"PluginGuidId": "7a1c", "PortNo": 139, "Proto": "TCP", "Evidence": "build 1"},
                           {"PluginGuidId": "0b0b"}],
            ("a9", "s2"): [{"PluginGuidId": "0b0b"}],
        }  # fmt: skip
        self.details: dict[str, Any] = {
            "7a1c": {"Name": "Windows update missing", "RiskLevel": "High", "VulnerabilityCategory": "Windows",
                     "Synopsis": "An update is missing.", "CVSSBaseScore": 9.8, "HowTo": "Install it.",
                     "CVEReferences": [{"Name": "CVE-2025-47981"}, {"Name": "CVE-2025-1234"}]},
            "0b0b": {"Name": "Open port", "RiskLevel": "Information", "CVSSBaseScore": ""},
        }  # fmt: skip

    def answer(self, request: Request) -> Response:
        if (request.headers.get("ApiAccessKey"), request.headers.get("ApiSecretKey")) != (ACCESS, SECRET):
            return said({"Message": "Invalid keys"}, 401)
        path = request.path.removeprefix("/api/integration/")
        if path == "authenticationcheck":
            return Response("")
        if path == "scangroups/simple":
            return said(self.groups)
        if found := re.fullmatch(r"scangroups/([^/]+)/systemscans", path):
            return said(self.scans[found[1]])
        if found := re.fullmatch(r"vulnerabilities/systemscan/([^/]+)/detailed", path):
            return said(self.details[found[1]])
        found = re.fullmatch(r"(.+)/withStartIndex/(\d+)/andPageSize/(\d+)", path)
        assert found, f"{path} was never seen"
        assert request.method == "POST"
        items = self._items(found[1], request)
        start = int(found[2])
        return said({"Items": items[start : start + min(int(found[3]), self.most)]})

    def _items(self, path: str, request: Request) -> list[dict[str, Any]]:
        if path == "assets":
            return self.assets
        found = re.fullmatch(r"assets/([^/]+)/reports/latest/vulnerabilitiesandfindings", path)
        body = json.loads(request.get_data())
        assert found and body["Findings"] == "All"
        return self.findings.get((found[1], body["ScanId"]), [])


def said(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content), status, mimetype="application/json")


@pytest.fixture
def elements(monkeypatch: pytest.MonkeyPatch) -> Iterator[Elements]:
    monkeypatch.setattr(module, "PACE", 0.0)
    module.REMEMBERED.clear()
    with listening(Elements()) as stand:
        yield stand


@pytest.fixture
def source(elements: Elements) -> Callable[..., Any]:
    def configured(**options: Any) -> Any:
        options = {"url": elements.url, "access_key": "${WS_ACCESS}", "secret_key": "${WS_SECRET}",
                   "history": timedelta(days=36500), **options}  # fmt: skip
        return connect(
            Scanner("elements", "withsecure", options=options), {"WS_ACCESS": ACCESS, "WS_SECRET": SECRET, "BAD": "no"}
        )

    return configured


def nothing(done: int, total: int) -> None:
    pass


def read(path: Path, into: Path) -> Any:
    (scan,) = read_scan(path, into, timezone=ZoneInfo("UTC"))
    return scan


# --- what is offered --------------------------------------------------------------------------------------------------


def test_a_group_is_offered_once_for_each_time_that_a_host_of_it_was_scanned(elements, source):
    assert source().listing().scans == (RUN,)
    assert source().listing().scans == (RUN,)
    elements.scans["g1"][0]["ScanLastCompleted"] = "2026-06-12T09:30:00Z"
    assert [scan.id for scan in source().listing().scans] == ["g1/20260612T093000"]


def test_groups_that_run_or_never_ran_or_are_not_meant_are_not_offered(elements, source):
    elements.groups += [
        {"Id": "g2", "Name": "Berlin weekly"},
        {"Id": "g3", "Name": "Oslo weekly"},
        {"Id": "g4", "Name": "Lab"},
    ]
    elements.scans |= {
        "g2": [{"Id": "s5", "Hostname": "x", "ScanLastCompleted": "2026-06-05T09:30:00Z", "ScanRunState": "Running"}],
        "g3": [{"Id": "s6", "Hostname": "y", "ScanLastCompleted": None, "ScanRunState": "Idle"}],
    }
    listing = source(scans=["* weekly"]).listing()
    assert listing.scans == (RUN,)
    assert listing.passed_over == (
        "Berlin weekly: 1 of 1 system scans are running",
        "Oslo weekly: no system scan has ever been completed",
    )


def test_groups_that_ended_before_the_history_of_the_rule_are_not_offered(source):
    assert source(history=timedelta(days=1)).listing().scans == ()


# --- end to end -------------------------------------------------------------------------------------------------------


def test_a_group_becomes_a_scan_with_its_values_and_the_columns_of_the_rule(elements, source, tmp_path):
    columns = {"port": "PortNo", "protocol": "Proto", "output": "Evidence", "solution": "HowTo"}
    path = source(columns=columns).download(RUN, tmp_path, nothing)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    scan = read(path, tmp_path / "read")
    assert (scan.scanner, scan.format, scan.finished_at) == ("withsecure", "vmjira-withsecure", RUN.finished_at)
    assert scan.records_by_severity == {"info": 2, "low": 0, "medium": 0, "high": 2, "critical": 0}
    hosts = scan.hosts.select("ip", "hostname", "mac", "os", "authenticated", "complete").rows()
    assert hosts == [
        ("10.1.2.3", "pc3.example.com", "02:00:00:aa:bb:01", "Windows 11", None, None),
        ("10.1.2.9", None, None, None, None, None),
    ]
    assert scan.hosts["scanned_at"][0] == datetime(2026, 6, 5, 9, 30, tzinfo=UTC)
    row = scan.findings.filter(pl.col("vulnerability_id") == "7a1c").collect().row(0, named=True)
    assert (row["ports"], row["severity"], row["output"]) == (["139/tcp", "445/tcp"], "high", "build 1")
    told = scan.vulnerabilities.row(by_predicate=pl.col("vulnerability_id") == "7a1c", named=True)
    assert (told["title"], told["family"], told["synopsis"], told["solution"], told["cvss2"], told["cves"]) == (
        "Windows update missing", "Windows", "An update is missing.", "Install it.", 9.8,
        ["CVE-2025-1234", "CVE-2025-47981"],
    )  # fmt: skip


def test_without_columns_nothing_is_invented(source, tmp_path):
    scan = read(source().download(RUN, tmp_path, nothing), tmp_path / "read")
    row = scan.findings.filter(pl.col("vulnerability_id") == "7a1c").collect().row(0, named=True)
    assert (row["ports"], row["output"]) == ([], None)


@pytest.mark.parametrize("most", [1, 2])
def test_a_server_that_gives_less_than_a_page_is_read_to_its_end(elements, source, tmp_path, most):
    elements.most = most
    assert read(source().download(RUN, tmp_path, nothing), tmp_path / "read").records == 4


def test_details_are_asked_for_once_a_day(elements, source, tmp_path):
    source().download(RUN, tmp_path, nothing)
    source().download(RUN, tmp_path, nothing)
    assert len(elements.asked("/detailed")) == 2


def test_a_host_of_which_nothing_is_told_was_not_looked_at(elements, source, tmp_path):
    elements.findings[("a9", "s2")] = []
    scan = read(source().download(RUN, tmp_path, nothing), tmp_path / "read")
    assert scan.hosts["ip"].to_list() == ["10.1.2.3"]


def test_a_name_that_two_assets_share_is_no_host(elements, source, tmp_path):
    elements.assets.append({"Id": "a10", "Hostname": "other", "IpAddress": "10.1.2.9"})
    elements.findings[("a10", "s2")] = [{"PluginGuidId": "0b0b"}]
    scan = read(source().download(RUN, tmp_path, nothing), tmp_path / "read")
    assert scan.hosts["ip"].to_list() == ["10.1.2.3"]


def test_a_risk_that_nobody_knows_makes_the_scan_prove_nothing(elements, source, tmp_path):
    elements.details["7a1c"]["RiskLevel"] = "Severe"
    scan = read(source().download(RUN, tmp_path, nothing), tmp_path / "read")
    assert scan.unreadable == 2
    assert "nothing defines its severity" in scan.warnings[0]


# --- faults -----------------------------------------------------------------------------------------------------------


def cut_off(request: Request) -> Response:
    return Response('{"Items": [', headers={"Content-Length": "5000"})


FAULTS: dict[str, tuple[Callable[[Request], Response], type[Exception], str]] = {
    "401": (lambda _: said({"Message": "no"}, 401), ScannerRefused, "check the credentials"),
    "403": (lambda _: said({}, 403), ScannerRefused, "needs more rights"),
    "404": (lambda _: said({}, 404), ScannerRefused, "answers 404"),
    "429": (lambda _: Response("", 429, {"Retry-After": "7"}), ScannerUnavailable, "answers 429"),
    "500": (lambda _: said({}, 500), ScannerUnavailable, "answers 500"),
    "garbage": (lambda _: Response("<html>"), ScannerUnavailable, "no JSON"),
    "null": (lambda _: said(None), ScannerUnavailable, "something else than"),
    "another shape": (lambda _: said([{"Items": 1}, 7]), ScannerUnavailable, "something else than"),
    "cut off": (cut_off, ScannerUnavailable, "connection was lost|broke off|no JSON"),
}
CALLS = {"groups": "scangroups/simple", "scans": "systemscans", "assets": "assets/with", "report": "reports/latest",
         "details": "/detailed"}  # fmt: skip


@pytest.mark.parametrize(
    ("call", "fault"),
    # Groups and scans come as lists, so a list is no other shape to them.
    [
        (call, fault)
        for call in CALLS
        for fault in FAULTS
        if fault != "another shape" or call not in ("groups", "scans")
    ],
)
def test_faults_leave_nothing_and_say_whether_to_come_again(elements, source, tmp_path, call, fault):
    answer, kind, words = FAULTS[fault]
    elements.fail(CALLS[call], answer)
    made = source()
    with pytest.raises(kind, match=words) as told:
        made.download(RUN, tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []
    assert ACCESS not in str(told.value) and SECRET not in str(told.value)
    if fault == "429":
        assert told.value.retry_after == 7.0


@pytest.mark.parametrize("call", CALLS)
def test_silence_ends(elements, source, tmp_path, call):
    made = source()
    made.session.limits = replace(LIMITS, read=0.3)

    def silence(_: Request) -> Response:
        elements.released.wait(1.0)
        return said({})

    elements.fail(CALLS[call], silence, times=1 if call in ("assets", "report") else 5)
    with pytest.raises(ScannerUnavailable, match=r"silent|lost"):
        made.download(RUN, tmp_path, nothing)
    elements.released.set()
    assert list(tmp_path.iterdir()) == []


def test_the_same_page_again_and_again_is_no_answer(elements, source, tmp_path):
    elements.fail("assets/with", lambda _: said({"Items": elements.assets}))
    with pytest.raises(ScannerUnavailable, match="the same page again and again"):
        source().download(RUN, tmp_path, nothing)


def test_a_run_that_was_replaced_or_runs_again_is_not_to_be_had(elements, source, tmp_path):
    elements.scans["g1"][1]["ScanRunState"] = "Running"
    with pytest.raises(ScannerRefused, match="was scanned again since, or is gone"):
        source().download(RUN, tmp_path, nothing)
    elements.scans["g1"][1] |= {"ScanRunState": "Idle", "ScanLastCompleted": "2026-06-12T09:30:00Z"}
    with pytest.raises(ScannerRefused, match="was scanned again since, or is gone"):
        source().download(RUN, tmp_path, nothing)


def test_a_group_without_any_asset_that_we_may_see_is_refused(elements, source, tmp_path):
    elements.assets.clear()
    with pytest.raises(ScannerRefused, match="tells nothing of any host; may we see its assets and reports"):
        source().download(RUN, tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_cut_off_is_not_read(source, tmp_path):
    path = source().download(RUN, tmp_path, nothing)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(ScanUnreadable, match="was cut off; fetch it again"):
        read(path, tmp_path / "read")


def test_check_tells_what_is_visible(elements, source):
    assert [check.ok for check in source(scans=["Boston*"]).check()] == [True, True, True]
    assert [check.ok for check in source(scans=["Rome*"]).check()] == [True, True, False]
    (refused,) = source(access_key="${BAD}").check()
    assert (refused.ok, "check the credentials" in refused.what) == (False, True)


def test_single_hosts_cannot_be_scanned_again_and_it_is_said_why(source):
    assert source().cannot_rescan
    with pytest.raises(ScannerRefused, match="not described publicly"):
        source().launch(["10.1.2.3"], "x")


def test_a_rule_without_keys_is_refused(source):
    with pytest.raises(ScannerRefused, match="access_key and secret_key: is missing"):
        source(access_key="", secret_key="")
