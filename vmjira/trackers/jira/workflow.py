"""Finds the way through a workflow that we do not know: close and reopen by doing one transition after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from vmjira.domain.rulebook import TicketRules
from vmjira.domain.ticket import StatusCategory
from vmjira.errors import TransitionImpossible
from vmjira.trackers.jira.calls import Call
from vmjira.trackers.jira.client import Client
from vmjira.trackers.jira.fields import category

Wanted = Literal["close", "reopen"]
Transition = Mapping[str, Any]  # as Jira gives it
DEEPEST = 5

_GOALS: Mapping[Wanted, Sequence[StatusCategory]] = {"close": ("done",), "reopen": ("new", "indeterminate")}
_STEPS: Mapping[Wanted, Sequence[StatusCategory]] = {
    "close": ("indeterminate", "new"),
    "reopen": ("new", "indeterminate", "done"),
}


class Walk:
    """One ticket on its way to a status. A status that the rules name is the only goal; else any of the category is."""

    def __init__(self, client: Client, key: str, wanted: Wanted, rules: TicketRules) -> None:
        self._client = client
        self._key = key
        self._wanted: Wanted = wanted
        self._named = rules.transitions.get(wanted, "")
        self._values = rules.transition_fields

    def go(self, status: Mapping[str, Any]) -> str:
        """From `status` to the goal; the name of the status reached."""
        visited = [str(status["name"])]
        arrived = self._good_enough(status)  # a person's own choice of a closed (or open) status is respected
        while not arrived:
            transitions = self._possible()
            goals, steps = self._choices(transitions, visited)
            chosen = next(iter([*goals, *steps]), None)
            if chosen is None or self._lacking(chosen) or len(visited) > DEEPEST:
                if self._good_enough(status):
                    break
                raise self._stuck(visited, transitions)
            self._do(chosen)
            status, arrived = chosen["to"], bool(goals)
            visited.append(str(status["name"]))
        return visited[-1]

    def _good_enough(self, status: Mapping[str, Any]) -> bool:
        return category(status) in _GOALS[self._wanted] or _same(status["name"], self._named)

    def _possible(self) -> list[dict[str, Any]]:
        call = Call(
            "GET",
            "/rest/api/2/issue/{}/transitions",
            "read the transitions",
            subject=self._key,
            params={"expand": "transitions.fields"},
        )
        return list(self._client.send(call)["transitions"])

    def _choices(self, transitions: Sequence[Transition], visited: Sequence[str]) -> tuple[list[Transition], ...]:
        """The transitions that lead to the goal, and those that may lead nearer; the best first.

        A goal that demands a field which the rules do not have is not avoided: the other one may be "Won't Fix".
        """
        unseen = [each for each in transitions if each["to"]["name"] not in visited]
        if self._named:
            goals = [each for each in unseen if _same(each["to"]["name"], self._named)]
            goals += [each for each in unseen if _same(each["name"], self._named)]
        else:
            goals = _in_order(unseen, _GOALS[self._wanted])
        usable = [each for each in unseen if not self._lacking(each)]
        return goals, _in_order(usable, _STEPS[self._wanted]) or self._only_way(usable)

    def _only_way(self, usable: Sequence[Transition]) -> list[Transition]:
        """Another "done" on the way to a named one, if there is no choice: each may set a resolution of its own."""
        return list(usable) if len(usable) == 1 else []

    def _lacking(self, transition: Transition) -> list[str]:
        """Required fields for which the rules have no value."""
        return [name for name in _required(transition) if name not in self._values]

    def _do(self, transition: Transition) -> None:
        # Closing takes every value that the screen has; reopening only what it demands: it clears the resolution.
        screen = transition.get("fields") or {}
        names = screen if self._wanted == "close" else _required(transition)
        fields = {name: self._values[name] for name in names if name in self._values}
        body: dict[str, Any] = {"transition": {"id": str(transition["id"])}}
        call = Call(
            "POST",
            "/rest/api/2/issue/{}/transitions",
            f"transition {transition['name']!r} to {transition['to']['name']!r}",
            subject=self._key,
            body={**body, "fields": fields} if fields else body,
            needs="Transition Issues",
            mend="check `transition_fields` in the rules against that transition's screen, then retry the operation",
        )
        self._client.send(call)

    def _stuck(self, visited: Sequence[str], transitions: Sequence[Transition]) -> TransitionImpossible:
        goal = f"{self._named!r}" if self._named else f"a status of category {' or '.join(_GOALS[self._wanted])}"
        names = tuple(str(each["name"]) for each in transitions)
        lines = [f"{self._key}: no transition to {goal} from {visited[-1]!r}"]
        lines.append("possible: " + ", ".join(repr(name) for name in names) if names else _NO_RIGHT)
        lines += [_lacks(each, name) for each in transitions for name in self._lacking(each)]
        if len(visited) > 1:
            lines.append(f"it went {' → '.join(visited)} so far and stays there")
        lines.append(f"check `ticket.transitions.{self._wanted}` in the rules")
        return TransitionImpossible("; ".join(lines), names)


_NO_RIGHT = "none is possible, so our account perhaps lacks the permission 'Transition Issues'"


def _required(transition: Transition) -> list[str]:
    fields = transition.get("fields") or {}
    return [name for name, about in fields.items() if about.get("required") and not about.get("hasDefaultValue")]


def _lacks(transition: Transition, name: str) -> str:
    about = transition["fields"][name]
    allowed = [str(value.get("name") or value.get("value")) for value in about.get("allowedValues") or ()]
    choice = f" (allowed: {', '.join(allowed[:10])})" if allowed else ""
    return (
        f"{transition['name']!r} demands the field {about.get('name') or name!r}{choice}: "
        f"set `ticket.transition_fields.{name}` in the rules"
    )


def _same(name: str, other: str) -> bool:
    return bool(other) and name.casefold() == other.casefold()


def _in_order(transitions: Sequence[Transition], categories: Sequence[StatusCategory]) -> list[Transition]:
    return [each for wanted in categories for each in transitions if category(each["to"]) == wanted]
