"""Workers (see `tests.e2e.nursery`) that wait neither half a minute for other tickets nor seconds between two looks."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

from tests.e2e import nursery
from vmjira.domain import rescan
from vmjira.flows import rescan as care

if __name__ == "__main__":
    rescan.GATHER = timedelta(seconds=0.2)
    care.FIRST_PAUSE = 0.2
    nursery.main(sys.stdin, os.fdopen(os.dup(1), "w"))
