"""`POST /api/scans`, by the application as it is wired, and by a real gunicorn."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.flows.scans import APACHE, SMB, nessus, week
from tests.flows.world import CATEGORIES, POLICY, RANGES
from tests.scanners.test_owncsv import written
from vmjira import webapp
from vmjira.bootstrap import Application
from vmjira.errors import SettingsInvalid, StoreUnavailable
from vmjira.flows import silence
from vmjira.flows.attention import needs_a_person
from vmjira.flows.rows import ScanRow
from vmjira.settings import load_settings
from vmjira.web.uploads import safe_name
from vmjira.webapp import web_app_of

TOKEN, OTHER = "token-of-the-build", "token-of-the-scanner"
DIGESTS = ", ".join(f"{name}:{hashlib.sha256(token.encode()).hexdigest()}" for name, token in
                    (("build", TOKEN), ("scanner", OTHER)))  # fmt: skip
SHAPE = {
    "path", "format", "scanner", "started_at", "finished_at", "hosts", "records", "findings", "vulnerabilities",
    "authenticated_hosts", "records_by_severity", "warnings", "outcome",
}  # fmt: skip


def settings(folder: Path, **environ: str) -> dict[str, str]:
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    for name, text in (("categories", CATEGORIES), ("ranges", RANGES), ("policy", POLICY)):
        (rules / f"{name}.yaml").write_text(text)
    return {
        "VMJIRA_DATA": str(folder / "data"), "VMJIRA_RULES": str(rules), "VMJIRA_UPLOAD_TOKENS": DIGESTS, **environ
    }  # fmt: skip


@dataclass
class Server:
    app: Application
    client: FlaskClient
    folder: Path

    def post(self, body: bytes, *, token: str = TOKEN, query: str = "", **more: str) -> TestResponse:
        headers = {"Authorization": f"Bearer {token}", **more} if token else more
        return self.client.post(f"/api/scans{query}", data=body, headers=headers)

    @property
    def kept(self) -> list[ScanRow]:
        with self.app.store.reading() as unit:
            return unit.scans()

    @property
    def aside(self) -> list[str]:
        return sorted(file.name for file in (self.folder / "data" / "refused").glob("*"))


def serve(folder: Path, **environ: str) -> Server:
    app = Application(load_settings(settings(folder, **environ), dotenv=folder / "none"))
    return Server(app, web_app_of(app).test_client(), folder)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return serve(tmp_path)


@pytest.fixture
def scan(tmp_path: Path) -> bytes:
    return nessus(tmp_path / "week.nessus", week(23), {"10.1.0.7": [SMB], "10.1.0.8": [SMB, APACHE]}).read_bytes()


# --- what is taken ----------------------------------------------------------------------------------------------------


def test_a_scan_is_taken_and_told_what_was_read(server: Server, scan: bytes):
    answer = server.post(scan, query="?name=week.nessus")
    assert answer.status_code == 201
    (file,) = answer.json["files"]
    assert set(file) == SHAPE
    assert (file["path"], file["format"], file["hosts"], file["findings"]) == ("week.nessus", "nessus", 2, 5)
    assert (file["outcome"], answer.json["operations"]) == ("folded", 2)
    assert [(row.name, row.hosts) for row in server.kept] == [("week.nessus", 2)]


def test_the_same_scan_again_changes_nothing(server: Server, scan: bytes):
    server.post(scan)
    again = server.post(scan, token=OTHER)
    assert (again.status_code, again.json["operations"]) == (200, 0)
    assert again.json["files"][0]["outcome"] == "known already: nothing changed"
    assert len(server.kept) == 1


def test_several_files_of_a_form_are_folded_oldest_first(server: Server, scan: bytes, tmp_path: Path):
    later = nessus(tmp_path / "later.nessus", week(24), {"10.1.0.7": [SMB]}).read_bytes()
    data = {"a": (io.BytesIO(later), "../../later.nessus"), "b": (io.BytesIO(scan), "week.nessus"), "note": "hello"}
    answer = server.client.post("/api/scans", data=data, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 201
    assert [file["path"] for file in answer.json["files"]] == ["week.nessus", "later.nessus"]
    assert [row.name for row in server.kept] == ["week.nessus", "later.nessus"]


def test_what_cannot_be_read_is_kept_aside_with_the_reason(server: Server):
    answer = server.post(b"<html>the wrong file</html>", query="?name=report.html")
    assert answer.status_code == 400
    assert answer.json["error"].startswith("report.html: is no scan in a known format; known are: ")
    assert [name.partition("-")[2] for name in server.aside] == ["report.html", "report.html.reason.txt"]
    assert "vmjira-upload" not in answer.text and server.kept == []


def test_a_scan_beside_an_unreadable_file_is_taken_all_the_same(server: Server, scan: bytes):
    data = {"a": (io.BytesIO(b"garbage"), "a.nessus"), "b": (io.BytesIO(scan), "b.nessus")}
    answer = server.client.post("/api/scans", data=data, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 400 and "a.nessus: " in answer.json["error"]
    assert [file["outcome"] for file in answer.json["files"]] == ["folded"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("week 23.nessus", "week_23.nessus"), ("../../etc/passwd", "passwd"), ("C:\\scans\\a.csv", "a.csv"),
        ("<script>", "_script_"), ("", "upload"), ("...", "upload"), ("x" * 500, "x" * 80), (".env", "env"),
    ],
)  # fmt: skip
def test_the_name_of_a_file_is_only_a_label(name: str, label: str):
    assert safe_name(name) == label


# --- for whom it counts -----------------------------------------------------------------------------------------------


ENTRIES = {
    "named like the token": ("[{id: other, type: upload}, {id: build, type: upload, timezone: Asia/Tokyo}]", 1),
    "the only one": ("[{id: ci, type: upload, timezone: Asia/Tokyo}]", 1),
    "of which nobody knows": ("[{id: a, type: upload, timezone: Asia/Tokyo}, {id: b, type: upload}]", 10),
    "none": ("[{id: inbox, type: folder, path: x, timezone: Asia/Tokyo}]", 10),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_times_without_a_zone_are_in_that_of_the_entry(server: Server, entry: str):
    entries, hour = ENTRIES[entry]
    (server.folder / "rules" / "scanners.yaml").write_text(f"scanners: {entries}\n")
    answer = server.post(written({"last seen": "2026-06-05T10:00:00"}))
    assert [file["finished_at"] for file in answer.json["files"]] == [f"2026-06-05T{hour:02}:00:00+00:00"]


@pytest.mark.parametrize("period", ["", ", expect: 7d"])  # a week too, as long as nobody knows better
def test_an_entry_that_sends_nothing_new_for_twice_its_period_is_shown_and_counted(
    server: Server, scan: bytes, tmp_path: Path, period: str
):
    entries = f"scanners: [{{id: build, type: upload{period}}}]\n"
    (server.folder / "rules" / "scanners.yaml").write_text(entries)

    def silent(days: float) -> bool:
        """After so many days: by the clock's job, and by all who show it."""
        late = datetime.now(UTC) + timedelta(days=days)
        outside, rules = replace(server.app.outside, clock=lambda: late), server.app.tools.rules()
        told = silence.look(outside, rules, lambda cron, rules: timedelta())
        with server.app.store.reading() as unit:
            items = [item.title for item in needs_a_person(unit, rules, [], late) if "is silent" in item.title]
        counted = 'vmjira_scanner_silent{scanner="build"} 1.0' in server.client.get("/metrics").text
        assert len({"1 are silent" in told, bool(items), counted}) == 1, (told, items, counted)
        return counted

    assert [silent(0), silent(13), silent(15)] == [False, False, True]
    server.post(scan)
    assert [silent(13), silent(15)] == [False, True]
    with server.app.store.begin() as unit:  # that was a month ago
        (row,) = unit.taken("build")
        unit.put_taken(replace(row, taken_at=row.taken_at - timedelta(days=30)))
    server.post(scan)
    assert silent(0)  # it is nothing new
    server.post(nessus(tmp_path / "later.nessus", week(24), {"10.1.0.7": [SMB]}).read_bytes())
    assert not silent(0)


