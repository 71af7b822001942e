"""Fields of a ticket that the rules give: what they should be, and what of them a change of rules corrects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from vmjira.domain.operation import Operation
from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import TicketRow

#: Fields of which the tracker holds one value each. Watchers are a list, and only added to or taken from.
SINGLE = ("assignee", "due", "priority")
#: In `TicketRow.fields`, beside what vmjira set: what it left as a person set it, by field.
LEFT = "left"


@dataclass(frozen=True)
class Given:
    """What rules give to a ticket, in their own words; None: nothing."""

    assignee: str | None = None
    due: date | None = None
    priority: str | None = None
    watchers: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        due = self.due.isoformat() if self.due else None
        return {"assignee": self.assignee, "due": due, "priority": self.priority, "watchers": list(self.watchers)}


@dataclass(frozen=True)
class Correction:
    """By field, as the tracker writes values: what is right, what is to be sent, and what stays as a person set it."""

    right: Mapping[str, str]
    changes: Mapping[str, str]
    left: Mapping[str, str]


def given(row: TicketRow, rulebook: Rulebook) -> Given:
    category, range_ = rulebook.category(row.category), rulebook.range(row.range)
    made = row.created_at and row.created_at.astimezone(rulebook.policy.timezone)
    return Given(
        assignee=range_.ticket.assignee if range_ else None,
        due=(made + category.due).date() if made and category and category.due else None,
        priority=category.priority if category else None,
        watchers=range_.ticket.watchers if range_ else (),
    )


def corrections(tickets: Iterable[TicketRow], before: Rulebook, after: Rulebook) -> list[Operation]:
    """One operation for each open ticket to which `after` gives other values than `before`, in the order of `tickets`.

    What the rules do not name any more is left as it is: there is nothing to correct it to. Only watchers go.
    """
    return [each for row in tickets if _lives(row) for each in _correction(row, before, after)]


def _lives(row: TicketRow) -> bool:
    return bool(row.own.open) and not row.gone and not row.closing and row.status_category != "done"


def _correction(row: TicketRow, before: Rulebook, after: Rulebook) -> Iterator[Operation]:
    old, new = given(row, before).as_json(), given(row, after).as_json()
    named = before.category(row.category) is not None and before.range(row.range) is not None
    if not named:  # its category or range had another id: what vmjira set tells more than rules that do not know it
        old |= {name: value for name, value in row.fields.items() if name in old}
    wrong = [name for name in old if old[name] != new[name] and (new[name] or name == "watchers")]
    if wrong:
        told = ", ".join(f"{name} {_words(new[name])}" for name in wrong)
        details = {"before": old, "after": new}
        yield Operation("fields", row.identifier, row.key, f"changed rules give it {told}", details)


def correct(now: Mapping[str, str | None], wanted: Mapping[str, str | None], ours: Callable[[str], bool]) -> Correction:
    """Compare the fields SINGLE as the tracker has them `now` with what they should be (None: whatever they are).

    `ours`: whether the value of a field is vmjira's, not a person's; asked only where it matters.
    """
    named = {name: value for name, value in wanted.items() if value}
    right = {name: value for name, value in named.items() if _same(value, now[name])}
    changes = {name: value for name, value in named.items() if name not in right and ours(name)}
    left = {name: now[name] or "" for name in named if name not in right and name not in changes}
    return Correction(right, changes, left)


def _same(one: str, other: str | None) -> bool:
    return one.casefold() == (other or "").casefold()


def _words(value: Any) -> str:
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)
