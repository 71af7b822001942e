"""Runs fetched by SQL reports: what comes out, and what of it the ledger believes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from tests.domain.samples import RULES, fold_all
from tests.insightvm_api.conftest import Fetch
from tests.insightvm_api.model import (
    CIFS,
    FAILED,
    HTTP,
    LOGIN,
    LOGIN_FAILED,
    NO_CREDENTIALS,
    NOT_APPLICABLE,
    PARTIAL,
    SNMP,
    SSH,
    SUCCESS,
    Model,
)
from tests.insightvm_api.stand import Console
from vmjira.domain.frames import Scan
from vmjira.scanners.sources.insightvm import InsightVM


@pytest.fixture
def week(console: Console, model: Model) -> Console:
    """One finished scan, number 7, of the site Boston."""
    console.site()
    console.scan()
    model.scan()
    return console


def host(scan: Scan, ip: str = "10.1.0.1") -> dict[str, Any]:
    return scan.hosts.row(by_predicate=pl.col("ip") == ip, named=True)


def test_a_finding_has_its_ports_proof_and_text(week: Console, model: Model, source: InsightVM, fetch: Fetch) -> None:
    model.asset(1, "10.1.0.1", name="pc1.example.com", mac="02:00:0a:01:00:01", os="Microsoft Windows Server 2019")
    model.insert("dim_asset_unique_id", asset_id=1, source="R7 Agent", unique_id="5f0e")
    model.insert("dim_asset_unique_id", asset_id=1, source="WMI", unique_id="other")
    model.scanned(1)
    old = model.vulnerability(
        "SSL-old", 8, title='Old SSL, with "quotes"', description="<p>It is\n old.</p><p>Very.</p>",
        cvss_v2_score=7.5, cvss_v3_score=9.8, exploits=1, malware_kits=1, date_published="2014-10-14",
    )  # fmt: skip
    for source_, reference in (("URL", "https://example.com/ssl"), ("CVE", "CVE-2014-3566"), ("BID", "70574")):
        model.insert("dim_vulnerability_reference", vulnerability_id=old, source=source_, reference=reference)
    for name in ("SSL", "HTTP"):
        model.insert("dim_vulnerability_category", vulnerability_id=old, category_name=name)
    model.insert("dim_vulnerability_exploit", vulnerability_id=old, source="Metasploit Module", title="Old trick")
    model.insert("dim_vulnerability_malware_kit", vulnerability_id=old, name="Angler")
    model.insert("dim_solution", solution_id=1, summary="Upgrade", fix="<p>Get the new one.</p>")
    model.insert("dim_asset_vulnerability_best_solution", asset_id=1, vulnerability_id=old, solution_id=1)
    model.found(1, old, port=8443, protocol=6, proof="<p>Found: <b>SSLv3</b>, €</p>", key="/a")
    model.found(1, old, port=443, protocol=6, proof="<p>Found too</p>")
    stamp = model.vulnerability("tcp-timestamp", 1, title="TCP &lt;timestamps&gt;")
    model.found(1, stamp, port=-1)

    scan = fetch(source)

    assert scan.findings.collect().rows(named=True) == [
        {"host": "1", "scanner": "nexpose", "vulnerability_id": "ssl-old", "ports": ["443/tcp", "8443/tcp"],
         "severity": "critical", "output": "Found too"},
        {"host": "1", "scanner": "nexpose", "vulnerability_id": "tcp-timestamp", "ports": [], "severity": "medium",
         "output": None},
    ]  # fmt: skip
    about = {row["vulnerability_id"]: row for row in scan.vulnerabilities.rows(named=True)}
    assert about["tcp-timestamp"]["title"] == "TCP <timestamps>"
    assert about["tcp-timestamp"]["exploit_available"] is False
    assert about["ssl-old"] == {
        "scanner": "nexpose", "vulnerability_id": "ssl-old", "title": 'Old SSL, with "quotes"', "family": "HTTP, SSL",
        "severity": "critical", "cvss2": 7.5, "cvss3": 9.8, "cves": ["CVE-2014-3566"], "exploit_available": True,
        "exploits": ["Metasploit Module: Old trick", "malware: Angler"], "solution": "Upgrade\nGet the new one.",
        "description": "It is\nold.\nVery.", "synopsis": None, "published": date(2014, 10, 14), "patch_published": None,
        "references": ["BID:70574", "CVE:CVE-2014-3566", "https://example.com/ssl"],
    }  # fmt: skip
    assert host(scan) == {
        "host": "1", "ip": "10.1.0.1", "hostname": "pc1.example.com", "netbios": None, "mac": "02:00:0a:01:00:01",
        "agent_uuid": "5f0e", "os": "Microsoft Windows Server 2019",
        "scanned_at": datetime(2026, 6, 5, 9, 30, tzinfo=UTC), "authenticated": True, "complete": True,
    }  # fmt: skip
    assert (scan.format, scan.records, scan.unreadable, scan.warnings) == ("vmjira-insightvm", 3, 0, ())
    assert scan.finished_at == datetime(2026, 6, 5, 10, tzinfo=UTC)


def test_the_key_of_a_result_stands_before_its_proof(
    week: Console, model: Model, source: InsightVM, fetch: Fetch
) -> None:
    model.asset(1, "2001:db8::1")
    model.scanned(1)
    model.found(1, model.vulnerability("xss", 6), port=80, protocol=6, proof="<p>There</p>", key="http://h/a,b\n")
    scan = fetch(source)
    assert scan.findings.collect()["output"].to_list() == ["http://h/a,b\nThere"]
    assert host(scan, "2001:db8::1")["hostname"] is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((SUCCESS, []), True),
        ((FAILED, []), False),
        ((NO_CREDENTIALS, []), False),
        ((NOT_APPLICABLE, []), None),
        ((PARTIAL, [(SSH, LOGIN), (SNMP, LOGIN_FAILED)]), True),
        ((PARTIAL, [(SNMP, LOGIN), (CIFS, LOGIN_FAILED)]), False),
        ((PARTIAL, [(SNMP, LOGIN), (HTTP, NOT_APPLICABLE)]), False),
    ],
)
def test_authenticated_is_what_the_credential_status_of_that_scan_says(
    week: Console, model: Model, source: InsightVM, fetch: Fetch, told: Any, expected: bool | None
) -> None:
    status, logins = told
    model.asset(1, "10.1.0.1")
    model.scanned(1, credentials=status)
    for service, login in logins:
        model.login(1, service, login)
    model.login(1, SSH, LOGIN, scan=6)
    assert host(fetch(source))["authenticated"] is expected


def test_a_host_whose_scan_was_not_completed_or_only_discovered_is_incomplete(
    week: Console, model: Model, source: InsightVM, fetch: Fetch
) -> None:
    for id, facts in enumerate(
        [{}, {"whole": False}, {"whole": False, "finished": None}, {"assessed": False}], start=1
    ):
        model.asset(id, f"10.1.0.{id}")
        model.scanned(id, **facts)
    model.asset(5, "10.1.0.5")
    model.scanned(5, assessed=False)
    model.connection.execute("UPDATE dim_asset SET last_assessed_for_vulnerabilities = '2026-05-29' WHERE asset_id = 5")
    scan = fetch(source)
    assert dict(scan.hosts.select("ip", "complete").iter_rows()) == {
        "10.1.0.1": True, "10.1.0.2": False, "10.1.0.3": False, "10.1.0.4": False, "10.1.0.5": False,
    }  # fmt: skip
    assert host(scan, "10.1.0.3")["scanned_at"] == scan.finished_at


def test_a_discovery_scan_says_that_it_fixes_nothing(
    week: Console, model: Model, source: InsightVM, fetch: Fetch
) -> None:
    model.asset(1, "10.1.0.1")
    model.scanned(1, assessed=False)
    assert fetch(source).warnings == (
        "no host was checked for vulnerabilities, as in a discovery scan: it fixes nothing",
    )


def test_other_scans_of_the_same_host_are_left_alone(
    week: Console, model: Model, source: InsightVM, fetch: Fetch
) -> None:
    model.asset(1, "10.1.0.1")
    model.scan(6, finished="2026-05-29T10:00:00Z")
    model.scanned(1, 6)
    model.scanned(1, 7)
    model.found(1, model.vulnerability("gone", 9), scan=6)
    model.found(1, model.vulnerability("here", 9), scan=7)
    assert fetch(source).findings.collect()["vulnerability_id"].to_list() == ["here"]


def test_a_time_outside_of_the_scan_is_not_believed(
    week: Console, model: Model, source: InsightVM, fetch: Fetch
) -> None:
    model.asset(1, "10.1.0.1")
    model.scanned(1, finished="2026-06-05T18:30:00")
    scan = fetch(source)
    assert host(scan)["scanned_at"] == scan.finished_at
    assert scan.warnings == ("1 hosts have a time outside of the scan; its end counts for them",)


def test_a_host_that_is_removed_while_the_console_is_asked_loses_nothing(
    week: Console, model: Model, source: InsightVM, fetch: Fetch
) -> None:
    model.asset(1, "10.1.0.1")
    model.scanned(1)
    model.found(1, model.vulnerability("ssl-old", 8))
    asked = iter(range(10))

    def remove() -> None:
        if next(asked) == 2:  # hosts, vulnerabilities, and now the results
            model.connection.execute("DELETE FROM dim_asset")
            model.connection.execute("DELETE FROM instances")

    week.before[r"POST /reports/\d+/generate"] = remove
    scan = fetch(source)
    assert host(scan)["complete"] is False
    assert scan.warnings == ("1 hosts were removed from the console while it was asked; they fix nothing",)


def test_a_definition_that_came_between_two_queries_loses_no_finding(
    week: Console, model: Model, source: InsightVM, fetch: Fetch
) -> None:
    model.asset(1, "10.1.0.1")
    model.scanned(1)
    id = model.vulnerability("new-one", 8)
    asked = iter(range(10))

    def find() -> None:
        if next(asked) == 2:
            model.found(1, id)

    week.before[r"POST /reports/\d+/generate"] = find
    scan = fetch(source)
    assert scan.vulnerabilities.select("vulnerability_id", "title", "severity").rows() == [
        ("new-one", "new-one", "critical")
    ]


def test_a_scan_in_which_nothing_answered_has_no_hosts(week: Console, source: InsightVM, fetch: Fetch) -> None:
    week.scans[7]["assets"] = 0
    assert fetch(source).hosts.is_empty()


def test_the_same_run_gives_the_same_file(week: Console, model: Model, source: InsightVM, fetch: Fetch) -> None:
    for id in (3, 1, 2):
        model.asset(id, f"10.1.0.{id}")
        model.scanned(id)
        model.found(id, model.vulnerability(f"v{id}", 8))
    assert fetch(source).digest == fetch(source).digest


# --- what the ledger makes of it --------------------------------------------------------------------------------------

Change = Callable[[Model, int], None]


def _nothing(model: Model, vulnerability: int) -> None:
    """Looked at as before, and not found."""
    model.scanned(1, 8, finished="2026-06-12T09:30:00")


def _off(model: Model, vulnerability: int) -> None:
    """It did not answer."""


def _excepted(model: Model, vulnerability: int) -> None:
    model.scanned(1, 8, finished="2026-06-12T09:30:00")
    model.found(1, vulnerability, scan=8)
    model.insert("exceptions", asset_id=1, vulnerability_id=vulnerability)


def _no_login(model: Model, vulnerability: int) -> None:
    model.scanned(1, 8, finished="2026-06-12T09:30:00", credentials=FAILED)


def _only_snmp(model: Model, vulnerability: int) -> None:
    model.scanned(1, 8, finished="2026-06-12T09:30:00", credentials=PARTIAL)
    model.login(1, SNMP, LOGIN, scan=8)


def _discovered(model: Model, vulnerability: int) -> None:
    model.scanned(1, 8, finished="2026-06-12T09:30:00", assessed=False)


def _broken_off(model: Model, vulnerability: int) -> None:
    model.scanned(1, 8, finished="2026-06-12T09:30:00", whole=False)


@pytest.mark.parametrize(
    ("change", "ended_as"),
    [(_nothing, "fixed"), (_off, None), (_excepted, None), (_no_login, None), (_only_snmp, None), (_discovered, None),
     (_broken_off, None)],
)  # fmt: skip
def test_only_a_host_that_was_really_looked_at_is_fixed(
    week: Console, model: Model, source: InsightVM, fetch: Fetch, change: Change, ended_as: str | None
) -> None:
    for id in (1, 2):
        model.asset(id, f"10.1.0.{id}")
        model.scanned(id)
    vulnerability = model.vulnerability("ssl-old", 8)
    model.found(1, vulnerability)
    before = fetch(source)
    week.scan(8, startTime="2026-06-12T08:00:00Z", endTime="2026-06-12T10:00:00Z")
    model.scan(8, started="2026-06-12T08:00:00Z", finished="2026-06-12T10:00:00Z")
    model.scanned(2, 8, finished="2026-06-12T09:30:00")
    change(model, vulnerability)
    after = fetch(source)
    assert after.finished_at == datetime(2026, 6, 12, 10, tzinfo=UTC)
    (life,) = fold_all(before, after, rules=RULES).lives.rows(named=True)
    assert (life["host"], life["ended_as"]) == ("ip:10.1.0.1", ended_as)
