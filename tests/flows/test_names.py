"""Names of hosts compare without regard to case, on pages and in comments."""

from __future__ import annotations

from tests.flows.scans import SMB, week
from tests.flows.world import World
from vmjira.flows.search import search
from vmjira.flows.views import open_hosts, view_ticket
from vmjira.rulefiles import load

NAMES = {"10.1.0.1": "Alpha", "10.1.0.2": "beta", "10.1.0.3": "PC1", "10.1.0.4": "pc1", "10.1.0.5": "Zeta"}


def test_search_and_comments_list_hosts_by_name_in_any_spelling(world: World):
    world.fold(week(23), {ip: [SMB] for ip in reversed(NAMES)}, names=NAMES)
    found = search(world.store, "10.1.0", "hosts", 1, week(24).date())
    assert [each["hostname"] for each in found["hosts"]["items"]] == list(NAMES.values())
    with world.store.reading() as unit:
        row = unit.ticket("windows.boston.2026-W23")
    assert row is not None
    lines = open_hosts(view_ticket(world.store, row, load(world.rules), week(24).date()), None)
    assert [line.split(" ")[0] for line in lines] == list(NAMES.values())
