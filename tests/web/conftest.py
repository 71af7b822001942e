from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.flows.conftest import anywhere, jira, world
from tests.flows.world import World
from vmjira import rulefiles
from vmjira.domain.rulebook import Rulebook
from vmjira.errors import Problem, RulesInvalid
from vmjira.flows.rules import read_rules
from vmjira.scheduling import next_due
from vmjira.web import create_app
from vmjira.web.gate import Gate
from vmjira.web.site import Parts

#: In week 25 of 2026: what was found in week 23 with 14 days to mend it is overdue, what was found in week 24 is not.
NOW = datetime(2026, 6, 19, 12, tzinfo=UTC)


def web_of(world: World, gate: Gate | None = None) -> Flask:
    """The pages of a world, at its own time."""

    def rules() -> Rulebook | None:
        with world.store.reading() as unit:
            row = unit.rules_in_force()
        return read_rules(rulefiles.load_texts, row) if row else None

    def problems() -> list[Problem]:
        try:
            rulefiles.load(world.rules)
        except RulesInvalid as error:
            return error.problems
        return []

    parts = Parts(outside=lambda: world.outside, problems=problems, clock=lambda: NOW, next_due=next_due)
    return create_app(lambda: world.store, rules, browse_url=world.jira.url, gate=gate, parts=parts)


@pytest.fixture
def app(world: World) -> Flask:
    return web_of(world)


@pytest.fixture
def web(app: Flask) -> FlaskClient:
    return app.test_client()
