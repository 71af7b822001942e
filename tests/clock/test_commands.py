"""vmjira scanners list, test, fetch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.clock.world import Shelf
from tests.flows.jira import Jira
from tests.flows.scans import SMB, nessus, week
from tests.flows.world import CATEGORIES, POLICY, RANGES
from tests.watch.commands import Commands
from vmjira.errors import ScannerUnavailable
from vmjira.incoming import incoming
from vmjira.scanners import sources

SCANNERS = """\
scanners:
  - {id: hq, type: nessus, url: 'https://hq', access_key: '${HQ_KEY}', fetch: 0 6 * * *, expect: 7d}
  - {id: push, type: upload}
"""


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command configures the logging of its whole process."""
    kept = structlog.get_config()
    yield
    structlog.configure(**kept)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    shelf = Shelf()

    def connect(scanner: object, environ: dict[str, str]) -> Shelf:
        assert environ["HQ_KEY"] == "from-the-environment", "secrets come from the settings"
        return shelf

    monkeypatch.setenv("HQ_KEY", "from-the-environment")
    monkeypatch.setattr(sources, "TYPES", {"nessus": connect})
    return shelf


@pytest.fixture
def commands(tmp_path: Path, jira: Jira, shelf: Shelf) -> Commands:
    return Commands(tmp_path, jira, categories=CATEGORIES, ranges=RANGES, policy=POLICY, scanners=SCANNERS)


def test_list_tells_when_what_came_of_it_and_who_is_silent(commands: Commands, shelf: Shelf, tmp_path: Path):
    shelf.put("5/1", nessus(tmp_path / "weekly.nessus", week(23), {"10.1.0.5": [SMB]}), week(23))
    assert commands("scanners", "fetch", "hq").exit_code == 0
    hq, push = json.loads(commands("scanners", "list", "--json").output)
    assert (hq["id"], hq["type"], hq["fetch"], hq["last_run"]) == ("hq", "nessus", "0 6 * * *", None)
    assert hq["next_run"].endswith("T06:00:00+00:00") and hq["silent"] is False
    assert hq["last_scan"]["id"] == "5/1" and hq["last_scan"]["finished_at"] == week(23).isoformat()
    assert (hq["scans"], hq["refused"]) == (1, [])
    assert push["next_run"] is None and push["silent"] is False
    table = commands("scanners", "list").output
    assert "scan 5/1 2026-06-01 20:00" in table and "never" in table


def test_fetch_takes_what_is_new_and_says_so(commands: Commands, shelf: Shelf, tmp_path: Path):
    shelf.put("5/1", nessus(tmp_path / "weekly.nessus", week(23), {"10.1.0.5": [SMB]}), week(23))
    (done,) = json.loads(commands("scanners", "fetch", "--json").output)
    assert done["scanner"] == "hq" and [each["remote"] for each in done["taken"]] == ["5/1"]
    assert len(done["operations"]) == 1
    again = commands("scanners", "fetch", "hq")
    assert "hq: nothing new" in again.output and "hq: not taken: scan running: is not finished" in again.output
    assert not (tmp_path / "var" / "incoming" / "hq").exists()


def test_fetch_tells_what_was_refused_and_takes_it_again_on_demand(commands: Commands, shelf: Shelf, tmp_path: Path):
    file = tmp_path / "weekly.nessus"
    file.write_bytes(b"<html>log in</html>")
    shelf.put("5/1", file, week(23))
    result = commands("scanners", "fetch", "hq")
    assert result.exit_code == 1 and "hq: scan 5/1: " in result.output and "Traceback" not in result.output
    assert "(id 5/1) was refused" in commands("scanners", "list").output
    nessus(file, week(23), {"10.1.0.5": [SMB]})
    assert commands("scanners", "fetch", "hq", "--again", "5/1").exit_code == 0
    assert commands("scanners", "fetch", "hq", "--again", "77").exit_code == 1
    assert commands("scanners", "fetch", "--again", "5/1").exit_code == 2


def test_a_scanner_that_is_away_is_told_in_its_words(commands: Commands, shelf: Shelf):
    shelf.faults["listing"] = ScannerUnavailable("hq: no answer from https://hq within 30 s")
    for command in ("fetch", "test"):
        result = commands("scanners", command, "hq")
        assert result.exit_code == 1 and "hq: no answer from https://hq within 30 s" in result.output


def test_test_tells_what_it_looked_at(commands: Commands, shelf: Shelf):
    result = commands("scanners", "test", "hq")
    assert result.exit_code == 0 and "0 scans match" in result.output
    assert "there is: hq, push" in commands("scanners", "test", "attic").output
    assert "type 'upload'" in commands("scanners", "test", "push").output


def test_one_process_fetches_from_a_scanner_at_a_time_and_clears_what_a_killed_one_left(tmp_path: Path):
    (tmp_path / "incoming" / "hq").mkdir(parents=True)
    (tmp_path / "incoming" / "hq" / "half-a-scan").write_text("…")
    with incoming(str(tmp_path), "hq") as folder:
        assert list(folder.iterdir()) == []
        with pytest.raises(ScannerUnavailable, match="another process"), incoming(str(tmp_path), "hq"):
            pass
        with incoming(str(tmp_path), "berlin") as other:
            assert other != folder
    assert not folder.exists()
    with incoming("s3://bucket/prefix", "hq") as folder:
        assert folder.is_dir() and tmp_path not in folder.parents
