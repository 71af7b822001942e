"""Lines of a ticket's history, as the changelog and the webhooks show them."""

from __future__ import annotations

from typing import Any

from vmjira.sandbox.config import Config, id_of

Item = dict[str, Any]

#: What Jira calls a field in a history, where it differs.
NAMES = {"components": "Component"}


def item(field: str, old: str | None, old_text: str | None, new: str | None, new_text: str | None) -> Item:
    """One line; Jira writes ids beside texts."""
    sides = {"from": old, "fromString": old_text, "to": new, "toString": new_text}
    return {"field": field, "fieldtype": "jira", **sides}


def changed(config: Config, name: str, old: Any, new: Any) -> Item:
    """The line of a field that got another value; only Cloud tells the field's id."""
    line = item(NAMES.get(name, name), *_shown(config, name, old), *_shown(config, name, new))
    if config.cloud:
        line["fieldId"] = name
    if name.startswith("customfield_"):
        line["fieldtype"] = "custom"
    return line


def _shown(config: Config, name: str, value: Any) -> tuple[str | None, str | None]:
    """Id and text of a value."""
    if value is None:
        return None, None
    if name == "status":
        return config.status_ids[value], value
    if name in {"priority", "resolution"}:
        return id_of(config.priorities if name == "priority" else config.resolutions, value), value
    user = config.user(value) if name in {"assignee", "reporter"} else None
    if user:
        return (user.account_id if config.cloud else user.name), user.display
    return None, " ".join(map(str, value)) if isinstance(value, list) else str(value)
