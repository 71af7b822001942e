"""Four workers, two web servers, PostgreSQL, 200 firings, a worker killed every three seconds. By hand:

python -m tests.clock.kill_clock

Takes about five minutes; prints a line for each firing, then the sum.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.clock.effects import Plan, report
from tests.clock.killing import play
from tests.databases import _server


def main() -> int:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    base, folder = Path(tempfile.mkdtemp(prefix="vmjira-pg-")), Path(tempfile.mkdtemp(prefix="vmjira-clock-"))
    plan = Plan()
    with _server(programs[-1], base) as url:
        outcome = play(folder, url, plan)
    for each in outcome.told:
        print(each.line())  # noqa: T201  what it is run for
    said = report(outcome, plan)
    print(json.dumps(said, indent=2))  # noqa: T201  what it is run for
    if said["problems"]:
        print(f"see {folder}")  # noqa: T201
        return 1
    for each in (base, folder):
        shutil.rmtree(each, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
