"""Worker processes by the dozen: a process that has imported vmjira once, and forks a worker whenever it is told to.

A worker made so is a process of its own that runs `vmjira worker` as the command line does; only the seconds that
importing takes are saved. Nothing of vmjira has been used before the fork: no thread of ours, no connection.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]


class Nursery:
    """Talks to the process that forks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def spawn(self, environ: Mapping[str, str], log: Path, *arguments: str) -> int:
        """A new worker with these settings; its process id."""
        return int(self._ask({"environ": dict(environ), "log": str(log), "arguments": ["worker", *arguments]}))

    def bury(self, pid: int) -> None:
        """Kill it if it still lives, and return when it is really gone."""
        self._ask({"bury": pid})

    def _ask(self, order: dict[str, Any]) -> str:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the nursery ended; see its messages above"
        return answer


@contextmanager
def nursery(module: str = "tests.e2e.nursery") -> Iterator[Nursery]:
    """`module`: what is run, if its workers are to differ; it calls `main`."""
    process = subprocess.Popen(
        [sys.executable, "-m", module], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Nursery(process)
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(30)


def main(orders: IO[str], answers: IO[str]) -> None:
    import dbos  # noqa: F401  what a worker will need, not only what the command line does

    import vmjira.cli
    import vmjira.flows.deliver
    import vmjira.processes  # noqa: F401

    assert threading.active_count() == 1, "a thread would not survive the fork"  # those of polars' allocator may
    names = {(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()}
    assert "polars-0\n" not in names, "a frame was computed while vmjira was imported"
    children: set[int] = set()
    for line in orders:
        order = json.loads(line)
        if "bury" in order:
            _bury(order["bury"], children)
            answer = order["bury"]
        elif (answer := os.fork()) == 0:
            _work(order)
        else:
            children.add(answer)
        answers.write(f"{answer}\n")
        answers.flush()
    for pid in list(children):
        _bury(pid, children)


def _bury(pid: int, children: set[int]) -> None:
    if pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        children.remove(pid)


def _work(order: dict[str, Any]) -> None:
    """Never returns."""
    from vmjira.cli import main as vmjira

    with Path(order["log"]).open("ab") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    os.environ |= order["environ"]
    status = 1
    try:
        vmjira(order["arguments"], standalone_mode=False)
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(sys.stdin, os.fdopen(os.dup(1), "w"))
