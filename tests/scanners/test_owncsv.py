"""The CSV that is attached to tickets comes back as what it was made of."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest

from tests.scanners.conftest import SAMPLES, findings, host, vulnerability
from vmjira.scanners.owncsv import COLUMNS, FORMULA
from vmjira.scanners.summary import summary

ROW = dict.fromkeys(COLUMNS, "") | {
    "ip-address": "10.0.0.1",
    "vulnerability id": "42873",
    "vulnerability title": "SWEET32",
    "severity": "high",
    "state": "new",
    "last seen": "2026-06-05T10:00:00Z",
}


def written(*rows: dict[str, str]) -> bytes:
    """As the domain lays it out: BOM, RFC 4180, no cell that starts a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in (ROW | row).values()])
    return out.getvalue().encode("utf-8-sig")


def test_the_sample_is_read_whole(read):
    scan = read(SAMPLES / "vmjira.csv")
    assert (scan.scanner, scan.format, scan.records, scan.finished_at) == (
        "csv",
        "vmjira-csv",
        2,
        datetime(2026, 6, 5, 10, tzinfo=UTC),
    )
    assert findings(scan) == {("1", "42873"): (["3389/tcp", "443/tcp"], "high")}
    told = vulnerability(scan, "42873")
    assert (told["description"], told["cves"], told["exploit_available"], told["cvss3"]) == (
        'Weak, "old" ciphers',
        ["CVE-2016-2183", "CVE-2016-6329"],
        True,
        7.5,
    )


@pytest.mark.parametrize("start", FORMULA)
def test_a_cell_that_was_kept_from_being_a_formula_comes_back_as_it_was(read, start):
    title = f"{start}cmd|' /C calc'!A0"
    assert vulnerability(read(written({"vulnerability title": title})), "42873")["title"] == title


@pytest.mark.parametrize("title", ["'quoted'", "'", "plain", 'a "b", c\nd'])
def test_every_other_cell_comes_back_as_it_was(read, title):
    assert vulnerability(read(written({"vulnerability title": title})), "42873")["title"] == title


def test_each_host_has_its_own_last_seen(read):
    scan = read(written({}, {"ip-address": "10.0.0.2", "last seen": "2026-06-04T10:00:00Z"}))
    assert [host(scan, reference)["scanned_at"].day for reference in ("1", "2")] == [5, 4]


@pytest.mark.parametrize("state", ["fixed", "moved", "gone", "accepted"])
def test_what_has_ended_is_no_finding(read, state):
    assert findings(read(written({"state": state}))) == {}


def test_a_row_that_cannot_be_read_is_counted(read):
    scan = read(written({"severity": "severe"}, {"ports": "x/tcp"}, {}))
    assert (scan.unreadable, scan.records) == (2, 3)


def test_the_summary_is_what_inspect_promises(read):
    scan = read(SAMPLES / "plain.nessus")
    assert summary(scan, SAMPLES / "plain.nessus") == {
        "path": str(SAMPLES / "plain.nessus"),
        "format": "nessus",
        "scanner": "nessus",
        "started_at": "2026-06-05T08:00:00+00:00",
        "finished_at": "2026-06-05T10:00:00+00:00",
        "hosts": 2,
        "records": 6,
        "findings": 5,
        "vulnerabilities": 4,
        "authenticated_hosts": 1,
        "records_by_severity": {"info": 3, "low": 0, "medium": 0, "high": 2, "critical": 1},
        "warnings": [],
    }
