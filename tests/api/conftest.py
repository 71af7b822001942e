from __future__ import annotations

from tests.web.conftest import app, jira, web, world

__all__ = ["app", "jira", "web", "world"]
