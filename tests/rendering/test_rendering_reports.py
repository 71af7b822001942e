"""Reports open safely in a spreadsheet, fit the tracker's limit, and are the same bytes for the same rows."""

import csv
import gzip
import io
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from vmjira.domain.ticket import REPORT
from vmjira.errors import VmjiraError
from vmjira.rendering import Renderer
from vmjira.rendering.sample import FULL

HEADER = (
    "ip-address,hostname,category of vulnerability,vulnerability id,vulnerability title,vulnerability description,"
    "severity,cvss,cves,exploit available,ports,solution,state,first seen,last seen,fixed at,ticket,scan,credentials"
)
MB = 1_000_000
ROW = {
    "host": "ip:10.1.2.3",
    "ip": "10.1.2.3",
    "hostname": "pc-7.example.com",
    "category": "Windows bulletins",
    "vulnerability_id": "97833",
    "title": 'Update "MS17-010", critical',
    "description": "first line\r\nsecond line",
    "severity": "critical",
    "cvss": 9.8,
    "cves": ["CVE-2017-0143", "CVE-2017-0144"],
    "exploit_available": True,
    "ports": ["445/tcp", "139/tcp"],
    "solution": "Patch.",
    "state": "new",
    "first_seen": datetime(2026, 6, 5, 10, tzinfo=UTC),
    "last_seen": datetime(2026, 6, 5, 10, tzinfo=UTC),
    "fixed_at": None,
    "ticket": FULL.identifier,
    "scan": "1f0c8a63d2be",
    "credentials": "yes",
}


def view(rows: list[dict], **frames):
    return replace(FULL, own_rows=pl.DataFrame(rows, schema=REPORT), **frames)


def files(rows: list[dict], limit: int = MB):
    return [file for file in Renderer().files(view(rows), limit) if not file.name.endswith(".png")]


def read(content: bytes) -> list[dict]:
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def written(**changes) -> dict:
    (file,) = files([ROW | changes])
    (row,) = read(file.content)
    return row


def test_the_header_is_exact_even_without_rows() -> None:
    (file,) = files([])
    assert file.name == f"{FULL.identifier}.own.csv"
    assert file.content == b"\xef\xbb\xbf" + HEADER.encode() + b"\r\n"


def test_values_are_written_for_people() -> None:
    assert list(written().values()) == [
        "10.1.2.3",
        "pc-7.example.com",
        "Windows bulletins",
        "97833",
        'Update "MS17-010", critical',
        "first line\nsecond line",
        "critical",
        "9.8",
        "CVE-2017-0143, CVE-2017-0144",
        "yes",
        "445/tcp, 139/tcp",
        "Patch.",
        "new",
        "2026-06-05T10:00:00Z",
        "2026-06-05T10:00:00Z",
        "",
        FULL.identifier,
        "1f0c8a63d2be",
        "yes",
    ]


def test_unknown_is_empty_and_no_is_no() -> None:
    assert written(exploit_available=None)["exploit available"] == ""
    assert written(exploit_available=False)["exploit available"] == "no"
    assert written(cvss=None, ports=[])["ports"] == ""


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\x00=1"])
@pytest.mark.parametrize("column", ["hostname", "title", "description", "solution", "category", "vulnerability_id"])
def test_no_cell_starts_a_formula(text: str, column: str) -> None:
    assert "'" + text.replace("\x00", "") in written(**{column: text}).values()


def test_lists_start_no_formula_either() -> None:
    assert written(ports=["=cmd"])["ports"] == "'=cmd"


def test_control_characters_are_gone_and_lines_end_in_one_way() -> None:
    assert written(description="a\x00b\x1b[31m\rc\r\nd")["vulnerability description"] == "ab[31m\nc\nd"


def test_only_reports_with_rows_to_show_are_made() -> None:
    frame = pl.DataFrame([ROW], schema=REPORT)
    names = [file.name for file in Renderer().files(view([ROW], all_rows=frame, diff_rows=frame), MB)]
    assert names == [f"{FULL.identifier}.{end}" for end in ("own.csv", "all.csv", "diff.csv", "png")]
    frozen = [file.name for file in Renderer().files(view([ROW]), MB)]
    assert frozen == [f"{FULL.identifier}.own.csv", f"{FULL.identifier}.png"]


def many(count: int) -> list[dict]:
    return [ROW | {"host": f"ip:{i}", "vulnerability_id": f"{i * 7919 % 99991}-{i}"} for i in range(count)]


def test_too_large_a_report_is_compressed() -> None:
    (file,) = files(many(500), 20_000)
    assert file.name == f"{FULL.identifier}.own.csv.gz"
    assert file.media_type == "application/gzip"
    assert len(read(file.content)) == 500


def test_still_too_large_a_report_is_split_and_nothing_is_lost() -> None:
    parts = files(many(3000), 6_000)
    assert [file.name for file in parts[:2]] == [f"{FULL.identifier}.own.{number}.csv.gz" for number in (1, 2)]
    assert all(len(file.content) <= 6_000 for file in parts)
    rows = [row["vulnerability id"] for file in parts for row in read(file.content)]
    assert rows == [row["vulnerability_id"] for row in many(3000)]


def test_a_row_larger_than_the_limit_is_an_error_and_not_a_gap() -> None:
    with pytest.raises(VmjiraError, match="one row alone takes more than the 100 bytes"):
        files(many(3), 100)


def test_the_same_view_gives_the_same_bytes() -> None:
    for limit in (MB, 20_000, 6_000):
        assert Renderer().files(view(many(500)), limit) == Renderer().files(view(many(500)), limit)


def test_pieces_of_a_long_report_are_joined_without_a_seam() -> None:
    (file,) = files(many(60_000), 100 * MB)
    assert file.content.count(b"ip-address") == 1
    assert len(read(file.content)) == 60_000


def digest(limit: int = MB, **changes) -> list[str]:
    return [file.digest for file in files([ROW | changes] * 3, limit)]


@pytest.mark.parametrize(
    "newer",
    [
        {"last_seen": datetime(2026, 6, 12, tzinfo=UTC)}, {"scan": "0a1b2c3d4e5f"}, {"credentials": "unknown"},
        {"state": "remaining"},
    ],
)  # fmt: skip
def test_a_newer_observation_of_the_same_is_the_same_list(newer) -> None:
    assert digest(**newer) == digest()


@pytest.mark.parametrize(
    "other", [{"state": "unverified"}, {"hostname": "pc-8"}, {"solution": "Update."}, {"ports": []}]
)
def test_whatever_else_differs_makes_another_list(other) -> None:
    assert digest(**other) != digest()


def test_new_and_remaining_differ_in_the_lists_of_one_iteration() -> None:
    def lists(state: str) -> dict[str, str]:
        rows = pl.DataFrame([ROW | {"state": state}], schema=REPORT)
        return {file.name: file.digest for file in Renderer().files(view([ROW], all_rows=rows, diff_rows=rows), MB)}

    new, remaining = lists("new"), lists("remaining")
    assert {name.split(".")[-2] for name in new if new[name] != remaining[name]} == {"all", "diff"}
