"""Samples of what a template may meet, so that an override is tried before it is needed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from vmjira.domain.frames import empty
from vmjira.domain.iterations import ZERO
from vmjira.domain.rulebook import Category, Range
from vmjira.domain.ticket import (
    REPORT,
    AcceptedPart,
    HistoryPoint,
    HostNumbers,
    Iteration,
    MovedPart,
    Neighbour,
    OwnNumbers,
    Proof,
    Settlement,
    Source,
    TicketView,
    TopHost,
    Unscanned,
    UnscannedHost,
)
from vmjira.errors import Problem, RulesInvalid
from vmjira.rendering.templates import Templates
from vmjira.rendering.values import attachment_values, ticket_values

_NUMBERS = HostNumbers(vulnerable=17, last=37, new=12, remaining=5, safe=30, unverified=2)

_OPEN = {"host": "ip:10.1.2.3", "state": "remaining", "kev": True, "kev_due": date(2026, 6, 30), "epss": 0.94}

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
    moved_from=(MovedPart(Neighbour("windows.boston.2026-W21", "Windows updates – Boston – Scan 21", "VM-21"), 4),),
    moved_to=(MovedPart(Neighbour("windows.lab.2026-W24", "Windows updates – Laboratory – Scan 24", None), 3),),
    then=_NUMBERS,
    own=OwnNumbers(total=45, fixed=30, open=9, unverified=2, moved=3, gone=2, accepted=1, hosts=14, open_hosts=6),
    top=(TopHost("ip:10.1.2.3", "10.1.2.3", "pc-7.example.com", 35, 4), TopHost("mac:00:00", None, None, 10, 1)),
    history=(HistoryPoint("2026-W22", HostNumbers(vulnerable=37, new=37)), HistoryPoint("2026-W23", _NUMBERS)),
    sources=(Source("nessus", datetime(2026, 6, 5, 10, tzinfo=UTC), 120, 110, 3, "1f0c8a63d2be"),),
    unscanned=Unscanned(7, (UnscannedHost("pc-8.example.com 10.1.2.4", datetime(2026, 5, 29, 10, tzinfo=UTC)),)),
    proofs=(Proof(Source("nessus", datetime(2026, 6, 5, 10, tzinfo=UTC), 12, 10, 1, "1f0c8a63d2be"), 30),),
    running=Iteration(5, "2026-W25", 25),
    name="23",
    running_name="25",
    own_rows=pl.DataFrame([_OPEN], schema=REPORT),
    all_rows=None,
    diff_rows=None,
)
BARE = replace(
    FULL,
    key=None,
    due=None,
    previous=None,
    next=None,
    moved_from=(),
    moved_to=(),
    then=HostNumbers(),
    own=OwnNumbers(),
    top=(),
    history=(),
    sources=(),
    unscanned=Unscanned(),
    proofs=(),
    own_rows=empty(REPORT),
    running=FULL.iteration,
)
FRESH = replace(FULL, running=FULL.iteration, own=OwnNumbers(total=1, open=1, hosts=1, open_hosts=1))
OVERDUE = replace(FRESH, overdue=True)
VERIFIED = replace(FULL, own=OwnNumbers(total=45, fixed=45, hosts=14))
SETTLED = replace(
    FULL,
    own=OwnNumbers(total=45, fixed=38, moved=3, gone=2, accepted=2, hosts=14),
    settlement=Settlement(
        (AcceptedPart(1, "jane.doe", "Isolated network", date(2026, 11, 15)), AcceptedPart(1, "", "", None)),
        date(2026, 3, 1),
        date(2026, 3, 3),
    ),
)
ADOPTED = replace(FRESH, iteration=ZERO, running=ZERO, adopted=True)

_LINE = "pc-7.example.com 10.1.2.3: SMB flaw; last seen 2026-06-12 04:00, after the closing"

#: Every template, and what it gets beside the values of a ticket.
TEMPLATES: dict[str, dict[str, Any]] = {
    "description.j2": {},
    "comment_created_notes.j2": {"notes": ["no user 'boston-admins': left unassigned"]},
    "comment_verified.j2": {},
    "comment_settled.j2": {},
    "comment_closed.j2": {
        "lines": [_LINE],
        "verification": ["1 host: a rescan by nessus-hq is asked for"],
        "closing": "waiting",
    },
    "comment_waiting.j2": {"lines": [_LINE]},
    "comment_reopened.j2": {"reason": "2 findings were seen again", "lines": [_LINE], "by_edit": False},
    "comment_stuck.j2": {"answer": "no transition to 'To Do' from 'Done'", "lines": [_LINE]},
    "comment_escalated.j2": {"times": 3, "notes": ["watcher 'lead' could not be set"], "lines": [_LINE]},
    "comment_accepted.j2": {"resolution": "Won't Fix", "until": date(2026, 12, 1), "findings": 2},
    "comment_unaccepted.j2": {},
    "comment_withdrawn.j2": {"reason": "the nessus scan of 2026-10-02 12:00 was withdrawn", "lines": [_LINE]},
    "comment_lapsed.j2": {"reason": "closed as Won't Fix", "until": date(2026, 12, 1)},
    "comment_reminder.j2": {"date": date(2026, 6, 19), "overdue": True, "lines": [_LINE]},
    "comment_refused.j2": {"what": "move the ticket to 'Done'", "answer": "no such transition"},
    "comment_duplicate.j2": {"older": "VM-22"},
}
#: Comments for which there may be no ticket to tell of.
WITHOUT_TICKET = ("comment_created_notes.j2", "comment_refused.j2", "comment_duplicate.j2")


def render_samples(templates: Templates, name: str) -> list[Problem]:
    """The problems of the template `name` with tickets of every kind: full, bare, fresh, overdue, ended, a backlog."""
    problems: list[Problem] = []
    for view in (FULL, BARE, FRESH, OVERDUE, VERIFIED, SETTLED, ADOPTED):
        try:
            templates.render(name, _values(name, view) | TEMPLATES[name])
        except RulesInvalid as error:
            problems += error.problems
    return problems


def _values(name: str, view: TicketView) -> dict[str, Any]:
    if name in WITHOUT_TICKET:
        return {}
    values = ticket_values(view)
    if name == "description.j2":
        names = [f"{view.identifier}.{end}" for end in ("own.csv", "all.csv", "diff.csv", "png")] if view.top else []
        values |= attachment_values(view, names, show_picture=True)
    return values
