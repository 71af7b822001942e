"""An admin's own templates: they override ours, their values are escaped, and their errors have a line."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from vmjira.domain.rulebook import Category
from vmjira.errors import RulesInvalid
from vmjira.rendering import Renderer, check_templates
from vmjira.rendering.sample import FULL, TEMPLATES
from vmjira.rendering.templates import SHIPPED

DOC = Path(__file__).resolve().parents[2] / "docs" / "ticket-text.md"


def described(folder: Path, text: str, view=FULL) -> str:
    (folder / "description.j2").write_text(text, encoding="utf-8")
    return Renderer(folder).description(view, []).split("\n", 1)[1].rsplit("\n", 1)[0]


def test_shipped_templates_have_no_problems() -> None:
    assert check_templates(SHIPPED) == []


def test_a_file_of_the_same_name_overrides_ours(tmp_path: Path) -> None:
    assert described(tmp_path, "{{ own.open }} left") == "9 left"


def test_a_template_may_change_one_block_of_ours(tmp_path: Path) -> None:
    text = '{% extends "shipped/description.j2" %}{% block footnote %}Ask the {{ range.title }} desk.{% endblock %}'
    shown = described(tmp_path, text)
    assert shown.startswith("h2. Patch") and shown.endswith("Ask the Boston Office desk.")


def test_changes_take_effect_without_a_restart(tmp_path: Path) -> None:
    renderer = Renderer(tmp_path)
    assert "h2. Patch" in renderer.description(FULL, [])
    (tmp_path / "description.j2").write_text("mine")
    assert "mine" in renderer.description(FULL, [])
    (tmp_path / "description.j2").unlink()
    assert "h2. Patch" in renderer.description(FULL, [])


@pytest.mark.parametrize(
    "text",
    [
        "{{ category.title }}",
        "{{ category.title | upper | lower }}",
        "{{ category.title ~ '' }}",
        "{{ [category.title] | join(', ') }}",
        "{{ category.title | e }}",
        "{{ category.title | safe }}",
        "{% set x = category.title %}{{ x }}",
    ],
)
def test_every_value_is_escaped_however_it_is_put(tmp_path: Path, text: str) -> None:
    view = replace(FULL, category=Category("c", "{color:red}", ""))
    assert described(tmp_path, text, view) == "\\{color:red\\}"


def test_markup_has_to_be_asked_for(tmp_path: Path) -> None:
    assert described(tmp_path, "{{ '*x*' | as_markup }}") == "*x*"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a\n{% if %}", 2, "Expected an expression"),
        ("a\nb\n{{ nonsense }}", 3, "'nonsense' is undefined"),
        ("{{ own.opne }}", 1, "has no attribute 'opne'"),
        ("\n{{ ''.__class__.__mro__ }}", 2, "__class__"),
        ("\n{{ 1 / 0 }}", 2, "division by zero"),
        ("{{ own_rows }}", 1, "undefined"),
        ("{% include '../policy.yaml' %}", 1, "no template is called '../policy.yaml'"),
        ("{% if own.total == 0 %}\n{{ only_then }}{% endif %}", 2, "'only_then' is undefined"),
    ],
)
def test_an_error_has_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    (tmp_path / "description.j2").write_text(text)
    (problem, *more) = check_templates(tmp_path)
    assert (problem.file, problem.line, more) == ("templates/description.j2", line, [])
    assert words in problem.message


def test_rendering_with_a_broken_template_raises_the_same_problem(tmp_path: Path) -> None:
    with pytest.raises(RulesInvalid, match=r"templates/description\.j2:1:1: .*'nonsense' is undefined"):
        described(tmp_path, "{{ nonsense }}")


def test_a_template_in_another_encoding_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "comment_closed.j2").write_bytes(b"caf\xe9")
    (problem,) = check_templates(tmp_path)
    assert problem.file == "templates/comment_closed.j2"


def test_a_misnamed_template_is_a_problem_and_a_part_is_not(tmp_path: Path) -> None:
    (tmp_path / "desciption.j2").write_text("x")
    (tmp_path / "_part.j2").write_text("part")
    (tmp_path / "comment_closed.j2").write_text("{% include '_part.j2' %}")
    (problem,) = check_templates(tmp_path)
    assert "did you mean 'description.j2'?" in problem.message
    assert Renderer(tmp_path).comment("closed", view=FULL) == "part"


def test_what_a_template_does_not_get_is_an_error_in_the_check_already(tmp_path: Path) -> None:
    (tmp_path / "comment_duplicate.j2").write_text("{{ own.open }}")
    (tmp_path / "comment_closed.j2").write_text("{{ attached }}")
    (tmp_path / "description.j2").write_text("{{ notes }}")
    assert [problem.message.split()[3] for problem in check_templates(tmp_path)] == ["'attached'", "'own'", "'notes'"]


def test_every_template_has_a_sample() -> None:
    assert {path.name for path in SHIPPED.glob("[!_]*.j2")} == set(TEMPLATES)


def test_no_folder_is_no_problem(tmp_path: Path) -> None:
    assert check_templates(tmp_path / "none") == []


def test_examples_of_the_manual_work(tmp_path: Path) -> None:
    examples = re.findall(r"`rules/templates/(\S+\.j2)`:\n\n```jinja\n(.*?)```", DOC.read_text(encoding="utf-8"), re.S)
    assert examples
    for name, text in examples:
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert check_templates(tmp_path) == []
    assert "Questions: #boston-patching" in Renderer(tmp_path).description(FULL, []).replace("\\", "")


def test_the_manual_names_every_template() -> None:
    manual = DOC.read_text(encoding="utf-8")
    assert [path.name for path in SHIPPED.glob("[!_]*.j2") if f"`{path.name}`" not in manual] == []
