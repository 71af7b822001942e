"""Reports of a stand-in gvmd, by python-gvm over real TLS and sockets, through to frames."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from lxml import etree

from tests.gvm_api import schema
from tests.gvm_api.conftest import IMPATIENT
from tests.gvm_api.gmp_server import Conversation, Report, result, serve
from vmjira.errors import ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import RemoteScan
from vmjira.scanners import read_scan
from vmjira.scanners.sources.gvm import FILTER

OID = "1.3.6.1.4.1.25623.1.0."
HOSTS = {"10.1.2.3": "2026-06-05T09:30:00Z", "10.1.2.9": "2026-06-05T09:40:00Z"}


def nothing(done: int, total: int) -> None:
    pass


def weekly(*results: str, **more: object) -> Report:
    return Report("", hosts=dict(HOSTS), results=list(results) or [result("10.1.2.3")], **more)  # type: ignore[arg-type]


def read(path: Path, into: Path):
    (scan,) = read_scan(path, into, timezone=ZoneInfo("UTC"))
    return scan


# --- what is offered --------------------------------------------------------------------------------------------------


def test_only_runs_that_are_done_of_tasks_that_match_are_offered_oldest_first(gvmd, source):
    new, old = weekly(), weekly(end="2026-05-29T10:00:00Z")
    task = gvmd.scans("Weekly Boston", "10.1.2.0/24", new, old, Report("", "Running", ""), Report("", "Stopped", ""))
    gvmd.scans("Daily Discovery", "10.9.0.0/16", weekly())
    listing = source(scans=["Weekly *"]).listing()
    assert listing.scans == (
        RemoteScan(f"{task.id}/{old.id}", "Weekly Boston", datetime(2026, 5, 29, 10, tzinfo=UTC)),
        RemoteScan(f"{task.id}/{new.id}", "Weekly Boston", datetime(2026, 6, 5, 10, tzinfo=UTC)),
    )
    assert listing.passed_over == (
        "Weekly Boston: 1 run is Running, not Done",
        "Weekly Boston: 1 run is Stopped, not Done",
    )


@pytest.mark.parametrize(
    "status", ["Delete Requested", "New", "Processing", "Requested", "Running", "Stop Requested", "Stopped",
               "Interrupted", "Queued", "Ultimate Delete Requested", "", "done?"],
)  # fmt: skip
def test_no_other_state_than_done_is_whole(gvmd, source, status):
    gvmd.scans("Weekly", "10.1.2.0/24", weekly(status=status))
    assert source().listing().scans == ()


def test_of_a_long_history_the_newest_hundred_runs_are_looked_at(gvmd, source):
    runs = [Report("", end=f"2026-{1 + n // 28:02}-{1 + n % 28:02}T10:00:00Z") for n in range(103)]
    gvmd.scans("Daily", "10.1.2.0/24", *runs)
    listing = source().listing()
    assert [scan.id.partition("/")[2] for scan in listing.scans] == [run.id for run in runs[3:]]
    assert listing.passed_over == ("Daily: 3 runs are older than its newest 100",)


def test_runs_that_ended_before_the_history_of_the_rule_are_not_offered(gvmd, source):
    ended = datetime.now(UTC) - timedelta(days=2)
    gvmd.scans("Weekly", "10.1.2.0/24", weekly(), weekly(end=ended.isoformat()))
    assert [scan.finished_at for scan in source(history=timedelta(days=3)).listing().scans] == [ended]


# --- end to end -------------------------------------------------------------------------------------------------------


def test_a_report_comes_whole_with_clean_hosts_and_is_read_with_its_values(gvmd, source, tmp_path):
    results = [result("10.1.2.3"), result("10.1.2.3", f"{OID}80091", severity=2.6, port="general/tcp")]
    results += [result("10.1.2.3", f"{OID}{n}", severity=0.0, port=f"{n}/tcp") for n in range(1, 31)]
    results += [result("10.1.2.3", f"{OID}5000", severity=-1.0)]
    gvmd.scans("Weekly", "10.1.2.0/24", weekly(*results))
    (offered,) = source().listing().scans
    seen: list[tuple[int, int]] = []
    path = source().download(offered, tmp_path, lambda done, total: seen.append((done, total)))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert seen[-1] == (path.stat().st_size, 0)
    scan = read(path, tmp_path / "read")
    assert (scan.scanner, scan.finished_at) == ("gvm", datetime(2026, 6, 5, 10, tzinfo=UTC))
    assert scan.records_by_severity == {"info": 30, "low": 1, "medium": 0, "high": 0, "critical": 1}
    assert [(row["ip"], row["complete"]) for row in scan.hosts.iter_rows(named=True)] == [
        ("10.1.2.3", True),
        ("10.1.2.9", True),  # clean: seen, with nothing found
    ]
    assert scan.unmade.rows() == [("10.1.2.3", f"{OID}5000")]  # a false positive by override proves no repair
    found = scan.findings.filter(pl.col("vulnerability_id") == f"{OID}836484").collect().row(0, named=True)
    assert (found["ports"], found["severity"], found["output"]) == (["445/tcp"], "critical", "build 1")
    (asked,) = [command for command in gvmd.commands("get_reports") if command.get("report_id")]
    assert (asked.get("filter"), asked.get("ignore_pagination"), asked.get("details")) == (FILTER, "1", "1")


@pytest.mark.parametrize("version", ["22.4", "22.5", "22.6", "22.7", "22.8"])
def test_each_version_of_gmp_that_python_gvm_knows_gives_the_same(gvmd, source, tmp_path, version):
    gvmd.version = version
    gvmd.scans("Weekly", "10.1.2.0/24", weekly())
    (offered,) = source().listing().scans
    assert read(source().download(offered, tmp_path, nothing), tmp_path / "read").records == 1


def test_a_gvmd_on_this_machine_is_reached_by_its_socket(gvmd, source, tmp_path):
    gvmd.scans("Weekly", "10.1.2.0/24", weekly())
    server = serve(gvmd, str(tmp_path / "gvmd.sock"))
    local = source(url=f"unix://{tmp_path}/gvmd.sock", ca_file=None)
    (offered,) = local.listing().scans
    assert read(local.download(offered, tmp_path, nothing), tmp_path / "read").records == 1
    server.shutdown()
    server.server_close()


def test_a_large_report_goes_to_disk_without_being_kept_in_memory(gvmd, source, tmp_path):
    import tracemalloc

    big = "x" * 50_000
    results = [result("10.1.2.3", f"{OID}{n}", description=big) for n in range(400)]
    gvmd.scans("Weekly", "10.1.2.0/24", weekly(*results))
    (offered,) = source().listing().scans
    fed: list[int] = []
    sizes: list[int] = []

    def watched(done: int, _: int) -> None:
        fed.append(done)
        if len(fed) == 5:
            tracemalloc.start()
        elif len(fed) > 5 and len(fed) % 20 == 0:
            sizes.append(tracemalloc.get_traced_memory()[0])

    path = source().download(offered, tmp_path, watched)
    tracemalloc.stop()
    assert path.stat().st_size > 20_000_000
    half = len(sizes) // 2
    assert max(sizes[half:]) < max(sizes[:half]) + 2_000_000  # it does not grow with the file


@pytest.mark.parametrize(
    ("file", "hosts", "records"),
    [
        ("golismero_generic.xml", 1, 148),
        ("ovr_airplay.xml", 1, 37),
        ("vulnparse_updated.xml", 1, 6),
        ("helper_report.xml", 1, 1),
    ],
)
def test_reports_that_real_servers_wrote_come_whole(gvmd, source, tmp_path, file, hosts, records):
    report = weekly(raw=real(file))
    gvmd.scans("Weekly", "10.1.2.0/24", report)
    path = source().download(RemoteScan(f"{report.task}/{report.id}", "Weekly"), tmp_path, nothing)
    scan = read(path, tmp_path / "read")
    assert (scan.hosts.height, scan.records) == (hosts, records)


def test_a_real_answer_with_a_page_of_ten_rows_and_no_hosts_is_a_part(gvmd, source, tmp_path):
    report = weekly(raw=real("pygvm_get_reports.xml"))
    gvmd.scans("Weekly", "10.1.2.0/24", report)
    with pytest.raises(ScannerUnavailable, match="came as a part only: 0 of 1 hosts"):
        source().download(RemoteScan(f"{report.task}/{report.id}", "Weekly"), tmp_path, nothing)


def real(name: str) -> str:
    """The report that a real server wrote, within whatever answer it came; as if our filter had been applied."""
    path = schema.FILE.parents[2] / "scans" / "openvas" / name
    if not path.exists():
        pytest.skip(f"there is no {path}: reports of real servers are not part of the repository")
    root = etree.parse(path, etree.XMLParser(huge_tree=True)).getroot()
    report = root.find(".//report/report")
    report = report if report is not None else root.find("report") if root.find("report") is not None else root
    term = report.find("filters/term")
    if term is None:
        term = etree.SubElement(etree.SubElement(report, "filters"), "term")
    term.text = f"{term.text or ''} min_qod=70"
    return etree.tostring(report, encoding="unicode", with_tail=False)


# --- paging and other parts -------------------------------------------------------------------------------------------


def test_a_page_of_ten_results_is_never_taken_for_a_report(gvmd, source, tmp_path):
    gvmd.scans("Weekly", "10.1.2.0/24", weekly(*[result("10.1.2.3", f"{OID}{n}") for n in range(11)]))
    gvmd.pages = True
    (offered,) = source().listing().scans
    with pytest.raises(ScannerUnavailable, match="came as a part only: 10 of 11 results"):
        source().download(offered, tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []


def test_a_report_without_its_clean_hosts_is_a_part(gvmd, source, tmp_path):
    gvmd.scans("Weekly", "10.1.2.0/24", weekly())
    gvmd.result_hosts_only = True
    (offered,) = source().listing().scans
    with pytest.raises(ScannerUnavailable, match="came as a part only: 1 of 2 hosts"):
        source().download(offered, tmp_path, nothing)


def test_another_filter_than_ours_is_a_part(gvmd, source, tmp_path):
    report = weekly(raw="<report><scan_run_status>Done</scan_run_status><result_count><filtered>0</filtered>"
                        "</result_count><filters><term>min_qod=30</term></filters></report>")  # fmt: skip
    gvmd.scans("Weekly", "10.1.2.0/24", report)
    with pytest.raises(ScannerUnavailable, match="filtered by 'min_qod=30' instead of what we asked for"):
        source().download(RemoteScan(f"{report.task}/{report.id}", "Weekly"), tmp_path, nothing)


def test_a_run_that_is_resumed_after_it_was_listed_is_not_taken(gvmd, source, tmp_path):
    report = weekly()
    gvmd.scans("Weekly", "10.1.2.0/24", report)
    (offered,) = source().listing().scans
    report.status = "Running"
    with pytest.raises(ScannerUnavailable, match="is Running, not Done"):
        source().download(offered, tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_was_deleted_meanwhile_is_refused_for_good(gvmd, source, tmp_path):
    gvmd.scans("Weekly", "10.1.2.0/24", weekly())
    (offered,) = source().listing().scans
    gvmd.reports.clear()
    with pytest.raises(ScannerRefused, match="answers 404 Failed to find report"):
        source().download(offered, tmp_path, nothing)


# --- faults -----------------------------------------------------------------------------------------------------------


def silence(conversation: Conversation) -> bool:
    threading.Event().wait(2)
    return False


def cut_off(conversation: Conversation) -> bool:
    text = conversation.gvmd.answer(conversation.gvmd.heard[-1])
    conversation.send(text[: len(text) // 2].encode())
    return False


def garbage(conversation: Conversation) -> bool:
    conversation.send(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>")
    return False


def bomb(conversation: Conversation) -> bool:
    conversation.send(b'<!DOCTYPE a [<!ENTITY b "' + b"b" * 1000 + b'">]><a>&b;</a>')
    return False


def answers(text: str):
    def fault(conversation: Conversation) -> bool:
        conversation.send(text.encode())
        return True

    return fault


def bad_status(command: str, status: str, text: str):
    return answers(f'<{command}_response status="{status}" status_text="{text}"/>')


UNAVAILABLE = {
    "silence": (silence, "was silent for too long"),
    "cut off": (cut_off, "broke off in the middle of an answer"),
    "garbage": (garbage, "answers something that is no GMP"),
    "an entity bomb": (bomb, "answers something that is no GMP"),
    "503": (bad_status("x", "503", "Service temporarily down"), "answers 503 Service temporarily down"),
    "500": (bad_status("x", "500", "Internal error"), "answers 500 Internal error"),
}


@pytest.mark.parametrize("command", ["get_version", "authenticate", "get_tasks", "get_reports"])
@pytest.mark.parametrize("fault", UNAVAILABLE)
def test_what_a_later_try_may_change_is_unavailable_whatever_was_asked(gvmd, source, tmp_path, command, fault):
    report = weekly()
    gvmd.scans("Weekly", "10.1.2.0/24", report)
    offered = RemoteScan(f"{report.task}/{report.id}", "Weekly")
    gvmd.faults[command], words = UNAVAILABLE[fault]
    if command == "get_version" and fault in ("500", "503"):
        words = "the connection failed"  # python-gvm does not look at the status of this one
    gvm = source()
    gvm.limits = IMPATIENT if fault == "silence" else gvm.limits
    with pytest.raises(ScannerUnavailable, match=words):
        gvm.listing()
    if command != "get_tasks":
        with pytest.raises(ScannerUnavailable, match=words):
            gvm.download(offered, tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_password_is_refused_without_being_repeated(gvmd, source):
    gvmd.scans("Weekly", "10.1.2.0/24", weekly())
    wrong = source(password="not-the-right-one")
    with pytest.raises(ScannerRefused, match="answers 400 Authentication failed; check username and password") as told:
        wrong.listing()
    assert "not-the-right-one" not in str(told.value)


def test_lacking_rights_are_refused_with_the_way_to_mend_them(gvmd, source, tmp_path):
    report = weekly()
    gvmd.scans("Weekly", "10.1.2.0/24", report)
    gvmd.faults["get_reports"] = bad_status("get_reports", "400", "Permission denied")
    with pytest.raises(ScannerRefused, match="Permission denied; the account needs more rights"):
        source().listing()
    with pytest.raises(ScannerRefused, match="Permission denied; the account needs more rights"):
        source().download(RemoteScan(f"{report.task}/{report.id}", "Weekly"), tmp_path, nothing)


def test_a_list_of_tasks_that_is_a_page_is_not_believed(gvmd, source):
    gvmd.faults["get_tasks"] = answers(
        '<get_tasks_response status="200" status_text="OK"><task id="1"/>'
        "<task_count>25<filtered>25</filtered><page>10</page></task_count></get_tasks_response>"
    )
    with pytest.raises(ScannerUnavailable, match="the list of tasks holds 1 of 25"):
        source().listing()


def test_an_answer_larger_than_memory_may_be_is_given_up(gvmd, source):
    from dataclasses import replace

    def endless(conversation: Conversation) -> bool:
        conversation.send(b'<get_tasks_response status="200">' + b"<x/>" * 100_000)
        return False

    gvmd.faults["get_tasks"] = endless
    small = source()
    small.limits = replace(small.limits, answer=100_000)
    with pytest.raises(ScannerUnavailable, match="an answer has more than 100,000 bytes"):
        small.listing()


def test_a_report_larger_than_allowed_is_given_up_and_leaves_nothing(gvmd, source, tmp_path):
    from dataclasses import replace

    gvmd.scans("Weekly", "10.1.2.0/24", weekly(result("10.1.2.3", description="x" * 300_000)))
    small = source()
    (offered,) = small.listing().scans
    small.limits = replace(small.limits, file=100_000)
    with pytest.raises(ScannerUnavailable, match="more than 100,000 bytes"):
        small.download(offered, tmp_path, nothing)
    assert list(tmp_path.iterdir()) == []


# --- who is at the other end ------------------------------------------------------------------------------------------


def test_a_certificate_of_an_unknown_authority_is_refused(source, pem, tmp_path):
    from tests.gvm_api.gmp_server import certificate

    other = certificate(tmp_path)
    with pytest.raises(ScannerRefused, match=r"its certificate is not trusted .*; name its authority as ca_file"):
        source(ca_file=str(other)).listing()


def test_a_certificate_for_another_name_is_refused(source, port):
    with pytest.raises(ScannerRefused, match="certificate is not trusted"):
        source(url=f"tls://127.0.0.1:{port}").listing()


def test_an_unchecked_certificate_is_possible_but_never_silent(gvmd, source, port):
    gvmd.scans("Weekly", "10.1.2.0/24", weekly())
    unchecked = source(url=f"tls://127.0.0.1:{port}", ca_file=None, verify=False)
    assert len(unchecked.listing().scans) == 1
    assert [check.what for check in unchecked.check() if not check.ok] == [
        "the certificate of the scanner is not checked (verify: false)"
    ]


def test_nobody_there_is_unavailable(source, tmp_path):
    with pytest.raises(ScannerUnavailable, match="nobody listens there"):
        source(url="tls://localhost:1").listing()
    with pytest.raises(ScannerUnavailable, match="there is no such socket"):
        source(url=f"unix://{tmp_path}/none.sock", ca_file=None).listing()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "https://localhost:9390"}, "write tls://host:9390, ssh://user@host or unix:///run/gvmd/gvmd.sock"),
        ({"url": "unix://gvmd.sock"}, "write tls://host:9390"),
        ({"username": None}, "username: is missing"),
        ({"password": "${OTHER}"}, "OTHER: is not set"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file: there is no file '/nowhere/ca.pem'"),
        ({"url": "ssh://gmp@localhost", "verify": False}, "over SSH the host key is always checked"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_before_anything_connects(source, options, words):
    with pytest.raises(ScannerRefused, match=words):
        source(**options)


def test_check_names_version_rights_and_tasks(gvmd, source):
    gvmd.scans("Weekly Boston", "10.1.2.0/24", weekly())
    gvmd.scans("Daily", "10.1.2.0/24", weekly())
    gvmd.may = "GET_TASKS GET_REPORTS"
    assert [(check.ok, check.what) for check in source(scans=["Weekly *"]).check()] == [
        (True, f"greenbone ({source().address.netloc}): GMP 22.6, logged in as vmjira"),
        (True, "may read reports"),
        (False, "may not scan single hosts again: CREATE_TARGET, MODIFY_TARGET, CREATE_TASK, START_TASK, STOP_TASK, "
                "DELETE_TASK, DELETE_TARGET"),
        (True, "1 of 2 visible tasks match: Weekly Boston"),
    ]  # fmt: skip


def test_check_tells_why_there_is_no_connection(source):
    (check,) = source(password="wrong").check()
    assert (check.ok, "Authentication failed" in check.what) == (False, True)
