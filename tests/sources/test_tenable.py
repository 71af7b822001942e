"""Tenable Vulnerability Management: as its OpenAPI document and recordings show it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.sources import contract
from tests.sources.conftest import RECORDED
from tests.sources.nessus_stand import ACCESS, CONTENT, NOW, SECRET, CloudStand, History, Scan
from tests.sources.stand import cut_off, dripping, ends_early, garbage, silent, status, unexpected
from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import RemoteScan, Source
from vmjira.scanners.sources import tenable as module
from vmjira.scanners.sources.options import LIMITS

HASTY = replace(LIMITS, connect=1, read=0.5, answer=1 << 20, file=1 << 20, download=0.5, poll=0.01, prepare=0.3)
documented = pytest.mark.skipif(not contract.available(), reason="Tenable's OpenAPI is not at hand (VMJIRA_SHARED)")


def source(stand: CloudStand, **options: Any) -> Source:
    rule = Scanner(
        "cloud", "tenable", options={"url": stand.url, "access_key": "${A}", "secret_key": "${S}", **options}
    )
    return module.connect(rule, {"A": ACCESS, "S": SECRET}, HASTY)


def nothing(done: int, total: int) -> None:
    """Nobody looks."""


def run(id: str) -> RemoteScan:
    return RemoteScan(id, "Weekly Boston")


@pytest.fixture(autouse=True)
def as_documented(request: pytest.FixtureRequest, cloud: CloudStand) -> Iterator[None]:
    """Whatever a test does: every call that we make is one of the documented ones."""
    yield
    if contract.available():
        assert [problem for call in cloud.calls for problem in contract.problems(call)] == []


def test_only_whole_runs_are_listed_and_the_rest_is_explained(cloud: CloudStand):
    listing = source(cloud).listing()
    assert [(scan.id, scan.rescan) for scan in listing.scans] == [
        ("10/2", False), ("10/4", False), ("10/5", True), ("11/1", False), ("12/template-0815", False),
    ]  # fmt: skip
    assert sorted(listing.passed_over) == [
        "'Never': has never run",
        "'Old': is in the trash",
        "'Web site': is a scan of web applications, not of hosts",
        "'Weekly Boston', run 10/3: was aborted: its results are only those of the tasks that were done",
        "'Weekly New York', run 11/2: is not finished (running)",
    ]


def test_a_long_history_is_read_page_by_page(cloud: CloudStand, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PAGE", 2)
    cloud.scans = cloud.scans[:1]
    assert [scan.id for scan in source(cloud).listing().scans] == ["10/2", "10/4", "10/5"]
    assert len(cloud.asked("/history")) == 3


def test_a_run_is_exported_waited_for_and_streamed(cloud: CloudStand, tmp_path: Path):
    cloud.scans[0].runs[3].content = CONTENT.replace(b"weekly", b"fourth")
    file = source(cloud).download(run("10/4"), tmp_path, nothing)
    assert b"fourth" in file.read_bytes()
    assert len(cloud.asked("GET /scans/10/export/SSE-10-C:2-nessus/status")) == 2


def test_an_export_that_is_gone_is_asked_for_once_more(cloud: CloudStand, tmp_path: Path):
    cloud.fail("C:2-nessus/download", status(404))
    assert source(cloud).download(run("10/4"), tmp_path, nothing).read_bytes() == CONTENT


FAULTS: dict[str, tuple[Any, str]] = {
    "cut off by its length": (lambda stand: cut_off(CONTENT[:40], len(CONTENT)), "broke off"),
    "cut off, and HTTP does not know": (lambda stand: ends_early(CONTENT[:60]), "broke off"),
    "a page of a proxy": (lambda stand: garbage, "broke off"),
    "a drip": (dripping, "in 0.5 s only"),
    "silence": (silent, "silent"),
    "401": (lambda stand: status(401, {"statusCode": 401, "message": "Invalid credentials."}), "Invalid credentials"),
    "403": (lambda stand: status(403), "needs more rights"),
    "404 for ever": (lambda stand: status(404), "was gone before it came"),
    "429": (lambda stand: status(429, **{"Retry-After": "60"}), "answers 429"),
    "500": (lambda stand: status(500), "answers 500"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=FAULTS)
def test_whatever_goes_wrong_with_a_download_nothing_is_left_behind(cloud: CloudStand, tmp_path: Path, fault: str):
    make, why = FAULTS[fault]
    cloud.fail("/download", make(cloud))
    with pytest.raises(ScannerError, match=why):
        source(cloud).download(run("10/4"), tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["GET /scans$", "GET /scans/10/history"])
@pytest.mark.parametrize("fault", [garbage, unexpected({"scans": "none"}), unexpected([1])])
def test_garbage_is_no_listing(cloud: CloudStand, where: str, fault: Any):
    cloud.fail(where, fault)
    with pytest.raises(ScannerUnavailable):
        source(cloud).listing()


def test_a_rate_limit_says_when_to_come_again(cloud: CloudStand):
    cloud.fail("GET /scans$", status(429, **{"Retry-After": "42"}))
    with pytest.raises(ScannerUnavailable) as caught:
        source(cloud).listing()
    assert caught.value.retry_after == 42
    assert len(cloud.calls) == 1


def test_hosts_are_scanned_again_and_the_run_is_followed(cloud: CloudStand):
    ours = source(cloud)
    id = ours.launch(["10.1.0.7", "10.9.9.9"], "VM-41")
    assert next(call for call in cloud.calls if call.path == "/scans/10/launch").body == {
        "alt_targets": ["10.1.0.7", "10.9.9.9"]
    }
    assert ours.launched(id) is None
    cloud.scans[0].runs[-1].status = "completed"
    done = ours.launched(id)
    assert done and (done.id, done.rescan) == ("10/6", True) and done in ours.listing().scans


def test_only_our_own_run_is_stopped(cloud: CloudStand):
    cloud.scans = cloud.scans[:1]
    ours = source(cloud)
    id = ours.launch(["10.1.0.7"], "x")
    ours.stop(id)
    assert cloud.scans[0].runs[-1].status == "canceled"
    with pytest.raises(ScannerRefused, match="the rescan is not whole"):
        ours.launched(id)
    cloud.scans[0].runs.append(History(9, "next", NOW, "running"))
    ours.stop(id)
    assert len(cloud.asked("/stop")) == 1


def test_twenty_five_scans_at_once_are_too_many_for_the_cloud(cloud: CloudStand):
    cloud.scans = cloud.scans[:1]
    cloud.fail("launch", status(429))
    with pytest.raises(ScannerUnavailable, match="answers 429"):
        source(cloud).launch(["10.1.0.7"], "x")


def test_the_cloud_takes_keys_only_and_needs_no_address():
    rule = Scanner("cloud", "tenable", options={"access_key": "${A}", "secret_key": "${S}"})
    assert module.connect(rule, {"A": "a", "S": "s"}).session.url == "https://cloud.tenable.com"
    with pytest.raises(ScannerRefused, match="access_key and secret_key must be"):
        module.connect(
            Scanner("cloud", "tenable", options={"username": "${A}", "password": "${S}"}), {"A": "a", "S": "s"}
        )


def test_a_check_says_what_matches(cloud: CloudStand):
    checks = source(cloud, scans=["Weekly*"]).check()
    assert all(check.ok for check in checks) and "2 scans match" in checks[-1].what


@documented
def test_the_stand_in_answers_as_documented(cloud: CloudStand, tmp_path: Path):
    ours = source(cloud)
    ours.download(run("10/4"), tmp_path, nothing)
    ours.listing()
    ours.launch(["10.9.9.9"], "x")
    scan, request = cloud.scans[0], type("Asked", (), {"args": {}})()
    answers = {
        ("GET", "/scans"): cloud.listed(),
        ("GET", "/scans/10"): cloud.details(scan, request),
        ("GET", "/scans/10/history"): {"history": [cloud.cloud_run(run) for run in scan.runs]},
        ("POST", "/scans/10/export"): cloud.exported("SSE-1"),
        ("GET", "/scans/10/export/SSE-1/status"): {"status": "ready"},
        ("POST", "/scans/10/launch"): {"scan_uuid": scan.runs[-1].uuid},
    }
    found = [
        problem for (method, path), answer in answers.items()
        for problem in contract.answer_problems(method, path, 200, answer)
    ]  # fmt: skip
    assert found == []


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded answers are not at hand (VMJIRA_SHARED)")
def test_the_recorded_answers_of_the_real_cloud_are_understood(cloud: CloudStand, tmp_path: Path):
    folder = RECORDED / "recorded-tenable-io"

    def recorded(name: str) -> Any:
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    cloud.scans = [Scan(68, "Tenable A", [History(1, "4cae26ca-776e-449e-a93e-b65bed99ec95", 1553942744)])]
    cloud.fail("GET /scans$", unexpected(recorded("GET_scans")))
    cloud.fail("GET /scans/68$", unexpected(recorded("GET_scans_68")))
    cloud.fail("GET /scans/6[89]/history", status(404))  # not recorded; so the details tell
    cloud.fail("GET /scans/69$", status(403))
    cloud.fail("POST /scans/68/export", unexpected(recorded("POST_scans_68_export_history_id_1")))
    cloud.fail("/export/SSE-68-csv/status", unexpected(recorded("GET_scans_68_export_1_status")))
    cloud.fail("/export/SSE-68-csv/download", ends_early(CONTENT))
    ours = source(cloud, history=timedelta(days=36500))
    (found,) = ours.listing().scans
    assert (found.id, str(found.finished_at)) == (
        "68/4cae26ca-776e-449e-a93e-b65bed99ec95", "2019-03-30 10:45:44+00:00"
    )  # fmt: skip
    assert ours.download(run("68/1"), tmp_path, nothing).read_bytes() == CONTENT
