"""Faults on demand, the call log, and that state survives processes and threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from werkzeug.serving import make_server

from tests.sandbox.conftest import JiraClient, Maker
from vmjira.errors import SettingsInvalid
from vmjira.sandbox import create_app

BODY = {"fields": {"project": {"key": "VM"}, "issuetype": {"name": "Task"}, "summary": "s"}}


def test_a_fault_before_the_write_leaves_nothing(jira: JiraClient):
    jira.control("POST", "/faults", {"method": "POST", "path": "/issue$", "status": 429, "retry_after": 2})
    answer = jira.call("POST", "/issue", BODY)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert jira.keys("project = VM") == []
    assert jira.call("POST", "/issue", BODY).status_code == 201


def test_a_fault_after_the_write_only_hides_it(jira: JiraClient):
    jira.control("POST", "/faults", {"method": "POST", "path": "/issue$", "status": 503, "when": "after"})
    assert jira.call("POST", "/issue", BODY).status_code == 503
    assert jira.keys("project = VM") == ["VM-1"]


def test_a_fault_may_skip_calls_and_strike_several_times(jira: JiraClient):
    jira.control("POST", "/faults", {"path": "/myself$", "status": 500, "skip": 1, "times": 2})
    assert [jira.call("GET", "/myself").status_code for _ in range(4)] == [200, 500, 500, 200]
    assert jira.control("GET", "/faults") == []


def test_faults_may_wait_from_the_start(make: Maker, tmp_path: Path):
    seed = tmp_path / "seed.json"
    seed.write_text('{"faults": [{"path": "/myself$", "status": 503}]}')
    jira = make(seed=seed)
    assert [jira.call("GET", "/myself").status_code for _ in range(2)] == [503, 200]


def test_a_nonsensical_fault_is_refused(jira: JiraClient):
    for body in ({"when": "never"}, {"paht": "/issue"}, {"path": "("}):
        assert jira.web.post("/sandbox/faults", json=body).status_code == 400


def test_calls_are_counted_with_what_was_asked_but_no_secret(make: Maker):
    jira = make(record_bodies=True)
    jira.call("POST", "/issue", BODY)
    jira.call("GET", "/issue/VM-1", query={"fields": "summary"})
    calls = jira.control("GET", "/calls")
    assert [(call["method"], call["path"], call["status"]) for call in calls] == [
        ("POST", "/rest/api/2/issue", 201),
        ("GET", "/rest/api/2/issue/VM-1", 200),
    ]
    assert calls[0]["body"] and calls[0]["size"] > 0 and calls[1]["query"] == "fields=summary"
    assert jira.token not in str(calls)
    jira.control("DELETE", "/calls")
    assert jira.control("GET", "/calls") == []


def test_reset_brings_the_seed_back(jira: JiraClient):
    jira.upload(jira.create(), ("a.csv", b"a"))
    jira.control("POST", "/reset")
    assert jira.keys("project = VM") == []
    assert jira.create() == "VM-1"
    assert jira.get("VM-1")["id"] == "10001"


@contextmanager
def serving(database: Path) -> Iterator[str]:
    app = create_app(database, "datacenter")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_dropped_connection_hides_a_write_that_happened(tmp_path: Path):
    headers = {"Authorization": "Bearer sandbox-token"}
    with serving(tmp_path / "x.sqlite") as url:
        fault = {"method": "POST", "path": "/issue$", "when": "after", "drop": True}
        requests.post(f"{url}/sandbox/faults", json=fault, timeout=10)
        with pytest.raises(requests.ConnectionError):
            requests.post(f"{url}/rest/api/2/issue", json=BODY, headers=headers, timeout=10)
        assert requests.get(f"{url}/rest/api/2/issue/VM-1", headers=headers, timeout=10).status_code == 200


def test_many_writers_of_several_servers_lose_nothing(tmp_path: Path):
    headers = {"Authorization": "Bearer sandbox-token"}
    database = tmp_path / "x.sqlite"
    with serving(database) as one, serving(database) as other, ThreadPoolExecutor(8) as pool:

        def create(n: int) -> str:
            url = (one, other)[n % 2]
            answer = requests.post(f"{url}/rest/api/2/issue", json=BODY, headers=headers, timeout=30)
            return answer.json()["key"]

        keys = list(pool.map(create, range(40)))
        assert set(keys) == {f"VM-{n}" for n in range(1, 41)}

        def label(n: int) -> None:
            body = {"update": {"labels": [{"add": f"l{n}"}]}}
            path = "/rest/api/2/issue/VM-1"
            assert requests.put((one, other)[n % 2] + path, json=body, headers=headers, timeout=30).status_code == 204

        list(pool.map(label, range(40)))
        labels = requests.get(f"{one}/rest/api/2/issue/VM-1", headers=headers, timeout=10).json()["fields"]["labels"]
    assert set(labels) == {f"l{n}" for n in range(40)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ('{"colour": 1}', "colour"),
        ('{"projects": [{"id": "1", "key": "X", "name": "X", "workflow": "none"}]}', "no workflow 'none'"),
        ('{"workflows": {"w": {"statuses": {"A": "open"}, "transitions": []}}}', "category 'open'"),
    ],
)
def test_a_wrong_seed_is_refused_with_the_reason(tmp_path: Path, text, words):
    seed = tmp_path / "seed.json"
    seed.write_text(text)
    with pytest.raises(SettingsInvalid, match=words):
        create_app(tmp_path / "x.sqlite", seed=seed)


def test_the_example_of_the_manual_works(tmp_path: Path):
    manual = Path(__file__).resolve().parents[2] / "docs" / "sandbox.md"
    seed = tmp_path / "seed.json"
    seed.write_text(manual.read_text(encoding="utf-8").partition("```json")[2].partition("```")[0])
    jira = Maker(tmp_path, "datacenter")(seed=seed)
    jira.token = "another-token"
    assert [jira.call("POST", "/issue", BODY).status_code for _ in range(2)] == [503, 503]
    key = jira.create(project="SEC")
    assert jira.transit(key, "Shut it", resolution={"name": "Done"}).status_code == 204
    assert jira.call("DELETE", f"/issue/{key}").status_code == 403
