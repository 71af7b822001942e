"""What people and programs do to tickets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmjira.sandbox.errors import JiraError, not_on_screen
from vmjira.sandbox.fields import Wishes, Wrong, resolution
from vmjira.sandbox.history import changed, item
from vmjira.sandbox.parts import Parts
from vmjira.sandbox.store import Issue
from vmjira.sandbox.workflow import Transition


class Desk(Parts):
    """One person's hand on the tickets, within one transaction."""

    def create(self, project: str, wishes: Wishes) -> Issue:
        self.require("CREATE_ISSUES")
        if not wishes.errors and "summary" not in wishes.values:
            wishes.errors["summary"] = "You must specify a summary of the issue."
        if "issuetype" not in wishes.values:
            wishes.errors.setdefault("issuetype", "Specify an issue type")
        _refuse(wishes.errors)
        now = self.tx.now()
        workflow = self.config.workflow_of(project)
        default = self.config.priorities[len(self.config.priorities) // 2]
        start = {"project": project, "status": workflow.initial, "priority": default, "reporter": self.actor.name}
        issue = Issue(
            **{**start, **_own(wishes, Issue.__dataclass_fields__), "creator": self.actor.name},
            id=0, key=self.tx.next_key(project), created=now, updated=now,
        )  # fmt: skip
        issue.custom = {name: value for name, value in wishes.values.items() if name.startswith("customfield_")}
        issue.watchers = [self.actor.name]
        self.tx.add_issue(issue)
        items = [
            changed(self.config, "status", None, issue.status),
            changed(self.config, "summary", None, issue.summary),
        ]
        self._tell("jira:issue_created", issue, "issue_created", items=items if self.config.cloud else None)
        self._add_extras(issue, wishes)
        return issue

    def edit(self, issue: Issue, wishes: Wishes) -> None:
        self.require("EDIT_ISSUES")
        _refuse(wishes.errors)
        self.change(issue, self._changes(issue, wishes))
        self._add_extras(issue, wishes)

    def _changes(self, issue: Issue, wishes: Wishes) -> dict[str, Any]:
        changes = {}
        for name in wishes.touched:
            old = issue.custom.get(name) if name.startswith("customfield_") else getattr(issue, name)
            changes[name] = wishes.apply(name, old)
        return changes

    def _add_extras(self, issue: Issue, wishes: Wishes) -> None:
        for body in wishes.comments:
            self.comment(issue, body)
        for link in wishes.links:
            try:
                self.link_from(issue, link)
            except JiraError as error:
                raise JiraError(400, *error.messages, errors=error.errors) from None

    def change(self, issue: Issue, changes: Mapping[str, Any], event: str = "issue_updated") -> None:
        """Give fields new values; what has its value already is no change and makes no event."""
        items = []
        for name, value in changes.items():
            custom = name.startswith("customfield_")
            old = issue.custom.get(name) if custom else getattr(issue, name)
            if old == value:
                continue
            items.append(changed(self.config, name, old, value))
            if custom:
                issue.custom[name] = value
            else:
                setattr(issue, name, value)
        if items:
            self._record(issue, items, event)

    def transition(self, issue: Issue, step: Transition, fields: Mapping[str, Any]) -> None:
        """Take a step of the workflow; the resolution is set on its screen and cleared by leaving done."""
        self.require("TRANSITION_ISSUES")
        allowed = set() if step.resolution == "no" else {"resolution"}
        _refuse({name: not_on_screen(name) for name in fields if name not in allowed})
        value = None
        if "resolution" in fields and fields["resolution"] is not None:
            try:
                value = resolution(self.config, fields["resolution"])
            except Wrong as wrong:
                raise JiraError(400, errors={"resolution": str(wrong)}) from None
        elif step.resolution == "required":
            raise JiraError(400, errors={"resolution": "Resolution is required."})
        self._arrive(issue, step, value)

    def _arrive(self, issue: Issue, step: Transition, value: str | None) -> None:
        categories = self.config.workflow_of(issue.project).categories
        was_done, done = categories[issue.status] == "done", categories[step.target] == "done"
        event = "issue_generic"  # all that Cloud says
        if done and not was_done:
            value, event = value or self.config.resolutions[0], "issue_resolved"
            issue.resolved = self.tx.now()
        elif done:
            value = value or issue.resolution
        else:
            event = "issue_reopened" if was_done else event
            issue.resolved = None
        event = "issue_generic" if self.config.cloud else event
        self.change(issue, {"resolution": value, "status": step.target}, event)

    def move(self, issue: Issue, project: str) -> None:
        """Into another project: a new key, the old one goes on leading here."""
        target = self.config.project_of(project)
        if target.key == issue.project:
            return
        old_key, old_project = issue.key, self.config.project_of(issue.project)
        category = self.config.workflow_of(issue.project).categories[issue.status]
        issue.key, issue.project = self.tx.next_key(project), project
        items = [
            item("project", old_project.id, old_project.name, target.id, target.name),
            item("Key", None, old_key, None, issue.key),
        ]
        status = self.config.workflow_of(project).nearest(issue.status, category)
        kind = issue.issuetype if issue.issuetype in target.issue_types else target.issue_types[0]
        components = [name for name in issue.components if name in target.components]
        for name, value in (("status", status), ("issuetype", kind), ("components", components)):
            if getattr(issue, name) != value:
                items.append(changed(self.config, name, getattr(issue, name), value))
                setattr(issue, name, value)
        self.tx.run("INSERT OR REPLACE INTO old_keys VALUES (?, ?)", old_key, issue.id)
        self._record(issue, items, "issue_moved")

    def delete(self, issue: Issue) -> None:
        self.require("DELETE_ISSUES")
        self._tell("jira:issue_deleted", issue, None)
        self.tx.run("DELETE FROM issues WHERE id = ?", issue.id)

    def watch(self, issue: Issue, name: str) -> None:
        if name not in issue.watchers:
            issue.watchers.append(name)
            self.tx.save_issue(issue)

    def unwatch(self, issue: Issue, name: str) -> None:
        if name in issue.watchers:
            issue.watchers.remove(name)
            self.tx.save_issue(issue)


def _own(wishes: Wishes, known: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: wishes.apply(name, []) for name in wishes.touched}
    return {name: value for name, value in values.items() if name in known}


def _refuse(errors: Mapping[str, str]) -> None:
    if errors:
        raise JiraError(400, errors=errors)
