"""`vmjira plan` says what would wait for approval and why, and where the loss check does not apply."""

from __future__ import annotations

from collections import Counter

from tests.flows.scans import APACHE, RDP, SMB, Flaw, nessus, week
from tests.flows.world import CATEGORIES, POLICY, RANGES
from tests.rulesets.test_commands import LAB, Vmjira, vmjira

__all__ = ["vmjira"]
MANY = {f"10.1.0.{number}": [SMB, RDP] for number in range(1, 13)}


def states(vmjira: Vmjira, *arguments: str) -> Counter[tuple[str, str]]:
    """Of the operations that are not stored yet: "" is what would be queued."""
    return Counter((each["operation"], each["details"].get("state", "")) for each in vmjira.json("plan", *arguments))


def first_line(vmjira: Vmjira, *arguments: str) -> str:
    return vmjira.run("plan", *arguments).stdout.splitlines()[0]


def test_a_plan_over_the_limits_would_be_held_and_is_then(vmjira: Vmjira):
    vmjira.write(policy=POLICY + "limits: {create: 1}\n")
    file = str(nessus(vmjira.folder / "a.nessus", week(23), {"10.1.0.1": [SMB], "10.2.0.1": [SMB]}))
    assert first_line(vmjira, file) == (
        "The changes that follow from a.nessus would be held: 2 tickets to create, limits.create is 1"
    )
    assert states(vmjira, file) == {("create", "held"): 2}
    assert " held " in vmjira.run("plan", file).stdout
    held = "2 changes are waiting for approval. Review with `vmjira operations list`"
    assert f"{held}: 2 tickets to create, limits.create is 1" in vmjira.run("ingest", file).stdout
    assert {row["state"] for row in vmjira.json("operations", "list")} == {"held"}
    assert first_line(vmjira) == held
    assert states(vmjira) == {("create", "held"): 2}


def test_a_plan_within_the_limits_says_nothing_of_approval(vmjira: Vmjira):
    file = str(nessus(vmjira.folder / "a.nessus", week(23), {"10.1.0.1": [SMB], "10.2.0.1": [SMB]}))
    assert "held" not in vmjira.run("plan", file).stdout and states(vmjira, file) == {("create", ""): 2}
    assert vmjira.json("plan", "--preview", file)["held"] == []


def test_rules_that_would_be_held_leave_the_next_scan_to_the_rules_in_force(vmjira: Vmjira):
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), MANY))
    vmjira.write(categories=CATEGORIES.replace("= 'Windows'", "= 'Widnows'"))
    file = nessus(vmjira.folder / "b.nessus", week(24), MANY | {"10.1.0.99": [SMB]})
    words = "The changed rules would be held, and the rules in force would stay: "
    assert first_line(vmjira, str(file)).startswith(words)
    assert "category 'windows' would take none any more of its 24 open findings" in vmjira.run("plan").stdout
    planned = states(vmjira, str(file))
    assert planned["create", ""] == 1  # the ticket of week 24 that the rules in force make
    assert planned["update", "held"] == 1  # what the changed rules would do
    vmjira.ingest(file)
    assert [each["identifier"] for each in vmjira.json("tickets")] == [
        "windows.boston.2026-W23", "windows.boston.2026-W24",
    ]  # fmt: skip


def test_a_category_that_loses_too_few_findings_to_be_held_is_told(vmjira: Vmjira):
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), {"10.1.0.1": [SMB, RDP]}))
    vmjira.write(categories=CATEGORIES.replace("= 'Windows'", "= 'Widnows'"))
    words = "category 'windows' would take none any more of its 2 open findings; fewer than 10 are not held"
    assert words in vmjira.run("plan").stdout and "would be held" not in vmjira.run("plan").stdout


def test_a_scan_that_would_not_be_believed_is_told_first(vmjira: Vmjira):
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), MANY))
    file = str(nessus(vmjira.folder / "b.nessus", week(24), dict.fromkeys(MANY, ())))
    assert first_line(vmjira, file).startswith(
        "b.nessus would not be believed in boston, so nothing there would count as fixed: 24 of "
    )
    assert "b.nessus: not believed in boston: 24 of 36 findings" in vmjira.run("ingest", file).stdout


# --- where the loss check does not apply ------------------------------------------------------------------------------


def test_a_small_range_is_told_to_be_without_loss_check(vmjira: Vmjira):
    seven = {f"10.1.0.{number}": [SMB] for number in range(1, 8)}
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), seven))
    file = str(nessus(vmjira.folder / "b.nessus", week(24), {"10.1.0.1": [SMB]}))
    words = (
        "The loss check does not apply to range boston: nessus had 7 hosts and 14 findings there before, "
        "10 hosts or 20 findings are needed."
    )  # informational findings count
    assert words in vmjira.run("plan", file).stdout and words in vmjira.run("plan", "--preview").stdout
    (unguarded,) = vmjira.json("plan", "--preview")["rules"]["unguarded"]["top"]
    assert (unguarded["range"], unguarded["scanner"], unguarded["hosts"]) == ("boston", "nessus", 7)


def test_each_half_of_the_check_is_told_by_itself(vmjira: Vmjira):
    few = {f"10.1.0.{number}": [SMB, RDP, APACHE, Flaw("9", "x")] for number in range(1, 6)}
    many = {f"10.2.0.{number}": () for number in range(1, 13)}
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), few | many))
    said = vmjira.run("plan", "--preview").stdout
    assert "Lost hosts are not checked in range boston: nessus had 5 hosts there before, 10 are needed." in said
    assert "Lost findings are not checked in range newyork: nessus had 12 findings there before, 20 are needed." in said


def test_a_large_range_is_checked_and_nothing_is_said(vmjira: Vmjira):
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), MANY))
    file = str(nessus(vmjira.folder / "b.nessus", week(24), MANY))
    assert "loss check" not in vmjira.run("plan", file).stdout + vmjira.run("plan", "--preview").stdout


def test_the_first_scan_of_a_range_has_nothing_to_be_compared_with(vmjira: Vmjira):
    file = str(nessus(vmjira.folder / "a.nessus", week(23), MANY | {"10.2.0.1": [SMB]}))
    words = "The loss check does not apply yet to boston, newyork: this is the first scan by nessus there."
    assert words in vmjira.run("plan", file).stdout


def test_a_range_that_an_edit_made_has_no_loss_check_before_its_first_scan(vmjira: Vmjira):
    lab = {f"10.1.5.{number}": [SMB, RDP] for number in range(1, 13)}
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), lab))
    vmjira.write(ranges=RANGES + LAB)
    words = "The loss check does not apply to range lab yet: nessus has not scanned it as this range before."
    assert words in vmjira.run("plan").stdout


def test_a_loss_check_that_is_switched_off_is_told(vmjira: Vmjira):
    vmjira.write(policy=POLICY + "breaker: 1\n")
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), MANY))
    assert "The loss check is off: `breaker` in policy.yaml is 1." in vmjira.run("plan", "--preview").stdout
