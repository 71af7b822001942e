"""Finished scans of a stand-in Qualys platform, by HTTP, through to frames."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from tests.qualys_api.platform import (
    DETECTIONS,
    KNOWLEDGE,
    PASSWORD,
    SCANS,
    Handler,
    Host,
    Qualys,
    detection,
    document,
    known,
    scan,
    serve,
    simple,
)  # fmt: skip
from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import RemoteScan
from vmjira.scanners import read_scan
from vmjira.scanners.sources import connect, qualys_api
from vmjira.scanners.sources import qualys as module
from vmjira.scanners.sources.options import LIMITS

BESIDE = Path(__file__).resolve().parents[2].parent / "shared"
SHARED = Path(os.environ.get("VMJIRA_SHARED", BESIDE))
REF = "scan/1780646400.27337"
WEEKLY = RemoteScan(REF, "Weekly Boston", datetime(2026, 6, 5, 10, tzinfo=UTC))


@pytest.fixture
def qualys() -> Iterator[Qualys]:
    qualys_api.REMEMBERED.clear()
    state = Qualys()
    server = serve(state)
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def source(qualys: Qualys) -> Callable[..., Any]:
    def configured(**options: Any) -> Any:
        options = {
            "url": qualys.address, "username": "acme", "password": "${QUALYS_PASSWORD}",
            "history": timedelta(days=36500), **options,
        }  # fmt: skip
        made = connect(Scanner("qualys", "qualys", options=options), {"QUALYS_PASSWORD": PASSWORD})
        made.api.limits = replace(LIMITS, read=10.0)
        return made

    return configured


def nothing(done: int, total: int) -> None:
    pass


def boston(qualys: Qualys, hosts: int = 3) -> None:
    qualys.scans.append(scan(REF))
    for n in range(1, hosts + 1):
        found = [detection(90001), detection(90002, 2), detection(45038, 1, kind="Info", port="")]
        qualys.hosts.append(Host(n, f"10.1.2.{n}", f"2026-06-05T09:{n % 60:02}:00Z", found, f"pc{n}.example.com"))
    qualys.known = {90001: known(90001, "Windows Update Missing", exploit="MS08-067"), 90002: known(90002, "Old TLS")}


def read(path: Path, into: Path) -> Any:
    (found,) = read_scan(path, into, timezone=ZoneInfo("UTC"))
    return found


# --- what is offered --------------------------------------------------------------------------------------------------


def test_only_finished_and_processed_scans_that_match_are_offered_oldest_first(qualys, source):
    qualys.scans = [
        scan("scan/2", launched="2026-06-12T08:00:00Z", duration="2 days 01:00:00"), scan("scan/1"),
        scan("scan/3", state="Running"), scan("scan/4", processed=0), scan("scan/5", sub="No_Host"),
        scan("scan/6", "Discovery"), scan("scan/7", state="Canceled"), scan("scan/8", duration="Pending"),
    ]  # fmt: skip
    listing = source(scans=["Weekly *"]).listing()
    assert listing.scans == (
        RemoteScan("scan/1", "Weekly Boston", datetime(2026, 6, 5, 10, tzinfo=UTC)),
        RemoteScan("scan/2", "Weekly Boston", datetime(2026, 6, 14, 9, tzinfo=UTC)),
    )
    assert listing.passed_over == (
        "Weekly Boston: 1 scan: Canceled, not Finished",
        "Weekly Boston: 1 scan: Running, not Finished",
        "Weekly Boston: 1 scan: found no host alive",
        "Weekly Boston: 1 scan: not processed yet",
        "Weekly Boston: 1 scan: tells no duration",
    )


def test_qualys_is_asked_for_the_history_of_the_rule_only(qualys, source):
    source(history=timedelta(days=3)).listing()
    asked = datetime.fromisoformat(qualys.calls(SCANS)[0]["launched_after_datetime"])
    assert timedelta(days=3) <= datetime.now(UTC) - asked < timedelta(days=3, minutes=5)


# --- end to end -------------------------------------------------------------------------------------------------------


def test_pages_and_knowledge_become_one_scan_with_its_values(qualys, source, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 2)
    boston(qualys, hosts=5)
    qualys.hosts[0].authenticated = qualys.hosts[0].scanned
    path = source().download(WEEKLY, tmp_path, nothing)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    found = read(path, tmp_path / "read")
    assert (found.format, found.records, found.warnings, found.unreadable) == ("qualys-detections", 15, (), 0)
    assert found.finished_at == datetime(2026, 6, 5, 9, 5, tzinfo=UTC)
    assert found.hosts["ip"].to_list() == [f"10.1.2.{n}" for n in range(1, 6)]
    assert found.hosts["authenticated"].to_list() == [True, None, None, None, None]
    told = found.vulnerabilities.row(by_predicate=pl.col("vulnerability_id") == "90001", named=True)
    assert (told["title"], told["family"], told["severity"], told["cvss2"], told["cvss3"], told["cves"]) == (
        "Windows Update Missing", "Windows", "critical", 7.5, 9.8, ["CVE-2025-47981"],
    )  # fmt: skip
    assert (told["exploit_available"], told["exploits"], told["solution"], told["synopsis"]) == (
        True, ["MS08-067"], "Install it.", "An update is missing.",
    )  # fmt: skip
    other = found.vulnerabilities.row(by_predicate=pl.col("vulnerability_id") == "90002", named=True)
    assert (other["exploit_available"], other["severity"]) == (False, "low")
    row = found.findings.filter(pl.col("vulnerability_id") == "90001").collect().row(0, named=True)
    assert (row["ports"], row["output"]) == (["445/tcp"], "missing <KB> & more")
    assert [(method, path) for method, path, _ in qualys.asked] == [
        ("POST", SCANS), ("POST", DETECTIONS), ("GET", DETECTIONS), ("GET", DETECTIONS), ("POST", KNOWLEDGE),
    ]  # fmt: skip


def test_a_host_on_which_everything_is_fixed_counts_as_looked_at(qualys, source, tmp_path):
    boston(qualys, hosts=1)
    qualys.hosts[0].detections = [detection(90001, status="Fixed")]
    found = read(source().download(WEEKLY, tmp_path, nothing), tmp_path / "read")
    assert (found.hosts["ip"].to_list(), found.findings.collect().height) == (["10.1.2.1"], 0)


def test_only_hosts_of_the_target_that_were_scanned_while_it_ran_belong_to_a_scan(qualys, source, tmp_path):
    qualys.scans.append(scan(REF, target="10.1.2.0-10.1.2.99, mail.example.com"))
    found = [detection(90001)]
    qualys.hosts = [
        Host(1, "10.1.2.1", "2026-06-05T09:00:00Z", found),
        Host(2, "10.1.2.2", "2026-06-05T11:00:00Z", found),  # scanned again since: it belongs to the later scan
        Host(3, "10.1.2.3", "2026-06-01T09:00:00Z", found),  # was not reached this time
        Host(4, "10.9.9.9", "2026-06-05T09:00:00Z", found),  # of another scan at the same time
        Host(5, "10.9.9.8", "2026-06-05T09:00:00Z", found, dns="Mail.example.com"),
        Host(6, "10.1.2.6", "", found),
    ]
    path = source().download(WEEKLY, tmp_path, nothing)
    assert read(path, tmp_path / "read").hosts["ip"].to_list() == ["10.1.2.1", "10.9.9.8"]
    (asked,) = qualys.calls(DETECTIONS)
    assert (asked["vm_scan_since"], asked["status"], asked["show_igs"], asked["truncation_limit"]) == (
        "2026-06-05T07:55:00Z", "New,Active,Re-Opened,Fixed", "1", "1000",
    )  # fmt: skip


def test_the_knowledge_base_is_asked_once_for_each_qid_and_in_batches(qualys, source, tmp_path, monkeypatch):
    monkeypatch.setattr(qualys_api, "BATCH", 2)
    boston(qualys)
    first = source().download(WEEKLY, tmp_path, nothing).read_bytes()
    assert [asked["ids"] for asked in qualys.calls(KNOWLEDGE)] == ["45038,90001", "90002"]
    assert {asked["details"] for asked in qualys.calls(KNOWLEDGE)} == {"All"}
    again = source().download(WEEKLY, tmp_path, nothing).read_bytes()
    assert [asked["ids"] for asked in qualys.calls(KNOWLEDGE)[2:]] == ["45038"]  # it is not in there
    assert b"Windows Update Missing" in again
    assert len(first) == len(again)


@pytest.mark.parametrize(
    ("file", "size"),
    [("j1_detections.xml", (1, 3)), ("dd_trurisk_detections.xml", (2, 20))],
)
def test_answers_of_a_real_platform_are_read(qualys, source, tmp_path, file, size):
    real = SHARED / "scans" / "qualys" / file
    if not real.exists():
        pytest.skip(f"there is no {real}: answers of real platforms are not part of the repository")
    qualys.raw[DETECTIONS] = real.read_bytes()
    qualys.raw[KNOWLEDGE] = recorded("iterateVulnerabilities_939003581.har")
    times = re.findall("<LAST_VM_SCANNED_DATE>(.*?)</", real.read_text())
    everywhere = scan(REF, launched=min(times), duration="999 days 01:00:00", target="0.0.0.0-255.255.255.255")
    qualys.scans.append(everywhere)
    found = read(source().download(WEEKLY, tmp_path, nothing), tmp_path / "read")
    assert (found.hosts.height, found.records) == size


def recorded(name: str) -> bytes:
    har = json.loads((SHARED / "contracts" / "qualys" / "recordings" / name).read_text())
    return har["log"]["entries"][-1]["response"]["content"]["text"].encode()


def test_the_recorded_knowledge_base_gives_title_cves_and_solution(qualys, source, tmp_path):
    if not SHARED.exists():
        pytest.skip("recorded answers are not part of the repository")
    boston(qualys, hosts=1)
    qualys.hosts[0].detections = [detection(316760, 3)]
    qualys.raw[KNOWLEDGE] = recorded("iterateVulnerabilities_939003581.har")
    found = read(source().download(WEEKLY, tmp_path, nothing), tmp_path / "read")
    told = found.vulnerabilities.row(0, named=True)
    assert (told["family"], told["cves"], told["severity"]) == ("Cisco", ["CVE-2020-3403"], "medium")
    assert told["title"].startswith("Cisco IOS XE Software Command Injection")
    assert "Customers are advised" in told["solution"]


def test_a_recorded_answer_without_hosts_gives_a_scan_without_hosts(qualys, source, tmp_path):
    if not SHARED.exists():
        pytest.skip("recorded answers are not part of the repository")
    boston(qualys)
    qualys.raw[DETECTIONS] = recorded("iterateHostDetectionsUnknownId_600973842.har")
    found = read(source().download(WEEKLY, tmp_path, nothing), tmp_path / "read")
    assert (found.hosts.height, found.finished_at) == (0, datetime(2026, 6, 5, 10, tzinfo=UTC))


# --- faults -----------------------------------------------------------------------------------------------------------


def status(code: int, text: str = "", **headers: str) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(code, text, **{name.replace("_", "-"): said for name, said in headers.items()})


def cut_off(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(document("HOST_LIST_VM_DETECTION_OUTPUT", "<HOST_LIST>")[:200].encode())
    handler.close_connection = True


def cut_off_unnoticed(handler: Handler) -> None:
    handler.reply(200, document("HOST_LIST_VM_DETECTION_OUTPUT", "<HOST_LIST><HOST><IP>10.1.2.1</IP>")[:-60])


def silence(handler: Handler) -> None:
    threading.Event().wait(1.5)
    handler.close_connection = True


FAULTS = {
    "limit of calls": (
        status(409, simple(1965, "This API cannot be run again for another 23 minutes."),
               X_RateLimit_ToWait_Sec="1380"),
        ScannerUnavailable, r"answers 409.*cannot be run again for another 23 minutes\. \(code 1965\)",
    ),
    "limit of parallel calls": (
        status(409, simple(1960, "This API cannot be run again until 1 currently running instance has finished.")),
        ScannerUnavailable, "until 1 currently running instance",
    ),
    "429": (status(429, Retry_After="30"), ScannerUnavailable, "answers 429"),
    "500": (status(500), ScannerUnavailable, "answers 500"),
    "401": (status(401, simple(2000, "Bad Login/Password")), ScannerRefused, "check the credentials.*Bad Login"),
    "403": (status(403, simple(2012, "User account has expired")), ScannerRefused, "more rights.*has expired"),
    "404": (status(404), ScannerRefused, "answers 404"),
    "refused with status 200": (status(200, simple(1905, "bad param")), ScannerUnavailable, "answers: bad param"),
    "garbage": (status(200, "<html><body>Maintenance</body>"), ScannerUnavailable, "not of Qualys|cannot be read"),
    "an entity": (
        status(200, '<!DOCTYPE a [<!ENTITY b "c">]><HOST_LIST_VM_DETECTION_OUTPUT>&b;</HOST_LIST_VM_DETECTION_OUTPUT>'),
        ScannerUnavailable, "not of Qualys|cannot be read",
    ),
    "empty": (status(200), ScannerUnavailable, "not of Qualys|cannot be read"),
    "cut off": (cut_off, ScannerUnavailable, "broke off|connection was lost"),
    "cut off unnoticed": (cut_off_unnoticed, ScannerUnavailable, "not of Qualys|cannot be read"),
    "silence": (silence, ScannerUnavailable, "silent"),
    "redirect": (status(302, Location="http://127.0.0.2/steal"), ScannerRefused, "redirects"),
}  # fmt: skip


@pytest.mark.parametrize("path", [SCANS, DETECTIONS, KNOWLEDGE])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_leave_nothing_and_say_whether_to_come_again(qualys, source, tmp_path, path, fault):
    boston(qualys)
    qualys.faults[path], kind, words = FAULTS[fault]
    made = source()
    made.api.limits = replace(LIMITS, read=0.3) if fault == "silence" else made.api.limits
    with pytest.raises(kind, match=words) as told:
        made.download(WEEKLY, tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []
    assert PASSWORD not in str(told.value)
    if fault in ("limit of calls", "429"):
        assert told.value.retry_after == {"limit of calls": 1380.0, "429": 30.0}[fault]


@pytest.mark.parametrize(
    ("warning", "kind", "words"),
    [
        ("<TEXT>Something else</TEXT>", ScannerUnavailable, "warns: Something else"),
        ("<URL>https://elsewhere.example.com{path}?id_min=2</URL>", ScannerRefused, "another address, which gets no"),
        ("<URL>{address}{path}?id_min=0</URL>", ScannerUnavailable, "there is more, but not where"),
        ("<URL>{address}/other/?id_min=9</URL>", ScannerUnavailable, "there is more, but not where"),
        ("<URL>{address}{path}?id_min=7</URL>", ScannerUnavailable, "there is more, but not where"),  # in a circle
    ],
)
def test_a_continuation_that_leads_astray_is_not_followed(qualys, source, tmp_path, warning, kind, words):
    boston(qualys)
    text = warning.format(address=qualys.address, path=DETECTIONS)
    qualys.raw[DETECTIONS] = document("HOST_LIST_VM_DETECTION_OUTPUT", f"<WARNING>{text}</WARNING>").encode()
    with pytest.raises(kind, match=words):
        source().download(WEEKLY, tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_on_a_later_page_leaves_nothing(qualys, source, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 2)
    boston(qualys, hosts=5)
    whole = qualys.answer

    def third_page_breaks(path: str, asked: dict[str, str]) -> str:
        return "<HOST_LIST_VM" if asked.get("id_min") == "5" else whole(path, asked)

    monkeypatch.setattr(qualys, "answer", third_page_breaks)
    with pytest.raises(ScannerUnavailable):
        source().download(WEEKLY, tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []


def test_a_scan_that_changes_between_list_and_download_is_not_taken(qualys, source, tmp_path):
    qualys.scans = [scan(REF, state="Paused")]
    with pytest.raises(ScannerUnavailable, match="is Paused, or not processed yet"):
        source().download(WEEKLY, tmp_path, nothing)
    qualys.scans = []
    with pytest.raises(ScannerRefused, match="there is no scan"):
        source().download(WEEKLY, tmp_path, nothing)


def test_check_tells_what_is_visible_and_what_is_not_allowed(qualys, source):
    boston(qualys)
    qualys.faults[KNOWLEDGE] = status(403, simple(2011, "KnowledgeBase download is not enabled"))
    checks = source(scans=["Weekly *"]).check()
    assert [check.ok for check in checks] == [True, True, False, True]
    assert "KnowledgeBase download is not enabled" in checks[2].what
    assert checks[3].what == "1 titles match: Weekly Boston"
    (refused,) = source(password="wrong").check()
    assert (refused.ok, "Bad Login/Password" in refused.what) == (False, True)


def test_single_hosts_cannot_be_scanned_again_and_it_is_said_why(source):
    assert "appliance" in source().cannot_rescan
    with pytest.raises(ScannerRefused, match="appliance"):
        source().launch(["10.1.2.3"], "x")


@pytest.mark.parametrize(
    ("options", "words"),
    [({"username": ""}, "username: is missing"), ({"password": "${NONE}"}, "NONE: is not set"),
     ({"url": "http://qualysapi.example.com"}, "is not encrypted")],
)  # fmt: skip
def test_a_rule_that_cannot_work_is_refused(source, options, words):
    with pytest.raises(ScannerRefused, match=words):
        source(**options)
