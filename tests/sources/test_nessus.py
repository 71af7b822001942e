"""Nessus on port 8834, by a stand-in that answers as recordings show it, and fails on demand."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.wrappers import Request, Response

from tests.sources.conftest import RECORDED, Authority, scans
from tests.sources.nessus_stand import ACCESS, CONTENT, NOW, PASSWORD, SECRET, USER, History, NessusStand, Scan
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
from vmjira.scanners.sources import connect
from vmjira.scanners.sources import nessus as module
from vmjira.scanners.sources.options import LIMITS

HASTY = replace(LIMITS, connect=1, read=0.5, answer=1 << 20, file=1 << 20, download=0.5, poll=0.01, prepare=0.3)
ENVIRON = {"A": ACCESS, "S": SECRET, "U": USER, "P": PASSWORD}
KEYS = {"access_key": "${A}", "secret_key": "${S}"}


def source(stand: Stand, environ: dict[str, str] | None = None, **options: Any) -> Source:
    rule = Scanner("hq", "nessus", options={"url": stand.url, **KEYS, **options})
    return module.connect(rule, ENVIRON if environ is None else environ, HASTY)


def nothing(done: int, total: int) -> None:
    """Nobody looks."""


def run(id: str) -> RemoteScan:
    return RemoteScan(id, "Weekly Boston")


# --- what is taken ----------------------------------------------------------------------------------------------------


def test_only_whole_runs_are_listed_oldest_first_and_the_rest_is_explained(nessus: NessusStand):
    listing = source(nessus).listing()
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
    assert listing.scans[0].finished_at and listing.scans[0].name == "Weekly Boston"


@pytest.mark.parametrize("state", ["aborted", "canceled", "stopped", "paused", "running", "processing", "new word", ""])
def test_a_run_that_is_not_whole_is_never_taken(nessus: NessusStand, state: str):
    nessus.scans = [Scan(10, "Weekly", [History(1, "u", NOW, state)])]
    listing = source(nessus).listing()
    assert listing.scans == () and len(listing.passed_over) == 1


def test_patterns_choose_by_name_id_and_folder(nessus: NessusStand):
    def ids(*patterns: str) -> list[str]:
        return [scan.id for scan in source(nessus, scans=list(patterns)).listing().scans]

    assert ids("Weekly New*") == ["11/1"]
    assert ids("12") == ["12/template-0815"]
    assert ids("My Scans/Imp*") == ["12/template-0815"]
    assert ids("weekly*") == []


def test_the_history_of_the_rule_says_how_far_back(nessus: NessusStand):
    far = source(nessus, scans=["10"], history=timedelta(days=90)).listing().scans
    near = source(nessus, scans=["10"], history=timedelta(days=7, hours=-1)).listing().scans
    assert [scan.id for scan in far] == ["10/1", "10/2", "10/4", "10/5"]
    assert [scan.id for scan in near] == ["10/5"]


def test_one_scan_that_may_not_be_read_does_not_hide_the_others(nessus: NessusStand):
    nessus.fail("GET /scans/10$", status(403, {"error": "not yours"}))
    listing = source(nessus, scans=["Weekly*"]).listing()
    assert [scan.id for scan in listing.scans] == ["11/1"]
    assert any("'Weekly Boston': hq" in why and "needs more rights" in why for why in listing.passed_over)


def test_a_nessus_without_scans_says_null(nessus: NessusStand):
    nessus.scans = []
    assert source(nessus).listing().scans == ()


# --- bringing one -----------------------------------------------------------------------------------------------------


def test_a_run_is_exported_waited_for_and_streamed(nessus: NessusStand, tmp_path: Path):
    nessus.scans[0].runs[3].content = CONTENT.replace(b"weekly", b"fourth")
    heard: list[tuple[int, int]] = []
    file = source(nessus).download(run("10/4"), tmp_path, lambda *told: heard.append(told))
    assert b"fourth" in file.read_bytes() and file.name == "hq-10-4.nessus"
    assert heard[-1] == (file.stat().st_size,) * 2
    post = next(call for call in nessus.calls if call.method == "POST")
    assert (post.query, post.body) == ({"history_id": "4"}, {"format": "nessus"})
    assert nessus.asked("export/2/status") == ["GET /scans/10/export/2/status"] * 2


def test_what_was_imported_is_exported_without_a_history(nessus: NessusStand, tmp_path: Path):
    source(nessus).download(run("12/template-0815"), tmp_path, nothing)
    assert next(call for call in nessus.calls if call.method == "POST").query == {}


def test_a_nessus_that_gives_only_a_token_is_asked_by_it(nessus: NessusStand, tmp_path: Path):
    nessus.only_token = True
    assert source(nessus).download(run("10/4"), tmp_path, nothing).read_bytes() == CONTENT
    assert nessus.asked("/tokens/") and not nessus.asked("GET /scans/10/export")


@pytest.mark.parametrize("where", ["status", "download"])
def test_an_export_that_is_gone_is_asked_for_once_more(nessus: NessusStand, tmp_path: Path, where: str):
    nessus.fail(f"/export/2/{where}", status(404))
    assert source(nessus).download(run("10/4"), tmp_path, nothing).read_bytes() == CONTENT
    assert len(nessus.asked("POST /scans/10/export")) == 2


def test_an_export_that_failed_is_asked_for_once_more_and_then_later(nessus: NessusStand, tmp_path: Path):
    nessus.fail("/status", unexpected({"status": "error"}))
    with pytest.raises(ScannerUnavailable, match="could not make the export of 10/4"):
        source(nessus).download(run("10/4"), tmp_path, nothing)
    assert len(nessus.asked("POST /scans/10/export")) == 2


def test_an_export_that_is_never_ready_is_not_waited_for_for_ever(nessus: NessusStand, tmp_path: Path):
    nessus.waits = 1_000_000
    began = time.monotonic()
    with pytest.raises(ScannerUnavailable, match=r"not ready after 0.3 s \(status loading\)"):
        source(nessus).download(run("10/4"), tmp_path, nothing)
    assert time.monotonic() - began < 3


def test_a_run_that_vanishes_while_its_export_is_made_is_refused(nessus: NessusStand, tmp_path: Path):
    def vanish(request: Request) -> Response:
        nessus.exports.clear()
        nessus.scans[0].runs = nessus.scans[0].runs[:2]
        return told({"error": "The requested file was not found."}, 404)

    nessus.fail("/status", vanish)
    with pytest.raises(ScannerRefused, match="answers 404"):
        source(nessus).download(run("10/4"), tmp_path, nothing)


FAULTS: dict[str, tuple[Any, str]] = {
    "cut off by its length": (lambda stand: cut_off(CONTENT[:40], len(CONTENT)), "broke off"),
    "cut off, and HTTP does not know": (lambda stand: ends_early(CONTENT[:60]), "broke off"),
    "a page of a proxy": (lambda stand: garbage, "broke off"),
    "empty": (lambda stand: ends_early(b""), "broke off"),
    "too large": (endless, "more than 1,048,576 bytes"),
    "a drip": (dripping, "in 0.5 s only"),
    "silence": (silent, "silent"),
    "401": (lambda stand: status(401), "check the credentials"),
    "403": (lambda stand: status(403), "needs more rights"),
    "404 for ever": (lambda stand: status(404), "was gone before it came"),
    "500": (lambda stand: status(500), "answers 500"),
    "429": (lambda stand: status(429, **{"Retry-After": "60"}), "answers 429"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=FAULTS)
def test_whatever_goes_wrong_with_a_download_nothing_is_left_behind(nessus: NessusStand, tmp_path: Path, fault: str):
    make, why = FAULTS[fault]
    nessus.fail("/download", make(nessus))
    with pytest.raises(ScannerError, match=why):
        source(nessus).download(run("10/4"), tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("where", "content"),
    [
        ("GET /scans$", []), ("GET /scans$", {"scans": 7}), ("GET /scans$", {"scans": [{"id": "x", "name": 1}]}),
        ("GET /scans/10$", {"info": None}), ("GET /scans/10$", {"info": {}, "history": [{}]}), ("GET /scans/10$", "a"),
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_no_list_of_scans(nessus: NessusStand, where: str, content: Any):
    nessus.fail(where, unexpected(content))
    with pytest.raises(ScannerUnavailable, match="answers something unexpected"):
        source(nessus).listing()


@pytest.mark.parametrize("content", [{}, {"file": None}, {"file": "", "token": ""}])
def test_an_export_without_a_file_is_no_export(nessus: NessusStand, tmp_path: Path, content: Any):
    nessus.fail("POST /scans/10/export", unexpected(content))
    with pytest.raises(ScannerUnavailable, match="names no file"):
        source(nessus).download(run("10/4"), tmp_path, nothing)


def test_a_file_name_of_the_scanner_leads_nowhere_else(nessus: NessusStand, tmp_path: Path):
    nessus.fail("POST /scans/10/export", unexpected({"file": "../../session"}))
    with pytest.raises(ScannerUnavailable):
        source(nessus).download(run("10/4"), tmp_path, nothing)
    assert not nessus.asked("GET /session")


# --- who we are -------------------------------------------------------------------------------------------------------


def test_user_and_password_open_a_session_and_close_it(nessus: NessusStand, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NESSUS_ACCESS_KEY", "another")  # which the library would rather take
    monkeypatch.setenv("NESSUS_SECRET_KEY", "another")
    rule = Scanner("hq", "nessus", options={"url": nessus.url, "username": "${U}", "password": "${P}"})
    assert module.connect(rule, ENVIRON, HASTY).listing().scans
    assert (nessus.asked()[0], nessus.asked()[-1], nessus.tokens) == ("POST /session", "DELETE /session", [])
    assert not any("X-Apikeys" in call.headers for call in nessus.calls)


def test_a_session_is_closed_after_a_failure_too(nessus: NessusStand):
    nessus.fail("GET /scans$", status(500))
    rule = Scanner("hq", "nessus", options={"url": nessus.url, "username": "${U}", "password": "${P}"})
    with pytest.raises(ScannerUnavailable, match="answers 500"):
        module.connect(rule, ENVIRON, HASTY).listing()
    assert nessus.tokens == []


def test_wrong_keys_and_missing_ones_are_told_apart_and_never_shown(nessus: NessusStand):
    with pytest.raises(ScannerRefused, match="401: Invalid Credentials; check the credentials") as wrong:
        source(nessus, {"A": "leaked-a", "S": "leaked-s"}).listing()
    with pytest.raises(ScannerRefused, match="hq: S: is not set"):
        source(nessus, {"A": "leaked-a"})
    rule = Scanner("hq", "nessus", options={"url": nessus.url, "username": "me"})
    with pytest.raises(ScannerRefused, match="access_key and secret_key, or username and password"):
        connect(rule, {})
    assert "leaked" not in str(wrong.value)


def test_over_tls_with_an_authority_of_ones_own(authority: Authority, tmp_path: Path):
    with listening(NessusStand(scans=scans()), authority.context) as stand:
        with pytest.raises(ScannerRefused, match="certificate is not trusted"):
            source(stand).listing()
        ours = source(stand, ca_file=str(authority.file))
        assert ours.download(ours.listing().scans[0], tmp_path, nothing).read_bytes() == CONTENT
        checks = source(stand, verify=False).check()
        assert [check.ok for check in checks][:2] == [False, True]


# --- for people -------------------------------------------------------------------------------------------------------


def test_a_check_says_what_it_is_and_what_matches(nessus: NessusStand):
    checks = source(nessus, scans=["Weekly*"]).check()
    assert all(check.ok for check in checks)
    assert "Nessus Manager 10.8.3" in checks[0].what
    assert "2 scans match: 'Weekly Boston', 'Weekly New York'" in checks[1].what


def test_a_check_says_which_scans_there_are_if_none_matches(nessus: NessusStand):
    *_, last = source(nessus, scans=["Wekly*"]).check()
    assert not last.ok and "'Weekly Boston'" in last.how


def test_a_check_of_a_dead_scanner_is_a_check_that_failed(nessus: NessusStand):
    nessus.fail(".", status(503))
    assert [check.ok for check in source(nessus).check()] == [False]


@pytest.mark.parametrize(("kind", "scan_api"), [("Nessus Professional", None), ("Nessus", False)])
def test_a_nessus_that_cannot_launch_says_so_when_asked(nessus: NessusStand, kind: str, scan_api: bool | None):
    nessus.kind, nessus.scan_api = kind, scan_api
    ours = source(nessus)
    assert ours.cannot_rescan == ""
    assert all(check.ok for check in ours.check())
    assert "only Nessus Manager does" in ours.cannot_rescan


# --- rescans ----------------------------------------------------------------------------------------------------------


def test_hosts_are_scanned_again_by_the_scan_whose_round_covered_them(nessus: NessusStand):
    ours = source(nessus)
    id = ours.launch(["10.1.0.7", "10.9.9.9"], "VM-41")
    post = next(call for call in nessus.calls if call.path.endswith("/launch"))
    assert (post.path, post.body) == ("/scans/10/launch", {"alt_targets": ["10.1.0.7", "10.9.9.9"]})
    assert ours.launched(id) is None
    nessus.scans[0].runs[-1].status = "completed"
    done = ours.launched(id)
    assert done == RemoteScan("10/6", "Weekly Boston", done and done.finished_at, rescan=True)
    assert done in ours.listing().scans  # the same run has the same id, however it is met


def test_the_newest_round_that_covers_all_of_them_wins(nessus: NessusStand):
    nessus.scans[1].runs = nessus.scans[1].runs[:1]  # of three days ago, and not running now
    assert source(nessus).launch(["10.1.0.7"], "x").startswith("11/")


def test_a_scan_that_is_busy_is_launched_later(nessus: NessusStand):
    with pytest.raises(ScannerUnavailable, match="'Weekly New York' is busy"):
        source(nessus).launch(["10.1.0.8"], "x")
    nessus.scans = nessus.scans[:1]
    nessus.fail("launch", status(409, {"error": "Scan is already running"}))
    with pytest.raises(ScannerUnavailable, match="answers 409: Scan is already running"):
        source(nessus).launch(["10.1.0.7"], "x")


@pytest.mark.parametrize("addresses", [["10.2.0.1"], ["10.1.0.7", "10.2.0.1"]])
def test_hosts_that_no_scan_covers_are_not_scanned(nessus: NessusStand, addresses: list[str]):
    with pytest.raises(ScannerRefused, match=r"no scan covers all these hosts: .*'Weekly Boston' lacks 10.2.0.1"):
        source(nessus).launch(addresses, "x")
    assert not nessus.asked("launch")


@pytest.mark.parametrize("text", ["all", "10.1.0.0/8", "10.1.0.1 10.1.0.2", "", "-oX /etc/passwd"])
def test_only_addresses_are_scanned(nessus: NessusStand, text: str):
    with pytest.raises(ScannerRefused, match="a rescan needs addresses"):
        source(nessus).launch([text], "x")


def test_a_scan_that_may_only_be_read_is_not_launched(nessus: NessusStand):
    nessus.scans = [replace(nessus.scans[0], permissions=16)]
    ours = source(nessus)
    with pytest.raises(ScannerRefused, match="may not be launched by this account"):
        ours.launch(["10.1.0.7"], "x")
    assert "Can Control" in ours.check()[-1].how


def test_a_professional_nessus_answers_that_it_cannot(nessus: NessusStand):
    nessus.launches, nessus.scans = False, nessus.scans[:1]
    ours = source(nessus)
    with pytest.raises(ScannerRefused, match="only Nessus Manager does"):
        ours.launch(["10.1.0.7"], "x")
    assert ours.cannot_rescan


@pytest.mark.parametrize("end", ["aborted", "canceled", "stopped"])
def test_a_rescan_that_is_not_whole_proves_nothing(nessus: NessusStand, end: str):
    nessus.scans = nessus.scans[:1]
    ours = source(nessus)
    id = ours.launch(["10.1.0.7"], "x")
    nessus.scans[0].runs[-1].status = end
    with pytest.raises(ScannerRefused, match="the rescan is not whole"):
        ours.launched(id)


def test_a_launch_whose_answer_is_lost_is_not_sent_twice(nessus: NessusStand):
    nessus.scans = nessus.scans[:1]
    nessus.fail("launch", silent(nessus), times=1)
    with pytest.raises(ScannerUnavailable, match="silent"):
        source(nessus).launch(["10.1.0.7"], "x")
    assert len(nessus.asked("launch")) == 1


def test_only_our_own_run_is_stopped(nessus: NessusStand):
    nessus.scans = nessus.scans[:1]
    ours = source(nessus)
    id = ours.launch(["10.1.0.7"], "x")
    ours.stop(id)
    assert nessus.scans[0].runs[-1].status == "canceled"
    nessus.scans[0].runs.append(History(7, "u-7", NOW, "running"))  # its next round
    ours.stop(id)
    assert nessus.scans[0].runs[-1].status == "running"
    assert len(nessus.asked("/stop")) == 1


# --- as it was recorded -----------------------------------------------------------------------------------------------


@dataclass
class Recorded(Stand):
    """Nothing but recorded answers of a real Nessus (2019), and a file."""

    folder: Path = Path()
    seen: set[str] = field(default_factory=set)
    content: bytes = CONTENT

    def answer(self, request: Request) -> Response:
        if request.path.endswith("/download"):
            return Response(self.content)
        name = f"{request.method}{request.path.replace('/', '_')}"
        found = sorted(self.folder.glob(f"{name}.json")) or sorted(self.folder.glob(f"{name}_history_id_*.json"))
        if not found:
            return told({"error": "not recorded"}, 404)
        self.seen.add(found[0].name)
        return Response(found[0].read_bytes(), content_type="application/json")


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded answers are not at hand (VMJIRA_SHARED)")
def test_the_recorded_answers_of_a_real_nessus_are_understood(tmp_path: Path):
    with listening(Recorded(folder=RECORDED / "recorded")) as stand:
        assert isinstance(stand, Recorded)
        ours = source(stand, history=timedelta(days=36500))
        found = ours.listing().scans
        assert [scan.id for scan in found] == ["164/2", "170/1"]
        assert {str(scan.finished_at) for scan in found} == {"2019-03-30 11:24:48+00:00"}
        assert not any(scan.rescan for scan in found)
        assert ours.download(found[0], tmp_path, nothing).read_bytes() == CONTENT
        assert json.loads((RECORDED / "recorded" / "POST_session.json").read_text()) == {"token": "1337"}
        assert stand.seen == {
            "GET_scans.json", "GET_scans_164.json", "GET_scans_170.json", "GET_scans_164_export_2_status.json",
            "POST_scans_164_export_history_id_2.json",
        }  # fmt: skip
        with pytest.raises(ScannerRefused, match="no scan covers"):
            ours.launch(["10.0.0.1"], "x")


def test_two_threads_each_with_its_own_source_get_the_same(nessus: NessusStand, tmp_path: Path):
    found: list[bytes] = []

    def fetch(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        found.append(source(nessus).download(run("10/4"), folder, nothing).read_bytes())

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 4
