"""Every real scan file that we have: read with the right numbers, or refused with the right reason.

Hosts are those observed; records are results as written in the file; findings are distinct by host and vulnerability.
Where a list of the files made by others counts differently:
- `dd_was_no_vuln.xml`, `derekmorr_nessus_test.csv`: a host without results, a dead host: not observed, so not counted.
- `dd_tenable_many.csv`: one name under two addresses is two hosts here; merging is a matter of identity rules.
- `dd_report_many_v2.csv`: one address is written with spaces before it once.
- Qualys `SCAN`: information, services and practices are results like vulnerabilities, as `Ig` is in its other formats.
"""

from __future__ import annotations

import pytest

from tests.scanners.conftest import shared
from vmjira.errors import ScanUnreadable

READ = {
    "nessus/bch_10_10.nessus.xz": ("nessus", 16, 612, 308),
    "nessus/blindado_very_simple.xml": ("nessus", 1, 4, 4),
    "nessus/dd_issue_6992.nessus.xz": ("nessus", 1, 1, 1),
    "nessus/dd_many_vuln.xml": ("nessus", 1, 7, 6),
    "nessus/dd_testphp_cvss3.nessus.xz": ("nessus", 1, 49, 48),
    "nessus/dd_v_unknown.xml.xz": ("nessus", 7, 296, 207),
    "nessus/dd_was_many.xml": ("nessus", 1, 5, 5),
    "nessus/dd_was_no_vuln.xml": ("nessus", 0, 0, 0),
    "nessus/dradis_example_v2.nessus": ("nessus", 2, 69, 41),
    "nessus/dradis_host_01.xml": ("nessus", 1, 7, 2),
    "nessus/eafonin_2025.nessus.xz": ("nessus", 1, 40, 40),
    "nessus/heimdall_sample.nessus.xz": ("nessus", 3, 149, 117),
    "nessus/libnessus_forged.nessus": ("nessus", 1, 5, 5),
    "nessus/libnessus_local_3hosts.nessus": ("nessus", 3, 106, 73),
    "nessus/libnessus_localpci.nessus.xz": ("nessus", 1, 167, 123),
    "nessus/nessustools_35hosts.nessus.xz": ("nessus", 35, 1292, 995),
    "nessus/pytenable_example.nessus.xz": ("nessus", 1, 230, 193),
    "nessus/ruby_example2.nessus": ("nessus", 2, 84, 52),
    "nessus/ruby_example_v3.nessus.xz": ("nessus", 1, 155, 106),
    "nessus/seccubus_compliance.nessus.xz": ("nessus", 1, 398, 353),
    "nessus/seccubus_unicode.nessus": ("nessus", 1, 1, 1),
    "nessus/series_week1.nessus.xz": ("nessus", 7, 295, 207),
    "nessus/series_week2.nessus.xz": ("nessus", 7, 287, 199),
    "nessus/series_week3.nessus.xz": ("nessus", 7, 287, 199),
    "nessus/threadfix_target_2011.xml": ("nessus", 1, 77, 56),
    "nessus/top100_01-08.nessus": ("nessus", 8, 144, 121),
    "nessus/top100_33-40.nessus": ("nessus", 8, 128, 107),
    "nessus/vulnparse_lab_2026.nessus.xz": ("nessus", 2, 101, 66),
    "nessus-csv/dd_issue_9612.csv": ("tenable-csv", 2, 3, 2),
    "nessus-csv/dd_many_vuln.csv": ("tenable-csv", 2, 4, 4),
    "nessus-csv/dd_many_vuln2_all.csv": ("tenable-csv", 1, 30, 25),
    "nessus-csv/dd_many_vuln2_default.csv": ("tenable-csv", 1, 30, 25),
    "nessus-csv/dd_tenable_many.csv": ("tenable-csv", 3, 20, 9),
    "nessus-csv/derekmorr_nessus_test.csv": ("tenable-csv", 1, 9, 5),
    "nessus-csv/vw_export_164.csv": ("tenable-csv", 1, 224, 76),
    "nexpose/dd_dns.xml": ("nexpose", 1, 5, 3),
    "nexpose/dd_many_vulns.xml.xz": ("nexpose", 8, 162, 28),
    "nexpose/dd_no_vuln.xml": ("nexpose", 1, 1, 0),
    "nexpose/dd_one_vuln.xml": ("nexpose", 1, 1, 0),
    "nexpose/dd_report_auth.xml": ("nexpose", 4, 26, 14),
    "nexpose/dradis_asterisks.xml": ("nexpose", 1, 1, 1),
    "nexpose/dradis_duplicate_node.xml": ("nexpose", 2, 2, 2),
    "nexpose/dradis_full.xml": ("nexpose", 1, 2, 2),
    "nexpose/dradis_ssl.xml": ("nexpose", 1, 0, 0),
    "openvas/dd_many_vuln.csv": ("gvm-csv", 1, 4, 4),
    "openvas/dd_many_vuln.xml": ("gvm", 1, 44, 40),
    "openvas/dd_no_vuln.xml": ("gvm", 0, 0, 0),
    "openvas/dd_one_vuln.csv": ("gvm-csv", 1, 1, 1),
    "openvas/dd_one_vuln.xml": ("gvm", 1, 1, 1),
    "openvas/dd_report_combine_v2.csv": ("gvm-csv", 1, 2, 1),
    "openvas/dd_report_detail_v2.xml": ("gvm", 1, 1, 1),
    "openvas/dd_report_many_v2.csv": ("gvm-csv", 14, 27, 26),
    "openvas/dradis_v7.xml": ("gvm", 1, 6, 5),
    "openvas/edxml_errors_ipv6.xml": ("gvm", 0, 0, 0),
    "openvas/edxml_report.xml": ("gvm", 0, 0, 0),
    "openvas/edxml_report_ipv6.xml": ("gvm", 0, 0, 0),
    "openvas/edxml_result_ipv6.xml": ("gvm", 1, 1, 1),
    "openvas/edxml_result_terse.xml": ("gvm", 1, 1, 1),
    "openvas/golismero_generic.xml": ("gvm", 1, 148, 105),
    "openvas/gvmd_report_base.xml": ("gvm", 1, 31, 23),
    "openvas/helper_report.xml": ("gvm", 1, 1, 1),
    "openvas/jacom_sample.xml": ("gvm", 4, 12, 12),
    "openvas/ovr_airplay.xml": ("gvm", 1, 37, 23),
    "openvas/vulnparse_updated.xml": ("gvm", 1, 6, 6),
    "qualys/dd_empty.xml": ("qualys-report", 0, 0, 0),
    "qualys/dd_infrascan_1.xml": ("qualys-scan", 1, 1, 1),
    "qualys/dd_infrascan_multiple.xml": ("qualys-scan", 2, 24, 24),
    "qualys/dd_same_qid_ports.xml": ("qualys-report", 1, 3, 1),
    "qualys/dd_sample_report.xml.xz": ("qualys-report", 7, 301, 250),
    "qualys/dd_trurisk_detections.xml": ("qualys-detections", 2, 20, 20),
    "qualys/dradis_simple.xml": ("qualys-scan", 1, 7, 7),
    "qualys/j1_detections.xml": ("qualys-detections", 1, 3, 3),
}
REFUSED = {
    "nessus/blindado_empty_report.xml": "holds no host",
    "nessus/dradis_vpr_score.xml": "no host has a time that makes sense, so nobody knows when th",
    "nessus/geek_no_properties.nessus": "no host has a time that makes sense, so nobody knows when th",
    "nessus/patrowl_policy_only.nessus": "holds no host",
    "nessus/ruby_wrong.nessus": "is no scan in a known format",
    "nessus/vulnparse_no_severity.xml": "no host has a time that makes sense, so nobody knows when th",
    "nessus/vulnparse_synth_200.xml": "no host has a time that makes sense, so nobody knows when th",
    "nessus-csv/dd_template.csv": "no column and no plugin 19506 tells when this was",
    "nessus-csv/dd_was_many.csv": "no column and no plugin 19506 tells when this was",
    "nessus-csv/dd_was_none.csv": "holds no result, so no host and no time",
    "nessus-csv/sc_vuln_list.csv": "no column and no plugin 19506 tells when this was",
    "nessus-csv/sc_vuln_summary.csv": "is a Tenable.sc summary without hosts",
    "nessus-v1/ruby_example_v1.nessus": "is Nessus format v1, dead since 2010",
    "nexpose/dradis_simple.xml": "is Nexpose Simple XML, which has neither titles nor severiti",
    "nmap/dd_0port.xml": "is an nmap result",
    "nmap/dd_1port.xml": "is an nmap result",
    "nmap/dd_multiple_port.xml": "is an nmap result",
    "openvas/dd_no_vuln.csv": "holds no result with a time, so nobody knows when this was",
    "openvas/edxml_error_response.xml": "is an error of GVM, not a report",
    "openvas/edxml_incomplete.xml": "has no end",
    "openvas/edxml_unfinished.xml": "has no end",
    "openvas/golismero_one.xml": "nothing in it tells when this was",
    "openvas/pygvm_get_reports.xml": "holds 2 reports",
    "qualys/dd_empty.csv": "is a Qualys CSV report",
    "qualys/dd_hackerguardian_many.csv": "is a HackerGuardian CSV report",
    "qualys/dd_sample_report.csv": "is a Qualys CSV report",
    "qualys/dd_vmdr_many_cve.csv": "is a Qualys VMDR CSV report",
    "qualys/dd_vmdr_many_qid.csv": "is a Qualys VMDR CSV report",
    "qualys/qualysapi_tinykb.xml": "is the Qualys KnowledgeBase",
    "qualys/vw_scan_87240.json": "is JSON",
}
pytestmark = pytest.mark.skipif(not shared().exists(), reason="the real scan files are not here; set VMJIRA_SHARED")


@pytest.mark.parametrize("name", READ)
def test_a_real_file_is_read_with_the_right_numbers(read, name):
    scan = read(shared() / name)
    assert (scan.format, scan.hosts.height, scan.records, scan.findings.collect().height) == READ[name]
    assert scan.unreadable == (1 if name in {"nexpose/dd_no_vuln.xml", "nexpose/dd_one_vuln.xml"} else 0)


@pytest.mark.parametrize("name", REFUSED)
def test_a_real_file_that_is_no_scan_is_refused_with_the_right_reason(read, name):
    with pytest.raises(ScanUnreadable) as refusal:
        read(shared() / name)
    assert REFUSED[name] in str(refusal.value)


def test_no_real_file_is_left_out():
    files = {str(path.relative_to(shared())) for path in shared().glob("*/*")}
    assert files == set(READ) | set(REFUSED)


def test_a_credentialed_real_scan_says_so(read):
    assert read(shared() / "nessus/pytenable_example.nessus.xz").hosts["authenticated"].to_list() == [True]
