"""Waiting for the tracker to have everything."""

from __future__ import annotations

import time
from collections.abc import Callable

from vmjira.domain.operation import count
from vmjira.flows.identity import REBIND, known_tracker
from vmjira.flows.ports import Store


def waiting_for_approval(number: int) -> str:
    verb = "is" if number == 1 else "are"
    return f"{count(number, 'change')} {verb} waiting for approval. Review with `vmjira operations list`"


def wait_until_delivered(store: Store, progress: Callable[[int, int], None], *, look_every: float = 0.2) -> list[str]:
    """Return when nothing is queued any more: what was refused or is held meanwhile, in words."""
    with store.reading() as unit:
        before = {row.id for row in unit.operations("refused")}
        total = unit.count_operations("queued")
    while True:
        with store.reading() as unit:
            left, known = unit.count_operations("queued"), known_tracker(unit)
        if known and known.moved:
            return [f"{known.moved}. {REBIND}; {left} operations wait for that"]
        total = max(total, left)
        progress(total - left, total)
        if not left:
            break
        time.sleep(look_every)
    with store.reading() as unit:
        refused = [row for row in unit.operations("refused") if row.id not in before]
        held = unit.count_operations("held")
    said = [f"{row.identifier}: {row.operation} refused: {row.answer}" for row in refused]
    return said + ([waiting_for_approval(held)] if held else [])
