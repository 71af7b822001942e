"""A client of the sandbox whose every call and answer is held against Jira's own contracts, where those are there."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests import openapi
from vmjira.sandbox import create_app


class JiraClient:
    """Speaks REST as one person; `calls` may be told not to check the request where a test breaks it on purpose."""

    def __init__(self, client: FlaskClient, flavour: str, *, version: str = "2") -> None:
        self.web = client
        self.flavour = flavour
        self.version = version
        self.token = "sandbox-token"
        self.name = "vmjira"

    @property
    def cloud(self) -> bool:
        return self.flavour == "cloud"

    def as_admin(self) -> JiraClient:
        other = JiraClient(self.web, self.flavour, version=self.version)
        other.name, other.token = "admin", "sandbox-admin-token"
        return other

    def headers(self) -> dict[str, str]:
        if not self.cloud:
            return {"Authorization": f"Bearer {self.token}"}
        pair = base64.b64encode(f"{self.name}@example.com:{self.token}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    def call(
        self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None, *, wrong: bool = False
    ) -> TestResponse:
        """`wrong`: the request breaks the contract on purpose."""
        full = f"/rest/api/{self.version}{path}"
        if openapi.available() and not wrong:
            openapi.validate_request(self.flavour, method, full, query, body)
        more = {} if body is None else {"json": body}
        answer = self.web.open(full, method=method, query_string=query, headers=self.headers(), **more)
        self._check(method, full, answer, wrong=wrong)
        return answer

    def _check(self, method: str, path: str, answer: TestResponse, *, wrong: bool) -> None:
        if openapi.available() and not (wrong and answer.status_code == 404) and answer.status_code != 415:
            openapi.validate_response(self.flavour, method, path, answer.status_code, answer.get_json(silent=True))

    def upload(self, key: str, *files: tuple[str, bytes], token: str = "no-check") -> TestResponse:
        path = f"/rest/api/{self.version}/issue/{key}/attachments"
        headers = self.headers() | ({"X-Atlassian-Token": token} if token else {})
        data = {"file": [(io.BytesIO(content), name) for name, content in files]}
        answer = self.web.post(path, data=data, headers=headers, content_type="multipart/form-data")
        self._check("POST", path, answer, wrong=False)
        return answer

    def create(self, summary: str = "Patch it", project: str = "VM", **fields: Any) -> str:
        own = {"project": {"key": project}, "issuetype": {"name": "Task"}, "summary": summary, **fields}
        answer = self.call("POST", "/issue", {"fields": own})
        assert answer.status_code == 201, answer.text
        return answer.get_json()["key"]

    def get(self, key: str, **query: Any) -> dict[str, Any]:
        answer = self.call("GET", f"/issue/{key}", query=query)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def fields(self, key: str) -> dict[str, Any]:
        return self.get(key)["fields"]

    def search(self, jql: str, fields: str = "summary") -> list[dict[str, Any]]:
        path = "/search/jql" if self.cloud else "/search"
        answer = self.call("GET", path, query={"jql": jql, "fields": fields})
        assert answer.status_code == 200, answer.text
        return answer.get_json()["issues"]

    def keys(self, jql: str) -> list[str]:
        return [issue["key"] for issue in self.search(jql)]

    def transit(self, key: str, name: str, **fields: Any) -> TestResponse:
        steps = self.call("GET", f"/issue/{key}/transitions").get_json()["transitions"]
        id_ = next(step["id"] for step in steps if step["name"] == name)
        return self.call("POST", f"/issue/{key}/transitions", {"transition": {"id": id_}, "fields": fields})

    def control(self, method: str, path: str, body: Any = None) -> Any:
        more = {} if body is None else {"json": body}
        answer = self.web.open(f"/sandbox{path}", method=method, **more)
        assert answer.status_code < 300, answer.text
        return answer.get_json(silent=True)


class Maker:
    """Makes sandboxes of the flavour under test, with other settings where a test needs them."""

    def __init__(self, folder: Path, flavour: str) -> None:
        self.folder, self.flavour = folder, flavour

    def of_version(self, release: str) -> JiraClient:
        return self(**({"version": release} if release else {}))

    def __call__(self, *, rest: str = "2", **settings: Any) -> JiraClient:
        app = create_app(self.folder / "sandbox.sqlite", self.flavour, **settings)  # type: ignore[arg-type]
        return JiraClient(app.test_client(), self.flavour, version=rest)


@pytest.fixture(scope="session")
def default_apps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Flask]:
    """Building an application takes longer than most tests; a reset one is as good as new."""
    folder = tmp_path_factory.mktemp("sandboxes")
    return {name: create_app(folder / name / "x.sqlite", name) for name in ("cloud", "datacenter")}  # type: ignore


def _fresh(apps: dict[str, Flask], flavour: str) -> JiraClient:
    jira = JiraClient(apps[flavour].test_client(), flavour)
    jira.control("POST", "/reset")
    return jira


@pytest.fixture(params=["cloud", "datacenter"])
def flavour(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(flavour: str, tmp_path: Path) -> Maker:
    return Maker(tmp_path, flavour)


@pytest.fixture
def jira(default_apps: dict[str, Flask], flavour: str) -> JiraClient:
    return _fresh(default_apps, flavour)


@pytest.fixture
def cloud(default_apps: dict[str, Flask]) -> JiraClient:
    return _fresh(default_apps, "cloud")


@pytest.fixture
def datacenter(default_apps: dict[str, Flask]) -> JiraClient:
    return _fresh(default_apps, "datacenter")