# --- who may, and what is too much ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 401), ({"Authorization": ""}, 401), ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": "Bearer "}, 401), ({"Authorization": "Bearer wrong"}, 403),
        ({"Authorization": f"Bearer {hashlib.sha256(TOKEN.encode()).hexdigest()}"}, 403),
    ],
)  # fmt: skip
def test_without_a_token_that_is_known_nothing_is_read(server: Server, scan: bytes, headers: dict[str, str], code: int):
    answer = server.client.post("/api/scans", data=scan, headers=headers)
    assert (answer.status_code, server.kept) == (code, [])
    assert answer.headers.get("WWW-Authenticate") == ("Bearer" if code == 401 else None)


def test_where_no_token_is_set_nobody_may_upload(tmp_path: Path, scan: bytes):
    answer = serve(tmp_path, VMJIRA_UPLOAD_TOKENS="").post(scan)
    assert answer.status_code == 403 and "VMJIRA_UPLOAD_TOKENS is not set" in answer.json["error"]


@pytest.mark.parametrize("tokens", ["secret-itself", f"{'a' * 63}", f"bad name!:{'a' * 64}"])
def test_a_setting_that_is_no_digest_is_told_without_repeating_it(tmp_path: Path, tokens: str):
    with pytest.raises(SettingsInvalid, match="VMJIRA_UPLOAD_TOKENS: entry") as caught:
        load_settings({"VMJIRA_UPLOAD_TOKENS": tokens}, dotenv=tmp_path / "none")
    assert tokens not in str(caught.value)
    with pytest.raises(SettingsInvalid, match="VMJIRA_UPLOAD_LIMIT: 'much'"):
        load_settings({"VMJIRA_UPLOAD_LIMIT": "much"}, dotenv=tmp_path / "none")


