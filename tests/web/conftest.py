from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.flows.jira import Jira, running
from tests.flows.world import World, a_world
from vmjira import rulefiles
from vmjira.domain.rulebook import Rulebook
from vmjira.flows.rules import read_rules
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
def app(world: World) -> Flask:
    def rules() -> Rulebook | None:
        with world.store.reading() as unit:
            row = unit.rules_in_force()
        return read_rules(rulefiles.load_texts, row) if row else None

    return create_app(lambda: world.store, rules, browse_url=world.jira.url)


@pytest.fixture
def web(app: Flask) -> FlaskClient:
    return app.test_client()
