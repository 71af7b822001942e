"""Prints docs/rules.md: `python -m vmjira.rulefiles > docs/rules.md`."""

import sys

from vmjira.rulefiles.reference import reference

sys.stdout.write(reference())
