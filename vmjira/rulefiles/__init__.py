"""Rule files: YAML to a Rulebook, with all problems at once, each with file, line and column."""

from vmjira.rulefiles.editors import editors
from vmjira.rulefiles.hints import hints
from vmjira.rulefiles.json_schema import json_schema
from vmjira.rulefiles.loader import load, load_texts, read_texts
from vmjira.rulefiles.places import where
from vmjira.rulefiles.reference import reference

__all__ = ["editors", "hints", "json_schema", "load", "load_texts", "read_texts", "reference", "where"]
