"""`vmjira enrich`, and what `rules check` says of conditions that need it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from tests.enrich.samples import OF_RDP, OF_SMB, epss_csv, kev_json, write
from tests.flows.world import CATEGORIES, POLICY, RANGES
from tests.rulefiles.good import condition, problems
from vmjira.cli import main
from vmjira.rulefiles import hints, load_texts
from vmjira.settings import NAMES

EXPLOITED = CATEGORIES + "  - {id: worst, title: Worst, where: kev AND epss > 0.5}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own, without Jira and without a `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "rules").mkdir()
    for name, text in {"categories": EXPLOITED, "ranges": RANGES, "policy": POLICY}.items():
        (tmp_path / "rules" / f"{name}.yaml").write_text(text, encoding="utf-8")
    yield tmp_path
    structlog.reset_defaults()


def vmjira(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status and "Traceback" not in result.output, result.output
    return result


def test_files_are_taken_by_command_on_a_server_without_internet(folder: Path):
    kev = write(folder, "kev.json", kev_json({OF_SMB: "2030-01-22"}))
    epss = write(folder, "epss.csv.gz", epss_csv({OF_SMB: 0.9}), packed=True)
    said = vmjira("enrich", "--kev", kev, "--epss", epss).stdout
    assert said == "taken: CISA KEV 2030.01.01: 1 CVEs, FIRST EPSS v2030.01.01 of 2030-01-01: 21 CVEs\n"
    assert vmjira("enrich", "--kev", kev).stdout == "nothing new: CISA KEV 2030.01.01: 1 CVEs\n"


def test_programs_get_json(folder: Path):
    kev = write(folder, "kev.json", kev_json({OF_SMB: "2030-01-22"}))
    found = json.loads(vmjira("enrich", "--kev", kev, "--json").stdout)
    assert found["changed"] is True and found["refused"] == {}
    assert (
        found["catalogues"]["kev"] | {"source": kev, "edition": "2030.01.01", "cves": 1} == found["catalogues"]["kev"]
    )


def test_what_is_refused_is_said_and_the_status_tells(folder: Path):
    write(folder, "kev.json", b"nonsense")
    result = vmjira("enrich", "--kev", "kev.json", "--json", status=1)
    assert "kev.json: is no JSON" in result.stderr and json.loads(result.stdout)["changed"] is False


def test_a_catalogue_that_shrank_needs_a_word(folder: Path):
    many = {f"CVE-2030-1{n:03}": "2030-01-22" for n in range(5)}
    vmjira("enrich", "--kev", write(folder, "kev.json", kev_json(many)))
    small = write(folder, "small.json", kev_json({OF_SMB: "2030-01-22", OF_RDP: "2030-01-22"}))
    assert "vmjira enrich --shrunk" in vmjira("enrich", "--kev", small, status=1).stderr
    assert vmjira("enrich", "--kev", small, "--shrunk").stdout.startswith("taken: ")


def test_without_options_the_policy_names_the_catalogues(folder: Path):
    assert "no catalogue is named; give --kev or --epss" in vmjira("enrich", status=1).stderr
    kev = write(folder, "kev.json", kev_json({OF_SMB: "2030-01-22"}))
    (folder / "rules" / "policy.yaml").write_text(f"{POLICY}enrichment: {{kev: {kev}}}\n", encoding="utf-8")
    assert vmjira("enrich").stdout.startswith("taken: CISA KEV")


def test_rules_check_warns_of_conditions_that_no_catalogue_feeds(folder: Path):
    result = vmjira("rules", "check")
    assert "all is well" in result.stdout
    for column in ("kev", "epss"):
        assert f"categories.yaml:4: category 'worst': where: no scanner tells {column}" in result.stderr
    named = f"{POLICY}enrichment: {{kev: /srv/kev.json, epss: /srv/epss.csv}}\n"
    (folder / "rules" / "policy.yaml").write_text(named, encoding="utf-8")
    assert vmjira("rules", "check").stderr == ""


def test_only_the_catalogue_that_is_missing_is_named():
    policy = f"{POLICY}enrichment: {{epss: /srv/epss.csv}}\n"
    rules = {"categories.yaml": EXPLOITED, "ranges.yaml": RANGES, "policy.yaml": policy}
    (hint,) = hints(load_texts(rules))
    assert "no scanner tells kev," in hint and "vmjira enrich --kev FILE" in hint


@pytest.mark.parametrize(
    "where",
    [
        "kev",
        "NOT kev",
        "kev AND severity >= 'medium'",
        "epss >= 0.3",
        "1 > epss",
        "kev_due < date '2030-01-01'",
        "epss IS NULL OR epss BETWEEN 0.1 AND 0.2",
    ],
)
def test_conditions_may_name_what_catalogues_tell(where: str):
    assert condition(where) == ""


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("epss >= 30", "'epss' is a probability from 0 to 1, not 30; write 0.3"),
        ("kev = 'yes'", "'kev' is true or false, not 'yes'; write kev or NOT kev"),
        ("kve", "unknown column 'kve'; did you mean 'kev'?"),
        ("epss", "the condition gives a number, not true or false"),
        ("kev_due < '2030-01-01'", "a date is compared with text"),
    ],
)
def test_a_mistake_in_such_a_condition_is_said(where: str, words: str):
    assert condition(where).startswith(words)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("http://example.com/kev.json", "'http://example.com/kev.json' is neither an https address nor a path"),
        ("https://me:hush@example.com/kev", "a user or password must not stand in an address"),
        ("7", "where text is wanted"),
    ],
)
def test_a_source_that_cannot_be_trusted_is_refused_in_the_rules(value: str, words: str):
    (problem,) = problems(policy=f"enrichment:\n  kev: {value}\n")
    assert problem.startswith("policy.yaml:2:") and words in problem and "hush" not in problem
