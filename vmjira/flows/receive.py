"""Taking in what the tracker tells: stored and queued in one transaction, before anybody thinks about it.

A transaction costs far more than what is in it: a turn among all writers, and a disk that has to answer. So whoever
gets the turn takes in what others brought meanwhile, too (group commit); nobody is answered before his own is kept.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from vmjira.errors import StoreUnavailable
from vmjira.flows.ports import DeliveryRow, Outside

#: Deliveries in one transaction at most: others want to write, too.
TOGETHER = 50


@dataclass(eq=False)
class _Brought:
    row: DeliveryRow
    new: bool | None = None  # once it is kept
    failure: Exception | None = None


class Receiver:
    """Keeps deliveries for `react`, from any number of threads. `outside` is asked for with each transaction."""

    def __init__(self, outside: Callable[[], Outside]) -> None:
        self._outside = outside
        self._waiting: deque[_Brought] = deque()
        self._turn = threading.Lock()

    def receive(self, row: DeliveryRow) -> bool:
        """Returns when it is kept and queued; False if it was kept before. StoreUnavailable: it is not kept."""
        mine = _Brought(row)
        self._waiting.append(mine)
        with self._turn:
            while mine.new is None and mine.failure is None:
                self._keep([self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))])
        if mine.failure is not None:
            raise mine.failure
        return bool(mine.new)

    def _keep(self, brought: list[_Brought]) -> None:
        """All in one transaction. One that cannot be kept must not take others with it: then each in its own."""
        try:
            new = self._kept([each.row for each in brought])
        except Exception as failure:  # whoever brought it hears of it
            if len(brought) == 1 or isinstance(failure, StoreUnavailable):
                for each in brought:
                    each.failure = failure
            else:
                for each in brought:
                    self._keep([each])
        else:
            for each, is_new in zip(brought, new, strict=True):
                each.new = is_new

    def _kept(self, rows: list[DeliveryRow]) -> list[bool]:
        """Which of them are new."""
        outside = self._outside()
        with outside.store.begin() as unit:
            new = [unit.add_delivery(row) for row in rows]
            for row, is_new in zip(rows, new, strict=True):
                if is_new and row.state == "queued":
                    outside.queue.put_event(unit, row)
        return new
