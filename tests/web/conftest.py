from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.flows.jira import Jira, running
from tests.flows.world import World, a_world
from vmjira.web import create_app


@pytest.fixture
def jira(tmp_path: Path) -> Iterator[Jira]:
    with running(tmp_path, "datacenter") as jira:
        yield jira


@pytest.fixture
def world(tmp_path: Path, jira: Jira) -> Iterator[World]:
    with a_world(tmp_path / "world", jira) as world:
        yield world


@pytest.fixture
def web(world: World) -> FlaskClient:
    return create_app(lambda: world.store, browse_url="https://jira.example.com").test_client()
