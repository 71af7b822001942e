"""Alive, ready, and counted: also with nothing in it, with much in it, and with the database gone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from tests.guard.test_breaker import CHECKS, sweep
from tests.guard.world import World
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import OwnNumbers
from vmjira.errors import RulesInvalid, SettingsInvalid, StoreUnavailable
from vmjira.flows.rows import DeliveryRow, Mark, OperationRow
from vmjira.flows.rules import rules_in_force
from vmjira.settings import load_settings
from vmjira.store import tables
from vmjira.web import create_app
from vmjira.web.metrics import TrackerCalls


def now() -> datetime:
    return datetime.now(UTC)


def client(world: World, rulebook: Callable[[], Rulebook | None] = lambda: None) -> FlaskClient:
    return create_app(lambda: world.store, rulebook, browse_url="https://jira.example.com").test_client()


def ready(client: FlaskClient) -> tuple[int, dict[str, Any]]:
    answer = client.get("/readyz")
    assert answer.json["ready"] == (answer.status_code == 200)
    return answer.status_code, answer.json["checks"]


def metrics(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """By name and values of labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    return samples(answer.text)


def samples(text: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(text)
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def fill(world: World) -> None:
    with world.store.begin() as unit:
        unit.add_operations(
            [
                OperationRow("1", "create", "a.b.1", "why", state="done", planned_at=now() - timedelta(days=9)),
                OperationRow("2", "update", "a.b.1", "why", planned_at=now() - timedelta(minutes=5)),
                OperationRow("3", "update", "a.b.2", "why", planned_at=now() - timedelta(minutes=4)),
                OperationRow("4", "close", "a.b.1", "why", state="refused", planned_at=now()),
            ]
        )
        unit.add_delivery(DeliveryRow("d1", now() - timedelta(seconds=90), {}, b"{}"))
        unit.add_delivery(DeliveryRow("d2", now() - timedelta(hours=2), {}, b"{}", state="ignored"))


@contextmanager
def gone() -> Iterator[None]:
    raise StoreUnavailable("database: postgresql://vmjira@10.9.9.9 refused; check that it can be reached")
    yield


class Away:
    """A store that is not there."""

    reading = begin = staticmethod(gone)


# --- readyz


def test_an_empty_vmjira_is_ready_and_has_no_ages(anywhere: World):
    status, checks = ready(client(anywhere))
    assert status == 200
    assert checks["rules"] == {"ok": True, "why": "none were put in force yet"}
    assert checks["scans"] == checks["reconciliation"] == {"ok": True, "age_seconds": None}
    assert checks["queue"] == {
        "ok": True,
        "workers": 0,
        "oldest_seconds": {"react": None, "deliver": None, "job": None},
    }


def test_ready_tells_how_long_the_oldest_has_waited_in_each_queue(anywhere: World):
    fill(anywhere)
    _, checks = ready(client(anywhere))
    oldest = checks["queue"]["oldest_seconds"]
    assert 90 <= oldest["react"] < 150
    assert 300 <= oldest["deliver"] < 360


@pytest.mark.parametrize(("minutes", "worker", "status"), [(14, False, 200), (16, False, 503), (600, True, 200)])
def test_work_that_waits_long_with_no_worker_to_do_it_is_not_ready(
    world: World, minutes: int, worker: bool, status: int
):
    with world.store.begin() as unit:
        unit.add_operations([OperationRow("1", "update", "a.b.1", "", planned_at=now() - timedelta(minutes=minutes))])
        if worker:
            unit.claim_slot("here", 1, datetime.now(UTC))
    assert ready(client(world))[0] == status


def test_ready_tells_the_age_of_the_last_scan_and_of_the_last_reconciliation(world: World):
    world.ingest(sweep(0))
    with world.store.begin() as unit:
        unit.put_mark(Mark("reconciled", now() - timedelta(hours=3)))
    _, checks = ready(client(world, lambda: rules_in_force(world.outside)))
    assert checks["scans"]["age_seconds"] > 86400 * 100
    assert 3 * 3600 <= checks["reconciliation"]["age_seconds"] < 3 * 3600 + 60
    assert checks["rules"] == {"ok": True, "digest": rules_in_force(world.outside).digest[:12]}


def test_rules_that_cannot_be_read_are_not_ready(world: World):
    def broken() -> Rulebook:
        raise RulesInvalid([])

    status, checks = ready(client(world, broken))
    assert (status, checks["rules"]["ok"], checks["database"]["ok"]) == (503, False, True)


def test_without_its_database_vmjira_is_alive_and_not_ready_and_gives_no_address_away():
    app = create_app(Away, lambda: None, browse_url="").test_client()
    assert app.get("/healthz").status_code == 200
    answer = app.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["checks"] == {
        "database": {"ok": False, "why": "cannot be read; the reason is in the log of the server"}
    }
    assert metrics(app) == {("vmjira_database_up",): 0.0}


def test_a_database_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["vmjira.web.health"], "PATIENCE", 0.05)
    app = create_app(lambda: time.sleep(1), lambda: None, browse_url="").test_client()
    answer = app.get("/readyz")
    assert (answer.status_code, answer.json["checks"]["database"]["why"]) == (503, "no answer within 0.05 s")


