from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guard.world import World
from vmjira.store import SqlStore, open_store


@pytest.fixture
def world(tmp_path: Path, sqlite_url: str) -> Iterator[World]:
    Path(sqlite_url.removeprefix("sqlite:///")).parent.mkdir()
    store = open_store(sqlite_url, str(tmp_path / "data"))
    store.upgrade()
    yield World(store, tmp_path)
    store.close()


@pytest.fixture
def anywhere(store: SqlStore, tmp_path: Path) -> World:
    """On SQLite and on PostgreSQL."""
    return World(store, tmp_path)
