"""Reading tickets of which many are about to be changed: one call for a dozen, each used while it is fresh.

A description is never written without having been read, because around our part it is a human's. Read one by one,
that is a third of all calls. So the first of a wave reads the next ones too. What is older than `FRESH` is read again:
a human who saves in that short moment between reading and writing is the risk that every Jira client has.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from vmjira.flows.ports import Store
from vmjira.flows.tracking import Issue, Tracker

#: Seconds that a ticket read ahead may be used, and how many are read at once: about what is delivered in that time.
FRESH, WAVE = 2.0, 12


@dataclass
class ReadAhead:
    """Shared by all threads of a worker."""

    store: Store
    _read: dict[str, tuple[float, Issue | None]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, tracker: Tracker, key: str) -> Issue | None:
        """The ticket as it is in the tracker, at most `FRESH` seconds ago; None if it is gone."""
        with self._lock:
            at, issue = self._read.pop(key, (0.0, None))
            if at and time.monotonic() - at < FRESH:
                return issue
            wave = [key, *self._upcoming(key)]
            at = time.monotonic()
            found = tracker.read(wave)
            self._read = {each: (at, found.get(each)) for each in wave[1:]}
            return found.get(key)

    def _upcoming(self, key: str) -> list[str]:
        """Keys of the tickets whose updates are next in the queue."""
        with self.store.reading() as unit:
            return [each for each in unit.next_updates(WAVE) if each != key][: WAVE - 1]
