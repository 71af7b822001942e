"""How fast we may call Jira: a token bucket and pauses, shared by all threads of a process."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vmjira.errors import TrackerUnavailable

EVERYTHING = ""  # the scope of a pause that holds for all calls


@dataclass(frozen=True)
class _Pause:
    until: float
    why: str


class Pace:
    """Makes calls wait their turn; a wait longer than `patience` seconds is an error that says how long.

    `calls_per_second` is asked each time, because rules may change it while we run.
    """

    def __init__(
        self,
        calls_per_second: Callable[[], float],
        *,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = calls_per_second
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._pauses: dict[str, _Pause] = {}
        self._next = clock() - 1.0  # when the next call may start if all went evenly

    def pause(self, scope: str, seconds: float, why: str) -> None:
        """No call of `scope` for so long. A longer pause that is already running stays."""
        with self._lock:
            now = self._clock()
            self._pauses = {name: pause for name, pause in self._pauses.items() if pause.until > now}
            known = self._pauses.get(scope)
            if known is None or known.until < now + seconds:
                self._pauses[scope] = _Pause(now + seconds, why)

    def wait(self, scopes: Sequence[str]) -> None:
        """Return when a call of these scopes may be sent."""
        gives_up = self._clock() + self._patience
        while pause := self._longest_pause(scopes):
            remaining = pause.until - self._clock()
            if pause.until > gives_up:
                raise TrackerUnavailable(f"{pause.why}; nothing is sent for {remaining:.0f} s", retry_after=remaining)
            self._sleep(max(remaining, 0.0))
        self._sleep(self._turn())

    def _longest_pause(self, scopes: Sequence[str]) -> _Pause | None:
        with self._lock:
            now = self._clock()
            running = [self._pauses[scope] for scope in (EVERYTHING, *scopes) if scope in self._pauses]
            return max((pause for pause in running if pause.until > now), key=lambda pause: pause.until, default=None)

    def _turn(self) -> float:
        """Take the next turn; in how many seconds it is. One second's worth of calls may come at once."""
        with self._lock:
            now = self._clock()
            step = 1.0 / max(self._rate(), 0.01)
            self._next = max(self._next, now - 1.0) + step
            return max(self._next - now, 0.0)


class Aside(Pace):
    """Waits for what the common pace waits for; its own pauses hold only for who uses it."""

    def __init__(self, common: Pace, *, patience: float) -> None:
        super().__init__(lambda: math.inf, patience=patience)
        self._common = common

    def wait(self, scopes: Sequence[str]) -> None:
        super().wait(scopes)
        self._common.wait(scopes)
