"""A console that stands in, sources that are connected to it, and what they fetch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.insightvm_api import contract
from tests.insightvm_api.model import Model
from tests.insightvm_api.stand import PASSWORD, USER, Console, serving
from vmjira.domain.frames import Scan
from vmjira.domain.rulebook import Scanner
from vmjira.flows.sources import RemoteScan
from vmjira.scanners import read_scan
from vmjira.scanners.sources.insightvm import InsightVM
from vmjira.scanners.sources.nexpose_xml import NexposeXml
from vmjira.scanners.sources.options import Limits

ENVIRON = {"IVM_PASSWORD": PASSWORD}
#: Far from New York: nothing may depend on it.
ZONE = ZoneInfo("Asia/Tokyo")
needs_contract = pytest.mark.skipif(
    not contract.available(), reason="no API description and recordings of InsightVM here"
)


@pytest.fixture(scope="session")
def _model(postgres: str) -> Iterator[Model]:
    name = f"ivm_{uuid4().hex}"
    server = create_engine(make_url(postgres), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    model = Model(make_url(postgres).set(database=name).render_as_string(hide_password=False))
    yield model
    model.close()
    server.dispose()


@pytest.fixture
def model(_model: Model) -> Model:
    _model.clear()
    return _model


@pytest.fixture
def console(model: Model) -> Iterator[Console]:
    """No call to it may break the vendor's description, whatever the test is about."""
    with serving(model) as console:
        yield console
    assert console.broken == []


def rule(console: Console, kind: str = "insightvm", **options: Any) -> Scanner:
    told = {
        "url": console.url,
        "username": USER,
        "password": "${IVM_PASSWORD}",
        "history": timedelta(days=36_500),
        **options,
    }
    return Scanner("ivm", kind, options={key: value for key, value in told.items() if value is not None})


QUICK = Limits(connect=2, read=0.5, prepare=1.0, download=5, poll=0.01)


@pytest.fixture
def source(console: Console) -> InsightVM:
    return InsightVM(rule(console), ENVIRON, QUICK)


@pytest.fixture
def xml_source(console: Console) -> NexposeXml:
    return NexposeXml(rule(console, "nexpose-xml"), ENVIRON, QUICK)


Fetch = Callable[..., Scan]


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    """Take the newest run that a source offers (or the one named) and read it."""
    into = tmp_path / "into"
    into.mkdir()

    def fetch_one(source: InsightVM | NexposeXml, remote: RemoteScan | None = None) -> Scan:
        taken = remote or source.listing().scans[-1]
        file = source.download(taken, into, lambda done, total: None)
        assert list(into.iterdir()) == [file]
        (scan,) = read_scan(file, tmp_path / f"read-{uuid4().hex}", timezone=ZONE)
        file.unlink()
        return scan

    return fetch_one
