"""The durable queue: operations go in with the transaction that planned them, and come out until they have ended.

DBOS keeps the queue in the same database as our own rows. One workflow delivers one operation; its id is the
operation's id, so that an operation is never queued twice. Operations of one cell run one after the other (a ticket
and its predecessor link each other), different cells in parallel.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from dbos import DBOS, DBOSClient

from vmjira.flows.ports import OperationRow, Unit

QUEUE = "deliver"
APPLICATION = "vmjira"
#: Fixed, so that a newer program takes up what an older one left. Raise it only if workflows change incompatibly.
WORKFLOW_VERSION = "1"

Attempt = Callable[[str], float | None]
_attempt: Attempt | None = None


@DBOS.step(name="attempt")
def _attempt_once(operation_id: str) -> float | None:
    """Runs at least once for each attempt; harmless to repeat, because the operation's own row tells where it is."""
    if _attempt is None:
        raise RuntimeError("the queue was started without anything to deliver with")
    return _attempt(operation_id)


@DBOS.workflow(name="deliver", max_recovery_attempts=None)
def _deliver(operation_id: str) -> None:
    """Try until the operation has ended; waiting is durable and costs nothing."""
    while (pause := _attempt_once(operation_id)) is not None:
        DBOS.sleep(pause)


def prepare(database_url: str) -> None:
    """Create or upgrade the queue's own tables."""
    logging.getLogger("dbos").setLevel(logging.WARNING)
    DBOS.migrate(database_url)


class Queue:
    """Puts operations into the queue, from any process."""

    def __init__(self, engine: Any) -> None:
        self._client = DBOSClient(system_database_engine=engine, application_name=APPLICATION, lazy=True)

    def put(self, unit: Unit, operations: Iterable[OperationRow]) -> None:
        """Queue them in the transaction of `unit`: they exist exactly if their rows do."""
        for row in operations:
            self._client.enqueue_in_transaction(
                unit.connection,
                {
                    "workflow_name": "deliver",
                    "queue_name": QUEUE,
                    "workflow_id": f"{row.id}.{row.attempts}",
                    "queue_partition_key": cell_of(row.identifier),
                    "app_version": WORKFLOW_VERSION,
                },
                row.id,
            )


def take_over(slots: Iterable[int]) -> None:
    """Queue again what workers left that died and have no successor. Only while this process is `running`."""
    DBOS._recover_pending_workflows([executor(slot) for slot in slots])


def executor(slot: int) -> str:
    return f"worker.{slot}"


def cell_of(identifier: str) -> str:
    """`category.range` of a ticket's identifier: the queue's partition."""
    return identifier.rsplit(".", 1)[0]


@contextmanager
def running(database_url: str, slot: int, attempt: Attempt, *, threads: int = 8) -> Iterator[None]:
    """Deliver from this process while the block runs. `slot` names the worker: its successor takes up what it left."""
    global _attempt  # noqa: PLW0603  workflows are found by name after a crash, so they cannot be closures
    _attempt = attempt
    DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": database_url,
            "application_version": WORKFLOW_VERSION,
            "executor_id": executor(slot),
            "log_level": "WARNING",
            "max_executor_threads": threads * 2 + 8,
        }
    )
    DBOS.launch()
    try:
        DBOS.register_queue(QUEUE, partition_concurrency=1, worker_concurrency=threads, polling_interval_sec=0.25)
        yield
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=10)
        _attempt = None
