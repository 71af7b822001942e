"""Makes one ticket in one call, and with less where Jira refuses what a ticket can live without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from vmjira.domain.rulebook import TicketRules
from vmjira.errors import TrackerError
from vmjira.flows.tracking import Created, Draft
from vmjira.trackers.jira import fields
from vmjira.trackers.jira.calls import Call, Refusal
from vmjira.trackers.jira.client import Client
from vmjira.trackers.jira.people import People


class Creation:
    """Once the ticket exists nothing fails any more: what is missing becomes a note."""

    def __init__(self, client: Client, people: People, link: Callable[[str, str, str], None]) -> None:
        self._client = client
        self._people = people
        self._link = link
        self._notes: list[str] = []

    def create(self, draft: Draft) -> Created:
        body = fields.request(draft, self._assignee(draft.rules))
        answer, dropped = self._post(draft, body)
        made = Created(id=str(answer["id"]), key=answer["key"])
        for name, said in dropped.items():
            self._note_dropped(made.key, draft, name, said)
        watchers = [
            watcher
            for watcher in draft.rules.watchers
            if self._attempt(partial(self._watch, made.key, watcher), f"watcher {watcher!r} is not added")
        ]
        return replace(made, notes=tuple(self._notes), fields=fields.given(body, watchers))

    def _assignee(self, rules: TicketRules) -> dict[str, str] | None:
        if not rules.assignee:
            return None
        found = self._people.assignee(rules.assignee, rules.project)
        if found is None:
            self._notes.append(_UNKNOWN_ASSIGNEE.format(who=rules.assignee, project=rules.project))
        return found

    def _post(self, draft: Draft, body: dict[str, Any]) -> tuple[Mapping[str, Any], dict[str, str]]:
        """The answer, and what had to be left out with Jira's words. Each round sends less than the one before."""
        dropped: dict[str, str] = {}
        doing = f"create the ticket {draft.identifier!r} in project {draft.rules.project!r}"
        while True:
            call = Call("POST", "/rest/api/2/issue", doing, body=body, needs="Create Issues", mend=_MEND)
            try:
                return self._client.send(call), dropped
            except Refusal as refusal:
                less = fields.lighten(body, refusal)
                if not less:
                    raise
                dropped |= less

    def _note_dropped(self, key: str, draft: Draft, name: str, said: str) -> None:
        rules = draft.rules
        mend = f"check the rules, or put the field on the create screen of {rules.issue_type!r} in {rules.project!r}"
        if name == "issuelinks":  # the create screen may lack "Linked Issues"; linking afterwards needs no screen
            for other in draft.links:
                self._attempt(partial(self._link, key, other, rules.link_type), f"the link with {other} is missing")
        elif name == "labels":
            self._attempt(partial(self._label, key, draft), f"not every label is set; {mend}")
        else:
            if name == "assignee" and rules.assignee:
                self._people.refused(rules.assignee, rules.project)
            self._notes.append(f"field {name!r} is not set: Jira says {said!r}; {mend}")

    def _label(self, key: str, draft: Draft) -> None:
        labels = dict.fromkeys([*fields.own_labels(draft), *draft.rules.labels])
        body = {"update": {"labels": [{"add": label} for label in labels]}}
        self._client.send(
            Call("PUT", "/rest/api/2/issue/{}", "set labels", subject=key, body=body, needs="Edit Issues")
        )

    def _watch(self, key: str, who: str) -> None:
        self._client.send(self._people.watching(key, who))

    def _attempt(self, action: Callable[[], None], missing: str) -> bool:
        try:
            action()
        except TrackerError as error:
            self._notes.append(f"{missing}: {error}")
            return False
        return True


_MEND = (
    "check `project`, `issue_type` and `fields` in the rules (a field that Jira requires is set in `fields`), "
    "then retry the operation"
)
_UNKNOWN_ASSIGNEE = (
    "assignee {who!r} is not set: nobody assignable in project {project!r} has that account id, name or e-mail; "
    "check `assignee` in the rules, and the permission 'Assignable User' there"
)
