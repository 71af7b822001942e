"""A small rule book that is right, to spoil it in one place at a time."""

from __future__ import annotations

from vmjira.errors import RulesInvalid
from vmjira.rulefiles import load_texts

CATEGORIES = """\
categories:
  - id: web
    title: Web servers
    where: family = 'Web Servers'
"""
RANGES = """\
ranges:
  - id: boston
    title: Boston Office
    networks: [10.1.0.0/16]
    ticket: {project: VM}
"""
GOOD = {"categories.yaml": CATEGORIES, "ranges.yaml": RANGES}


def problems(**files: str) -> list[str]:
    """What is said of the good rules with these files put in: `categories`, `ranges`, …"""
    try:
        load_texts(GOOD | {f"{name}.yaml": text for name, text in files.items()})
    except RulesInvalid as error:
        return [str(problem) for problem in error.problems]
    return []


def condition(where: str) -> str:
    """What is said of a condition; "" if it is right."""
    found = problems(categories=f"categories:\n  - id: a\n    title: A\n    where: {quoted(where)}\n")
    return found[0].partition("where: ")[2] if found else ""


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
