"""Worker processes whose clock runs fast, with a scanner of the test's own; as `tests.e2e.nursery` makes them.

Every run of a job is written down, at its begin and at its end, in a file that all append to: `RUNS`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.clock.world import Shelf
from vmjira.domain.rulebook import Scanner
from vmjira.flows.ports import Outside
from vmjira.flows.sources import RemoteScan, Source

#: Names of settings: the file of all runs, seconds between two due times, and the file that says until when.
RUNS, EVERY, UNTIL = "TEST_RUNS", "TEST_EVERY", "TEST_UNTIL"


class Files(Shelf):
    """The files of a folder, each from its time of change on: a scan that has ended."""

    def __init__(self, folder: Path) -> None:
        now = time.time()
        files = [file for file in folder.iterdir() if file.stat().st_mtime <= now]
        ends = {file: datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in files}
        super().__init__(
            offered=[
                RemoteScan(file.name, file.name, ends[file]) for file in sorted(files, key=lambda each: ends[each])
            ],
            files={file.name: file for file in files},
        )


def connect(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    return Files(Path(scanner.options["path"]))


def hurry() -> None:
    """Due every few seconds instead of by the minute, until an hour has come; what the rules say is not asked."""
    from apscheduler.triggers.cron import CronTrigger

    import vmjira.flows.firings
    import vmjira.scanners.sources
    from vmjira import scheduling

    def fast(cron: str, zone: ZoneInfo) -> CronTrigger:
        until = datetime.fromtimestamp(float(Path(os.environ[UNTIL]).read_text()), UTC)
        return CronTrigger(second=f"*/{os.environ[EVERY]}", timezone=zone, end_date=until)

    scheduling.LOOK = 0.5
    scheduling._trigger = fast  # type: ignore[assignment]
    vmjira.scanners.sources.connect = connect
    kept = vmjira.flows.firings.fire

    def told(outside: Outside, run: Callable[[str], str], id: str) -> float | None:
        def watched(job: str) -> str:
            _tell("begin", id)
            words = run(job)
            _tell("end", id)
            return words

        return kept(outside, watched, id)

    vmjira.flows.firings.fire = told


def _tell(what: str, id: str) -> None:
    handle = os.open(os.environ[RUNS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{what} {id} {os.getpid()}\n".encode())
    os.close(handle)


if __name__ == "__main__":
    from tests.e2e import nursery

    hurry()
    nursery.main(sys.stdin, os.fdopen(os.dup(1), "w"))
