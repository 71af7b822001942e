"""Taking in what the tracker tells: stored and queued in one transaction, before anybody thinks about it."""

from __future__ import annotations

from vmjira.flows.ports import DeliveryRow, Outside


def receive(outside: Outside, delivery: DeliveryRow) -> bool:
    """Keep it and let `react` come to it; False if it was kept before. StoreUnavailable: nothing was kept."""
    with outside.store.begin() as unit:
        new = unit.add_delivery(delivery)
        if new and delivery.state == "queued":
            outside.queue.put_event(unit, delivery)
    return new
