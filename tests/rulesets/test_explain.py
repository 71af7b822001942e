"""Why a host and its findings are where they are."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tests.flows.scans import RDP, SMB, Flaw, week
from tests.flows.world import CATEGORIES, POLICY, RANGES, World
from vmjira.domain.frames import scan_id
from vmjira.flows.explain import explain
from vmjira.shown import show_explanation
from vmjira.terminal import Terminal

LAB = "  - {id: lab, title: Laboratory, networks: [10.1.5.0/24]}\n"
SPLIT = """\
categories:
  - {id: ports, title: Remote desktop, where: "'3389/tcp' = ANY(ports)"}
  - {id: rated, title: Rated, where: "cvss3 > 7"}
  - {id: windows, title: Windows updates, where: "family = 'Windows' AND severity >= 'high'"}
  - {id: rest, title: All else, where: "severity >= 'low'"}
"""
HOST = "10.1.5.1"


def why(world: World, vulnerability: str = "100", host: str = HOST) -> dict[str, Any]:
    (found,) = explain(world.outside, host, vulnerability)["findings"]
    return found


def test_the_network_that_won_is_told_with_those_that_hold_the_address_too(world: World):
    world.write_rules(ranges=RANGES + LAB)
    world.fold(week(23), {HOST: [SMB]})
    known = explain(world.outside, HOST)["known"]
    assert known["range"] == "lab" and known["networks"] == [
        "10.1.5.0/24 of lab: wins",
        "10.1.0.0/16 of boston: holds it too",
    ]
    assert "10.1.5.0/24" in known["range because"]


def test_what_could_identify_the_host_is_told_and_what_does(world: World):
    world.write_rules(ranges=RANGES.replace("[10.1.0.0/16]", "[10.1.0.0/16], identity: [agent_uuid, hostname, ip]"))
    world.fold(week(23), {HOST: [SMB]}, names={HOST: "pc7.example.com"})
    found = explain(world.outside, HOST)
    assert found["host"] == "hostname:pc7.example.com" and found["known"]["identity"] == [
        "agent_uuid: not known", "hostname: pc7.example.com (this one identifies it)", f"ip: {HOST}",
    ]  # fmt: skip


def test_an_address_that_two_hosts_had_names_the_other_one(world: World):
    world.write_rules(ranges=RANGES.replace("[10.1.0.0/16]", "[10.1.0.0/16], identity: [hostname, ip]"))
    world.fold(week(23), {HOST: [SMB]}, names={HOST: "old"})
    world.fold(week(24), {HOST: [RDP]}, names={HOST: "new"})
    found = explain(world.outside, HOST)
    assert found["host"] == "hostname:new" and found["known"]["other hosts of that name"] == ["hostname:old"]
    assert [each["vulnerability_id"] for each in found["findings"]] == ["101"]


def test_each_condition_is_told_in_order_with_its_answer_and_the_values_it_looked_at(world: World):
    world.write_rules(categories=SPLIT)
    world.fold(week(23), {HOST: [SMB]})
    asked = why(world)["conditions"]
    assert [(each["category"], each["holds"], each["takes"]) for each in asked] == [
        ("ports", False, False), ("rated", None, False), ("windows", True, True), ("rest", True, False),
    ]  # fmt: skip
    assert asked[0]["values"] == {"ports": ["445/tcp"]} and asked[1]["values"] == {"cvss3": None}
    assert asked[2]["values"] == {"family": "Windows", "severity": "high"}
    assert asked[1]["words"] == "rated: unknown, so it does not hold [cvss3 > 7] because cvss3 is not known"
    assert "it takes the finding" in asked[2]["words"] and "an earlier one takes" in asked[3]["words"]
    json.dumps(asked)


def test_the_condition_that_takes_it_is_the_category_of_the_ledger(world: World):
    world.write_rules(categories=SPLIT)
    flaws = [SMB, RDP, Flaw("300", "A", "Misc.", severity=1), Flaw("301", "B", "Misc.", severity=2, port="3389")]
    world.fold(week(23), {HOST: flaws})
    for each in explain(world.outside, HOST)["findings"]:
        assert [one["category"] for one in each["conditions"] if one["takes"]] == [each["category"]]
        assert "from its next life on" not in each["category because"]


def test_a_finding_that_no_category_takes_shows_why_each_did_not(world: World):
    world.fold(week(23), {HOST: [Flaw("300", "A", "Misc.")]})
    found = why(world, "300")
    assert found["category"] is None and found["ticket"] is None
    assert [each["holds"] for each in found["conditions"]] == [False, False]


def test_a_finding_that_is_seen_names_the_observation(world: World):
    world.fold(week(23), {HOST: [SMB]})
    found = why(world)
    with world.store.reading() as unit:
        (scan,) = [scan_id(row.digest) for row in unit.scans()]
    assert found["evidence"] == [
        f"last seen 2026-06-01 20:00 UTC by nessus, with credentials, in scan {scan}",
        f"that is its newest observation of this host: nessus 2026-06-01 20:00 UTC in scan {scan} "
        "(2026-06-01-2000.nessus) with credentials",
    ]  # fmt: skip
    assert found["key"] == "VM-1"


def test_absence_without_credentials_proves_nothing_and_says_so(world: World):
    world.fold(week(23), {HOST: [SMB]})
    world.fold(week(24), {HOST: []}, credentials=False)
    _, doubt = why(world)["evidence"]
    assert "(2026-06-08-2000.nessus) without credentials" in doubt
    assert "it was seen with credentials, and that scan had none" in doubt


def test_absence_in_a_scan_with_unreadable_records_proves_nothing_and_says_so(world: World):
    world.fold(week(23), {HOST: [SMB]})
    world.fold(week(24), {HOST: []}, garbled=True)
    assert "1 records that could not be read, so it fixes nothing" in why(world)["evidence"][1]


def test_each_life_is_told_with_how_it_ended(world: World):
    world.fold(week(23), {HOST: [SMB]})
    world.fold(week(24), {HOST: []})
    world.fold(week(25), {HOST: [SMB]})
    world.write_rules(ranges=RANGES + LAB)
    world.ingest()
    first, second, third = explain(world.outside, HOST, "100")["findings"]
    assert "2026-06-08 20:00 UTC, completely and with sufficient credentials" in first["evidence"][1]
    assert "belongs to another category or range" in second["evidence"][1]
    assert third["opened as"] == "moved" and third["previous ticket"] == second["ticket"]


def test_acceptances_that_name_it_are_told(world: World):
    world.fold(week(23), {HOST: [SMB, RDP]})
    world.write_rules(
        acceptances="acceptances:\n  - {vulnerability: 100, range: boston, reason: replaced in May, approver: jane, "
        "until: 2030-01-01}\n"
    )
    world.ingest()
    found = why(world)
    assert found["acceptances"] == ["acceptances.yaml, number 1: replaced in May (jane), until 2030-01-02 00:00 UTC"]
    assert found["state"] == "accepted" and "accepted as a risk at" in found["evidence"][1]
    assert why(world, "101")["acceptances"] == []


def test_everything_is_shown_to_people_and_nothing_of_it_is_markup(world: World):
    world.write_rules(categories=SPLIT, policy=POLICY)
    world.fold(week(23), {HOST: [Flaw("100", "[red]SMB[/red]")]}, names={HOST: "[b]pc[/b]"})
    text = io.StringIO()
    show_explanation(Terminal(file=text, width=250), explain(world.outside, HOST))
    for words in ("[red]SMB[/red]", "[b]pc[/b]", "windows: true: it takes the finding", "10.1.0.0/16 of boston: wins"):
        assert words in text.getvalue()


def test_a_condition_on_the_host_looks_at_the_host(world: World):
    world.write_rules(categories=CATEGORIES.replace("family = 'Windows'", "hostname = 'pc1'"))
    world.fold(week(23), {HOST: [SMB]}, names={HOST: "pc1"})
    assert why(world)["category"] == "windows"
    assert why(world)["conditions"][0]["values"] == {"hostname": "pc1"}


@pytest.mark.parametrize("name", ["nobody", "10.9.9.9"])
def test_an_unknown_host_is_told_in_words(world: World, name: str):
    world.fold(week(23), {HOST: [SMB]})
    with pytest.raises(Exception, match="no scan has observed it"):
        explain(world.outside, name)
