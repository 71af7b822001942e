"""Whatever stands in a rule file, the answer is a rule book or a list of problems."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rulefiles.good import GOOD
from vmjira.errors import RulesInvalid
from vmjira.rulefiles import load_texts
from vmjira.rulefiles.fields import ListOf, Section
from vmjira.rulefiles.schemas import FILES

ODD = [
    "",
    " ",
    "*",
    "{",
    "{}",
    "{{",
    "::",
    "0",
    "-",
    "a-b",
    "1/2",
    "'",
    "\\",
    "\u2028",
    "é",
    "10.1.0.0/16",
    "true",
    "${A}",
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(ODD) | st.text(max_size=9)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def value(field):
    """Mostly what the field wants, sometimes anything."""
    if isinstance(field, ListOf):
        return st.lists(value(field.inner), max_size=3) | ANYTHING
    if isinstance(field, Section):
        return document(field.schema) | ANYTHING
    return st.just(field.metadata["example"]) | ANYTHING


def document(schema):
    return st.fixed_dictionaries({}, optional={name: value(field) for name, field in schema.fields.items()})


@given(data=st.data(), name=st.sampled_from(list(FILES)))
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_anything_gives_a_rule_book_or_problems(data, name):
    drawn = data.draw(document(FILES[name]()) | ANYTHING)
    try:
        rules = load_texts(GOOD | {name: json.dumps(drawn)})
    except RulesInvalid as error:
        assert error.problems
        assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in error.problems)
        assert all(str(problem).isprintable() for problem in error.problems)
    else:
        assert load_texts(rules.files) == rules


@given(text=st.text(alphabet="ab:-[]{}*&!|>'\"#%@`, \n\t0", max_size=40), name=st.sampled_from(list(FILES)))
@settings(max_examples=150, deadline=None)
def test_any_text_gives_a_rule_book_or_problems(text, name):
    try:
        load_texts(GOOD | {name: text})
    except RulesInvalid as error:
        assert error.problems
