"""docs/rules.md: every key of every rule file, written from the schemas. `python -m vmjira.rulefiles.reference`."""

from __future__ import annotations


def reference() -> str:
    return ""
