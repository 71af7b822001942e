"""What comes from outside is printed as it is: no markup, no emoji, no command for the terminal."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vmjira import shown, shownrules
from vmjira.terminal import Terminal, visible

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WIDE = 2_000  # no word is broken


def _listed(*rows: Any, **totals: int) -> dict[str, Any]:
    return {"total": len(rows), "top": list(rows), **totals}


def _some(x: str) -> dict[str, Any]:
    """A value for every name that a function for people may ask for."""
    numbers = dict.fromkeys(("vulnerable", "new", "remaining", "safe", "unverified"), 1)
    place = dict.fromkeys(("category", "range", "ticket", "key", "team"), x)
    operation = {
        **dict.fromkeys(("state", "operation", "identifier", "reason", "answer", "id"), x), "details": {},
        "acts": [{"action": x, "actor": x, "via": x, "at": "2026-06-01T00:00"}],
    }  # fmt: skip
    return {
        "inspection": {
            "path": x, "format": x, "finished_at": x, "hosts": 1, "authenticated_hosts": 1, "records": 1, "findings": 1,
            "vulnerabilities": 1, "warnings": [x],
        },
        "adoption": {
            "cap": 1, "mode": "silent", "creates": 1, "exceeds": x, "not_believed": [x],
            "ranges": [{"range": x, "hosts": 1, "vulnerable": 1, "findings": 1, "in_no_category": 1, "cells": 1,
                        "tickets": {"iteration0": 1, "silent": 0, "cap": 1}, "without_ticket": 1}],
        },
        "ticket": {
            **dict.fromkeys(("title", "identifier", "key", "status", "closing", "closed_at", "previous", "next"), x),
            "reopened": 0, "verified": False, "settled": True, "left_as_set": {"priority": x},
            "then": numbers, "own": {"open": 1, "total": 1}, "hosts": {"new": [x]},
            "top": [{"hostname": x, "ip": x, "host": x, "score": 1, "findings": 1}],
            "moved_from": [{"identifier": x, "key": x, "findings": 1}],
            "moved_to": [{"identifier": x, "key": x, "findings": 1}],
            "rescans": [{"state": x, "hosts": [x], "words": x, "asked_at": "2026-06-01T00:00"}],
            "operations": [operation],
        },
        "scan": {
            **dict.fromkeys(("scan", "state", "scanner", "name", "note", "format"), x), "id": 1, "warnings": [x],
            "finished_at": "2026-06-01T00:00", "folded_at": None, "hosts": 1, "findings": 1,
        },
        "operations": [operation],
        "acceptances": [dict.fromkeys(("until", "days_left", "state", "scope", "reason", "approver", "findings"), x)],
        "findings": [SimpleNamespace(ok=False, what=x, where=x, how=x)],
        "drift": SimpleNamespace(
            since=NOW, read=1, drifts=[SimpleNamespace(ticket=x, key=x, what=x, done=x)]
        ),
        "scanners": [{
            "id": x, "type": x, "fetch": x, "last_run": {"due": "2026-06-01", "state": x, "words": x}, "next_run": None,
            "last_scan": {"name": x, "finished_at": "2026-06-01"}, "scans": 1, "silent": True,
            "refused": [{"name": x, "id": x, "why": x}],
        }],
        "fetched": [SimpleNamespace(
            scanner=x, taken=[SimpleNamespace(name=x, outcome=x)], passed_over=[x], operations=[], refused=[], failed=[]
        )],
        "webhooks": [SimpleNamespace(id=x, name=x, url=x, events=[x], jql=x)],
        "explanation": {
            "host": x, "known": {"range": x, "observations": [x]},
            "findings": [{"vulnerability_id": x, "title": x, "conditions": [{"words": x}]}],
        },
        "preview": {
            "changed": True, "exceeds": x, "notes": [x],
            "tickets": {"create": _listed(x)},
            "moves": _listed(
                {"from": place, "to": place, "findings": 1, "hosts": 1, "examples": [x]}, findings=1, tickets=1
            ),
            "overlaps": _listed({"network": x, "range": x, "winner": x, "winner_range": x, "hosts": 1}),
            "uncovered": _listed({"range": x, "title": x, "networks": [x]}),
            "unowned": _listed({"network": x, "hosts": 1, "examples": [x]}, hosts=1),
            "untaken": _listed(
                {"family": x, "findings": 1, "hosts": 1, "severities": {"high": 1}, "where": x}, findings=1
            ),
            "unguarded": {**_listed({"words": x}), "off": False},
        },
        "history": [{
            "since": "2026-06-01", "until": None, "digest": "abc", "how": x, "released_by": x,
            "files": [{"file": x, "added": 1, "removed": 0, "who": x, "from": x, "at": "2026-06-01"}],
        }],
    }  # fmt: skip


SHOWN: dict[str, Callable[[Terminal, dict[str, Any]], None]] = {
    "show_inspection": lambda out, some: shown.show_inspection(out, [some["inspection"]]),
    "show_ingested": lambda out, some: shown.show_ingested(
        out, [some["inspection"] | {"outcome": some["adoption"]["exceeds"]}], 1
    ),
    "show_hints": lambda out, some: shown.show_hints(out, [{"path": some["inspection"]["path"], "hints": ["do"]}]),
    "show_held": lambda out, some: shown.show_held(out, some["adoption"]["not_believed"]),
    "show_adoption": lambda out, some: shown.show_adoption(out, some["adoption"], done=False),
    "show_tickets": lambda out, some: shown.show_tickets(out, [some["ticket"]]),
    "show_ticket": lambda out, some: shown.show_ticket(out, some["ticket"]),
    "show_scans": lambda out, some: shown.show_scans(out, [some["scan"]], 1),
    "show_scan": lambda out, some: shown.show_scan(out, some["scan"]),
    "show_operations": lambda out, some: shown.show_operations(out, some["operations"]),
    "show_acceptances": lambda out, some: shown.show_acceptances(out, some["acceptances"], "1 acceptance"),
    "show_findings": lambda out, some: shown.show_findings(out, some["findings"]),
    "show_drift": lambda out, some: shown.show_drift(out, some["drift"]),
    "show_scanners": lambda out, some: shown.show_scanners(out, some["scanners"]),
    "show_checks": lambda out, some: shown.show_checks(out, "hq", some["findings"]),
    "show_fetched": lambda out, some: shown.show_fetched(out, some["fetched"]),
    "show_webhooks": lambda out, some: shown.show_webhooks(out, some["webhooks"]),
    "show_explanation": lambda out, some: shown.show_explanation(out, some["explanation"]),
    "show_rules_preview": lambda out, some: shownrules.show_rules_preview(out, some["preview"]),
    "show_history": lambda out, some: shownrules.show_history(out, some["history"]),
}


def test_every_function_that_prints_for_people_is_tried():
    there = {
        name for module in (shown, shownrules) for name, _ in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("show_")
    }  # fmt: skip
    assert there == set(SHOWN)


HOSTILE = st.text(st.sampled_from("[]/\\:=#@ab9\x1b\x07\x9b\u202e\udc80é") | st.characters(categories=("L", "P", "S")),
                  min_size=1, max_size=30)  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
@given(text=HOSTILE)
@example("[/x]")
@example(":link: :warning:")
@example("[bold red]x[/] [link=http://x]y[/link] \\[z]")
@example("\x1b]0;title\x07\x1b[2J")
@example("\u202ereversed")
def test_a_hostile_text_is_printed_letter_by_letter(name: str, text: str):
    file = io.TextIOWrapper(io.BytesIO(), "utf-8")  # as a terminal: what no encoding has would raise
    SHOWN[name](Terminal(file=file, width=WIDE, force_terminal=False), _some(text))
    file.seek(0)
    said = file.read()
    assert visible(text) in said
    assert not set(said) & set("\x1b\x07\x9b\u202e")


def test_what_a_terminal_would_obey_is_shown_as_an_escape_sequence():
    assert visible("a\x1b[31m\tb\nc\u202e\udcff") == "a\\x1b[31m\tb\nc\\u202e\\udcff"
