"""Everything that the rules name of Jira, each once, with the places where it may be written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from vmjira.domain.rulebook import Rulebook, TicketRules
from vmjira.trackers.jira.doctor.check import Place

Kind = Literal[
    "project", "issue_type", "component", "assignee", "watcher", "label", "field", "link_type", "close", "reopen",
    "transition_field", "priority", "due", "resolution",
]  # fmt: skip


@dataclass(frozen=True)
class Asked:
    kind: Kind
    name: str
    places: tuple[Place, ...]  # the first that is written counts
    rules: TicketRules  # of the tickets that it is for
    value: Any = None  # of a field


def tickets(rulebook: Rulebook) -> list[tuple[TicketRules, tuple[Place, ...]]]:
    """Rules for tickets, with the places of their `ticket`: of each range, or of the policy where there is none."""
    policy: Place = ("policy.yaml", "ticket")
    ranges = [(each.ticket, (("ranges.yaml", "ranges", n, "ticket"), policy)) for n, each in enumerate(rulebook.ranges)]
    return list(ranges) or [(rulebook.policy.ticket, (policy,))]


def asked(rulebook: Rulebook) -> list[Asked]:
    """What many ranges have in common is asked once: at the first of them."""
    once: dict[tuple[object, ...], Asked] = {}
    for each in _all(rulebook):
        at = each.rules.project, each.rules.issue_type
        once.setdefault((each.kind, each.name, repr(each.value), *at), each)
    return list(once.values())


def _all(rulebook: Rulebook) -> Iterator[Asked]:
    for rules, places in tickets(rulebook):
        yield from _of_ticket(rules, places)
        yield from _of_policy(rulebook, rules)


def _of_ticket(rules: TicketRules, places: tuple[Place, ...]) -> Iterator[Asked]:
    def one(kind: Kind, name: str, *path: str | int, value: Any = None) -> Asked:
        return Asked(kind, name, tuple((*place, *path) for place in places), rules, value)

    yield one("project", rules.project, "project")
    yield one("issue_type", rules.issue_type, "issue_type")
    yield one("link_type", rules.link_type, "link_type")
    if rules.assignee:
        yield one("assignee", rules.assignee, "assignee")
    yield from (one("watcher", name, "watchers", n) for n, name in enumerate(rules.watchers))
    yield from (one("component", name, "components", n) for n, name in enumerate(rules.components))
    yield from (one("label", name, "labels", n) for n, name in enumerate(rules.labels))
    yield from (one("field", name, "fields", name, value=value) for name, value in rules.fields.items())
    for wanted in ("close", "reopen"):
        if name := rules.transitions.get(wanted):
            yield one("close" if wanted == "close" else "reopen", name, "transitions", wanted)
    for name, value in rules.transition_fields.items():
        yield one("transition_field", name, "transition_fields", name, value=value)


def _of_policy(rulebook: Rulebook, rules: TicketRules) -> Iterator[Asked]:
    for n, category in enumerate(rulebook.categories):
        place: Place = ("categories.yaml", "categories", n)
        if category.priority:
            yield Asked("priority", category.priority, ((*place, "priority"),), rules)
        if category.due:
            yield Asked("due", "duedate", ((*place, "due"),), rules)
    escalation: Place = ("policy.yaml", "escalation")
    if rulebook.policy.escalation.priority:
        yield Asked("priority", rulebook.policy.escalation.priority, ((*escalation, "priority"),), rules)
    if rulebook.policy.escalation.watcher:
        yield Asked("watcher", rulebook.policy.escalation.watcher, ((*escalation, "watcher"),), rules)
    if rulebook.policy.escalation.label:
        yield Asked("label", rulebook.policy.escalation.label, ((*escalation, "label"),), rules)
    for n, name in enumerate(rulebook.policy.accept_resolutions):
        yield Asked("resolution", name, (("policy.yaml", "accept", "resolutions", n),), rules)
