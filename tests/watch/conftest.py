from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.jira import Jira, running
from tests.flows.scans import APACHE, NGINX, RDP, SMB, week
from tests.watch.world import World, a_world


@pytest.fixture(params=["cloud", "datacenter"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def jira(tmp_path: Path, flavour: str) -> Iterator[Jira]:
    with running(tmp_path, flavour) as jira:
        yield jira


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By flavour, a Jira and a vmjira after two weeks of two offices: five tickets, two of them with a predecessor."""
    made = {}
    for flavour in ("cloud", "datacenter"):
        made[flavour] = tmp_path_factory.mktemp(flavour)
        with running(made[flavour], flavour) as jira, a_world(made[flavour] / "world", jira) as world:
            world.fold(week(23), {"10.1.0.1": [SMB], "10.1.0.2": [SMB, APACHE], "10.2.0.1": [SMB]})
            world.fold(week(24), {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB, APACHE, NGINX], "10.2.0.1": []})
            assert world.reconcile() == []
            jira.calls()
    return made


@pytest.fixture
def world(folders: dict[str, Path], tmp_path: Path, flavour: str) -> Iterator[World]:
    shutil.copytree(folders[flavour], tmp_path, dirs_exist_ok=True)
    with running(tmp_path, flavour) as jira, a_world(tmp_path / "world", jira) as world:
        yield world
