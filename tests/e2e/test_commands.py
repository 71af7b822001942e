"""The command line: a contract that other programs rely on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from tests.flows.jira import TOKENS, Jira, running
from tests.flows.scans import APACHE, RDP, SMB, nessus, week
from tests.flows.world import CATEGORIES, POLICY, RANGES
from vmjira.cli import main
from vmjira.settings import NAMES

ROOT = Path(__file__).resolve().parents[2]
HOST_NUMBERS = {"vulnerable", "last", "new", "remaining", "safe", "unverified"}
OWN_NUMBERS = {"total", "fixed", "open", "unverified", "moved", "gone", "accepted"}
TICKET = {
    "identifier", "category", "range", "iteration", "title", "key", "status", "previous", "next", "then", "own", "top",
    "settled", "verified",
}  # fmt: skip
W23, W24 = "windows.boston.2026-W23", "windows.boston.2026-W24"


@dataclass
class Vmjira:
    """vmjira in a folder of its own, where no `.env` lies."""

    folder: Path
    environ: dict[str, str]

    def run(self, *arguments: str | Path, status: int = 0, **environ: str) -> Result:
        """Run in this process; whatever happens, no traceback and no secret."""
        result = CliRunner().invoke(
            main, [str(each) for each in arguments], env={"COLUMNS": "200"} | self.environ | environ
        )
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        for secret in (*TOKENS.values(), "hush-hush"):
            assert secret not in result.output
        return result

    def json(self, *arguments: str | Path) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    def scan(self, name: str, *arguments: Any, **further: Any) -> Path:
        return nessus(self.folder / name, *arguments, **further)


@pytest.fixture
def vmjira(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vmjira]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    for name, text in {"categories": CATEGORIES, "ranges": RANGES, "policy": POLICY}.items():
        (tmp_path / "rules" / f"{name}.yaml").write_text(text)
    yield Vmjira(tmp_path, dict.fromkeys(NAMES, "") | {"VMJIRA_LOG": "error"})
    structlog.reset_defaults()  # a command logs to its own stderr, which is gone by now


@pytest.fixture
def jira(tmp_path: Path, vmjira: Vmjira) -> Iterator[Jira]:
    with running(tmp_path, "datacenter") as jira:
        vmjira.environ |= jira.environ | {"JIRA_SEARCH_LAG": "0"}
        yield jira


def test_inspect_tells_what_is_in_a_file_and_changes_nothing(vmjira: Vmjira):
    file = vmjira.scan("a.nessus", week(23), {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB]})
    (found,) = vmjira.json("inspect", file)["files"]
    assert found.pop("hints") == [] and found.pop("unowned")["hosts"] == 0 and found.pop("untaken")["findings"] == 0
    assert found == {
        "path": str(file),
        "format": "nessus",
        "scanner": "nessus",
        "started_at": "2026-06-01T19:00:00+00:00",
        "finished_at": "2026-06-01T20:00:00+00:00",
        "hosts": 2,
        "records": 5,
        "findings": 5,
        "vulnerabilities": 3,
        "authenticated_hosts": 2,
        "records_by_severity": {"info": 2, "low": 0, "medium": 0, "high": 2, "critical": 1},
        "warnings": [],
    }
    assert vmjira.json("tickets") == [] and "10.1" not in vmjira.run("inspect", file).stderr


def test_ingest_with_wait_delivers_and_the_tickets_are_told_in_the_agreed_shapes(vmjira: Vmjira, jira: Jira):
    first = vmjira.scan("a.nessus", week(23), {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB]}, names={"10.1.0.1": "pc1"})
    said = vmjira.json("ingest", "--wait", first)
    assert [scan["outcome"] for scan in said["scans"]] == ["folded"] and said["refused"] == []
    (ticket,) = jira.tickets()
    vmjira.json("ingest", "--wait", vmjira.scan("b.nessus", week(24), {"10.1.0.1": [SMB], "10.1.0.3": [RDP]}))
    old, new = vmjira.json("tickets")
    assert set(old) == set(new) == TICKET
    assert (old["identifier"], old["key"], old["next"], old["previous"]) == (W23, ticket.key, W24, None)
    assert (old["category"], old["range"], old["iteration"]) == ("windows", "boston", "2026-W23")
    assert set(new["then"]) == HOST_NUMBERS and set(new["own"]) == OWN_NUMBERS
    assert new["then"] == {"vulnerable": 2, "last": 2, "new": 1, "remaining": 1, "safe": 0, "unverified": 1}
    assert [set(host) for host in old["top"]] == [{"host", "ip", "hostname", "score", "findings"}] * 2
    assert old["top"][0] == {"host": "ip:10.1.0.1", "ip": "10.1.0.1", "hostname": "pc1", "score": 15, "findings": 2}
    one = vmjira.json("ticket", W24)
    assert set(one) == TICKET | {
        "hosts",
        "closing",
        "closed_at",
        "reopened",
        "operations",
        "rescans",
        "left_as_set",
        "moved_from",
        "moved_to",
    }
    assert one["rescans"] == [] and one["hosts"] == {
        "new": ["ip:10.1.0.3"], "remaining": ["ip:10.1.0.1"], "safe": [], "unverified": ["ip:10.1.0.2"],
    }  # fmt: skip
    assert vmjira.json("ticket", ticket.key)["identifier"] == W23
    assert {name: one[name] for name in TICKET} == new
    for words in (W23, ticket.key, "2 tickets"):
        assert words in vmjira.run("tickets").stdout


def test_plan_shows_what_ingest_would_do_in_the_agreed_shape(vmjira: Vmjira, jira: Jira):
    file = vmjira.scan("a.nessus", week(23), {"10.1.0.1": [SMB]})
    (planned,) = vmjira.json("plan", file)
    assert set(planned) == {"operation", "identifier", "key", "reason", "details"}
    assert (planned["operation"], planned["identifier"], planned["key"]) == ("create", W23, None)
    assert planned["reason"] == "nessus scan of 2026-06-01 20:00: 1 finding on 1 host first detected in 2026-W23"
    assert vmjira.json("plan") == [] and jira.tickets() == []
    (done,) = vmjira.json("ingest", file)["operations"]
    assert [row["operation"] for row in vmjira.json("plan")] == ["create"]
    (row,) = vmjira.json("operations", "list")
    assert (row["id"], row["state"], row["reason"]) == (done, "queued", planned["reason"])


def test_explain_and_replay_answer(vmjira: Vmjira):
    vmjira.run("ingest", vmjira.scan("a.nessus", week(23), {"10.1.0.1": [SMB]}, names={"10.1.0.1": "pc1"}))
    for host in ("10.1.0.1", "PC1", "ip:10.1.0.1"):
        told = vmjira.json("explain", host)
        assert told["host"] == "ip:10.1.0.1" and told["known"]["range"] == "boston"
        assert {each["ticket"] for each in told["findings"]} == {W23}
    assert W23 in vmjira.run("explain", "pc1", "100").stdout
    assert "exactly what its scans say" in vmjira.run("replay", "--check").stdout
    assert "no scan has observed it" in vmjira.run("explain", "10.9.9.9", status=1).stderr


def test_a_missing_file_and_a_file_that_is_no_scan_are_the_user_s_problem(vmjira: Vmjira):
    bad = vmjira.folder / "letter.txt"
    bad.write_text("Dear all")
    good = vmjira.scan("a.nessus", week(23), {"10.1.0.1": [SMB]})
    for command in ("inspect", "plan", "ingest"):
        result = vmjira.run(command, vmjira.folder / "nowhere.nessus", status=1)
        assert "nowhere.nessus" in result.stderr and result.stdout.count("nowhere") == 0
    for command in ("inspect", "ingest"):
        result = vmjira.run(command, bad, good, status=1)
        assert "letter.txt" in result.stderr and "known are: " in result.stderr
        assert "a.nessus" in result.stdout


def test_broken_rules_are_told_by_line_and_column_all_at_once(vmjira: Vmjira):
    (vmjira.folder / "rules" / "categories.yaml").write_text(CATEGORIES.replace("family =", "famly ="))
    (vmjira.folder / "rules" / "ranges.yaml").write_text(RANGES.replace("10.1.", "300.1."))
    for command in (["rules", "check"], ["ingest", vmjira.scan("a.nessus", week(23), {"10.1.0.1": [SMB]})], ["plan"]):
        result = vmjira.run(*command, status=1)
        assert "rules/categories.yaml:2:" in result.stderr and "rules/ranges.yaml:2:" in result.stderr
    (vmjira.folder / "rules" / "templates").mkdir(exist_ok=True)
    (vmjira.folder / "rules" / "templates" / "description.j2").write_text("{% if %}")
    (vmjira.folder / "rules" / "categories.yaml").write_text(CATEGORIES)
    (vmjira.folder / "rules" / "ranges.yaml").write_text(RANGES)
    assert "description.j2:1" in vmjira.run("rules", "check", status=1).stderr


def test_rules_check_and_schema_answer(vmjira: Vmjira):
    assert "2 categories, 2 ranges" in vmjira.run("rules", "check").stdout
    assert "all is well" in vmjira.run("rules", "check", ROOT / "rules", COLUMNS="20").stdout
    assert json.loads(vmjira.run("rules", "schema").stdout)


def test_without_a_jira_everything_but_delivering_works_and_delivering_says_what_is_missing(vmjira: Vmjira):
    file = vmjira.scan("a.nessus", week(23), {"10.1.0.1": [SMB]})
    for command in (["ingest", "--wait", file], ["worker"], ["doctor"]):
        result = vmjira.run(*command, status=1)
        assert "JIRA_URL: is not set" in result.stderr and "JIRA_TOKEN: is not set" in result.stderr
    assert vmjira.json("tickets") == []
    assert len(vmjira.json("ingest", file)["operations"]) == 1


def test_all_that_is_wrong_with_the_settings_is_told_at_once_and_no_secret_with_it(vmjira: Vmjira):
    wrong = {
        "VMJIRA_DATA": "s3://bucket/x",
        "VMJIRA_LISTEN": "nowhere",
        "VMJIRA_LOG": "loud",
        "JIRA_URL": "jira.example.com",
        "JIRA_TOKEN": "hush-hush",
        "JIRA_SEARCH_LAG": "soon",
    }
    said = vmjira.run("tickets", status=1, **wrong).stderr
    for name in ("VMJIRA_DATABASE_URL", "VMJIRA_LISTEN", "VMJIRA_LOG", "JIRA_URL", "JIRA_SEARCH_LAG"):
        assert f"{name}: " in said
    said = vmjira.run("tickets", status=1, VMJIRA_DATABASE_URL="mysql://me:hush-hush@db/x").stderr
    assert "VMJIRA_DATABASE_URL: 'mysql://…' is not supported" in said


def test_the_doctor_looks_before_anything_was_ingested_and_tells_what_is_wrong(vmjira: Vmjira, jira: Jira):
    """The sandbox's service account is no administrator of its project, as in many a Jira; nothing else is wrong."""
    (wrong,) = [each for each in doctor(vmjira) if not each["ok"]]
    assert "'Administer Projects'" in wrong["what"]
    assert "!!" in vmjira.run("doctor", status=1).stdout
    (vmjira.folder / "rules" / "policy.yaml").write_text("ticket: {project: NONE, link_type: Knows}\n")
    wrong = " ".join(each["what"] for each in doctor(vmjira) if not each["ok"])
    assert "'NONE'" in wrong and "'Knows'" in wrong


