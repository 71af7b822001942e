"""What one process learnt about a Jira site, shared by its threads and forgotten after a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

FOR_EVER = float("inf")
HOUR = 3600.0


class Memory:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[Hashable, tuple[float, Any]] = {}

    def put(self, key: Hashable, value: Any, *, seconds: float = HOUR) -> None:
        with self._lock:
            self._known[key] = (self._clock() + seconds, value)

    def recall(self, key: Hashable, learn: Callable[[], Any], *, seconds: float = HOUR) -> Any:
        """The value of `key`, learnt if it is not known; two threads may learn it at the same time."""
        with self._lock:
            until, value = self._known.get(key, (-1.0, None))
            if self._clock() < until:
                return value
        value = learn()
        self.put(key, value, seconds=seconds)
        return value
