"""`vmjira rules …` and `vmjira plan`, as people, editors, hooks and CI use them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from tests.flows.scans import APACHE, RDP, SMB, nessus, week
from tests.flows.world import CATEGORIES, POLICY, RANGES
from vmjira.bootstrap import Application
from vmjira.cli import main
from vmjira.flows.ingest import ingest
from vmjira.settings import NAMES, load_settings

ROOT = Path(__file__).resolve().parents[2]
LAB = "  - {id: lab, title: Laboratory, networks: [10.1.5.0/24]}\n"
HOSTS = {"10.1.0.1": [SMB], "10.1.5.1": [SMB, RDP], "10.1.0.2": [APACHE]}


class Vmjira:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = dict.fromkeys(NAMES, "") | {
            "VMJIRA_RULES": "rules", "VMJIRA_DATA": "var", "VMJIRA_LOG": "error", "COLUMNS": "200",
        }  # fmt: skip

    def write(self, **texts: str) -> None:
        (self.folder / "rules").mkdir(exist_ok=True)
        for name, text in texts.items():
            (self.folder / "rules" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def run(self, *arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, list(arguments), env=self.environ, catch_exceptions=False)
        assert result.exit_code == status, result.output
        return result

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    def ingest(self, *files: Path) -> None:
        app = Application(load_settings(self.environ))
        with app.reader() as read:
            ingest(app.outside, files, read, app.load_rules)
        app.store.close()


@pytest.fixture
def vmjira(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vmjira:
    monkeypatch.chdir(tmp_path)
    vmjira = Vmjira(tmp_path)
    vmjira.write(categories=CATEGORIES, ranges=RANGES, policy=POLICY)
    return vmjira


# --- plan, history, diff ----------------------------------------------------------------------------------------------


def test_plan_keeps_its_shape_for_programs_and_tells_people_what_moves(vmjira: Vmjira):
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), HOSTS))
    assert {"operation", "identifier", "key", "reason", "details"} == set(vmjira.json("plan")[0])
    assert "findings move" not in vmjira.run("plan").stdout
    vmjira.write(ranges=RANGES + LAB)
    assert {"operation", "identifier", "key", "reason", "details"} == set(vmjira.json("plan")[0])
    said = vmjira.run("plan").stdout
    for words in ("2 findings move, out of 1 tickets", "Laboratory", "1 overlaps of networks", "newyork"):
        assert words in said
    both = vmjira.json("plan", "--preview")
    assert set(both) == {"operations", "rules"} and both["rules"]["moves"]["findings"] == 2


def test_history_tells_when_which_rules_were_in_force_and_diff_what_they_changed(vmjira: Vmjira):
    assert vmjira.json("rules", "history") == [] and "+  - {id: windows" in vmjira.run("rules", "diff").stdout
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), HOSTS))
    vmjira.write(ranges=RANGES + LAB)
    assert LAB.strip() in vmjira.run("rules", "diff").stdout
    vmjira.ingest()
    vmjira.write(ranges=RANGES)
    vmjira.ingest()
    third, second, first = vmjira.json("rules", "history")
    assert third["digest"] == first["digest"] != second["digest"]
    assert first["until"] == second["since"] and second["until"] == third["since"] and third["until"] is None
    assert (first["how"], second["how"], second["released_by"]) == ("the first rules", "changed files", None)
    (changed,) = second["files"]
    assert (changed["file"], changed["added"], changed["removed"], changed["from"]) == ("ranges.yaml", 1, 0, "file")
    assert f"+{LAB}" in vmjira.run("rules", "diff", second["digest"][:12]).stdout
    assert f"-{LAB}" in vmjira.run("rules", "diff", second["digest"], third["digest"]).stdout
    assert vmjira.run("rules", "diff").stdout == ""
    text = vmjira.run("rules", "history").stdout
    assert "3 times" in text and "in force" in text and "ranges.yaml +1 -0 by " in text
    assert "there is none whose digest begins so" in vmjira.run("rules", "diff", "nonsense", status=1).stderr
    assert "there is none" in vmjira.run("rules", "diff", "%", status=1).stderr


def test_a_broken_file_can_still_be_compared(vmjira: Vmjira):
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), HOSTS))
    vmjira.write(policy=POLICY + "nonsense: [\n")
    assert "+nonsense: [" in vmjira.run("rules", "diff").stdout


# --- check ------------------------------------------------------------------------------------------------------------

BROKEN = CATEGORIES.replace("family = 'Windows'", "famly = '100%'")


def test_check_says_by_its_exit_status_whether_all_is_well(vmjira: Vmjira):
    for form in ("text", "github", "sarif"):
        vmjira.run("rules", "check", "--format", form)
    vmjira.write(categories=BROKEN)
    for form in ("text", "github", "sarif"):
        vmjira.run("rules", "check", "--format", form, status=1)
    assert "categories.yaml:2:50: category 'windows': where:" in vmjira.run("rules", "check", status=1).stderr


def test_annotations_for_github_name_the_file_from_the_root_of_the_checkout(vmjira: Vmjira):
    vmjira.write(categories=BROKEN, policy=POLICY + "a,b: 1\n")
    first, second = vmjira.run("rules", "check", "--format", "github", "rules", status=1).stdout.splitlines()
    assert first.startswith("::error file=rules/categories.yaml,line=2,col=50,title=vmjira rules::category 'windows'")
    assert second.startswith("::error file=rules/policy.yaml,line=3,col=1,") and "'a,b'" in second


def test_no_text_of_a_file_can_begin_a_command_of_github(vmjira: Vmjira):
    vmjira.write(categories=CATEGORIES.replace("'Windows'\"", "'Windows' AND x = '%0A::error::y\\n::stop'\""))
    said = vmjira.run("rules", "check", "--format", "github", status=1).stdout
    assert all(line.startswith("::error file=rules/categories.yaml,line=2,") for line in said.splitlines())
    assert len(said.splitlines()) == 1


def test_sarif_has_the_structure_of_its_standard(vmjira: Vmjira):
    """Sections 3.13, 3.14, 3.18, 3.27 to 3.30 of SARIF 2.1.0."""
    empty = json.loads(vmjira.run("rules", "check", "--format", "sarif").stdout)
    assert empty["runs"][0]["results"] == []
    vmjira.write(categories=BROKEN)
    (vmjira.folder / "rules" / "templates").mkdir()
    log = json.loads(vmjira.run("rules", "check", "--format", "sarif", status=1).stdout)
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "vmjira" and [rule["id"] for rule in driver["rules"]] == ["vmjira-rules"]
    assert run["columnKind"] == "unicodeCodePoints"
    (result,) = run["results"]
    assert set(result) == {"ruleId", "level", "message", "locations"}
    assert result["ruleId"] == "vmjira-rules" and result["level"] == "error"
    assert "unknown column 'famly'" in result["message"]["text"]
    ((place,),) = [[each["physicalLocation"] for each in result["locations"]]]
    assert place == {
        "artifactLocation": {"uri": "rules/categories.yaml"}, "region": {"startLine": 2, "startColumn": 50},
    }  # fmt: skip


def test_templates_are_told_in_every_format(vmjira: Vmjira):
    templates = vmjira.folder / "rules" / "templates"
    templates.mkdir()
    (templates / "comment_verifeid.j2").write_text("x")
    for form in ("github", "sarif"):
        assert "rules/templates/comment_verifeid.j2" in vmjira.run("rules", "check", "--format", form, status=1).stdout


def test_a_folder_that_is_not_there_is_told_in_every_format(vmjira: Vmjira):
    for form in ("github", "sarif"):
        assert "there is no such folder" in vmjira.run("rules", "check", "--format", form, "nowhere", status=1).stdout


def test_the_hook_for_pre_commit_takes_just_the_rule_files():
    (hook,) = YAML(typ="safe").load(ROOT / ".pre-commit-hooks.yaml")
    assert hook["entry"] == "vmjira rules check" and hook["pass_filenames"] is False
    takes = re.compile(hook["files"])
    for path in sorted((ROOT / "rules").rglob("*.yaml")):
        assert takes.search(path.relative_to(ROOT).as_posix()), path
    assert takes.search("rules/templates/description.j2") and takes.search("policy.yaml")
    assert not takes.search("rules/other.yaml") and not takes.search("docs/rules.md")


def test_the_schema_of_one_file_is_printed_for_an_editor(vmjira: Vmjira):
    one = json.loads(vmjira.run("rules", "schema", "ranges.yaml").stdout)
    assert one["title"] == "ranges.yaml" and "ranges" in one["properties"]
    assert "is no rule file" in vmjira.run("rules", "schema", "range.yaml", status=2).stderr


def test_edited_rules_are_put_in_force_by_a_command_without_a_worker_or_a_scan(vmjira: Vmjira):
    assert vmjira.json("rules", "apply")["state"] == "in force"
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), HOSTS))
    vmjira.write(ranges=RANGES + LAB)
    said = vmjira.json("rules", "apply")
    assert said["state"] == "in force" and said["words"] == "changed rules are in force now"
    assert len(said["operations"]) == 2
    assert "windows.lab.2026-W23" in {each["identifier"] for each in vmjira.json("tickets")}
    assert "in force already" in vmjira.run("rules", "apply").stdout
    assert "exactly what its scans say" in vmjira.run("replay", "--check").stdout


def test_the_command_says_what_is_held_and_why_and_exits_with_1(vmjira: Vmjira):
    vmjira.ingest(nessus(vmjira.folder / "a.nessus", week(23), HOSTS))
    vmjira.write(categories=CATEGORIES.replace("id: windows", "id: win"))
    said = json.loads(vmjira.run("rules", "apply", "--json", status=1).stdout)
    assert said["state"] == "held" and "add `aliases: [windows]` to category 'win'" in said["words"]
    vmjira.write(categories="categories: []")
    broken = vmjira.run("rules", "apply", status=1)
    assert "categories.yaml:1:" in broken.stderr and "windows.boston.2026-W23" in vmjira.run("tickets").stdout