def test_the_doctor_tells_of_a_jira_that_is_not_there_or_does_not_know_us(vmjira: Vmjira, jira: Jira):
    assert "127.0.0.1:9" in vmjira.run("doctor", status=1, JIRA_URL="http://127.0.0.1:9").output
    assert "401" in vmjira.run("doctor", status=1, JIRA_TOKEN="hush-hush").output


def doctor(vmjira: Vmjira) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(vmjira.run("doctor", "--json", status=1).stdout)
    return found


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["ingest"], ["tickets", "--nonsense"], ["worker", "--threads", "0"], ["demo", "--weeks", "9"]],
)
def test_wrong_usage_has_a_status_of_its_own(vmjira: Vmjira, arguments: list[str]):
    assert vmjira.run(*arguments, status=2).stderr.startswith("Usage: ")


def test_a_ticket_or_operation_that_does_not_exist_is_named(vmjira: Vmjira):
    assert "ticket 'VM-77': there is none" in vmjira.run("ticket", "VM-77", status=1).stderr
    assert "operation 'x': there is none" in vmjira.run("operations", "retry", "x", status=1).stderr


def test_operations_are_listed_released_retried_and_dropped(vmjira: Vmjira, jira: Jira):
    (vmjira.folder / "rules" / "policy.yaml").write_text("ticket: {project: NONE}\nlimits: {create: 1}\n")
    file = vmjira.scan("a.nessus", week(23), {"10.1.0.1": [SMB, APACHE]})
    result = vmjira.run("ingest", "--wait", file, status=1)
    assert "2 changes are waiting for approval" in result.stderr
    assert [row["state"] for row in vmjira.json("operations", "list")] == ["held", "held"]
    assert "2 operations: release" in vmjira.run("operations", "release", "v1").stdout
    later = vmjira.scan("b.nessus", week(23, hours=1), {"10.1.0.9": []})
    result = vmjira.run("ingest", "--wait", later, status=1)
    assert result.stderr.count("refused") == 2 and "'NONE'" in result.stderr
    vmjira.run("operations", "drop", f"v1:create:{W23}")
    (vmjira.folder / "rules" / "policy.yaml").write_text(POLICY)
    again = vmjira.scan("c.nessus", week(23, hours=2), {"10.1.0.9": []})
    vmjira.run("ingest", again)
    assert "1 operations: retry" in vmjira.run("operations", "retry").stdout
    vmjira.run("ingest", "--wait", later)
    assert set(jira.by_identifier()) == {"web.boston.2026-W23"}
    assert {row["state"] for row in vmjira.json("operations", "list", "--all")} == {"done", "dropped"}


