"""A stand-in for Jira - Cloud or Data Center - for demos, rehearsals with real rules, and tests."""

from vmjira.sandbox.app import create_app

__all__ = ["create_app"]
