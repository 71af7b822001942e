"""What a scan costs the tracker when it saw what the one before it saw: nothing; and when one host of many changed."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.flows.jira import Jira
from tests.flows.scans import APACHE, RDP, SMB, Flaw, Hosts, week
from tests.flows.world import World, host_numbers, own_numbers

OFFICES = range(1, 9)
RANGES = "ranges:\n" + "".join(
    f"  - {{id: office{number}, title: Office {number}, networks: [10.{number}.0.0/16]}}\n" for number in OFFICES
)
SAME: Hosts = {
    **{f"10.{number}.0.1": [SMB, RDP] for number in OFFICES},
    **{f"10.{number}.0.2": [SMB, APACHE] for number in OFFICES},
    **{f"10.{number}.0.3": [] for number in OFFICES},
}


def campaign(world: World) -> None:
    """Sixteen tickets: two categories in eight ranges."""
    world.write_rules(ranges=RANGES)
    world.fold(week(23), SAME)
    assert len(world.known()) == 16
    world.jira.calls()


def writes(jira: Jira) -> Counter[str]:
    """Calls that change something, by what they do."""
    return Counter(kind for call in jira.calls() if (kind := _kind(call)))


def _kind(call: str) -> str:
    method, path = call.split(" ", 1)
    if method == "GET" or path.startswith(("search", "issue/bulkfetch")):
        return ""
    what = path.split("/")[2] if path.count("/") > 1 else path.split("/")[0]
    return f"{method} {what}"


@pytest.mark.parametrize("later", [24, 7 * 24], ids=["a day later", "a week later"])
def test_a_scan_that_saw_the_same_changes_nothing_in_the_tracker_and_plans_nothing(either: World, later: float):
    campaign(either)
    before = either.known()
    said, calls = either.fold(week(23, hours=later), SAME), writes(either.jira)
    assert (said, dict(calls)) == ([], {})
    assert either.known() == before


OFFICE: Hosts = {f"10.1.0.{number}": [SMB, RDP] for number in range(1, 51)}
W23 = "windows.boston.2026-W23"


@pytest.mark.parametrize("later", [24, 7 * 24], ids=["a day later", "a week later"])
def test_one_changed_host_of_fifty_sends_what_changed_and_nothing_else(either: World, later: float):
    either.fold(week(23), OFFICE)
    either.jira.calls()
    either.fold(week(23, hours=later), {**OFFICE, "10.1.0.7": [SMB]})
    calls = writes(either.jira)
    loud = 1 if either.jira.flavour == "datacenter" else 0  # the first edit without mails is refused there
    replaced = 3 if later == 24 else 1
    assert calls == {"PUT issue": 1 + loud, "POST attachments": 1, "DELETE attachment": replaced}
    ticket, known = either.jira.by_identifier()[W23], either.known()[W23]
    assert (own_numbers(ticket), host_numbers(ticket)) == (known["own"], known["then"])
    assert known["own"]["fixed"] == 1


def test_what_a_scan_of_half_the_office_leaves_unverified_is_told_and_so_is_what_the_other_half_settles(world: World):
    world.fold(week(23), OFFICE)
    half = dict(list(OFFICE.items())[:25])
    assert world.fold(week(24), half) == [f"update {W23}: done"]
    assert own_numbers(world.jira.by_identifier()[W23])["unverified"] == 50
    assert world.fold(week(24, hours=3), OFFICE) == [f"update {W23}: done"]
    assert own_numbers(world.jira.by_identifier()[W23])["unverified"] == 0
    assert world.fold(week(24, hours=6), OFFICE) == []


@pytest.mark.parametrize("new", [Flaw("100", "SMB flaw, renamed"), Flaw("100", "SMB flaw", port="139")])
def test_another_text_or_another_port_is_no_silence(world: World, new: Flaw):
    world.fold(week(23), OFFICE)
    assert world.fold(week(24), {**OFFICE, "10.1.0.1": [new, RDP]}) == [f"update {W23}: done"]


def test_a_new_name_of_a_host_reaches_the_lists(world: World):
    world.fold(week(23), OFFICE)
    said = world.fold(week(23, hours=1), OFFICE, names={"10.1.0.1": "pc1.example.com"})
    assert said == [f"update {W23}: done"]
    assert b"pc1.example.com" in world.jira.by_identifier()[W23].files[f"{W23}.own.csv"]
