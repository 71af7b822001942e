"""A worker's place in the database: it beats while it works; what a dead one left is taken over by whoever beats next.

Nothing is done twice only if nobody is taken for dead who lives. So a worker of this machine is dead when its process
is gone, and any other when its beat stood still during many of our own: an outage of the database, which keeps all of
them from beating, and clocks that differ prove nothing. Whoever was taken for dead all the same ends itself.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from vmjira.flows.ports import Store
from vmjira.flows.queue import take_over
from vmjira.flows.rows import SlotRow

log = structlog.get_logger(__name__)

#: Seconds between two beats, and how many of ours another worker may miss: of another machine, and of this one, where
#: its process is still there (or another one with its number).
BEAT, MISSED, MISSED_HERE = 2.0, 8, 150
#: So long nobody else takes over from a dead worker when somebody has begun to: the second of two would queue again
#: what has been begun meanwhile.
LEASE = timedelta(seconds=60)


@dataclass
class Place:
    store: Store
    me: SlotRow
    take_over: Callable[[Sequence[str]], None] = take_over
    _missed: dict[SlotRow, int] = field(default_factory=dict)  # row with its last beat → beats of ours since then

    def beat(self) -> bool:
        """Say that we live, and take over from the dead. False: we were taken for dead."""
        with self.store.begin() as unit:
            rows = unit.slots()
            if executor(self.me) not in map(executor, rows):
                return False
            now = datetime.now(UTC)
            unit.beat(self.me.slot, now)
            others = [row for row in rows if executor(row) != executor(self.me)]
            self._missed = {row: self._missed.get(row, -1) + 1 for row in others}
            dead = [row for row in others if row.beat_at <= now and self._is_dead(row)]
            dead = [row for row in dead if unit.lease_slot(row, now + LEASE)]
        if dead:
            self.take_over([executor(row) for row in dead])
            with self.store.begin() as unit:
                for row in dead:
                    unit.release_slot(row)
        return True

    def _is_dead(self, row: SlotRow) -> bool:
        if row.host != self.me.host:
            return self._missed[row] >= MISSED
        return self._missed[row] >= MISSED_HERE or row.pid == self.me.pid or not _alive(row.pid)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """From now on, in the background; the first time at once, so that nobody waits for what a dead one left."""
        stop = threading.Event()

        def beat() -> None:
            while True:
                try:
                    if not self.beat():
                        log.error("ends itself: it was taken for dead, and others go on with its work")
                        os.kill(os.getpid(), signal.SIGKILL)
                except Exception as error:  # the database is away: the next beat may come through
                    log.warning("no beat", slot=self.me.slot, why=str(error))
                if stop.wait(BEAT):
                    return

        thread = threading.Thread(target=beat, daemon=True, name="beat")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@contextmanager
def claimed(store: Store) -> Iterator[Place]:
    with store.begin() as unit:
        row = unit.claim_slot(machine(), os.getpid(), datetime.now(UTC))
    try:
        yield Place(store, row)
    finally:
        with store.begin() as unit:
            unit.release_slot(row)


def machine() -> str:
    """Where numbers of processes mean the same: containers may share a host's name, but each counts from one."""
    space = Path("/proc/self/ns/pid")  # of Linux
    return socket.gethostname() + (f"/{space.stat().st_ino}" if space.exists() else "")


def executor(row: SlotRow) -> str:
    """Under which name a worker takes work from the queue: that of this one process, which no successor has."""
    return f"worker.{row.slot}.{row.host}.{row.pid}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