def test_ready_and_metrics_are_quick_with_fifty_thousand_tickets_and_operations(world: World):
    ticket = {
        "category": "ms", "range": "boston", "label": "x", "number": 1, "title": "t", "ledger": 1, "gone": False,
        "closing": "", "reopened": 0, "sent_ledger": 0, "own": vars(OwnNumbers(total=3, open=3, unverified=1)),
        "facts": "", "shown": "", "description": "", "verified": False, "status_category": "new", "noted": 0,
    }  # fmt: skip
    operation = {
        "operation": "update", "reason": "", "details": {}, "plan": "", "attempts": 0, "answer": "",
        "planned_at": now() - timedelta(minutes=1),
    }  # fmt: skip
    with world.store.begin() as unit:
        rows = [ticket | {"identifier": f"t{n}", "ordinal": n, "key": f"VM-{n}"} for n in range(50_000)]
        unit.connection.execute(insert(tables.tickets), rows)
        states = ("queued", "done")
        rows = [operation | {"id": f"o{n}", "identifier": f"t{n}", "state": states[n % 2]} for n in range(50_000)]
        unit.connection.execute(insert(tables.operations), rows)
    app = client(world)
    times = sorted(timed(lambda: app.get("/readyz")) for _ in range(20))
    assert times[10] < 0.02, times
    counted = metrics(app)
    assert counted["vmjira_findings", "boston", "open"] == 150_000
    assert counted["vmjira_tickets", "new"] == 50_000
    assert counted["vmjira_queue_length", "deliver"] == 25_000
    assert min(timed(lambda: app.get("/metrics")) for _ in range(3)) < 1.0


def timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# --- metrics


def test_every_check_and_every_metric_is_on_the_page_about_monitoring(world: World):
    page = (Path(__file__).resolve().parents[2] / "docs" / "monitoring.md").read_text(encoding="utf-8")
    world.ingest(sweep(0))
    fill(world)
    with world.store.begin() as unit:
        unit.put_mark(Mark("reconciled", now()))
    app, calls = client(world), TrackerCalls()
    names = {family.name for family in calls.registry.collect()} | {name for name, *_ in metrics(app)}
    assert len(names) == 15
    for name in [*names, *ready(app)[1], "/healthz", "/readyz", "/metrics", "VMJIRA_METRICS"]:
        assert f"`{name}`" in page or f"{name}=" in page, name


def test_metrics_of_an_empty_vmjira_are_well_formed(anywhere: World):
    found = metrics(client(anywhere))
    assert found[("vmjira_database_up",)] == 1.0
    assert found["vmjira_queue_length", "deliver"] == found["vmjira_queue_age_seconds", "react"] == 0.0
    assert ("vmjira_last_scan_timestamp_seconds",) not in found


def test_metrics_count_events_operations_queues_tickets_and_findings(anywhere: World):
    anywhere.ingest(sweep(0), sweep(7, checks=[*CHECKS[:9], "new"]))
    fill(anywhere)
    with anywhere.store.begin() as unit:
        unit.update_ticket("windows.boston.2026-W23", key="VM-1", status_category="indeterminate")
    found = metrics(client(anywhere))
    assert found["vmjira_webhook_events", "queued"] == found["vmjira_webhook_events", "ignored"] == 1
    assert found["vmjira_operations", "close", "refused"] == 1
    assert found["vmjira_operations", "create", "queued"] == 2
    assert found["vmjira_queue_length", "react"] == 1
    assert found["vmjira_tickets", "indeterminate"] == found["vmjira_tickets", "waiting"] == 1
    numbers = {state: found["vmjira_findings", "boston", state] for state in ("open", "fixed", "unverified")}
    assert numbers == {"open": 200, "fixed": 20, "unverified": 0}
    assert found["vmjira_hosts", "boston", "remaining"] == 20
    assert found[("vmjira_last_scan_timestamp_seconds",)] == datetime(2026, 6, 8, 12, tzinfo=UTC).timestamp()


def test_a_held_scan_can_be_alerted_on(world: World):
    world.ingest(sweep(0))
    world.ingest(sweep(7, checks=[]))
    assert metrics(client(world))["vmjira_operations", "breaker", "held"] == 1


def test_names_from_outside_stay_inside_their_quotes(world: World):
    hostile = 'a"} 1\nvmjira_evil{x="\\'
    with world.store.begin() as unit:
        unit.add_operations([OperationRow("1", hostile, "a.b.1", "", state="done")])
    found = metrics(client(world))
    assert found["vmjira_operations", hostile, "done"] == 1
    assert not any(name == "vmjira_evil" for name, *_ in found)


def test_a_worker_serves_how_the_tracker_answers_it():
    calls = TrackerCalls()
    calls("POST /rest/api/2/issue", "201", waited=0.3, took=0.15)
    calls("POST /rest/api/2/issue", "lost", waited=0.0, took=30.0)
    server = calls.serve("127.0.0.1:0")
    try:
        with urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=5) as answer:
            found = samples(answer.read().decode())
    finally:
        server.shutdown()
    assert found["vmjira_tracker_seconds_count", "POST /rest/api/2/issue", "201"] == 1
    assert found["vmjira_tracker_seconds_sum", "POST /rest/api/2/issue", "lost"] == 30
    assert found[("vmjira_tracker_wait_seconds_sum",)] == 0.3


def test_where_a_worker_serves_its_metrics_needs_a_port():
    with pytest.raises(SettingsInvalid, match="VMJIRA_METRICS: 'everywhere' has no port"):
        load_settings({"VMJIRA_METRICS": "everywhere"})
    assert load_settings({"VMJIRA_METRICS": "127.0.0.1:8602"}).metrics == "127.0.0.1:8602"
