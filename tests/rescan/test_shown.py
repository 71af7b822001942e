"""What people and programs see of rescans: the ticket, the scanners, the API, monitoring, the command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from tests.rescan.world import A, B, C, World, found
from tests.web.conftest import web_of
from vmjira.errors import ScannerUnavailable
from vmjira.flows.present import one_ticket
from vmjira.shown import show_ticket
from vmjira.terminal import Terminal

TICKET = "windows.boston.2026-W23"


@pytest.fixture
def world(start: Callable[..., World]) -> World:
    """A ticket of two hosts was closed, one of which is scanned again; the other one has to wait."""
    world = start("rescan: {hosts: 1, at_most: 1}\n")
    world.fold(found(world.now - timedelta(days=1), A, B, without=(C,)))
    world.closed()
    world.launched()
    return world


@pytest.fixture
def web(world: World) -> FlaskClient:
    return web_of(world).test_client()


def answer(web: FlaskClient, path: str, operation: str) -> Any:
    """As the OpenAPI document says."""
    document = web.get("/api/openapi.json").json
    schema = document["paths"][operation]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    found = web.get(path).json
    Draft202012Validator({**schema, "components": document["components"]}).validate(found)
    return found


def metrics(web: FlaskClient) -> Iterator[str]:
    return (line for line in web.get("/metrics").text.splitlines() if line.startswith("vmjira_rescan"))


def test_what_waits_and_what_runs_is_shown_everywhere(world: World, web: FlaskClient) -> None:
    (hq,) = answer(web, "/api/scanners", "/api/scanners")["rescans"]
    (run,), (waiting,) = hq["runs"], hq["waiting"]
    assert (run["name"], run["state"], run["hosts"], run["tickets"]) == ("vmjira 1", "running", [A], [TICKET])
    assert (waiting["hosts"], waiting["since"]) == ([B], "2026-06-02T12:00:00+00:00")
    assert waiting["words"] == "a rescan by hq waits for others to end: at most 1 run at a time"
    assert (hq["looked_at"], hq["next_look"]) == ("2026-06-02T12:00:31+00:00", "2026-06-02T12:00:33+00:00")

    told = answer(web, f"/api/tickets/{TICKET}", "/api/tickets/{identifier}")["rescans"]
    assert [(each["state"], each["hosts"], each["run"]) for each in told] == [
        ("running", [f"ip:{A}"], "vmjira 1"), ("waiting", [f"ip:{B}"], None)
    ]  # fmt: skip
    ticket = one_ticket(world.outside, TICKET)
    assert json.loads(json.dumps(ticket["rescans"])) == told
    assert "hq is scanning again since 2026-06-02 12:00" in shown(ticket)

    page = web.get(f"/tickets/{TICKET}").text
    assert "Rescans since it was closed" in page and "hq is scanning again since" in page and f"ip:{A}" in page
    page = web.get("/scanners").text
    assert "at most 1 run at a time" in page and "hq: last look 2026-06-02 12:00" in page and "rescans.hq" not in page
    assert set(metrics(web)) == {
        'vmjira_rescans{scanner="hq",state="running"} 1.0',
        'vmjira_rescan_hosts{scanner="hq",state="running"} 1.0',
        'vmjira_rescan_hosts{scanner="hq",state="waiting"} 1.0',
        'vmjira_rescan_waiting_seconds{scanner="hq"} 1.4688e+06',
    }


def test_what_became_of_them_is_shown_too(world: World, web: FlaskClient) -> None:
    world.scanner.finish("hq: the rescan was aborted by alice")
    world.look()
    (hq,) = answer(web, "/api/scanners", "/api/scanners")["rescans"]
    assert [(each["name"], each["state"]) for each in hq["runs"]] == [("vmjira 2", "running"), ("vmjira 1", "failed")]
    assert hq["runs"][1]["words"] == "hq: the rescan was aborted by alice" and hq["waiting"] == []
    world.pass_by(hours=1)
    world.scanner.finish(found(world.now, without=(B,)))
    world.look()
    told = answer(web, f"/api/tickets/{TICKET}", "/api/tickets/{identifier}")["rescans"]
    assert [(each["state"], each["hosts"]) for each in told] == [("dropped", [f"ip:{A}"]), ("seen", [f"ip:{B}"])]
    (hq,) = answer(web, "/api/scanners", "/api/scanners")["rescans"]
    assert (hq["runs"][0]["words"], hq["next_look"]) == ("1 of 1 host looked at", None)
    assert "A rescan by hq failed" in web.get("/").text


def test_why_nothing_can_be_done_is_shown(world: World, web: FlaskClient) -> None:
    renewed = ScannerUnavailable("hq: its token is being renewed")
    world.scanner.troubles = {"connect": [renewed, ZeroDivisionError("s3cret")]}
    world.look()
    assert "Nothing could be done then: hq: its token is being renewed" in web.get("/scanners").text
    world.look()
    page = web.get("/scanners").text
    assert (
        "Nothing could be done then: a fault of vmjira, ZeroDivisionError: see its log" in page and "s3cret" not in page
    )


def shown(ticket: Any) -> str:
    out = StringIO()
    show_ticket(Terminal(file=out, width=200), ticket)
    return out.getvalue()
