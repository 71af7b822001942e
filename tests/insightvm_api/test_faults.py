"""A console in trouble: what is said, that nothing is left behind on either side, and that trying again works."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from flask import Response, request

from tests.insightvm_api.conftest import ENVIRON, QUICK, Fetch, rule
from tests.insightvm_api.model import Model
from tests.insightvm_api.stand import PASSWORD, TOKEN, Console, Fault, body, cut, cut_plain, status, unpacked
from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.scanners.sources import connect
from vmjira.scanners.sources.insightvm import InsightVM
from vmjira.scanners.sources.rapid_queries import places, queries

Told = tuple[type[ScannerError], str]
REPORT, OUTPUT = r"GET /reports/\d+/history/\d+", r"GET /reports/\d+/history/\d+/output"


@pytest.fixture
def week(console: Console, model: Model) -> Console:
    console.site()
    console.scan()
    model.scan()
    for id in (1, 2):
        model.asset(id, f"10.1.0.{id}")
        model.scanned(id)
        model.found(id, model.vulnerability(f"v{id}", 8), port=443, protocol=6, proof="<p>x</p>" * 50)
    return console


def download(source: InsightVM, into: Path) -> Path:
    (scan,) = source.listing().scans
    return source.download(scan, into, lambda done, total: None)


@pytest.mark.parametrize(
    ("pattern", "fault", "expected"),
    [
        ("POST /reports", status(401, "Unauthorized"), (ScannerRefused, "401: Unauthorized; check the credentials")),
        ("POST /reports", status(403, "Forbidden"), (ScannerRefused, "403: Forbidden; the account needs more rights")),
        ("POST /reports", status(400, "Bad query"), (ScannerRefused, "400: Bad query")),
        ("POST /reports", status(503, "Busy"), (ScannerUnavailable, "503: Busy")),
        ("POST /reports", body(b"<html>Log in</html>"), (ScannerUnavailable, "no JSON")),
        ("POST /reports", body(b"[]"), (ScannerUnavailable, "JSON of another form")),
        ("POST /reports", body(b'{"id": "x"}'), (ScannerUnavailable, "does not tell the number")),
        (r"POST /reports/\d+/generate", status(500, "Out of memory"), (ScannerUnavailable, "500: Out of memory")),
        (REPORT, status(404, "No resource"), (ScannerUnavailable, "report 'hosts-7' is gone, it is to be made again")),
        (REPORT, body(b'{"status": "failed"}'), (ScannerUnavailable, "report 'hosts-7' has failed")),
        (REPORT, body(b'{"status": "aborted"}'), (ScannerUnavailable, "report 'hosts-7' has aborted")),
        (REPORT, body(b"\x00\xff"), (ScannerUnavailable, "no JSON")),
        (OUTPUT, status(404, "No resource"), (ScannerUnavailable, "report 'hosts-7' is gone, it is to be made again")),
        (OUTPUT, status(401, "Unauthorized"), (ScannerRefused, "check the credentials")),
        (OUTPUT, cut, (ScannerUnavailable, "the download broke off")),
        (OUTPUT, cut_plain, (ScannerUnavailable, "the download broke off")),
        (OUTPUT, body(b""), (ScannerUnavailable, "broke off")),
        (OUTPUT, body(b"\x1f\x8bgarbage"), (ScannerUnavailable, "the download broke off")),
        (OUTPUT, body(b"<html>Log in</html>"), (ScannerUnavailable, "no CSV as asked for, but '<html>Log in</html>'")),
        (
            OUTPUT,
            body(gzip.compress(b"id,name\r\n1,end\r\n")),
            (ScannerUnavailable, "no CSV as asked for, but 'id,name"),
        ),
    ],
)
def test_a_fault_is_told_and_leaves_nothing(
    week: Console, source: InsightVM, tmp_path: Path, pattern: str, fault: Fault, expected: Told
) -> None:
    kind, words = expected
    week.fault(pattern, fault)
    with pytest.raises(kind) as told:
        download(source, tmp_path)
    assert words in str(told.value)
    assert str(told.value).startswith("ivm (127.0.0.1:")
    assert PASSWORD not in str(told.value)
    assert week.called(r"DELETE /reports/\d+") == week.called(r"POST /reports/\d+/generate")
    assert week.reports == {} or pattern == "POST /reports"  # an answer that hides the number leaves one behind
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pattern", ["GET /sites", r"POST /reports", REPORT, OUTPUT])
def test_silence_has_an_end(week: Console, source: InsightVM, tmp_path: Path, pattern: str) -> None:
    week.fault(pattern, *[week.silence] * 3)
    with pytest.raises(ScannerUnavailable, match=r"has been silent for 0\.5 s"):
        download(source, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_is_never_ready_is_given_up_and_deleted(week: Console, source: InsightVM, tmp_path: Path) -> None:
    week.states = ["running"]
    with pytest.raises(ScannerUnavailable, match="'hosts-7' is not ready after 1 s"):
        download(source, tmp_path)
    assert week.reports == {}


@pytest.mark.parametrize("position", [1, 2, 3])
def test_a_fault_in_any_of_the_reports_makes_the_whole_run_untaken(
    week: Console, source: InsightVM, tmp_path: Path, position: int
) -> None:
    week.fault(OUTPUT, *[unpacked] * (position - 1), cut_plain)
    with pytest.raises(ScannerUnavailable, match=r"broke off|no CSV as asked for"):
        download(source, tmp_path)
    assert (week.reports, list(tmp_path.iterdir())) == ({}, [])


def test_after_a_fault_it_is_fetched_as_if_nothing_had_been(week: Console, source: InsightVM, fetch: Fetch) -> None:
    whole = fetch(source)
    week.fault(REPORT, status(502), status(503))  # tried again by itself
    week.fault(OUTPUT, unpacked)  # plain text in place of gzip
    assert fetch(source).digest == whole.digest
    assert whole.hosts.height == 2


def test_a_report_definition_that_cannot_be_deleted_spoils_nothing(
    week: Console, source: InsightVM, fetch: Fetch
) -> None:
    week.fault("GET /reports", status(403))
    week.fault(r"DELETE /reports/\d+", status(500), status(404), status(401))
    assert fetch(source).hosts.height == 2


def test_definitions_that_a_killed_process_left_are_deleted_but_no_others(
    week: Console, source: InsightVM, tmp_path: Path
) -> None:
    names = ["vmjira ivm hosts-7 1700000000-aa11", "vmjira ivm hosts-7 9999999999-aa11", "vmjira other x 1700000000-b",
             "Monthly", "vmjira ivm notes"]  # fmt: skip
    week.reports = {id: {"name": name} for id, name in enumerate(names, start=1)}
    download(source, tmp_path)
    assert [report["name"] for report in week.reports.values()] == names[1:]


def _deleted(scan: dict[int, dict[str, Any]]) -> None:
    del scan[7]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda scans: scans[7].update(status="integrating"), (ScannerUnavailable, "scan 7 is being written into")),
        (lambda scans: scans[7].update(status="running"), (ScannerUnavailable, "scan 7 is running")),
        (lambda scans: scans[7].update(status="aborted"), (ScannerRefused, "scan 7 was aborted")),
        (
            lambda scans: scans[7].update(endTime="2026-06-05T11:00:00Z"),
            (ScannerUnavailable, "changed while it was read"),
        ),
        (_deleted, (ScannerRefused, "scan 7 does not exist any more")),
    ],
)
@pytest.mark.parametrize("when", [r"POST /reports", OUTPUT])
def test_a_run_that_changes_while_it_is_read_is_not_taken(
    week: Console, source: InsightVM, tmp_path: Path, change: Callable[[Any], None], expected: Told, when: str
) -> None:
    kind, words = expected
    done = iter([True])
    week.before[when] = lambda: change(week.scans) if next(done, False) else None
    with pytest.raises(kind, match=words):
        download(source, tmp_path)
    assert (week.reports, list(tmp_path.iterdir())) == ({}, [])


def test_an_account_that_sees_no_asset_is_told_so(
    week: Console, model: Model, source: InsightVM, tmp_path: Path
) -> None:
    model.connection.execute("TRUNCATE dim_asset_scan")
    with pytest.raises(ScannerRefused, match="has 2 assets, but the account sees none of them"):
        download(source, tmp_path)


def test_a_report_larger_than_allowed_is_not_kept(week: Console, tmp_path: Path) -> None:
    small = QUICK.__class__(**{**QUICK.__dict__, "file": 300})
    with pytest.raises(ScannerUnavailable, match="has more than 300 bytes"):
        download(InsightVM(rule(week), ENVIRON, small), tmp_path)


def test_credentials_go_to_the_console_and_nowhere_else(week: Console) -> None:
    def elsewhere(_: Response) -> Response:
        return Response(status=302, headers={"Location": "http://127.0.0.1:9/"})

    week.fault("GET /sites", elsewhere)
    with pytest.raises(ScannerRefused, match="another address"):
        InsightVM(rule(week), ENVIRON, QUICK).listing()


def test_a_wrong_password_is_told_without_showing_it(week: Console) -> None:
    source = InsightVM(rule(week), {"IVM_PASSWORD": "wrong-one"}, QUICK)
    with pytest.raises(ScannerRefused, match="401: Unauthorized; check the credentials") as told:
        source.listing()
    assert "wrong-one" not in str(told.value)


def test_the_second_factor_is_sent_if_there_is_one(week: Console) -> None:
    tokens: list[str | None] = []

    def look(answer: Response) -> None:
        tokens.append(request.headers.get("Token"))

    week.fault("GET /sites", look, look)
    InsightVM(rule(week), ENVIRON, QUICK).listing()
    InsightVM(rule(week, token="${IVM_TOKEN}"), ENVIRON | {"IVM_TOKEN": TOKEN}, QUICK).listing()
    assert tokens == [None, TOKEN]


@pytest.mark.parametrize("kind", ["insightvm", "nexpose-xml"])
def test_a_rule_connects_by_its_type_and_says_what_is_missing(console: Console, kind: str) -> None:
    assert connect(rule(console, kind), ENVIRON).cannot_rescan == ""
    with pytest.raises(ScannerRefused, match="ivm: IVM_PASSWORD: is not set"):
        connect(rule(console, kind), {})
    with pytest.raises(ScannerRefused, match="ivm: username and password must be given"):
        connect(Scanner("ivm", kind, options={"url": console.url}), {})


# --- check ------------------------------------------------------------------------------------------------------------


def said(source: InsightVM) -> list[tuple[bool, str]]:
    return [(check.ok, check.what.partition(": ")[2] or check.what) for check in source.check()]


def test_check_tells_what_is_there_and_asks_every_query(week: Console, source: InsightVM) -> None:
    assert said(source) == [
        (True, "connected, version 6.6.210"),
        (True, "Boston"),
        (True, "reports can be made, and the console understands our queries"),
        (True, "whether it may start scans is seen only when it starts one"),
    ]
    asked = [each["query"] for each in week.bodies if "query" in each]
    assert len(asked) == 3 and all("scan_id = 0" in query for query in asked)
    assert week.reports == {}


def test_check_says_what_to_do_about_each_trouble(week: Console, model: Model, source: InsightVM) -> None:
    week.fault("GET /administration/info", status(401, "Unauthorized"))
    week.fault("POST /reports", status(403, "Forbidden"))
    source._patterns = ["Chicago"]
    version, sites, reports, _ = source.check()
    assert (version.ok, version.what.endswith(": connected")) == (True, True)
    assert (sites.ok, sites.what) == (False, "no site matches; visible are: 'Boston'")
    assert (reports.ok, "403" in reports.what, reports.how) == (
        False, True, "give its role the permission Create reports",
    )  # fmt: skip


def test_check_finds_a_console_whose_model_lacks_what_is_asked_for(
    week: Console, model: Model, source: InsightVM
) -> None:
    model.connection.execute("ALTER TABLE dim_asset RENAME COLUMN last_assessed_for_vulnerabilities TO other")
    try:
        checks = source.check()
    finally:
        model.connection.execute("ALTER TABLE dim_asset RENAME COLUMN other TO last_assessed_for_vulnerabilities")
    assert "its report 'hosts-0' has failed" in next(check.what for check in checks if not check.ok)


def test_check_ends_at_a_console_that_is_not_there() -> None:
    source = InsightVM(
        Scanner("ivm", "insightvm", options={"url": "http://127.0.0.1:9", "username": "a", "password": "b"}), {}
    )
    (check,) = source.check()
    assert (check.ok, check.what) == (False, "ivm (127.0.0.1:9): nobody listens there; is the scanner running?")


def test_what_is_asked_is_in_the_documentation() -> None:
    """An administrator reviews the queries there."""
    page = (Path(__file__).parents[2] / "docs" / "scanners" / "insightvm.md").read_text()
    shown = places([ip_address("10.1.2.3"), ip_address("10.1.2.4")])
    assert [query for query in (*queries(7).values(), shown) if query not in page] == []
