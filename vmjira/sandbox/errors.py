"""Refusals in Jira's own shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class JiraError(Exception):
    """An answer that is an error: `{"errorMessages": [...], "errors": {field: text}}`."""

    def __init__(self, status: int, *messages: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(status, messages, errors)
        self.status = status
        self.messages = list(messages)
        self.errors = dict(errors or {})

    def body(self) -> dict[str, Any]:
        return {"errorMessages": self.messages, "errors": self.errors}


def no_issue() -> JiraError:
    return JiraError(404, "Issue does not exist or you do not have permission to see it.")


def not_on_screen(field: str) -> str:
    return f"Field '{field}' cannot be set. It is not on the appropriate screen, or unknown."
