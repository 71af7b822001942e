from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.decide.world import a_jira
from tests.rescan.world import World, a_world


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Starts a world; `policy` is more YAML, `scanners` the file of that name."""
    with ExitStack() as stack:
        stack.enter_context(capture_logs())  # tracebacks as structlog shows them by default take half a second each

        def start(policy: str = "", flavour: str = "datacenter", **more: str) -> World:
            jira = stack.enter_context(a_jira(tmp_path, flavour))
            return stack.enter_context(a_world(tmp_path / "world", jira, policy, **more))

        yield start


@pytest.fixture
def world(start: Callable[..., World]) -> World:
    return start()


@pytest.fixture(params=["datacenter", "cloud"])
def both(request: pytest.FixtureRequest, start: Callable[..., World]) -> World:
    """In both flavours."""
    return start(flavour=request.param)
