"""Which comment of a ticket is the one that we wrote, when its id is not known any more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from vmjira.domain.ticket import TicketRow
from vmjira.flows.ports import Outside
from vmjira.flows.rules import rules_in_force
from vmjira.flows.tracking import Comment
from vmjira.flows.verification import verification
from vmjira.flows.views import open_hosts, view_ticket

_WORD = re.compile(r"[^\W_]+")
#: How much of the words must be the same: numbers, hosts and times in it may have changed since.
ALIKE = 0.6


def same_comment(outside: Outside, row: TicketRow, comments: Sequence[Comment]) -> str:
    """The id of the comment that answered the last closing of `row`; empty if none is like it."""
    rulebook = rules_in_force(outside)
    view = view_ticket(outside.store, row, rulebook)
    told = verification(outside, row, rulebook)
    lines = open_hosts(view, row.closed_at)
    text = outside.renderer.comment("closed", view=view, lines=lines, closing=row.closing, verification=told)
    words = _WORD.findall(text)
    ratios = [(SequenceMatcher(None, words, _WORD.findall(each.body)).ratio(), each.id) for each in comments]
    best = max(ratios, default=(0.0, ""))
    return best[1] if best[0] >= ALIKE else ""
