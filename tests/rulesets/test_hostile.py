"""Names and titles that look like markup, through the commands that print them."""

from __future__ import annotations

import pytest

from tests.flows.scans import Flaw, nessus, week
from tests.flows.world import CATEGORIES
from tests.rulesets.test_commands import Vmjira, vmjira

__all__ = ["vmjira"]
HOSTILE = Flaw("100", "[/x] and :link:")
NAME = "pc[/bold]:bug:.example.com"


@pytest.fixture
def known(vmjira: Vmjira) -> Vmjira:
    vmjira.write(categories=CATEGORIES.replace("Windows updates", "'Windows [/updates] :link:'"))
    vmjira.ingest(
        nessus(vmjira.folder / "[bold] :link:.nessus", week(23), {"10.1.0.1": [HOSTILE]}, names={"10.1.0.1": NAME})
    )
    return vmjira


def test_commands_print_names_and_titles_as_they_are(known: Vmjira):
    said = known.run("explain", NAME).stdout
    assert HOSTILE.title in said and NAME in said
    said = known.run("ticket", "windows.boston.2026-W23").stdout
    assert "Windows [/updates] :link:" in said and NAME in said
    assert "[bold] :link:.nessus" in known.run("inspect", str(known.folder / "[bold] :link:.nessus")).stdout
    for command in (["tickets"], ["plan", "--preview"], ["operations", "list"], ["acceptances"], ["scanners", "list"]):
        known.run(*command)


def test_a_file_name_that_is_no_text_is_told_as_one_that_is_not_there(vmjira: Vmjira):
    assert "\\udcff.nessus" in vmjira.run("inspect", "/nowhere/\udcff.nessus", status=1).stderr