def test_adopt_shows_the_numbers_asks_and_takes_the_backlog_in_once(vmjira: Vmjira, jira: Jira):
    file = vmjira.scan("a.nessus", week(23), {"10.1.0.1": [SMB, RDP], "10.1.0.2": [APACHE], "10.9.0.1": [SMB]})
    said = vmjira.run("adopt", "--dry-run", file).stdout
    for words in ("boston", "(in no range)", "2 tickets would be made", "From the next scan on", "Nothing was stored"):
        assert words in said
    numbers = vmjira.json("adopt", "--dry-run", file)
    assert numbers["tickets"] == {"iteration0": 2, "silent": 0, "cap": 2} and numbers["creates"] == 2
    assert "--dry-run or --yes" in vmjira.run("adopt", "--json", file, status=2).stderr
    assert "Aborted" in vmjira.run("adopt", file, status=1).stderr  # nobody answers
    assert vmjira.json("tickets") == [] and jira.calls() == []
    done = vmjira.json("adopt", "--yes", file)
    assert [scan["outcome"] for scan in done["scans"]] == ["adopted"] and len(done["operations"]) == 2
    assert {name: done[name] for name in numbers} == numbers
    assert [each["identifier"] for each in vmjira.json("tickets")] == ["web.boston.0", "windows.boston.0"]
    assert "known already" in vmjira.run("adopt", "--yes", file).stdout
    assert "nothing to adopt" in vmjira.run("adopt", file).stdout
    assert "exactly what its scans say" in vmjira.run("replay", "--check").stdout
    later = vmjira.scan("b.nessus", week(24), {"10.1.0.1": [SMB]})
    vmjira.run("ingest", later)
    again = vmjira.scan("c.nessus", week(25), {"10.1.0.1": [SMB]})
    assert "adopt: boston has rounds of scanning already" in vmjira.run("adopt", "--yes", again, status=1).stderr
