"""`vmjira worker` that does not wait half a minute for other tickets to be closed."""

from __future__ import annotations

from datetime import timedelta

from vmjira.cli import main
from vmjira.domain import rescan

if __name__ == "__main__":
    rescan.GATHER = timedelta(seconds=0.2)
    main(["worker", "--threads", "4"])
