"""The real folder source and fetching together."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.clock.world import HQ, Desk
from tests.flows.scans import SMB, nessus, week
from vmjira.flows.fetch import Fetched, Visit
from vmjira.scanners.sources.folder import Folder


def visit(desk: Desk, inbox: Path) -> Fetched:
    with desk.intake(HQ) as intake:
        return Visit(desk.outside, HQ, Folder("inbox", inbox, quiet=0), intake, desk.load).fetch()


def test_files_that_are_dropped_at_once_are_folded_in_the_order_of_their_scans(desk: Desk, tmp_path: Path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for age, number in enumerate((25, 23, 24)):  # copied in any order
        file = nessus(inbox / f"{number}.nessus", week(number), {"10.1.0.5": [SMB]})
        os.utime(file, (time.time() - 100 - age,) * 2)
    (inbox / "page.nessus").write_text("<html>log in</html>")
    fetched = visit(desk, inbox)
    assert desk.folded() == ["23.nessus", "24.nessus", "25.nessus"]
    assert [row.name for row in fetched.refused] == ["page.nessus"]
    assert len(list((inbox / "done").glob("*2[345].nessus"))) == 3
    assert list((inbox / "refused").glob("*page.nessus"))
    assert visit(desk, inbox).words == "nothing new"
