"""Hosts and tickets are found however a person spells their address or key."""

from __future__ import annotations

import pytest

from tests.flows.scans import SMB, week
from tests.flows.world import RANGES, World
from vmjira.flows.evidence import find
from vmjira.flows.explain import explain
from vmjira.flows.hosts import host
from vmjira.flows.present import one_ticket
from vmjira.rulefiles import load

V6 = RANGES.replace("[10.1.0.0/16]", "[10.1.0.0/16, 'fd00::/64']")


@pytest.mark.parametrize("wanted", ["FD00:0:0::A", " fd00::a", "ip:fd00:0:0:0:0:0:0:000a", "PC1.Example.com"])
def test_a_host_is_found_by_any_spelling_of_its_address_or_name(world: World, wanted: str):
    world.write_rules(ranges=V6)
    world.fold(week(23), {"fd00::a": [SMB]}, names={"fd00::a": "pc1.EXAMPLE.com"})
    assert explain(world.outside, wanted)["host"] == "ip:fd00::a"
    assert host(world.store, wanted, load(world.rules), 1)["host"] == "ip:fd00::a"


def test_a_ticket_is_found_by_its_key_in_small_letters(world: World):
    world.fold(week(23), {"10.1.0.1": [SMB]})
    key = world.known()["windows.boston.2026-W23"]["key"]
    assert one_ticket(world.outside, key.lower())["key"] == key
    with world.store.reading() as unit:
        assert find(unit, key.lower()).key == key
