"""The durable queue: operations go in with the transaction that planned them, and come out until they have ended.

DBOS keeps the queue in the same database as our own rows. One workflow delivers one operation; its id is the
operation's id, so that an operation is never queued twice. Operations of one cell run one after the other (a ticket
and its predecessor link each other), different cells in parallel.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import structlog
from dbos import DBOS, DBOSClient

from vmjira.errors import StoreUnavailable
from vmjira.flows.ports import Unit
from vmjira.flows.rows import DeliveryRow, OperationRow

log = structlog.get_logger(__name__)

#: What waits: operations, webhooks, firings of the clock, rescans after a close.
DELIVER, REACT, JOB, RESCAN = QUEUES = ("deliver", "react", "job", "rescan")
APPLICATION = "vmjira"
#: Fixed, so that a newer program takes up what an older one left. Raise it only if workflows change incompatibly.
WORKFLOW_VERSION = "1"

#: Seconds between two looks for what is queued; at each look a worker starts at most `threads` operations. A look stays
#: cheap with 4,000 cells waiting while `partition_concurrency` is 1 and nothing limits the queue as a whole: only then
#: DBOS finds all cells that are free in one statement, else it asks cell by cell. Where nobody waits for the next half
#: second, it is not asked for.
POLLING = {DELIVER: 0.1, REACT: 0.1, JOB: 0.5, RESCAN: 0.5}

#: Seconds until the next try when the database was away before a handler could say anything.
AWAY = 10.0
_BATCH = 500  # records that are deleted at once

#: Takes an id; seconds until the next try, or None when it has ended.
Attempt = Callable[[str], float | None]
_handlers: dict[str, Attempt] = {}


@DBOS.step(name="attempt")
def _attempt(queue: str, id: str) -> float | None:
    """Runs at least once for each try; harmless to repeat, because the row of that id tells where it is.

    Nothing may leave it: an error would end the workflow, and the row would wait for ever.
    """
    try:
        return _handlers[queue](id)
    except StoreUnavailable as error:
        log.warning("waiting", queue=queue, id=id, seconds=AWAY, why=str(error))
    except Exception:
        log.exception("fault", queue=queue, id=id)
    return AWAY


def _until_ended(queue: str, id: str) -> None:
    """Waiting is durable and costs nothing."""
    while (pause := _attempt(queue, id)) is not None:
        DBOS.sleep(pause)


def _workflow(queue: str) -> None:
    """The workflow that works off `queue`, by its name: one per id, started once however often it is queued."""

    @DBOS.workflow(name=queue, max_recovery_attempts=None)
    def work(id: str) -> None:
        _until_ended(queue, id)


for _queue in QUEUES:
    _workflow(_queue)


def prepare(database_url: str) -> None:
    """Create or upgrade the queue's own tables."""
    logging.getLogger("dbos").setLevel(logging.WARNING)
    DBOS.migrate(database_url)


class Queue:
    """Puts operations into the queue, from any process."""

    def __init__(self, engine: Any) -> None:
        self._client = DBOSClient(system_database_engine=engine, application_name=APPLICATION, lazy=True)

    def put(self, unit: Unit, operations: Iterable[OperationRow]) -> None:
        for row in operations:
            self.put_work(unit, DELIVER, row.id, workflow=f"{row.id}.{row.attempts}", partition=cell_of(row.identifier))

    def put_event(self, unit: Unit, delivery: DeliveryRow) -> None:
        partition = delivery.issue or delivery.id
        again = f".{delivery.attempts}" if delivery.attempts else ""
        self.put_work(unit, REACT, delivery.id, workflow=f"event.{delivery.id}{again}", partition=partition)

    def put_work(self, unit: Unit, queue: str, id: str, *, workflow: str, partition: str) -> None:
        self._client.enqueue_in_transaction(
            unit.connection,
            {
                "workflow_name": queue,
                "queue_name": queue,
                "workflow_id": workflow,
                "queue_partition_key": partition,
                "app_version": WORKFLOW_VERSION,
            },
            id,
        )

    def forget(self, before: datetime) -> int:
        """Delete the queue's own record of work that ended before; how much. Our rows still tell what became of it."""
        count = 0
        while True:
            ended = self._client.list_workflows(
                status=["SUCCESS", "ERROR", "CANCELLED"],
                completed_before=before.isoformat(),
                limit=_BATCH,
                load_input=False,
                load_output=False,
            )
            if not ended:
                return count
            self._client.delete_workflows([each.workflow_id for each in ended])
            count += len(ended)


def take_over(executors: Sequence[str]) -> None:
    """Queue again what workers left that died. Only while this process is `running`."""
    DBOS._recover_pending_workflows(list(executors))


def cell_of(identifier: str) -> str:
    """`category.range` of a ticket's identifier: the queue's partition."""
    return identifier.rsplit(".", 1)[0]


@contextmanager
def running(database_url: str, executor: str, handlers: Mapping[str, Attempt], *, threads: int = 8) -> Iterator[None]:
    """Work off queues while the block runs. `executor` names this worker, see `take_over`.

    `handlers`: by queue. They are kept in the module, because workflows are found by name after
    a crash and cannot be closures.
    """
    _handlers.update(handlers)
    DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": database_url,
            "application_version": WORKFLOW_VERSION,
            "executor_id": executor,
            "log_level": "WARNING",
            "max_executor_threads": threads * 4 + 8,
        }
    )
    DBOS.launch()
    try:
        for queue in handlers:
            DBOS.register_queue(
                queue, partition_concurrency=1, worker_concurrency=threads, polling_interval_sec=POLLING[queue]
            )
        yield
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=10)
        _handlers.clear()
