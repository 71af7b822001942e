"""Whatever is asked of the API, it answers as its document says: made-up requests, right and wrong ones."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import World

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

#: Cases for each address.
CASES = 40
#: An address without parameters cannot be asked for wrongly.
IMPOSSIBLE = (Unsatisfiable,)


@pytest.fixture
def schema(world: World, app: Flask) -> Any:
    world.fold(week(23), {"10.1.0.1": [SMB, RDP], "10.2.0.1": [APACHE]})
    world.fold(week(24), {"10.1.0.1": [SMB]})
    inner = app.wsgi_app

    def local(environ: dict[str, Any], start_response: Any) -> Any:
        return inner(environ | {"REMOTE_ADDR": "127.0.0.1"}, start_response)

    app.wsgi_app = local  # type: ignore[method-assign]  # it sends no address
    return schemathesis.openapi.from_wsgi("/api/openapi.json", app)


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_every_answer_is_as_the_document_says(schema: Any, mode: str, record_property: Any):
    made = 0
    for operation in schema.get_all_operations():

        @settings(
            max_examples=CASES, deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.ok().as_strategy(generation_mode=schemathesis.GenerationMode[mode]))
        def ask(case: Any) -> None:
            nonlocal made
            made += 1
            case.call_and_validate()

        with suppress(*IMPOSSIBLE):
            ask()
    record_property("cases", made)
    assert made > 15
