"""Worker processes whose clock runs fast, with a scanner of the test's own; as `tests.e2e.nursery` makes them.

Every run of a job is written down, at its begin and at its end, in a file that all append to: `RUNS`. The killer adds
whom it killed.
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
from vmjira.errors import VmjiraError
from vmjira.flows.ports import Outside
from vmjira.flows.sources import RemoteScan, Source

#: Names of settings: the file of all runs, and the file that says from when until when anything is due.
RUNS, WINDOW = "TEST_RUNS", "TEST_WINDOW"


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
    """The minutes of a cron expression are seconds, and nothing is due outside of the window."""
    from apscheduler.triggers.cron import CronTrigger

    import vmjira.flows.firings
    import vmjira.scanners.sources
    from vmjira import scheduling

    def fast(cron: str, zone: ZoneInfo) -> CronTrigger:
        if not (window := Path(os.environ[WINDOW])).exists():
            raise VmjiraError("nothing is due yet")
        start, end = (datetime.fromtimestamp(float(each), UTC) for each in window.read_text().split())
        return CronTrigger(second=cron.split(maxsplit=1)[0], timezone=zone, start_date=start, end_date=end)

    scheduling.LOOK = 0.5
    scheduling._trigger = fast  # type: ignore[assignment]
    vmjira.scanners.sources.connect = connect
    kept = vmjira.flows.firings.fire

    def told(outside: Outside, run: Callable[[str], str], id: str) -> float | None:
        def watched(job: str) -> str:
            tell("begin", id, os.getpid())
            words = run(job)
            tell("end", id, os.getpid())
            return words

        return kept(outside, watched, id)

    vmjira.flows.firings.fire = told


def tell(what: str, id: str, pid: int, runs: str = "") -> None:
    handle = os.open(runs or os.environ[RUNS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{what} {id} {pid} {time.time()}\n".encode())
    os.close(handle)


if __name__ == "__main__":
    from tests.e2e import nursery

    hurry()
    nursery.main(sys.stdin, os.fdopen(os.dup(1), "w"))
