"""The smallest honest bridge between plain text and the Atlassian Document Format of REST v3."""

from __future__ import annotations

from typing import Any

from vmjira.sandbox.errors import JiraError


def to_adf(text: str | None) -> dict[str, Any] | None:
    """A paragraph a line. Wiki markup stays literal text, as it does when v3 meets it."""
    if not text:
        return None
    paragraphs = [
        {"type": "paragraph", "content": [{"type": "text", "text": line}] if line else []} for line in text.split("\n")
    ]
    return {"type": "doc", "version": 1, "content": paragraphs}


def from_adf(field: str, document: Any) -> str:
    if not isinstance(document, dict) or document.get("type") != "doc":
        text = "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
        raise JiraError(400, errors={field: text})
    return "\n".join(_text(node) for node in document.get("content", []))


def _text(node: Any) -> str:
    if not isinstance(node, dict):
        return ""
    if node.get("type") == "hardBreak":
        return "\n"
    return str(node.get("text", "")) + "".join(_text(child) for child in node.get("content", []))
