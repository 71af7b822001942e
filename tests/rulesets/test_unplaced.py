"""Hosts in no range and findings in no category are told by every command that takes scans, with the next step."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.scans import APACHE, SMB, Flaw, nessus, week
from tests.flows.world import CATEGORIES, RANGES
from tests.rulesets.test_commands import Vmjira, vmjira

__all__ = ["vmjira"]
UBUNTU = Flaw("400", "OpenSSL flaw", "Ubuntu Local Security Checks", severity=4)
NOTE = Flaw("401", "A note", "General", severity=0)
OUTSIDE = {f"10.9.0.{number}": [SMB] for number in range(1, 13)}
HINT = "12 hosts of this scan are in no range: 10.9.0.0/24 (12). Add their networks to ranges.yaml."


def of(vmjira: Vmjira, command: str, hosts: dict[str, Any], number: int = 23) -> tuple[str, dict[str, Any]]:
    """What the command says of a scan, to people and to programs."""
    if command == "ingest":  # one scan is ingested only once
        first, second = (f"10.0.{number}.0", number), (f"10.0.{number}.1", number)
        texts = [nessus(vmjira.folder / f"{name}.nessus", week(number, hours=hour), hosts) for hour, (name, _) in
                 enumerate((first, second))]  # fmt: skip
        said = vmjira.run("ingest", str(texts[0])).stdout
        (scan,) = vmjira.json("ingest", str(texts[1]))["scans"]
        return said, scan
    file = str(nessus(vmjira.folder / f"{number}.nessus", week(number), hosts))
    if command == "inspect":
        return vmjira.run("inspect", file).stdout, vmjira.json("inspect", file)["files"][0]
    return vmjira.run("plan", file).stdout, vmjira.json("plan", "--preview", file)["scans"][0]


@pytest.mark.parametrize("command", ["inspect", "plan", "ingest"])
def test_hosts_outside_all_ranges_are_told_with_their_networks(vmjira: Vmjira, command: str):
    words, said = of(vmjira, command, OUTSIDE)
    assert HINT in words
    assert said["unowned"]["hosts"] == said["unowned"]["findings"] == 12
    assert said["unowned"]["top"] == [
        {"network": "10.9.0.0/24", "hosts": 12, "examples": ["ip:10.9.0.1", "ip:10.9.0.10", "ip:10.9.0.11"]}
    ]
    assert said["untaken"]["findings"] == 0 and HINT in said["hints"]


@pytest.mark.parametrize("command", ["inspect", "plan", "ingest"])
def test_findings_without_category_are_told_by_family_and_severity_but_not_informational_ones(
    vmjira: Vmjira, command: str
):
    words, said = of(vmjira, command, {"10.1.0.1": [SMB, UBUNTU, NOTE], "10.1.0.2": [UBUNTU, NOTE]})
    hint = (
        "2 findings of this scan are in no category (2 critical): Ubuntu Local Security Checks (2). Add a category to "
        "categories.yaml; `vmjira plan --preview` proposes conditions."
    )
    assert hint in words and hint in said["hints"]
    assert said["untaken"]["findings"] == 2 and said["untaken"]["severities"] == {"critical": 2}
    (family,) = said["untaken"]["top"]
    assert (family["family"], family["hosts"]) == ("Ubuntu Local Security Checks", 2)
    assert said["unowned"]["hosts"] == 0


def test_a_scan_that_the_rules_cover_says_nothing_about_that(vmjira: Vmjira):
    for command in ("inspect", "plan", "ingest"):
        words, said = of(vmjira, command, {"10.1.0.1": [SMB], "10.2.0.1": [APACHE]})
        assert "in no " not in words and said["unowned"]["hosts"] == said["untaken"]["findings"] == 0


def test_inspect_reads_a_scan_without_rules_or_with_broken_ones(vmjira: Vmjira):
    file = str(nessus(vmjira.folder / "a.nessus", week(23), OUTSIDE))
    vmjira.environ["VMJIRA_RULES"] = "nowhere"
    result = vmjira.run("inspect", file)
    assert "in no range" not in result.stdout and "vmjira rules check" in result.stderr
    vmjira.environ["VMJIRA_RULES"] = "rules"
    vmjira.ingest()
    vmjira.write(categories="categories: 7\n")
    result = vmjira.run("inspect", file)
    assert "in no range" not in result.stdout and "vmjira rules check" in result.stderr


def test_a_scan_that_is_older_than_what_is_known_says_so(vmjira: Vmjira):
    vmjira.ingest(nessus(vmjira.folder / "new.nessus", week(24), {"10.1.0.1": [SMB]}))
    old = nessus(vmjira.folder / "old.nessus", week(23), {"10.1.0.1": [SMB], "10.1.0.2": [SMB]})
    hint = "1 of 2 hosts was skipped, because a scan that is as new or newer was ingested before."
    assert hint in vmjira.run("plan", str(old)).stdout
    assert hint in vmjira.run("ingest", str(old)).stdout


def test_what_is_told_follows_the_rules(vmjira: Vmjira):
    file = str(nessus(vmjira.folder / "a.nessus", week(23), OUTSIDE))
    vmjira.write(ranges=RANGES + "  - {id: lab, title: Laboratory, networks: [10.9.0.0/16]}\n")
    assert "in no range" not in vmjira.run("inspect", file).stdout
    vmjira.write(categories=CATEGORIES.replace("'Windows'", "'Other'"))
    assert "12 findings of this scan are in no category (12 high): Windows (12)" in vmjira.run("inspect", file).stdout
