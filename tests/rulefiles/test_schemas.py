"""The schemas hold what they promise: every key does something, and the page and the JSON Schema say the same."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from marshmallow import fields
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tests.rulefiles.good import GOOD
from vmjira.rulefiles import json_schema, load_texts, reference
from vmjira.rulefiles.fields import ListOf, Section
from vmjira.rulefiles.scanner_schema import COMMON, TYPES
from vmjira.rulefiles.schemas import FILES
from vmjira.rulescommands import rules

ROOT = Path(__file__).resolve().parents[2]
RULES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.yaml")}

#: The least that a file must say, to which one key at a time is added.
LEAST = {
    "categories.yaml": {"categories": [{"id": "a", "title": "A", "where": "cvss3 > 1"}]},
    "ranges.yaml": {
        "ranges": [{"id": "a", "title": "A", "networks": ["10.9.0.0/16"], "ticket": {"project": "PROJECT"}}]
    },
    "policy.yaml": {},
    "acceptances.yaml": {"acceptances": [{"reason": "R", "approver": "A", "until": "2026-01-01", "host": "pc1"}]},
    "scanners.yaml": {"scanners": [{"id": "a", "type": "upload"}]},
}


def keys(schema, path=()):
    """Every key that holds a value, as a path; 0 stands for the first entry of a list."""
    for name, field in schema.fields.items():
        inner = field.inner if isinstance(field, ListOf) else field
        here = (*path, name)
        if isinstance(inner, Section):
            yield from keys(inner.schema, (*here, 0) if isinstance(field, ListOf) else here)
        else:
            yield here, field


def every_key():
    for file, schema in FILES.items():
        for path, field in keys(schema()):
            yield pytest.param(file, path, field, id=f"{file} {'.'.join(map(str, path))}")


@pytest.mark.parametrize(("file", "path", "field"), every_key())
def test_every_key_changes_the_rule_book(file, path, field):
    before, after = YAML(typ="safe").load(dump(LEAST[file])), YAML(typ="safe").load(dump(LEAST[file]))
    if file == "scanners.yaml" and path[2] not in COMMON:
        kind = next(kind for kind, (needed, possible) in TYPES.items() if path[2] in (*needed, *possible))
        for document in (before, after):
            document["scanners"][0] |= (
                {"type": kind, "url": "https://x"} if kind != "folder" else {"type": kind, "path": "x"}
            )
    if path == ("scanners", 0, "type"):
        after["scanners"][0]["url"] = "https://x"
    put(after, path, [example(field.inner)] if isinstance(field, ListOf) else example(field))
    assert bare(file, before) != bare(file, after)


def example(field: fields.Field):
    return field.metadata["example"]


def put(document, path, value):
    for step in path[:-1]:
        document = document[step] if isinstance(document, list) else document.setdefault(step, {})
    document[path[-1]] = value


def dump(document) -> str:
    return json.dumps(document)  # JSON is YAML


def bare(file, document):
    good = GOOD | {"categories.yaml": GOOD["categories.yaml"].replace("id: web", "id: web-servers")}
    return replace(load_texts(good | {file: dump(document)}), files={}, digest="")


def test_reference_page_is_up_to_date():
    assert (ROOT / "docs" / "rules.md").read_text(encoding="utf-8") == reference(), (
        "docs/rules.md is old: python -m vmjira.rulefiles > docs/rules.md"
    )


def test_the_page_on_editors_and_ci_names_each_first_line_the_hook_and_commands_that_there_are():
    page = (ROOT / "docs" / "editors-and-ci.md").read_text(encoding="utf-8")
    for name in FILES:
        assert f"| `{name}` | `# yaml-language-server: $schema=schema.json#/$defs/{name}` |" in page
    hooks, actions, gitlab = (YAML(typ="safe").load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.S))
    (offered,) = YAML(typ="safe").load(ROOT / ".pre-commit-hooks.yaml")
    assert hooks["repos"][0]["hooks"] == [{"id": offered["id"]}]
    steps = [step["run"] for step in actions["jobs"]["check"]["steps"] if "run" in step]
    for line in (*steps, *gitlab["rules"]["script"]):
        if line.startswith("vmjira"):
            arguments = line.partition(" > ")[0].split()[1:]
            assert rules.get_command(None, arguments[1]).make_context("check", arguments[2:]).params["folder"]


def test_the_schema_beside_the_shipped_rules_is_up_to_date_and_each_of_them_names_its_part():
    text = (ROOT / "rules" / "schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == json_schema(), "rules/schema.json is old: vmjira rules schema > rules/schema.json"
    for name, shipped in RULES.items():
        assert shipped.startswith(f"# yaml-language-server: $schema=schema.json#/$defs/{name}\n"), name


def test_reference_page_names_every_key():
    page = reference()
    for schema in FILES.values():
        for path, _ in keys(schema()):
            assert f"| `{path[-1]}` |" in page


def yaml_examples():
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)):
            name = re.match(r"# rules/([a-z]+\.yaml)\n", block)
            if name:
                yield pytest.param(name[1], block, id=f"{page.name} {number}")


@pytest.mark.parametrize(("name", "block"), yaml_examples())
def test_every_yaml_example_in_the_docs_loads(name, block):
    load_texts(GOOD | {name: block})


def test_docs_show_an_example_of_every_file():
    assert {case.values[0] for case in yaml_examples()} == set(FILES)


@pytest.mark.parametrize("name", sorted(RULES))
def test_what_is_commented_out_in_the_shipped_rules_loads_too(name):
    text = re.sub(r"^(\w+): \[\]$", "", RULES[name], flags=re.M) if name == "acceptances.yaml" else RULES[name]
    revived = re.sub(r"^( *)# (?=(?: *- )? *[a-z_]+[0-9]*:(?: |$))", r"\1", text, flags=re.M)
    assert name == "categories.yaml" or revived != text
    rules = load_texts(RULES | {name: revived})
    assert name == "categories.yaml" or replace(rules, files={}, digest="") != replace(
        load_texts(RULES), files={}, digest=""
    )


@pytest.mark.parametrize("name", list(FILES))
def test_json_schema_is_valid_and_accepts_what_the_loader_accepts(name):
    schema = json_schema(name)
    Draft202012Validator.check_schema(schema)
    document = YAML(typ="safe").load(RULES[name])
    for acceptance in document.get("acceptances") or []:
        acceptance["until"] = str(acceptance["until"])
    assert [error.message for error in Draft202012Validator(schema).iter_errors(document)] == []
    assert json_schema()["$defs"][name]["properties"] == schema["properties"]


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("categories.yaml", {"categories": [{"id": "A", "title": "A", "where": "true"}]}),
        ("categories.yaml", {"categories": []}),
        ("ranges.yaml", {"ranges": [{"id": "a", "title": "A", "networks": []}]}),
        ("policy.yaml", {"top_hosts": 11}),
        ("policy.yaml", {"tophosts": 10}),
        ("policy.yaml", {"accept": {"for": "long"}}),
        ("acceptances.yaml", {"acceptances": [{"reason": "x"}]}),
        ("scanners.yaml", {"scanners": [{"id": "a", "type": "nessus", "access_key": "literal"}]}),
    ],
)
def test_json_schema_refuses_what_the_loader_refuses(name, document):
    assert not Draft202012Validator(json_schema(name)).is_valid(document)


#: What no schema of one file can tell: it takes SQL, Jinja, the time zones, or more than one place.
BEYOND = (
    "where:", "unknown time zone", "Jinja", "is already", "never takes a finding", "no project", "unknown category",
    "unknown range", "the file is empty",
    "https://[::1",  # what is no address in detail
)  # fmt: skip


def bad_cases():
    for path in sorted((Path(__file__).parent / "cases").glob("*.yaml")):
        for case in YAML(typ="safe").load(path.read_text(encoding="utf-8")):
            for file in FILES:
                told = [line for line in case.get("problems", "").splitlines() if line.startswith(f"{file}:")]
                if file.removesuffix(".yaml") in case and told and path.stem != "yaml":
                    yield pytest.param(case[file.removesuffix(".yaml")], file, told, id=f"{path.stem}: {case['name']}")


@pytest.mark.parametrize(("text", "file", "told"), bad_cases())
def test_json_schema_refuses_every_bad_case_that_a_schema_can_tell(text, file, told):
    try:
        document = json.loads(json.dumps(YAML(typ="safe").load(text), default=str))
    except (YAMLError, ValueError):  # the 30th of February
        return  # editors say that themselves
    if not all(any(words in line for words in BEYOND) for line in told):
        assert not Draft202012Validator(json_schema(file)).is_valid(document)


@pytest.mark.parametrize(("name", "block"), yaml_examples())
def test_json_schema_accepts_every_example_in_the_docs(name, block):
    document = json.loads(json.dumps(YAML(typ="safe").load(block), default=str))
    assert [error.message for error in Draft202012Validator(json_schema(name)).iter_errors(document)] == []


def test_every_key_is_described():
    for schema in FILES.values():
        for path, field in keys(schema()):
            assert field.metadata["description"].endswith("."), path
