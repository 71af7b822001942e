"""Runs fetched as XML Export 2.0."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.domain.samples import RULES, fold_all
from tests.insightvm_api.conftest import Fetch
from tests.insightvm_api.contract import SHARED
from tests.insightvm_api.stand import Console, Fault, body, cut, cut_plain, status, unpacked
from vmjira.errors import ScannerRefused, ScannerUnavailable, ScanUnreadable
from vmjira.scanners import read_scan
from vmjira.scanners.sources.nexpose_xml import NexposeXml

OUTPUT = r"GET /reports/\d+/history/\d+/output"


def export(*nodes: str, scan: str = 'id="7" startTime="20260605T030000000" endTime="20260605T050000000"') -> bytes:
    """Its times are in some zone of the console's."""
    vulnerability = '<vulnerability id="ssl-old" title="Old SSL" severity="8"/>'
    return (
        f'<?xml version="1.0"?><NexposeReport version="2.0">'
        f'<scans><scan {scan} name="Weekly" status="finished"/></scans>'
        f"<nodes>{''.join(nodes)}</nodes><VulnerabilityDefinitions>{vulnerability}</VulnerabilityDefinitions>"
        "</NexposeReport>\n"
    ).encode()


def node(ip: str, status: str | None, *, alive: str = "alive") -> str:
    test = f'<tests><test id="ssl-old" status="{status}" scan-id="7"/></tests>' if status else ""
    return f'<node address="{ip}" status="{alive}" device-id="1">{test}</node>'


@pytest.fixture
def week(console: Console) -> Console:
    console.site()
    console.scan()
    console.xml[7] = export(node("10.1.0.1", "vulnerable-exploited"), node("10.1.0.2", "not-vulnerable"))
    return console


def test_a_run_is_reported_for_that_scan_only_and_read(week: Console, xml_source: NexposeXml, fetch: Fetch) -> None:
    scan = fetch(xml_source)
    (asked,) = week.bodies
    assert (asked["format"], asked["scope"]) == ("xml-export-v2", {"scan": 7})
    assert (scan.format, scan.scanner) == ("nexpose", "nexpose")
    assert scan.hosts["ip"].to_list() == ["10.1.0.1", "10.1.0.2"]
    (finding,) = scan.findings.collect().rows(named=True)
    assert (finding["host"], finding["vulnerability_id"], finding["severity"]) == ("1", "ssl-old", "critical")
    assert week.reports == {}


def test_its_times_are_those_of_the_api_which_names_a_zone(week: Console, xml_source: NexposeXml, fetch: Fetch) -> None:
    scan = fetch(xml_source)
    assert (scan.started_at, scan.finished_at) == (
        datetime(2026, 6, 5, 8, tzinfo=UTC),
        datetime(2026, 6, 5, 10, tzinfo=UTC),
    )
    assert set(scan.hosts["scanned_at"]) == {scan.finished_at}


@pytest.mark.parametrize(
    ("state", "alive", "ended_as"),
    [
        ("not-vulnerable", "alive", "fixed"),
        (None, "alive", "fixed"),
        ("skipped-version", "alive", None),
        ("error", "alive", None),
        ("unknown", "alive", None),
        ("exception-vulnerable-exploited", "alive", None),
        (None, "dead", None),
    ],
)
def test_only_a_check_that_was_made_fixes(
    week: Console, xml_source: NexposeXml, fetch: Fetch, state: str | None, alive: str, ended_as: str | None
) -> None:
    before = fetch(xml_source)
    week.scan(8, startTime="2026-06-12T08:00:00Z", endTime="2026-06-12T10:00:00Z")
    week.xml[8] = export(
        node("10.1.0.9", "not-vulnerable"),
        node("10.1.0.1", state, alive=alive).replace('scan-id="7"', 'scan-id="8"'),
        scan='id="8" startTime="x" endTime=""',
    )
    (life,) = fold_all(before, fetch(xml_source), rules=RULES).lives.rows(named=True)
    assert (life["host"], life["ended_as"]) == ("ip:10.1.0.1", ended_as)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (cut, "the download broke off"),
        (cut_plain, "the download broke off"),
        (body(b""), "broke off"),
        (status(404, "No resource"), "is gone"),
        (body(b"<html>Log in</html>"), "gives no XML Export 2.0 of scan 7"),
        (body(gzip.compress(export(scan='id="77" startTime="1"'))), "gives no XML Export 2.0 of scan 7"),
        (body(b"\x1f\x8bgarbage"), "the download broke off"),
    ],
)
def test_a_fault_is_told_and_leaves_nothing(
    week: Console, xml_source: NexposeXml, tmp_path: Path, fault: Fault, words: str
) -> None:
    week.fault(OUTPUT, fault)
    (scan,) = xml_source.listing().scans
    with pytest.raises(ScannerUnavailable, match=words):
        xml_source.download(scan, tmp_path, lambda done, total: None)
    assert (week.reports, list(tmp_path.iterdir())) == ({}, [])


