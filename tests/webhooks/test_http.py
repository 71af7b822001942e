"""Over real HTTP: what the stand-in for Jira fires is kept, and what a real server refuses is said in words."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from werkzeug.serving import make_server

from tests.sandbox.conftest import JiraClient, Maker
from tests.webhooks.conftest import PATH_SECRET, SECRET, SIGNED, Server, event, signature
from vmjira.cli import main
from vmjira.flows.events import parse

EVENTS = ["jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created"]
LOCAL = {"JIRA_WEBHOOK_PATH_SECRET": PATH_SECRET, "JIRA_WEBHOOK_NETWORKS": "127.0.0.0/8"}


@contextmanager
def listening(server: Server) -> Iterator[str]:
    """The address of `server`, on loopback."""
    http = make_server("127.0.0.1", 0, server.client.application, threaded=True)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/webhooks/jira"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def close_comment_and_delete(jira: JiraClient, url: str, secret: str = SECRET) -> str:
    """The id of the issue to which all that happened, once it is told."""
    key = jira.create()
    jira.control("POST", "/webhooks", {"name": "vmjira", "url": url, "events": EVENTS, "secret": secret, "jql": ""})
    id_ = str(jira.get(key)["id"])
    jira.transit(key, "Done", resolution={"name": "Done"})
    jira.call("POST", f"/issue/{key}/comment", {"body": "patched"})
    jira.call("DELETE", f"/issue/{key}")
    wait_until(lambda: len(told(jira)) >= 3 and {row["state"] for row in told(jira)} <= {"sent", "lost"})
    return id_


def told(jira: JiraClient) -> list[dict[str, str]]:
    found: list[dict[str, str]] = jira.control("GET", "/webhooks/deliveries")
    return found


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 90
    while not true():
        assert time.monotonic() < end, "this did not come true within 90 s"
        time.sleep(0.02)


@pytest.mark.parametrize("flavour", ["cloud", "datacenter"])
def test_what_a_signing_jira_fires_is_kept(serve: Callable[..., Server], tmp_path: Path, flavour: str):
    server, jira = serve(**SIGNED), Maker(tmp_path / "jira", flavour)()
    with listening(server) as url:
        issue = close_comment_and_delete(jira, url)
    assert {row["state"] for row in told(jira)} == {"sent"}
    kinds = {parse(row.body).kind for row in server.kept}
    assert kinds == {"comment_created", "jira:issue_deleted", "jira:issue_updated"}
    assert {(row.issue, row.state) for row in server.kept} == {(issue, "queued")}
    assert len(server.kept) == len(server.queued) == len(told(jira))
    if flavour == "cloud":
        assert {row.id for row in server.kept} == {row["id"] for row in told(jira)}


def test_what_an_old_data_center_fires_is_kept_at_the_secret_address(serve: Callable[..., Server], tmp_path: Path):
    server, jira = serve(**LOCAL), Maker(tmp_path / "jira", "datacenter").of_version("9.12.1")
    with listening(server) as url:
        issue = close_comment_and_delete(jira, f"{url}/{PATH_SECRET}")
    assert {(row.issue, row.state) for row in server.kept} == {(issue, "queued")}
    assert len(server.kept) == len(server.queued) == len(told(jira))


def test_what_a_jira_with_another_secret_fires_is_not_kept(serve: Callable[..., Server], tmp_path: Path):
    server, jira = serve(**SIGNED), Maker(tmp_path / "jira", "cloud")()
    with listening(server) as url:
        close_comment_and_delete(jira, url, secret="another")
    assert {row["answer"] for row in told(jira)} == {"403"}
    assert server.kept == []


# --- the server itself ------------------------------------------------------------------------------------------------


def start(folder: Path, listen: str, **environ: str) -> subprocess.Popen[str]:
    """gunicorn, with nothing of the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JIRA_", "VMJIRA_"))}
    given = {**kept, "VMJIRA_DATA": str(folder / "data"), "VMJIRA_LISTEN": listen, **environ}
    given["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-m", "gunicorn", "--bind", listen, "--threads", "8", "vmjira.webapp:web_app()"]
    return subprocess.Popen(command, env=given, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_an_open_server_says_why_it_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in SIGNED | LOCAL:
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(main, ["serve"], env={"VMJIRA_LISTEN": "0.0.0.0:8600"})
    assert result.exit_code == 1
    assert "JIRA_WEBHOOK_SECRET: is not set, and others can reach VMJIRA_LISTEN '0.0.0.0:8600'" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_real_server_keeps_events_and_says_what_is_too_large(serve: Callable[..., Server], tmp_path: Path):
    server = serve(**SIGNED)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    process, url = start(tmp_path, listen, **SIGNED), f"http://{listen}/webhooks/jira"
    try:
        wait_until(lambda: answers(f"http://{listen}/healthz"))
        body, larger = event(), b"x" * (10 * 1024 * 1024 + 1)
        headers = {"X-Hub-Signature": signature(body)}
        assert requests.post(url, data=body, headers=headers, timeout=20).json()["state"] == "queued"
        once = requests.post(url, data=larger, timeout=20, headers={"Connection": "close"})
        pieces = requests.post(url, data=iter([larger[:1000], larger[1000:]]), timeout=20)
        assert [answer.status_code for answer in (once, pieces)] == [413, 413]
        assert "more than 10 MB" in once.json()["error"]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert [row.body for row in server.kept] == [body]
    assert SECRET not in said


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False
