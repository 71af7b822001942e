from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.watch.jira import Jira, running


@pytest.fixture(params=["cloud", "datacenter"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def jira(tmp_path: Path, flavour: str) -> Iterator[Jira]:
    with running(tmp_path, flavour) as jira:
        yield jira
