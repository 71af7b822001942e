"""Nessus v2 XML and its quirks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.scanners.conftest import ENDED, SAMPLES, findings, host, item, nessus, report_host, vulnerability
from vmjira.errors import ScanUnreadable

TEN = datetime(2026, 6, 5, 10, tzinfo=UTC)


def test_a_plain_scan_gives_its_hosts_findings_and_checks(read):
    scan = read(SAMPLES / "plain.nessus")
    assert (scan.scanner, scan.format, scan.records, scan.unreadable, scan.warnings) == ("nessus", "nessus", 6, 0, ())
    assert scan.records_by_severity == {"info": 3, "low": 0, "medium": 0, "high": 2, "critical": 1}
    assert (scan.started_at, scan.finished_at) == (datetime(2026, 6, 5, 8, tzinfo=UTC), TEN)
    assert scan.checks == {"10180", "19506", "97833", "42873"}
    assert host(scan) == {
        "host": "1",
        "ip": "10.1.2.3",
        "hostname": "pc3.example.com",
        "netbios": "PC3",
        "mac": "02:00:00:aa:bb:01",
        "agent_uuid": "3ff19fa2b36d4556b964da9002f8626c",
        "os": "Microsoft Windows 11 Pro",
        "scanned_at": TEN,
        "authenticated": True,
        "complete": True,
    }
    assert findings(scan) == {
        ("1", "97833"): (["445/tcp"], "critical"),
        ("1", "42873"): (["3389/tcp", "443/tcp"], "high"),
        ("1", "19506"): ([], "info"),
        ("2", "10180"): ([], "info"),
        ("2", "19506"): ([], "info"),
    }


def test_what_a_plugin_repeats_is_kept_once_with_all_its_fields(read):
    assert vulnerability(read(SAMPLES / "plain.nessus"), "97833") == {
        "scanner": "nessus",
        "vulnerability_id": "97833",
        "title": "MS17-010: Security Update",
        "family": "Windows : Microsoft Bulletins",
        "severity": "critical",
        "cvss2": 9.3,
        "cvss3": 8.1,
        "cves": ["CVE-2017-0143", "CVE-2017-0144"],
        "exploit_available": True,
        "exploits": ["Metasploit: MS17-010 EternalBlue", "malware", "CISA known exploited"],
        "solution": "Install the update.",
        "description": "Remote code execution.",
        "synopsis": "A bulletin is missing.",
        "published": date(2017, 3, 14),
        "patch_published": date(2017, 3, 15),
        "references": ["https://example.com/ms17-010", "https://example.com/kb", "MSFT:MS17-010", "MSKB:4012212"],
    }


def test_a_time_without_a_zone_is_in_the_zone_given(read):
    scan = read(nessus(report_host(item())), zone=ZoneInfo("America/New_York"))
    assert scan.finished_at == datetime(2026, 6, 5, 14, tzinfo=UTC)


def test_an_epoch_is_preferred_to_a_time_in_words(read):
    tags = ENDED + '<tag name="HOST_END_TIMESTAMP">1780653600</tag>'
    assert read(nessus(report_host(item(), tags=tags)), zone=ZoneInfo("Asia/Tokyo")).finished_at == TEN


def test_times_in_iso_form_keep_their_zone(read):
    tags = '<tag name="HOST_END">2026-06-05T12:00:00.5+02:00</tag>'
    scan = read(nessus(report_host(item(), tags=tags)), zone=ZoneInfo("Asia/Tokyo"))
    assert scan.finished_at == TEN.replace(microsecond=500_000)


def test_plugin_19506_stands_in_for_times_and_credentials(read):
    output = "Credentialed checks : yes, as 'CORP\\scan' via SMB\nScan Start Date : 2026/6/5 9:50 UTC"
    output += "\nScan duration : 600 sec"
    info = item("19506", port="0", severity="0", inside=f"<plugin_output>{output}</plugin_output>")
    scan = read(nessus(report_host(info, tags="")), zone=ZoneInfo("Asia/Tokyo"))
    assert (scan.started_at, scan.finished_at) == (TEN.replace(hour=9, minute=50), TEN)
    assert host(scan)["authenticated"] is True
    assert "Credentialed checks : yes\nScan Start" in scan.findings.collect()["output"].item()  # no account


@pytest.mark.parametrize(("tag", "expected"), [("true", True), ("false", False)])
def test_the_credentials_tag_comes_before_plugin_19506(read, tag, expected):
    info = item("19506", inside="<plugin_output>Credentialed checks : no</plugin_output>")
    tags = f'{ENDED}<tag name="Credentialed_Scan">{tag}</tag>'
    assert host(read(nessus(report_host(info, tags=tags))))["authenticated"] is expected


def test_a_host_without_19506_is_incomplete_where_others_have_it(read):
    scan = read(nessus(report_host(item("19506")), report_host(item(), name="10.0.0.2")))
    assert [host(scan, "1")["complete"], host(scan, "2")["complete"]] == [True, False]
    assert host(read(nessus(report_host(item()))))["complete"] is None


def test_a_host_without_a_time_has_the_end_of_the_scan(read):
    assert host(read(nessus(report_host(item(), tags=""), report_host(item(), name="10.0.0.2"))))["scanned_at"] == TEN


@pytest.mark.parametrize(
    ("name", "tags", "ip", "hostname"),
    [
        ("10.0.0.1", "", "10.0.0.1", None),
        ("pc1", "", None, "pc1"),
        ("pc1", '<tag name="host-ip">10.0.0.7</tag>', "10.0.0.7", "pc1"),
        ("10.0.0.1", '<tag name="host-rdns">r.example.com</tag>', "10.0.0.1", "r.example.com"),
        ("x", '<tag name="host-rdns">r</tag><tag name="host-fqdn">f.example.com</tag>', None, "f.example.com"),
        ("https://shop.example.com:8443/a", "", None, "shop.example.com"),
        ("2001:DB8:0::1", "", "2001:db8::1", None),
    ],
)
def test_who_a_host_is(read, name, tags, ip, hostname):
    found = host(read(nessus(report_host(item(), name=name, tags=ENDED + tags))))
    assert (found["ip"], found["hostname"]) == (ip, hostname)


def test_the_first_of_several_macs_counts(read):
    tags = f'{ENDED}<tag name="mac-address">00:1B:78:00:00:01\n00:1B:78:00:00:02</tag>'
    assert host(read(nessus(report_host(item(), tags=tags))))["mac"] == "00:1b:78:00:00:01"


def test_dead_hosts_and_hosts_without_results_were_not_observed(read):
    dead = item(
        "10180", inside="<plugin_output>The remote host (10.0.0.2) is considered as dead - not scanning</plugin_output>"
    )
    scan = read(nessus(report_host(item()), report_host(dead, name="10.0.0.2"), report_host(name="10.0.0.3")))
    assert scan.hosts["host"].to_list() == ["1"]
    assert set(findings(scan)) == {("1", "1000")}


def test_the_same_finding_on_other_ports_is_one_with_the_highest_severity(read):
    items = [item(port="443", severity="2"), item(port="80", severity="4"), item(port="443"), item(port="0")]
    assert findings(read(nessus(report_host(*items)))) == {("1", "1000"): (["443/tcp", "80/tcp"], "critical")}


def test_the_same_host_twice_is_two_references(read):
    scan = read(nessus(report_host(item()), report_host(item("2000"))))
    assert scan.hosts["ip"].to_list() == ["10.0.0.1", "10.0.0.1"]
    assert set(findings(scan)) == {("1", "1000"), ("2", "2000")}


def test_nothing_of_a_host_goes_over_to_the_next(read):
    first = report_host(
        item("19506"), tags=f'{ENDED}<tag name="host-fqdn">a</tag><tag name="Credentialed_Scan">true</tag>'
    )
    second = '<ReportHost name="10.0.0.2">' + item() + "</ReportHost>"
    found = host(read(nessus(first, second)), "2")
    assert (found["hostname"], found["authenticated"]) == (None, None)


def test_many_hosts_with_many_items_lose_none(read):
    hosts = [
        report_host(*(item(str(n), inside="<synopsis>s</synopsis>" * 9) for n in range(300)), name=f"h{h}")
        for h in range(9)
    ]
    scan = read(nessus(*hosts))
    assert (scan.records, scan.hosts.height, len(findings(scan))) == (2700, 9, 2700)


def test_compliance_results_are_told_apart_by_their_check(read):
    scan = read(SAMPLES / "compliance.nessus")
    assert findings(scan) == {
        ("1", "21157/8c1f6a"): ([], "high"),
        ("1", "21157/1.2 Ensure /tmp is a partition"): ([], "medium"),
        ("1", "21157/SN.1 Old style"): ([], "high"),
    }
    assert scan.unmade.rows() == [("1", "21157/9d2e7b")]
    assert (scan.records, scan.checks) == (5, {"21157"})
    told = vulnerability(scan, "21157/8c1f6a")
    assert (told["title"], told["family"], told["solution"]) == ("1.1 Set a password", "Policy Compliance", "Set one.")
    assert scan.findings.collect().filter(vulnerability_id="21157/8c1f6a")["output"].item() == "none is set"


@pytest.mark.parametrize(
    ("attributes", "inside", "severity"),
    [
        ("", "<risk_factor>High</risk_factor>", "high"),
        ("", "<risk_factor></risk_factor><cvss3_base_score>9.1</cvss3_base_score>", "critical"),
        ('risk_factor="" cvss_base_score="6.0"', "", "medium"),
    ],
)
def test_a_missing_severity_is_taken_from_the_risk_or_the_score(read, attributes, inside, severity):
    bare = f'<ReportItem pluginID="7" {attributes}>{inside}</ReportItem>'
    assert findings(read(nessus(report_host(bare)))) == {("1", "7"): ([], severity)}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (item(severity="9"), "line 1, host 1, plugin '1000': severity '9' is none; allowed are 0 to 4"),
        (item(port="https"), "line 1, host 1, plugin '1000': port 'https' is none; allowed are 0 to 65535"),
        (item(port="70000"), "line 1, host 1, plugin '1000': port '70000' is none; allowed are 0 to 65535"),
        (item(plugin=""), "line 1, host 1, plugin '': no pluginID"),
        ('<ReportItem pluginID="7"/>', "line 1, host 1, plugin '7': severity '' is none; allowed are 0 to 4"),
    ],
)
def test_a_record_that_cannot_be_read_is_counted_and_named(read, bad, words):
    scan = read(nessus(report_host(bad, item("2000"))))
    assert (scan.unreadable, scan.warnings, scan.records) == (1, (words,), 2)
    assert set(findings(scan)) == {("1", "2000")}


def test_only_the_first_twenty_unreadable_records_are_named(read):
    scan = read(nessus(report_host(*(item(port="x") for _ in range(23)))))
    assert (scan.unreadable, len(scan.warnings), scan.warnings[-1]) == (23, 21, "and 3 more")


def test_port_and_protocol_may_be_children(read):
    bare = '<ReportItem severity="1" pluginID="7"><port>53</port><protocol>udp</protocol></ReportItem>'
    assert findings(read(nessus(report_host(bare)))) == {("1", "7"): (["53/udp"], "low")}


def test_a_long_output_is_cut_with_a_mark(read):
    scan = read(nessus(report_host(item(inside=f"<plugin_output>{'é' * 20_000}</plugin_output>"))))
    output = scan.findings.collect()["output"].item()
    assert output == "é" * 16_384 + "\n[… cut by vmjira]"


def test_one_date_that_makes_no_sense_is_a_warning_and_all_are_a_refusal(read):
    wrong = '<tag name="HOST_END">Mon Foo 99 25:61:00 2026</tag>'
    scan = read(nessus(report_host(item(), tags=wrong), report_host(item(), name="b")))
    assert scan.warnings == ("host 1: HOST_END 'Mon Foo 99 25:61:00 2026' is no time that makes sense",)
    with pytest.raises(ScanUnreadable, match="no host has a time that makes sense"):
        read(nessus(report_host(item(), tags=wrong)))


@pytest.mark.parametrize("year", ["0001", "1969", "9999"])
def test_years_without_scanners_make_no_sense(read, year):
    with pytest.raises(ScanUnreadable, match="no host has a time"):
        read(nessus(report_host(item(), tags=f'<tag name="HOST_END">Fri Jun  5 10:00:00 {year}</tag>')))


@pytest.mark.parametrize("content", [nessus(), "<NessusClientData_v2><Policy/></NessusClientData_v2>"])
def test_a_policy_or_an_empty_report_is_refused(read, content):
    with pytest.raises(ScanUnreadable, match="holds no host: it is a policy or an empty report"):
        read(content)
