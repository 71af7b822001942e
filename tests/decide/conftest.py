from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.decide.world import World, a_jira, a_world


@pytest.fixture(params=["datacenter", "cloud"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def starting(tmp_path: Path, flavour: str) -> Iterator[Callable[..., World]]:
    """Starts a world; `policy` is more YAML, all else are settings of the sandbox."""
    with ExitStack() as stack:

        def start(policy: str = "", **settings: object) -> World:
            jira = stack.enter_context(a_jira(tmp_path, flavour, **settings))
            return stack.enter_context(a_world(tmp_path / "world", jira, policy))

        yield start


@pytest.fixture
def start(tmp_path: Path, flavour: str) -> Iterator[Callable[..., World]]:
    """In both flavours."""
    yield from starting(tmp_path, flavour)


@pytest.fixture
def world(start: Callable[..., World]) -> World:
    """In both flavours."""
    return start()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    """In one flavour: for all that does not depend on it."""
    for start in starting(tmp_path, "datacenter"):
        yield start()
