"""The real queue in the real database: what is planned is delivered, once and in order."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.jira import Jira, running
from tests.flows.scans import APACHE, RDP, SMB, nessus, week
from tests.flows.world import CATEGORIES, POLICY, RANGES
from vmjira.bootstrap import Application
from vmjira.flows.ingest import ingest
from vmjira.flows.operations import retry, retry_events
from vmjira.flows.rows import DeliveryRow
from vmjira.flows.waiting import wait_until_delivered
from vmjira.settings import load_settings


def application(folder: Path, jira: Jira, database_url: str = "", **rules: str) -> Application:
    (folder / "rules").mkdir(exist_ok=True)
    for name, text in ({"categories": CATEGORIES, "ranges": RANGES, "policy": POLICY} | rules).items():
        (folder / "rules" / f"{name}.yaml").write_text(text)
    environ = {
        "VMJIRA_DATA": str(folder / "data"),
        "VMJIRA_DATABASE_URL": database_url,
        "VMJIRA_RULES": str(folder / "rules"),
        "JIRA_SEARCH_LAG": "0",
        **jira.environ,
    }
    return Application(load_settings(environ, dotenv=Path(os.devnull)))


def fold(app: Application, *files: Path) -> list[str]:
    with app.reader() as read:
        return ingest(app.outside, files, read, app.load_rules).operations


def wait(app: Application) -> list[str]:
    return wait_until_delivered(app.store, lambda done, total: None, look_every=0.05)


@pytest.fixture
def app(tmp_path: Path, jira: Jira, database_url: str) -> Iterator[Application]:
    app = application(tmp_path, jira, database_url)
    yield app
    app.store.close()


def test_a_worker_delivers_what_was_planned_before_it_started_and_while_it_runs(
    app: Application, jira: Jira, tmp_path: Path
):
    fold(app, nessus(tmp_path / "23.nessus", week(23), {"10.1.0.1": [SMB, APACHE], "10.2.0.1": [SMB]}))
    with app.worker():
        assert app.worker_alive()
        assert wait(app) == []
        assert len(jira.by_identifier()) == 3
        fold(app, nessus(tmp_path / "24.nessus", week(24), {"10.1.0.1": [RDP], "10.2.0.1": [RDP, APACHE]}))
        assert wait(app) == []
    assert not app.worker_alive()
    tickets = jira.by_identifier()
    assert len(tickets) == 6
    old, new = tickets["windows.boston.2026-W23"], tickets["windows.boston.2026-W24"]
    assert (old.links, new.links) == ((new.key,), (old.key,))
    assert f"Next: {new.key}" in old.description and f"Previous: {old.key}" in new.description
    with app.store.reading() as unit:
        assert {row.state for row in unit.operations()} == {"done"}


def test_what_was_refused_is_told_and_delivered_when_it_is_tried_again(tmp_path: Path):
    with running(tmp_path, "datacenter") as jira:
        app = application(tmp_path, jira, policy="ticket: {project: NONE}\n")
        fold(app, nessus(tmp_path / "23.nessus", week(23), {"10.1.0.1": [SMB]}))
        with app.worker():
            (said,) = wait(app)
            assert said.startswith("windows.boston.2026-W23: create refused: ") and "'NONE'" in said
            (tmp_path / "rules" / "policy.yaml").write_text(POLICY)
            fold(app)
            retry(app.outside, [])
            assert wait(app) == []
        assert set(jira.by_identifier()) == {"windows.boston.2026-W23"}
        app.store.close()


def test_an_operation_whose_transaction_fails_is_not_queued(app: Application, jira: Jira, tmp_path: Path):
    class Sudden(Exception):
        pass

    ids = fold(app, nessus(tmp_path / "23.nessus", week(23), {"10.1.0.1": [SMB]}))
    with app.store.begin() as unit:
        unit.update_operation(ids[0], state="refused")
    with pytest.raises(Sudden), app.store.begin() as unit:
        row = unit.operation(ids[0])
        assert row
        unit.update_operation(row.id, state="queued", attempts=1)
        app.outside.queue.put(unit, [row])
        raise Sudden
    with app.worker():
        assert wait(app) == []
    assert jira.tickets() == []


def test_an_event_that_failed_is_taken_up_again_by_the_worker(app: Application, jira: Jira):
    row = DeliveryRow("d", week(23), {}, b"no JSON", issue="10001")
    queue = app.outside.queue
    with app.store.begin() as unit:
        unit.add_delivery(row)
        queue.put_event(unit, row)
    with app.worker():
        assert ended(app, attempts=1) == "failed"
        assert retry_events(app.outside, []) == ["d"]
        assert ended(app, attempts=2) == "failed"


def ended(app: Application, *, attempts: int) -> str:
    """The state of the event once it has been tried so often and has ended."""
    for _ in range(600):
        with app.store.reading() as unit:
            row = unit.delivery("d")
        if row and row.attempts >= attempts and row.state != "queued":
            return row.state
        time.sleep(0.05)
    raise AssertionError(f"not tried {attempts} times")
