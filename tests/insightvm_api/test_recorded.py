"""A run of a real console, as it was recorded: through the queries, the API and the reader, compared with itself."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.insightvm_api import contract
from tests.insightvm_api.conftest import Fetch, needs_contract
from tests.insightvm_api.model import NOT_APPLICABLE, Model
from tests.insightvm_api.stand import Console
from vmjira.scanners.sources.insightvm import InsightVM

pytestmark = needs_contract


@pytest.fixture
def answers() -> dict[str, Any]:
    """The recorded answers: the asset, its vulnerabilities, their definitions by id."""
    assets, found, *definitions = contract.recorded("fetch-asset-vulnerabilities")
    return {
        "asset": assets["resources"][0],
        "found": found["resources"],
        "about": {each["id"]: each for each in definitions},
    }


@pytest.fixture
def recorded(console: Console, model: Model, answers: dict[str, Any]) -> Console:
    """The console with what the real one had."""
    sites, scans = contract.recorded("fetch-scans")
    (scan,) = scans["resources"]
    console.sites = sites["resources"]
    console.scans = {scan["id"]: scan}
    asset = answers["asset"]
    model.scan(scan["id"], 1, scan["startTime"], scan["endTime"])
    model.asset(asset["id"], asset["ip"], name=asset["hostName"], mac=asset["mac"], os=asset["os"])
    finished = asset["history"][0]["date"]
    model.scanned(asset["id"], scan["id"], started=scan["startTime"], finished=finished, credentials=NOT_APPLICABLE)
    for each in answers["found"]:
        about = answers["about"][each["id"]]
        id = model.vulnerability(
            each["id"], about["severityScore"], title=about["title"], description=about["description"]["html"],
            cvss_v2_score=about["cvss"]["v2"]["score"], cvss_v3_score=about["cvss"].get("v3", {}).get("score"),
            exploits=about["exploits"], malware_kits=about["malwareKits"], date_published=about["published"],
        )  # fmt: skip
        for category in about["categories"]:
            model.insert("dim_vulnerability_category", vulnerability_id=id, category_name=category)
        for cve in about["cves"]:
            model.insert("dim_vulnerability_reference", vulnerability_id=id, source="CVE", reference=cve)
        for result in each["results"]:
            model.found(1, id, scan=1, port=result["port"], protocol=6, proof=result["proof"])
    return console


def test_everything_that_the_console_showed_is_in_the_frames(
    recorded: Console, source: InsightVM, fetch: Fetch, answers: dict[str, Any]
) -> None:
    scan = fetch(source)
    bands = {"Moderate": "medium", "Severe": "high", "Critical": "critical"}
    expected = {
        each["id"]: (
            sorted({f"{result['port']}/{result['protocol']}" for result in each["results"]}),
            bands[answers["about"][each["id"]]["severity"]],
        )
        for each in answers["found"]
    }
    rows = scan.findings.collect().rows(named=True)
    assert {row["vulnerability_id"]: (row["ports"], row["severity"]) for row in rows} == expected
    assert scan.records_by_severity == {"info": 0, "low": 0, "medium": 0, "high": 42, "critical": 10}
    assert (scan.scanner, scan.records, scan.unreadable, scan.warnings) == ("nexpose", 52, 0, ())
    for row in scan.vulnerabilities.rows(named=True):
        about = answers["about"][row["vulnerability_id"]]
        assert row["title"] == " ".join(about["title"].split())
        assert row["cves"] == sorted(about["cves"])
        assert row["family"] == ", ".join(sorted(about["categories"]))
        assert row["exploit_available"] is (about["exploits"] + about["malwareKits"] > 0)
        assert row["published"] == date.fromisoformat(about["published"])
        assert row["cvss2"] == pytest.approx(about["cvss"]["v2"]["score"])
        assert row["cvss3"] == pytest.approx(about["cvss"]["v3"]["score"])
        assert "".join(row["description"].split()) == "".join(about["description"]["text"].split())


def test_the_host_is_as_the_console_showed_it(recorded: Console, source: InsightVM, fetch: Fetch) -> None:
    scan = fetch(source)
    (host,) = scan.hosts.rows(named=True)
    assert host | {"host": ""} == {
        "host": "", "ip": "172.18.0.3", "hostname": "da7a8ca02894.vulnerable-net", "netbios": None,
        "mac": "02:42:ac:12:00:03", "agent_uuid": None, "os": "Debian Linux",
        "scanned_at": datetime(2023, 8, 9, 17, 33, 45, tzinfo=UTC), "authenticated": None, "complete": True,
    }  # fmt: skip
    assert scan.started_at == datetime(2023, 8, 9, 17, 31, 18, 942000, tzinfo=UTC)
    assert scan.finished_at == datetime(2023, 8, 9, 17, 34, 52, 846000, tzinfo=UTC)
    lines = {line for output in scan.findings.collect()["output"] for line in output.splitlines()}
    assert {"Running HTTP service", "Product HTTPD exists -- Apache HTTPD 2.4.25"} < lines
    assert not [line for line in lines if line.startswith("<")]


def test_a_manual_scan_of_the_whole_site_is_a_round(recorded: Console, source: InsightVM) -> None:
    (scan,) = source.listing().scans
    assert (scan.id, scan.name, scan.rescan) == ("1/1", "vulnsite: vulnscan", False)
    assert scan.finished_at == datetime(2023, 8, 9, 17, 34, 52, 846000, tzinfo=UTC)


def test_the_answers_of_the_stand_in_are_of_the_form_that_the_description_says(recorded: Console) -> None:
    assert contract.answer_problems("PageOf«Scan»", {"resources": [*recorded.scans.values()]}) == []
    recorded.scan(8)
    assert contract.answer_problems("Scan", recorded.scans[8]) == []
