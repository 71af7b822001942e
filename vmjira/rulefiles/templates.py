"""Text with holes: the title of a ticket, and Jinja in further fields of the tracker."""

from __future__ import annotations

from string import Formatter

from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import SandboxedEnvironment

from vmjira.rulefiles.words import meant, quoted

TITLE_PLACEHOLDERS = (
    "category.title",
    "category.id",
    "range.title",
    "range.id",
    "iteration.name",
    "iteration.number",
    "iteration.label",
)
#: What `check_title` takes, for editors.
TITLE = r"([^{}]|\{\{|\}\}|\{(" + "|".join(TITLE_PLACEHOLDERS).replace(".", r"\.") + r")\})+"


def check_title(text: str) -> str:
    """`text` itself. Raise ValueError with words for a person unless it can be a title."""
    if len(text) > 255 or not text.isprintable():
        raise ValueError(f"{quoted(text)} is no title for the tracker; one line of at most 255 characters")
    try:
        holes = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(text) if name is not None]
    except ValueError:
        raise ValueError(
            f"{quoted(text)}: a brace is open or left over; write {{category.title}}, and {{{{ for a real brace"
        ) from None
    for name, spec, conversion in holes:
        if name not in TITLE_PLACEHOLDERS:
            raise ValueError(f"unknown placeholder {{{name}}}; {meant(name, TITLE_PLACEHOLDERS)}")
        if spec or conversion:
            raise ValueError(f"{{{name}}} takes no format; write {{{name}}} alone")
    return text


def check_jinja(text: str) -> None:
    """Raise ValueError with words for a person unless `text` is a template that can be rendered."""
    environment = SandboxedEnvironment()
    try:
        # Parsed, not compiled: compiling computes constants, and '{{ 9**9**9 }}' would never end.
        tree = environment.parse(text)
    except TemplateSyntaxError as error:
        raise ValueError(f"{quoted(text)} is no Jinja template: {error.message}; correct it") from None
    except RecursionError:
        raise ValueError("the Jinja template is nested too deeply; make it simpler") from None
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        known = environment.filters if isinstance(node, nodes.Filter) else environment.tests
        if node.name not in known:
            raise ValueError(
                f"{quoted(text)}: Jinja has no filter or test {quoted(node.name)}; {meant(node.name, known)}"
            )
