"""The demo, as a person starts it: sandbox, web server and worker as processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

from tests.flows.jira import running

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_of_two_weeks_ends_well_with_every_ticket_in_its_jira(tmp_path: Path):
    """The tickets are counted in the sandbox that it leaves behind."""
    result = subprocess.run(
        [sys.executable, "-m", "vmjira", "demo", "--once", "--weeks", "2", "--folder", str(tmp_path / "demo")],
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", "JIRA_URL": "https://real.example.com"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr and "refused" not in result.stdout
    told = re.search(r"^(\d+) tickets; the first week's were there after", result.stdout, re.MULTILINE)
    assert told, result.stdout
    (tmp_path / "jira.sqlite").symlink_to(tmp_path / "demo" / "sandbox.sqlite")
    with running(tmp_path, "datacenter") as jira:
        tickets = jira.by_identifier()
    assert len(tickets) == int(told[1])
    weeks = {identifier.rsplit(".", 1)[1] for identifier in tickets}
    ranges = {identifier.split(".")[1] for identifier in tickets}
    first, second = sorted(weeks)
    assert date.fromisocalendar(int(second[:4]), int(second[6:]), 7) < date.today()
    assert ranges == {"boston", "newyork", "berlin"}
    for ticket in tickets.values():
        assert len(ticket.names) == len(set(ticket.names)) == 4
        assert ticket.description.startswith("⟦vmjira") and ticket.description.endswith("⟦/vmjira⟧")
    for identifier, ticket in tickets.items():
        older = tickets.get(identifier.replace(second, first))
        if identifier.endswith(second) and older:
            assert older.key in ticket.links and f"Next: {ticket.key}" in older.description
