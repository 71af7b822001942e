"""Tenable Security Center, by a stand-in made after its API documentation (Scan Result, Token, Current User)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from tests.sources.nessus_stand import ACCESS, CONTENT, NOW, PASSWORD, SECRET, USER
from tests.sources.stand import (
    Stand,
    cut_off,
    dripping,
    endless,
    ends_early,
    garbage,
    listening,
    silent,
    status,
    told,
    unexpected,
)
from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import RemoteScan, Source
from vmjira.scanners.sources import tenable_sc as module
from vmjira.scanners.sources.options import LIMITS

HASTY = replace(LIMITS, connect=1, read=0.5, answer=1 << 20, file=1 << 20, download=0.5)
DAY = 86400


def packed(content: bytes = CONTENT, name: str = "42.nessus", **further: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for other, text in further.items():
            archive.writestr(other, text)
    return out.getvalue()


def result(id: int, name: str, ago: int, state: str = "Completed", imported: str = "Finished", **more: Any) -> Any:
    return {
        "id": str(id), "name": name, "status": state, "importStatus": imported, "startTime": str(NOW - ago * DAY - 60),
        "finishTime": str(NOW - ago * DAY), "downloadAvailable": "true", "scan": {"id": "5", "name": name}, **more,
    }  # fmt: skip


@dataclass
class CenterStand(Stand):
    results: list[dict[str, Any]] = field(default_factory=list)
    file: bytes = field(default_factory=packed)
    sessions: int = 0
    created: list[Any] = field(default_factory=list)
    definition: dict[str, Any] = field(
        default_factory=lambda: {
            "id": "5", "name": "Weekly Boston", "type": "policy", "ipList": "10.1.0.0/24,10.2.0.1-10.2.0.9",
            "policy": {"id": "1000002"}, "repository": {"id": "3"}, "zone": {"id": -1},
            "credentials": [{"id": "1000001"}], "dhcpTracking": "true", "scanningVirtualHosts": "false",
            "maxScanTime": "3600", "inactivityTimeout": "3600",
        }
    )  # fmt: skip

    def answer(self, request: Request) -> Response:  # noqa: PLR0911
        path, method = request.path.removeprefix("/rest/"), request.method
        if path == "system":
            return self.said({"version": "6.4.0", "buildID": "1"})
        if path == "token":
            return self.session(method)
        keys = request.headers.get("X-ApiKey", "") == f"accessKey={ACCESS}; secretKey={SECRET}"
        if not keys and not (request.headers.get("X-SecurityCenter") == "1337" and self.sessions):
            return self.said("", 403, "You must be logged in.", 12)
        if path == "currentUser":
            return self.said({"username": "vmjira"})
        if path == "scanResult":
            since = int(request.args["startTime"])
            rows = [row for row in self.results if int(row["finishTime"]) >= since or row["finishTime"] == "-1"]
            return self.said({"usable": rows, "manageable": rows[:1]})
        if path == "scan" and method == "GET":
            return self.said({"usable": [self.definition], "manageable": []})
        if path == "scan":
            self.created.append(self.calls[-1].body)
            more = {"startTime": "-1", "finishTime": "-1", "scan": {"id": -1}}
            self.results.append(result(99, self.created[-1]["name"], 0, "Queued", "No Results", **more))
            return self.said({"id": "-1", "scanResultID": "99"})
        if found := re.fullmatch(r"scanResult/(\d+)", path):
            return self.said(next(row for row in self.results if row["id"] == found[1]))
        if method == "POST" and re.fullmatch(r"scanResult/\d+/stop", path):
            return self.said({})
        if method == "POST" and re.fullmatch(r"scanResult/\d+/download", path):
            return Response(self.file, content_type="application/octet-stream")
        return self.said("", 404, "no such resource", 4)

    def session(self, method: str) -> Response:
        if method == "DELETE":
            self.sessions -= 1
            return self.said("")
        if self.calls[-1].body != {"username": USER, "password": PASSWORD}:
            return self.said("", 403, "Invalid login credentials", 11)
        self.sessions += 1
        response = self.said({"token": 1337, "unassociatedCert": "false"})
        response.set_cookie("TNS_SESSIONID", "0" * 32)
        return response

    @staticmethod
    def said(content: Any, code: int = 200, message: str = "", error: int = 0) -> Response:
        return told(
            {"type": "regular", "response": content, "error_code": error, "error_msg": message, "warnings": []}, code
        )


@pytest.fixture
def center() -> Iterator[CenterStand]:
    results = [
        result(41, "Weekly Boston", 2),
        result(40, "Weekly Boston", 9),
        result(39, "Weekly Boston", 50),
        result(42, "Weekly New York", 1, "Partial"),
        result(43, "Weekly New York", 1, "Running", "No Results", finishTime="-1"),
        result(44, "Weekly New York", 1, "Completed", "Importing"),
        result(45, "Weekly New York", 1, "Completed", "Error"),
        result(46, "Weekly New York", 1, "Error"),
        result(47, "Weekly New York", 1, downloadAvailable="false"),
        result(48, "By hand", 1, scan=[]),
    ]
    with listening(CenterStand(results=results)) as stand:
        assert isinstance(stand, CenterStand)
        yield stand


def source(stand: Stand, **options: Any) -> Source:
    rule = {"url": stand.url, "access_key": "${A}", "secret_key": "${S}", **options}
    return module.connect(Scanner("sc", "tenable-sc", options=rule), {"A": ACCESS, "S": SECRET}, HASTY)


def nothing(done: int, total: int) -> None:
    """Nobody looks."""


RUN = RemoteScan("5/41", "Weekly Boston")


def test_only_whole_results_are_listed_and_the_rest_is_explained(center: CenterStand):
    listing = source(center).listing()
    assert [scan.id for scan in listing.scans] == ["5/40", "5/41", "0/48"]
    assert sorted(listing.passed_over) == [
        "'Weekly New York', result 42: is partial: the scan did not reach all its targets",
        "'Weekly New York', result 43: is not finished (Running)",
        "'Weekly New York', result 44: is not imported yet (Importing)",
        "'Weekly New York', result 45: could not be imported: it may not be whole",
        "'Weekly New York', result 46: ended with an error",
        "'Weekly New York', result 47: cannot be downloaded any more",
    ]


@pytest.mark.parametrize(("pattern", "ids"), [("Weekly B*", ["5/40", "5/41"]), ("0", ["0/48"]), ("weekly*", [])])
def test_patterns_choose_by_name_and_by_the_id_of_the_scan(center: CenterStand, pattern: str, ids: list[str]):
    assert [scan.id for scan in source(center, scans=[pattern]).listing().scans] == ids


def test_a_result_comes_as_the_zip_that_the_product_makes(center: CenterStand, tmp_path: Path):
    file = source(center).download(RUN, tmp_path, nothing)
    assert zipfile.ZipFile(file).read("42.nessus") == CONTENT and file.name == "sc-5-41.zip"
    post = next(call for call in center.calls if call.method == "POST")
    assert (post.path, post.body) == ("/rest/scanResult/41/download", {"downloadType": "v2"})


BOMB = packed(b"\0" * (2 << 20))
FAULTS: dict[str, tuple[Any, str]] = {
    "cut off by its length": (lambda stand: cut_off(packed()[:90], 900), "broke off"),
    "cut off, and HTTP does not know": (lambda stand: ends_early(packed()[:90]), "broke off"),
    "a page of a proxy": (lambda stand: garbage, "broke off"),
    "no zip": (lambda stand: ends_early(CONTENT), "broke off"),
    "a bomb": (lambda stand: ends_early(BOMB), r"2,097,152 bytes in all"),
    "no scan in it": (lambda stand: ends_early(packed(name="readme.txt")), "0 of them .nessus"),
    "too many files": (lambda stand: ends_early(packed(**{f"f{i}": b"x" for i in range(12)})), "13 files"),
    "an explanation": (
        lambda stand: lambda request: CenterStand.said("", 200, "not there", 147), "but an explanation",
    ),
    "too large": (endless, "more than 1,048,576 bytes"),
    "a drip": (dripping, "in 0.5 s only"),
    "silence": (silent, "silent"),
    "403": (
        lambda stand: lambda request: CenterStand.said("", 403, "no access to result", 143), "no access to result",
    ),
    "404": (lambda stand: status(404), "answers 404"),
    "500": (lambda stand: status(500), "answers 500"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=FAULTS)
def test_whatever_goes_wrong_with_a_download_nothing_is_left_behind(center: CenterStand, tmp_path: Path, fault: str):
    make, why = FAULTS[fault]
    center.fail("/download", make(center))
    with pytest.raises(ScannerError, match=why):
        source(center).download(RUN, tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "fault",
    [garbage, unexpected({}), unexpected({"response": []}), unexpected({"response": {"usable": [{"id": 1}]}}),
     unexpected({"response": {}, "error_code": 5, "error_msg": "no"})],
)  # fmt: skip
def test_garbage_is_no_listing(center: CenterStand, fault: Any):
    center.fail("scanResult$", fault)
    with pytest.raises(ScannerUnavailable):
        source(center).listing()


def test_a_no_with_status_200_is_told_in_its_own_words(center: CenterStand):
    center.fail("scanResult$", unexpected({"response": "", "error_code": 146, "error_msg": "the license has expired"}))
    with pytest.raises(ScannerUnavailable, match="answers: the license has expired"):
        source(center).listing()


def test_user_and_password_open_a_session_and_close_it(center: CenterStand, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TSC_ACCESS_KEY", "another")  # which the library would rather take
    monkeypatch.setenv("TSC_SECRET_KEY", "another")
    rule = Scanner("sc", "tenable-sc", options={"url": center.url, "username": "${U}", "password": "${P}"})
    assert module.connect(rule, {"U": USER, "P": PASSWORD}, HASTY).listing().scans
    assert (center.asked("token"), center.sessions) == (["POST /rest/token", "DELETE /rest/token"], 0)
    with pytest.raises(ScannerRefused, match="Invalid login credentials") as wrong:
        module.connect(rule, {"U": USER, "P": "leaked-password"}, HASTY).listing()
    assert "leaked" not in str(wrong.value)


def test_a_check_says_who_we_are_and_what_matches(center: CenterStand):
    checks = source(center).check()
    assert all(check.ok for check in checks)
    assert "as vmjira" in checks[0].what and "3 results match, 6 are passed over" in checks[1].what
    assert not source(center, scans=["Wekly*"]).check()[-1].ok
    center.fail(".", status(503))
    assert [check.ok for check in source(center).check()] == [False]


# --- rescans ----------------------------------------------------------------------------------------------------------


def test_hosts_are_scanned_again_by_a_scan_of_their_own_like_the_one_that_covered_them(center: CenterStand):
    ours = source(center)
    id = ours.launch(["10.1.0.7", "10.1.0.9"], "VM-41")
    assert center.created == [
        {
            "name": "vmjira rescan: VM-41", "type": "policy", "policy": {"id": "1000002"}, "repository": {"id": "3"},
            "credentials": [{"id": "1000001"}], "ipList": "10.1.0.7,10.1.0.9", "schedule": {"type": "now"},
            "timeoutAction": "discard", "dhcpTracking": "true", "scanningVirtualHosts": "false",
            "maxScanTime": "3600", "inactivityTimeout": "3600",
        }
    ]  # fmt: skip
    assert ours.launched(id) is None
    center.results[-1] |= {"status": "Completed", "importStatus": "Importing"}
    assert ours.launched(id) is None
    center.results[-1] |= {"importStatus": "Finished", "finishTime": str(NOW)}
    done = ours.launched(id)
    assert done and (done.id, done.name, done.rescan) == ("0/99", "vmjira rescan: VM-41", True)
    assert done in ours.listing().scans  # the same result has the same id, however it is met


def test_a_rescan_is_no_round_that_another_follows(center: CenterStand):
    center.results = [result(50, "vmjira rescan: VM-1", 1)]
    with pytest.raises(ScannerRefused, match="none has a whole result"):
        source(center).launch(["10.1.0.7"], "x")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"ipList": "10.9.0.0/16"}, "'Weekly Boston' lacks 10.1.0.7"),
        ({"ipList": ""}, "'Weekly Boston' has its targets in asset lists"),
        ({"policy": {"id": -1}}, "has no policy"),
        ({"id": "6"}, "'Weekly Boston' may not be seen by this account, or is gone"),
    ],
)
def test_hosts_that_no_scan_covers_are_not_scanned(center: CenterStand, change: dict[str, Any], why: str):
    center.definition |= change
    with pytest.raises(ScannerRefused, match=f"no scan covers all these hosts: .*{why}"):
        source(center).launch(["10.1.0.7"], "x")
    assert center.created == []


@pytest.mark.parametrize(
    ("state", "imported"), [("Partial", "Finished"), ("Error", "No Results"), ("Completed", "Blocked")]
)
def test_a_rescan_that_is_not_whole_proves_nothing(center: CenterStand, state: str, imported: str):
    ours = source(center)
    id = ours.launch(["10.1.0.7"], "x")
    center.results[-1] |= {"status": state, "importStatus": imported}
    with pytest.raises(ScannerRefused, match="the rescan, result 99,"):
        ours.launched(id)


def test_what_runs_is_stopped_and_what_has_ended_is_left(center: CenterStand):
    ours = source(center)
    id = ours.launch(["10.1.0.7"], "x")
    ours.stop(id)
    assert center.asked("/stop") == ["POST /rest/scanResult/99/stop"]
    center.results[-1] |= {"status": "Error"}
    ours.stop(id)
    assert len(center.asked("/stop")) == 1


def test_an_account_that_may_begin_no_scans_is_told_so(center: CenterStand):
    center.fail("POST /rest/scan$", lambda request: CenterStand.said("", 403, "You may not create scans", 143))
    with pytest.raises(ScannerRefused, match="You may not create scans; the account needs more rights"):
        source(center).launch(["10.1.0.7"], "x")


@pytest.mark.parametrize("content", [{}, {"response": {}}, {"response": {"id": "7"}}])
def test_a_rescan_without_a_result_is_no_rescan(center: CenterStand, content: Any):
    center.fail("POST /rest/scan$", unexpected({"error_code": 0, **content}))
    with pytest.raises(ScannerUnavailable, match="answers something unexpected"):
        source(center).launch(["10.1.0.7"], "x")
