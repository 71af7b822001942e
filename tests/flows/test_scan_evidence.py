"""Evidence names the scans it rests on and the hosts of those scans; a host that did not answer is not among them."""

from __future__ import annotations

import csv
import io

from tests.flows.scans import RDP, SMB, Hosts, week
from tests.flows.world import World
from vmjira.domain.frames import scan_id
from vmjira.flows.explain import explain
from vmjira.flows.present import one_ticket

W23, W24 = "windows.boston.2026-W23", "windows.boston.2026-W24"
EIGHT: Hosts = {f"10.1.0.{number}": [SMB] for number in range(1, 9)}
SEVEN: Hosts = {f"10.1.0.{number}": [] for number in range(1, 8)}  # the eighth does not answer


def scans(world: World) -> list[str]:
    """Ids of the scans in the order in which they came in."""
    with world.store.reading() as unit:
        return [scan_id(row.digest) for row in unit.scans()]


def rows(content: bytes) -> dict[str, dict[str, str]]:
    """Of a list with one row a host, by address."""
    told = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return {row["ip-address"]: row for row in told}


def test_a_host_that_did_not_answer_is_named_as_not_scanned_and_counts_for_no_scan(either: World):
    either.fold(week(23), EIGHT)
    either.fold(week(24), SEVEN)
    text = either.jira.by_identifier()[W23].description
    first, second = scans(either)
    assert f"nessus scan {second}, 2026-06-08 20:00 UTC: 7 hosts of this range, with credentials" in text
    assert first not in text and "8 hosts" not in text.partition("Scans behind")[2]
    assert "Not scanned in this iteration: 1 host of this range (10.1.0.8, last scanned 2026-06-01 20:00 UTC)" in text


def test_the_comment_verified_names_the_scan_that_proved_each_finding_fixed(either: World):
    either.fold(week(23), EIGHT)
    either.fold(week(24), SEVEN)
    either.fold(week(24, hours=5), {"10.1.0.8": []}, credentials=True)
    (comment,) = either.jira.by_identifier()[W23].comments
    _, second, third = scans(either)
    assert f"nessus scan {second}, 2026-06-08 20:00 UTC: 7 findings fixed on 7 hosts, with credentials" in comment
    assert f"nessus scan {third}, 2026-06-09 01:00 UTC: 1 finding fixed on 1 host, with credentials" in comment


def test_each_row_of_a_list_names_its_scan_and_whether_that_had_credentials(world: World):
    world.fold(week(23), {**EIGHT, "10.1.0.9": [RDP]}, credentials=False)
    world.fold(week(24), SEVEN | {"10.1.0.9": [RDP]})
    first, second = scans(world)
    told = rows(world.jira.by_identifier()[W23].files[f"{W23}.own.csv"])
    assert {(row["state"], row["scan"], row["credentials"]) for row in told.values()} == {
        ("fixed", second, "yes"), ("unverified", first, "no"), ("remaining", second, "yes"),
    }  # fmt: skip
    assert told["10.1.0.8"]["scan"] == first and list(told["10.1.0.8"])[-2:] == ["scan", "credentials"]


def test_the_credentials_of_a_proof_stay_known_where_it_can_be_told_after_a_newer_scan(world: World):
    world.fold(week(23), EIGHT)
    world.fold(week(24), SEVEN)
    world.fold(week(24, hours=5), {"10.1.0.1": [RDP]}, credentials=False)
    assert rows(world.jira.by_identifier()[W23].files[f"{W23}.own.csv"])["10.1.0.1"]["credentials"] == "yes"


def test_lines_of_comments_explain_and_the_api_name_the_same_scans(world: World):
    world.fold(week(23), EIGHT)
    world.fold(week(24), SEVEN)
    first, second = scans(world)
    (fixed,) = explain(world.outside, "10.1.0.1")["findings"]
    assert (fixed["last seen by scan"], fixed["ended by scan"]) == (first, second)
    assert any(second in words for words in fixed["evidence"])
    (open_,) = explain(world.outside, "10.1.0.8")["findings"]
    assert (open_["last seen by scan"], open_["ended by scan"]) == (first, None)
    assert one_ticket(world.outside, W23)["own"]["unverified"] == 1
