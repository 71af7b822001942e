"""vmjira's own server, with a store of its own, and somebody who sends webhooks to it."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests import openapi
from vmjira.bootstrap import Application
from vmjira.flows.rows import DeliveryRow
from vmjira.settings import load_settings
from vmjira.webapp import web_app_of

SECRET = "It's a Secret to Everybody"
PATH_SECRET = "0123456789abcdef0123456789abcdef"
SIGNED = {"JIRA_WEBHOOK_SECRET": SECRET}
BY_PATH = {"JIRA_WEBHOOK_PATH_SECRET": PATH_SECRET, "JIRA_WEBHOOK_NETWORKS": "10.1.0.0/16, 192.0.2.7"}


@dataclass
class Server:
    app: Application
    client: FlaskClient

    def post(self, body: bytes, headers: dict[str, str] | None = None, *, sign: str = SECRET) -> TestResponse:
        own = {"X-Hub-Signature": signature(body, sign)} | (headers or {})
        return self.client.post("/webhooks/jira", data=body, headers=own)

    def post_to(self, segment: str, body: bytes, sender: str, headers: dict[str, str] | None = None) -> TestResponse:
        return self.client.post(
            f"/webhooks/jira/{segment}", data=body, headers=headers, environ_base={"REMOTE_ADDR": sender}
        )

    @property
    def kept(self) -> list[DeliveryRow]:
        with self.app.store.reading() as unit:
            return unit.deliveries(limit=1000)

    @property
    def queued(self) -> list[str]:
        assert self.app.outside.queue  # its tables are made when it is first needed
        with self.app.store.reading() as unit:
            table = "workflow_status" if unit.connection.dialect.name == "sqlite" else "dbos.workflow_status"
            found = unit.connection.exec_driver_sql(f"SELECT workflow_uuid FROM {table} WHERE name = 'react'")
            return [row[0] for row in found]


def signature(body: bytes, secret: str = SECRET, method: str = "sha256") -> str:
    return f"{method}={hmac.new(secret.encode(), body, method).hexdigest()}"


def event(**changes: Any) -> bytes:
    """A closing, as Cloud tells it."""
    body = {
        "timestamp": 1_780_000_000_000,
        "webhookEvent": "jira:issue_updated",
        "user": {"accountId": "5c5f880629be9642ba529340"},
        "issue": {"id": "10040", "key": "VM-41", "fields": {"status": {"statusCategory": {"key": "done"}}}},
        "changelog": {"id": "1", "items": []},
    }
    return json.dumps({**body, **changes}).encode()


def recorded() -> list[Path]:
    """Bodies that real Jiras sent, where they are at hand."""
    return sorted((openapi.CONTRACTS / "webhooks").glob("*.json"))


def application(folder: Path, **environ: str) -> Application:
    return Application(load_settings({"VMJIRA_DATA": str(folder / "data"), **environ}, dotenv=folder / "none"))


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty store: making its tables takes longer than any test here."""
    folder = tmp_path_factory.mktemp("empty")
    application(folder).store.close()
    return folder


@pytest.fixture
def serve(empty: Path, tmp_path: Path) -> Callable[..., Server]:
    def started(**environ: str) -> Server:
        shutil.copytree(empty, tmp_path, dirs_exist_ok=True)
        app = application(tmp_path, **environ)
        return Server(app, web_app_of(app).test_client())

    return started


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve(**SIGNED)


def digest(body: bytes) -> str:
    return f"sha256-{hashlib.sha256(body).hexdigest()}"