def test_a_discovery_scan_is_never_taken_for_one_that_found_everything_repaired(
    week: Console, xml_source: NexposeXml, tmp_path: Path
) -> None:
    week.xml[7] = export(node("10.1.0.1", None), "<!-- tests -->", node("10.1.0.2", None))
    with pytest.raises(ScanUnreadable, match="scan 7 has no result of any check, as a discovery scan has none"):
        xml_source.download(xml_source.listing().scans[0], tmp_path, lambda done, total: None)
    assert (week.reports, list(tmp_path.iterdir())) == ({}, [])


def test_a_scan_in_which_nothing_answered_has_no_hosts(week: Console, xml_source: NexposeXml, fetch: Fetch) -> None:
    week.xml[7] = export(node("10.1.0.1", None, alive="dead"))
    assert fetch(xml_source).hosts.is_empty()


def test_a_run_that_is_resumed_while_it_is_read_is_not_taken(
    week: Console, xml_source: NexposeXml, tmp_path: Path
) -> None:
    (scan,) = xml_source.listing().scans
    week.before[OUTPUT] = lambda: week.scans[7].update(status="running")
    with pytest.raises(ScannerUnavailable, match="is running"):
        xml_source.download(scan, tmp_path, lambda done, total: None)
    assert list(tmp_path.iterdir()) == []


def test_plain_and_packed_reports_give_the_same(week: Console, xml_source: NexposeXml, fetch: Fetch) -> None:
    packed = fetch(xml_source)
    week.fault(OUTPUT, unpacked)
    assert fetch(xml_source).digest == packed.digest


def test_check_defines_a_report_and_generates_none(week: Console, xml_source: NexposeXml) -> None:
    assert all(check.ok for check in xml_source.check())
    assert (week.called("POST /reports"), week.called(r"POST /reports/\d+/generate"), week.reports) == (1, 0, {})
    week.fault("POST /reports", status(403, "Forbidden"))
    assert [check.how for check in xml_source.check() if not check.ok] == [
        "give its role the permission Create reports"
    ]
    week.scans.clear()
    assert all(check.ok for check in xml_source.check())


def test_a_report_that_the_console_cannot_make_is_told(week: Console, xml_source: NexposeXml, tmp_path: Path) -> None:
    week.xml.clear()
    with pytest.raises(ScannerUnavailable, match="report 'xml-7' has failed"):
        xml_source.download(xml_source.listing().scans[0], tmp_path, lambda done, total: None)
    with pytest.raises(ScannerRefused, match="is no scan"):
        xml_source.download(xml_source.listing().scans[0].__class__("7", "x"), tmp_path, lambda done, total: None)


@pytest.mark.skipif(not (SHARED / "scans" / "nexpose").is_dir(), reason="no real XML exports here")
@pytest.mark.parametrize(
    "name", ["dradis_full.xml", "dradis_asterisks.xml", "dradis_duplicate_node.xml", "dd_one_vuln.xml"]
)
def test_real_exports_come_through_as_they_are(
    console: Console, xml_source: NexposeXml, fetch: Fetch, tmp_path: Path, name: str
) -> None:
    file = SHARED / "scans" / "nexpose" / name
    (number,) = {int(id) for id in re.findall(rb'<scan [^>]*\bid="(\d+)"', file.read_bytes())}
    console.site()
    console.scan(number)
    console.xml[number] = file.read_bytes()
    (direct,) = read_scan(file, tmp_path / "direct", timezone=ZoneInfo("UTC"))
    fetched = fetch(xml_source)
    assert fetched.findings.collect().equals(direct.findings.collect())
    assert fetched.hosts.drop("scanned_at").equals(direct.hosts.drop("scanned_at"))
