from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clock.world import Desk
from tests.flows.conftest import jira
from tests.flows.jira import Jira
from tests.flows.world import a_world


@pytest.fixture
def desk(tmp_path: Path, jira: Jira) -> Iterator[Desk]:
    with a_world(tmp_path / "world", jira) as world:
        yield Desk(world)


@pytest.fixture
def anywhere(tmp_path: Path, jira: Jira, database_url: str) -> Iterator[Desk]:
    """On SQLite and on PostgreSQL."""
    with a_world(tmp_path / "world", jira, database_url) as world:
        yield Desk(world)
