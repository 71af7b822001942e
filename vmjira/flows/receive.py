"""Taking in what the tracker tells: stored and queued in one transaction, before anybody thinks about it.

A transaction costs far more than what is in it: a turn among all writers, and a disk that has to answer. So one thread
takes in all that came while it kept the ones before (group commit); nobody is answered before his own is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from vmjira.errors import StoreUnavailable
from vmjira.flows.ports import Outside
from vmjira.flows.rows import DeliveryRow

#: Deliveries in one transaction at most: others want to write, too.
TOGETHER = 50
_Brought = tuple[DeliveryRow, "Future[bool]"]


class Receiver:
    """Keeps deliveries for `react`, from any number of threads. `outside` is asked for with each transaction."""

    def __init__(self, outside: Callable[[], Outside]) -> None:
        self._outside = outside
        self._waiting: deque[_Brought] = deque()
        self._keeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="receive")

    def receive(self, row: DeliveryRow) -> bool:
        """Returns when it is kept and queued; False if it was kept before. StoreUnavailable: it is not kept."""
        kept: Future[bool] = Future()
        self._waiting.append((row, kept))
        self._keeper.submit(self._keep_waiting)
        return kept.result()

    def _keep_waiting(self) -> None:
        if together := [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]:
            self._keep(together)

    def _keep(self, brought: Sequence[_Brought]) -> None:
        """All in one transaction. One that cannot be kept must not take others with it: then each in its own."""
        try:
            new = self._kept([row for row, _ in brought])
        except Exception as failure:  # whoever brought it hears of it
            if len(brought) > 1 and not isinstance(failure, StoreUnavailable):
                for each in brought:
                    self._keep([each])
                return
            for _, kept in brought:
                kept.set_exception(failure)
        else:
            for (_, kept), is_new in zip(brought, new, strict=True):
                kept.set_result(is_new)

    def _kept(self, rows: Sequence[DeliveryRow]) -> list[bool]:
        """Which of them are new."""
        outside = self._outside()
        with outside.store.begin() as unit:
            new = [unit.add_delivery(row) for row in rows]
            for row, is_new in zip(rows, new, strict=True):
                if is_new and row.state == "queued":
                    outside.queue.put_event(unit, row)
        return new