@pytest.mark.parametrize("form", [False, True])
def test_more_than_the_limit_is_refused(tmp_path: Path, form: bool):
    server, body = serve(tmp_path, VMJIRA_UPLOAD_LIMIT="1"), b"x" * (1 << 20) + b"x"
    data = {"a": (io.BytesIO(body), "a")} if form else body
    answer = server.client.post("/api/scans", data=data, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 413 and "VMJIRA_UPLOAD_LIMIT" in answer.json["error"]


@pytest.mark.parametrize(("kind", "body"), [
    ("application/octet-stream", b""), ("multipart/form-data; boundary=x", b"--x--\r\n"),
    ("multipart/form-data", b"x"), ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data'),
    ("multipart/form-data; boundary=x",
     b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nhalf of it'),
])  # fmt: skip
def test_a_body_without_a_whole_file_is_refused(server: Server, kind: str, body: bytes):
    answer = server.post(body, **{"Content-Type": kind})
    assert (answer.status_code, server.kept, server.aside) == (400, [], [])


def test_a_database_that_is_away_is_a_reason_to_come_again(
    server: Server, scan: bytes, monkeypatch: pytest.MonkeyPatch
):
    def away(*_: object) -> None:
        raise StoreUnavailable("cannot reach postgresql://me@secret-host")

    monkeypatch.setattr(webapp, "ingest", away)
    answer = server.post(scan)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert "secret-host" not in answer.text


# --- the server itself ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("real")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JIRA_", "VMJIRA_"))}
    given = {**kept, **settings(folder, VMJIRA_UPLOAD_LIMIT="4", VMJIRA_LISTEN=listen)}
    given["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-m", "gunicorn", "--bind", listen, "--threads", "4", "vmjira.webapp:web_app()"]
    process = subprocess.Popen(command, env=given, cwd=folder, start_new_session=True)
    try:
        until(lambda: requests.get(f"http://{listen}/healthz", timeout=5).ok)
        yield f"http://{listen}/api/scans"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def until(true, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if true():
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    raise AssertionError("it did not come true")


AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


def test_the_real_server_takes_bodies_of_any_kind(url: str, scan: bytes, tmp_path: Path):
    whole = requests.post(url, data=scan, headers=AUTHORIZED, timeout=30)
    pieces = requests.post(url, data=iter([scan[:100], scan[100:]]), headers=AUTHORIZED, timeout=30)
    later = nessus(tmp_path / "later.nessus", week(24), {"10.1.0.7": [SMB]}).read_bytes()
    form = requests.post(url, files={"file": ("later.nessus", later)}, headers=AUTHORIZED, timeout=30)
    assert [answer.status_code for answer in (whole, pieces, form)] == [201, 200, 201]


def test_the_real_server_says_what_is_too_large(url: str):
    larger = b"x" * (5 << 20)
    pieces = requests.post(url, data=iter([larger]), headers=AUTHORIZED, timeout=30)
    whole = requests.post(url, data=larger, headers=AUTHORIZED, timeout=30)
    assert [answer.status_code for answer in (pieces, whole)] == [413, 413]


@pytest.mark.parametrize("chunked", [False, True])
def test_half_a_body_is_no_scan_even_where_the_half_could_be_read(url: str, chunked: bool):
    """A CSV is whole wherever it ends: only HTTP knows that more was to come."""
    host, port = url.removeprefix("http://").partition("/")[0].split(":")
    half = b"Plugin ID,CVE,Risk,Host\n"
    how = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 5000"
    sent = b"%x\r\n%s\r\n" % (len(half), half) if chunked else half
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(
            b"POST /api/scans HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n%s"
            % (TOKEN.encode(), how, sent)
        )
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400") and b"not whole" in answer
