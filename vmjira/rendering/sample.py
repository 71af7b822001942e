"""Samples of what a template may meet, so that an override is tried before it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from vmjira.domain.frames import empty
from vmjira.domain.rulebook import Category, Range
from vmjira.domain.ticket import (
    REPORT,
    HistoryPoint,
    HostNumbers,
    Iteration,
    Neighbour,
    OwnNumbers,
    Source,
    TicketView,
    TopHost,
)
from vmjira.errors import Problem, RulesInvalid
from vmjira.rendering.templates import Templates
from vmjira.rendering.values import attachment_values, ticket_values

_NUMBERS = HostNumbers(vulnerable=17, last=37, new=12, remaining=5, safe=30, unverified=2)

FULL = TicketView(
    identifier="ms-exploitable.boston.2026-W23",
    title="Windows bulletins – Boston Office – Scan 23",
    category=Category("ms-exploitable", "Windows bulletins", "true"),
    range=Range("boston", "Boston Office", ()),
    iteration=Iteration(3, "2026-W23", 23),
    key="VM-23",
    due=date(2026, 6, 19),
    previous=Neighbour("ms-exploitable.boston.2026-W22", "Windows bulletins – Boston Office – Scan 22", "VM-22"),
    next=Neighbour("ms-exploitable.boston.2026-W24", "Windows bulletins – Boston Office – Scan 24", None),
    then=_NUMBERS,
    own=OwnNumbers(total=45, fixed=30, open=9, unverified=2, moved=3, gone=2, accepted=1, hosts=14, open_hosts=6),
    top=(TopHost("ip:10.1.2.3", "10.1.2.3", "pc-7.example.com", 35, 4), TopHost("mac:00:00", None, None, 10, 1)),
    history=(HistoryPoint("2026-W22", HostNumbers(vulnerable=37, new=37)), HistoryPoint("2026-W23", _NUMBERS)),
    sources=(Source("nessus", datetime(2026, 6, 5, 10, tzinfo=UTC), 120, 110, 3),),
    running=Iteration(5, "2026-W25", 25),
    own_rows=empty(REPORT),
    all_rows=None,
    diff_rows=None,
)
BARE = replace(
    FULL,
    key=None,
    due=None,
    previous=None,
    next=None,
    then=HostNumbers(),
    own=OwnNumbers(),
    top=(),
    history=(),
    sources=(),
    running=FULL.iteration,
)
FRESH = replace(FULL, running=FULL.iteration, own=OwnNumbers(total=1, open=1, hosts=1, open_hosts=1))

#: What comments get beside the values of a ticket.
COMMENT_VALUES: dict[str, Any] = {
    "notes": ["no user 'boston-admins': left unassigned"],
    "hosts": ["pc-7.example.com"],
    "lines": ["pc-7.example.com was seen vulnerable on 2026-06-12"],
    "reason": "2 findings were seen again",
    "times": 3,
    "resolution": "Won't Fix",
    "until": date(2026, 12, 1),
    "findings": 2,
    "what": "move the ticket to 'Done'",
    "answer": "no such transition",
    "older": "VM-22",
}


def sample_values() -> Iterator[dict[str, Any]]:
    """What templates see of a ticket with everything, with nothing, and of a fresh one."""
    for view in (FULL, BARE, FRESH):
        names = [f"{view.identifier}.{end}" for end in ("own.csv", "all.csv", "diff.csv", "png")] if view.top else []
        files = attachment_values(view, names) | {"show_picture": True}
        yield ticket_values(view, UTC) | files | COMMENT_VALUES


def render_samples(templates: Templates, name: str) -> list[Problem]:
    """The problems that the template `name` has with them."""
    problems: list[Problem] = []
    for values in sample_values():
        try:
            templates.render(name, values)
        except RulesInvalid as error:
            problems += error.problems
    return problems
