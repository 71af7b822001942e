"""The file that a fetched run is: what it says, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from vmjira.domain.frames import Scan
from vmjira.errors import ScanUnreadable
from vmjira.scanners import read_scan

SAMPLE = (Path(__file__).parents[1] / "scanners" / "samples" / "insightvm.csv").read_text()
Read = Callable[[str], Scan]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_one(text: str) -> Scan:
        file = tmp_path / "file.bin"
        file.write_text(text)
        (scan,) = read_scan(file, tmp_path / "into", timezone=ZoneInfo("America/New_York"))
        return scan

    return read_one


def test_the_sample_is_read(read: Read) -> None:
    scan = read(SAMPLE)
    assert (scan.format, scan.scanner, scan.finished_at) == (
        "vmjira-insightvm", "nexpose", datetime(2026, 6, 5, 10, tzinfo=UTC),
    )  # fmt: skip
    assert scan.hosts.select("host", "ip", "authenticated", "complete").rows() == [
        ("1", "10.1.2.3", True, True),
        ("2", "10.1.2.4", None, False),
    ]
    assert scan.findings.collect().select("host", "vulnerability_id", "ports", "severity").rows() == [
        ("1", "ssl-old", ["443/tcp"], "critical")
    ]
    assert scan.unmade.rows() == [("1", "accepted-one")]
    assert (scan.unreadable, scan.warnings, scan.checks) == (0, (), frozenset())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (SAMPLE[SAMPLE.index("2,,,,,,,seen") :], "", "ends within table 'results': it was cut off; fetch it again"),
        (SAMPLE[SAMPLE.index(",,,,,,,,,,,,,,end") :], "", "ends within table 'vulnerabilities'"),
        (",,,,,,,,,,,end\n", "", "line 9: table 'hosts' was cut off"),
        (SAMPLE[SAMPLE.index("\nvmjira-insightvm,results") :], "", "ends within table 'vulnerabilities'"),
        ("whole,credentials", "whole,other", "line 5: table 'hosts' lacks credentials"),
        ("2,,,,,,,seen", "2,,,seen", "line 22: has 4 fields, not 8"),
        ("vmjira-insightvm,vulnerabilities", "vmjira-insightvm,results", "line 10: table 'hosts' was cut off"),
        ("\n1,console", "\n2,console", "is of version '2'; this vmjira reads 1"),
        ("2026-06-05T10:00:00+00:00", "soon", "its scan has no end that makes sense"),
        ('"It is old', '"It" is old', "is no CSV as scanners write it"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(read: Read, old: str, new: str, words: str) -> None:
    assert old in SAMPLE
    with pytest.raises(ScanUnreadable) as told:
        read(SAMPLE.replace(old, new, 1))
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("1,SSL-old,8,443", "1,SSL-old,11,443", "vulnerability 'ssl-old': severity '11' is none; allowed are 0 to 10"),
        ("1,SSL-old,8,443", "1,SSL-old,,443", "severity '' is none"),
        ("1,SSL-old,8,443", "1,,8,443", "vulnerability '': has no id"),
        ("1,SSL-old,8,443", "1,SSL-old,8,99999", "port '99999' is none"),
        ("SSLv3,found", "SSLv3,vulnerable", "kind 'vulnerable' is none"),
    ],
)
def test_a_result_that_cannot_be_read_is_counted_so_that_nothing_is_fixed(
    read: Read, old: str, new: str, words: str
) -> None:
    scan = read(SAMPLE.replace(old, new, 1))
    assert (scan.unreadable, scan.findings.collect().height) == (1, 0)
    assert words in scan.warnings[0]


def test_a_result_of_a_host_that_was_not_listed_says_nothing(read: Read) -> None:
    scan = read(SAMPLE.replace("1,SSL-old,8,443", "3,SSL-old,8,443", 1))
    assert (scan.unreadable, scan.findings.collect().height, scan.hosts.height) == (0, 0, 2)


@pytest.mark.parametrize(
    ("score", "severity"),
    [(0, "info"), (1, "medium"), (3, "medium"), (4, "high"), (7, "high"), (8, "critical"), (10, "critical")],
)
def test_severities_are_those_of_the_console(read: Read, score: int, severity: str) -> None:
    scan = read(SAMPLE.replace("1,SSL-old,8,443", f"1,SSL-old,{score},443", 1))
    assert scan.findings.collect()["severity"].to_list() == [severity]
    assert scan.records_by_severity[severity] == 1
