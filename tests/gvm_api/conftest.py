"""A gvmd of our own behind TLS, and a source that is configured for it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.gvm_api import schema
from tests.gvm_api.gmp_server import PASSWORD, Gvmd, certificate, serve
from vmjira.domain.rulebook import Scanner
from vmjira.scanners.sources import connect
from vmjira.scanners.sources.gvm import Gvm
from vmjira.scanners.sources.options import LIMITS

SOON = replace(LIMITS, connect=10.0, read=10.0)  # the machine may be busy
IMPATIENT = replace(SOON, read=0.3)
ENVIRON = {"GVM_PASSWORD": PASSWORD}
Configure = Callable[..., Gvm]


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def gvmd() -> Iterator[Gvmd]:
    """At the end, every command that it heard is held against the description of GMP, where that exists."""
    state = Gvmd()
    yield state
    if schema.FILE.exists():
        assert [wrong for command in state.heard for wrong in schema.complaints(command)] == []


@pytest.fixture
def port(gvmd: Gvmd, pem: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = serve(gvmd, ("127.0.0.1", 0), context)
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def source(port: int, pem: Path) -> Configure:
    """The source as a rule would give it; options are those of the rule."""

    def configured(**options: Any) -> Gvm:
        options = {
            "url": f"tls://localhost:{port}", "username": "vmjira", "password": "${GVM_PASSWORD}",
            "ca_file": str(pem), "history": timedelta(days=36500), **options,
        }  # fmt: skip
        options = {key: value for key, value in options.items() if value is not None}
        made = connect(Scanner("greenbone", "gvm", timezone=ZoneInfo("UTC"), options=options), ENVIRON)
        assert isinstance(made, Gvm)
        made.limits = SOON
        return made

    return configured
