"""CSV of Tenable, Nexpose, GVM and Qualys, by small samples."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from tests.scanners.conftest import SAMPLES, findings, host, vulnerability
from vmjira.errors import ScanUnreadable
from vmjira.scanners import nexpose
from vmjira.scanners.values import cvss_band

TEN = datetime(2026, 6, 5, 10, tzinfo=UTC)


# --- Tenable CSV ------------------------------------------------------------------------------------------------------


def test_the_csv_of_nessus_has_its_time_in_plugin_19506_and_a_line_for_each_cve(read):
    scan = read(SAMPLES / "nessus.csv")
    assert (scan.scanner, scan.format, scan.finished_at) == ("nessus", "tenable-csv", TEN)
    assert findings(scan) == {("1", "19506"): ([], "info"), ("1", "35291"): (["443/tcp", "8443/tcp"], "medium")}
    assert vulnerability(scan, "35291")["cves"] == ["CVE-2004-2761", "CVE-2005-4900"]
    assert (host(scan)["authenticated"], host(scan)["complete"]) == (False, True)


def test_the_csv_of_tenable_io_leaves_out_what_is_fixed(read):
    scan = read(SAMPLES / "tenable-io.csv")
    assert findings(scan) == {("1", "176700"): ([], "high")}
    assert (scan.started_at, scan.finished_at) == (datetime(2026, 6, 5, 8, 0, 0, 500_000, tzinfo=UTC), TEN)
    found = host(scan)
    assert (found["ip"], found["hostname"], found["netbios"], found["os"]) == (
        "10.1.2.3",
        "pc1.example.com",
        "PC1",
        "Linux",
    )
    told = vulnerability(scan, "176700")
    assert (told["cvss2"], told["cvss3"], told["exploits"], told["exploit_available"]) == (
        6.8,
        7.8,
        ["Metasploit"],
        True,
    )


def test_the_csv_of_tenable_sc_has_its_own_names_and_times(read):
    scan = read(SAMPLES / "tenable-sc.csv")
    assert scan.finished_at == TEN
    assert findings(scan) == {("1", "73756"): (["1433/tcp"], "critical")}
    assert (host(scan)["netbios"], host(scan)["mac"]) == ("DB1", "9c:8e:99:00:00:01")
    told = vulnerability(scan, "73756")
    assert (told["exploit_available"], told["references"]) == (False, ["IAVA:0001-A-0560", "CWE:310"])
    assert scan.findings.collect()["output"].item() == "version 10"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,Severe,10.0.0.1,80", "line 2, plugin '1': severity 'severe' is none"),
        ("1,High,10.0.0.1,http", "line 2, plugin '1': port 'http' is none; allowed are 0 to 65535"),
        ("1,High,,80", "line 2, plugin '1': no host"),
        (",High,10.0.0.1,80", "line 2, plugin '': no plugin"),
    ],
)
def test_a_line_that_cannot_be_read_is_counted_and_named(read, line, words):
    good = "2,High,10.0.0.2,80,2026-06-05T10:00:00Z"
    scan = read(f"Plugin ID,Risk,Host,Port,Host End\n{line},2026-06-05T10:00:00Z\n{good}\n")
    assert (scan.unreadable, scan.warnings, scan.records) == (1, (words,), 2)


def test_csv_lines_may_come_in_any_order(read):
    lines = [f"{n % 3},High,10.0.0.{n % 5},{n},2026-06-05T10:00:00Z" for n in range(1, 61)]
    found = findings(read("\n".join(["Plugin ID,Risk,Host,Port,Host End", *lines])))
    assert len(found) == 15
    assert all(len(ports) == 4 for ports, _ in found.values())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("Plugin ID,Risk,Host\n1,High,10.0.0.1\n", "no column and no plugin 19506 tells when this was"),
        ("Plugin ID,Risk,Host\n", "holds no result"),
        ("Plugin,Severity,Total,Host Total\n1,High,1,1\n", "is a Tenable.sc summary without hosts"),
        ('Plugin ID,Risk,Host\n1,"High,10.0.0.1', "line 2: is no CSV as scanners write it"),
    ],
)
def test_csv_without_time_hosts_or_end_is_refused(read, content, words):
    with pytest.raises(ScanUnreadable, match=words):
        read(content)


def test_csv_in_another_encoding_is_refused_and_in_utf_16_read(read):
    content = "Plugin ID,Risk,Host,Host End,Name\n1,High,10.0.0.1,2026-06-05T10:00:00Z,é\n"
    assert vulnerability(read(content.encode("utf-16")), "1")["title"] == "é"
    with pytest.raises(ScanUnreadable, match="is not utf-8-sig"):
        read(content.encode("latin-1"))


# --- Nexpose ----------------------------------------------------------------------------------------------------------


def test_a_nexpose_report_gives_findings_and_checks_that_were_not_made(read):
    scan = read(SAMPLES / "nexpose.xml")
    assert (scan.scanner, scan.format, scan.records) == ("nexpose", "nexpose", 5)
    assert findings(scan) == {
        ("1", "tcp-timestamp"): ([], "medium"),
        ("1", "ssl-old"): (["443/tcp", "8443/tcp"], "critical"),
        ("2", "tcp-timestamp"): ([], "medium"),
    }
    assert scan.unmade.rows() == [("1", "accepted-one"), ("1", "dns-cache"), ("1", "ftp-x")]
    assert scan.records_by_severity == {"info": 0, "low": 0, "medium": 2, "high": 0, "critical": 2}
    assert (scan.unreadable, scan.warnings) == (
        1,
        ("vulnerability 'no-definition' is found 1 times, but nothing defines its severity",),
    )


def test_nexpose_hosts_are_complete_if_their_scan_is_finished_and_left_out_if_not_alive(read):
    scan = read(SAMPLES / "nexpose.xml")
    assert scan.hosts["ip"].to_list() == ["10.1.2.3", "10.1.2.4"]
    assert host(scan) | {"scanned_at": None} == {
        "host": "1",
        "ip": "10.1.2.3",
        "hostname": "pc3.example.com",
        "netbios": None,
        "mac": "02:00:00:0a:bb:01",
        "agent_uuid": None,
        "os": "Cisco IOS 12",
        "scanned_at": None,
        "authenticated": None,
        "complete": True,
    }
    assert (host(scan, "2")["complete"], host(scan, "2")["scanned_at"]) == (False, datetime(2026, 6, 4, 9, tzinfo=UTC))


def test_a_nexpose_definition_is_plain_text(read):
    told = vulnerability(read(SAMPLES / "nexpose.xml"), "ssl-old")
    assert (told["family"], told["cves"], told["references"]) == (
        "HTTP, SSL",
        ["CVE-2014-3566"],
        ["CVE:CVE-2014-3566", "https://example.com/ssl", "BID:70574"],
    )
    assert (told["exploits"], told["exploit_available"]) == (["metasploit: Old trick"], True)
    told = vulnerability(read(SAMPLES / "nexpose.xml"), "tcp-timestamp")
    assert (told["solution"], told["published"], told["exploit_available"]) == ("Disable it.", date(1997, 8, 1), False)


def test_severity_bands_are_those_of_the_consoles():
    assert [nexpose.band(score) for score in (0, 1, 3, 4, 7, 8, 10)] == [
        "info", "medium", "medium", "high", "high", "critical", "critical",
    ]  # fmt: skip
    assert [cvss_band(score) for score in (0, 0.1, 3.9, 4, 6.9, 7, 8.9, 9, 10)] == [
        "info", "low", "low", "medium", "medium", "high", "high", "critical", "critical",
    ]  # fmt: skip


# --- GVM --------------------------------------------------------------------------------------------------------------


def test_a_gvm_report_gives_findings_unmade_checks_and_hosts_without_results(read):
    scan = read(SAMPLES / "gvm.xml")
    oid = "1.3.6.1.4.1.25623.1.0."
    assert (scan.format, scan.records, scan.finished_at, scan.unreadable) == ("gvm", 5, TEN, 0)
    assert findings(scan) == {
        ("10.1.2.3", f"{oid}836484"): (["445/tcp"], "critical"),
        ("10.1.2.3", f"{oid}80091"): ([], "low"),
        ("2001:DB8::1", f"{oid}1"): (["443/tcp"], "info"),
    }
    assert scan.unmade.rows() == [("10.1.2.3", f"{oid}2"), ("10.1.2.3", f"{oid}804489")]  # an override, an error
    assert [(row["ip"], row["complete"]) for row in scan.hosts.iter_rows(named=True)] == [
        ("10.1.2.3", True),
        ("2001:db8::1", True),
        ("10.1.2.9", False),
    ]
    found = host(scan, "10.1.2.3")
    assert (found["hostname"], found["os"], found["mac"]) == ("pc3.example.com", "Windows 11", "02:00:00:aa:bb:01")
    assert found["scanned_at"] == datetime(2026, 6, 5, 9, 30, tzinfo=UTC)


def test_a_gvm_nvt_is_told_by_its_tags_and_references(read):
    told = vulnerability(read(SAMPLES / "gvm.xml"), "1.3.6.1.4.1.25623.1.0.836484")
    assert (told["cvss2"], told["cvss3"], told["family"]) == (None, 9.8, "Windows : Microsoft Bulletins")
    assert (told["synopsis"], told["description"], told["solution"]) == (
        "An update is missing.",
        "Flaws exist.",
        "Install the update.",
    )
    assert (told["cves"], told["references"]) == (["CVE-2025-47981"], ["https://example.com/kb", "CERT-BUND:WID-SEC-1"])


def gvm(*, status: str = "Done", end: str = "<scan_end>2026-06-05T10:00:00Z</scan_end>", results: str = "") -> str:
    return (
        f'<report id="1"><report id="1"><scan_run_status>{status}</scan_run_status>'
        "<scan_start>2026-06-05T08:00:00Z</scan_start>"
        f"<results>{results}</results>{end}</report></report>"
    )


RESULT = '<result><host>10.0.0.1</host><port>general/tcp</port><nvt oid="1.2"/>{}</result>'


def test_a_gvm_scan_that_is_not_done_is_incomplete_and_without_an_end_refused(read):
    results = RESULT.format("<severity>5.0</severity>")
    assert host(read(gvm(status="Stopped", results=results)), "10.0.0.1")["complete"] is False
    with pytest.raises(ScanUnreadable, match="it was exported while the scan was running"):
        read(gvm(status="Running", end="<scan_end></scan_end>", results=results))


def test_a_page_of_gvm_results_fixes_nothing(read):
    scan = read(
        gvm(results=RESULT.format("<severity>5.0</severity>")).replace(
            "</results>", "</results><result_count><filtered>7</filtered></result_count>"
        )
    )
    assert host(scan, "10.0.0.1")["complete"] is False
    assert scan.warnings == ("holds 1 of 7 results, so nothing is taken as fixed; export it with rows=-1",)


@pytest.mark.parametrize(
    ("words", "severity"),
    [
        ("<threat>Log</threat>", "info"),
        ("<threat>Critical</threat>", "critical"),
        ("<threat></threat><severity>4.0</severity>", "medium"),
        ("<threat>High</threat><severity>0.0</severity>", "info"),
    ],
)
def test_the_score_of_gvm_counts_and_the_threat_where_there_is_none(read, words, severity):
    assert findings(read(gvm(results=RESULT.format(words)))) == {("10.0.0.1", "1.2"): ([], severity)}


def test_a_gvm_result_without_severity_is_unreadable(read):
    assert read(gvm(results=RESULT.format(""))).warnings == ("line 1, NVT '1.2': no severity that makes sense",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            '<get_reports_response status="404" status_text="Failed to find report"/>',
            "is an error of GVM, not a report: 404",
        ),
        ('<report id="1" type="delta"><results/></report>', "is a delta report"),
        (
            '<get_reports_response status="200"><report id="1"/><report id="2"/></get_reports_response>',
            "holds 2 reports",
        ),
        ('<report id="1"><results><result/></results></report>', "nothing in it tells when this was"),
    ],
)
def test_what_is_no_whole_gvm_report_is_refused(read, content, words):
    with pytest.raises(ScanUnreadable, match=words):
        read(content)


def test_the_csv_of_gvm(read):
    scan = read(SAMPLES / "gvm.csv")
    assert (scan.scanner, scan.format, scan.finished_at) == ("gvm", "gvm-csv", TEN)
    assert sorted(findings(scan).values()) == [([], "low"), (["443/tcp"], "medium")]
    assert host(scan, "10.1.2.3")["hostname"] == "pc3"


# --- Qualys -----------------------------------------------------------------------------------------------------------


def test_qualys_scan_results(read):
    scan = read(SAMPLES / "qualys-scan.xml")
    assert (scan.scanner, scan.format, scan.finished_at) == ("qualys", "qualys-scan", TEN)
    assert findings(scan) == {("1", "6"): ([], "info"), ("1", "86821"): (["443/tcp"], "medium")}
    assert scan.warnings == ("line 9, QID '11': severity '6' is none",)
    assert scan.hosts["complete"].to_list() == [True, True]
    assert host(scan, "2")["hostname"] is None
    told = vulnerability(scan, "86821")
    assert (told["family"], told["synopsis"], told["cves"]) == ("Web server", "It reflects.\nTruly.", ["CVE-2006-3918"])


def test_a_qualys_report_takes_severities_from_its_glossary(read):
    scan = read(SAMPLES / "qualys-report.xml")
    assert findings(scan) == {("1", "86821"): (["443/tcp", "80"], "critical")}
    assert (scan.records_by_severity["critical"], scan.finished_at) == (2, TEN)
    told = vulnerability(scan, "86821")
    assert (told["exploits"], told["solution"]) == (["A trick"], None)


def test_qualys_detections_know_credentials_and_decisions(read):
    scan = read(SAMPLES / "qualys-detections.xml")
    assert findings(scan) == {("1", "90007"): (["445/tcp"], "low")}
    assert scan.unmade.rows() == [("1", "90044")]
    assert scan.hosts["authenticated"].to_list() == [True, False]
    assert host(scan)["agent_uuid"] == "5c9d412c-bf4f-4fdb-8bcd-46ee0f6529de"
