"""Scans that others send: for which scanner of the rules they count, so that its silence is noticed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from vmjira.domain.rulebook import Rulebook, Scanner
from vmjira.flows.ingest import Report
from vmjira.flows.ports import Outside
from vmjira.flows.rows import TakenRow

TYPE = "upload"


def sender(rulebook: Rulebook, token: str) -> Scanner | None:
    """The entry of type `upload` whose id is the name of the token; else the only such entry; else none."""
    entries = [each for each in rulebook.scanners if each.type == TYPE]
    named = [each for each in entries if each.id == token]
    return named[0] if named else entries[0] if len(entries) == 1 else None


def remember(outside: Outside, scanner: Scanner, report: Report) -> None:
    """What came counts as delivered by `scanner`. A scan that was taken before, from whomever, is no delivery."""
    now = outside.clock()
    with outside.store.begin() as unit:
        known = {digest for row in unit.taken() for digest in row.digest.split()}
        for each in report.scans:
            outcome = str(each["outcome"])
            if outcome.startswith("withdrawn"):
                continue
            digest, name, end = str(each["digest"]), Path(str(each["path"])).name, str(each["finished_at"])
            if digest not in known:
                ended = datetime.fromisoformat(end)
                row = TakenRow(scanner.id, digest, name, digest, "folded", "", ended, now, settled=True)
                held = outcome.startswith("held")
                unit.put_taken(replace(row, outcome="held", words=outcome) if held else row)
