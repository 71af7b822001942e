"""What Jira has of the things that rules may name; each is asked for once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from vmjira.trackers.jira.calls import Call
from vmjira.trackers.jira.fields import category
from vmjira.trackers.jira.tracker import JiraTracker

MANY = "1000"  # per page: a Data Center gives 50 unless asked for more


class Known:
    """For one diagnosis. Its methods raise TrackerErrors."""

    def __init__(self, tracker: JiraTracker) -> None:
        self.tracker = tracker
        self._answers: dict[tuple[str, ...], Any] = {}

    def get(self, path: str, doing: str, **params: str) -> Any:
        asked = (path, *params.values())
        if asked not in self._answers:
            self._answers[asked] = self.tracker.client.send(Call("GET", f"/rest/api/2/{path}", doing, params=params))
        return self._answers[asked]

    @cached_property
    def link_types(self) -> list[str]:
        return _names(self.get("issueLinkType", "read the link types")["issueLinkTypes"])

    @cached_property
    def priorities(self) -> list[str]:
        return _names(self.get("priority", "read the priorities"))

    @cached_property
    def resolutions(self) -> list[str]:
        return _names(self.get("resolution", "read the resolutions"))

    @cached_property
    def fields(self) -> dict[str, str]:
        """Name by id."""
        return {each["id"]: each["name"] for each in self.get("field", "read the fields")}

    def components(self, project: str) -> list[str]:
        return _names(self.get(f"project/{project}", f"read the project {project!r}").get("components") or [])

    def issue_types(self, project: str) -> dict[str, str]:
        """Id by name."""
        path = f"issue/createmeta/{project}/issuetypes"
        answer = self.get(path, f"read the issue types of {project!r}", maxResults="200")
        return {each["name"]: each["id"] for each in answer.get("issueTypes") or answer.get("values") or ()}

    def screen(self, project: str, issue_type: str) -> dict[str, Mapping[str, Any]]:
        """What may be set when a ticket is made, by id of the field."""
        id_ = self.issue_types(project)[issue_type]
        path = f"issue/createmeta/{project}/issuetypes/{id_}"
        answer = self.get(path, f"read the create screen of {issue_type!r} in {project!r}", maxResults=MANY)
        return {each["fieldId"]: each for each in answer.get("fields") or answer.get("values") or ()}

    def statuses(self, project: str, issue_type: str) -> dict[str, str]:
        """Category by name, of the workflow that tickets of this type have."""
        answer = self.get(f"project/{project}/statuses", f"read the statuses of {project!r}")
        return {
            status["name"]: category(status)
            for kind in answer
            if kind["name"] == issue_type
            for status in kind["statuses"]
        }

    def permissions(self, project: str, wanted: list[str]) -> Mapping[str, Mapping[str, Any]]:
        asked = {"permissions": ",".join(wanted)} if self.tracker.client.cloud else {}  # Data Center always tells all
        answer = self.get("mypermissions", f"read our permissions in {project!r}", projectKey=project, **asked)
        found: Mapping[str, Mapping[str, Any]] = answer["permissions"]
        return found


def _names(found: Any) -> list[str]:
    return [str(each["name"]) for each in found]
