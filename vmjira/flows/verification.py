"""What a closed ticket says of its verification: which hosts are scanned again, and when the next scan is due."""

from __future__ import annotations

from datetime import datetime

from vmjira.domain.operation import count
from vmjira.domain.rulebook import Policy, Rulebook
from vmjira.domain.ticket import TicketRow
from vmjira.flows.coverage import next_round, open_hosts
from vmjira.flows.ports import Outside


def verification(outside: Outside, row: TicketRow, rulebook: Rulebook) -> list[str]:
    """Lines for people; the last one names the next scan, if hosts depend on it."""
    with outside.store.reading() as unit:
        requests = unit.rescans.requests(identifier=row.identifier)
    hosts: dict[str, set[str]] = {}
    for each in requests:
        hosts.setdefault(each.words, set()).add(each.host)
    lines = [f"{count(len(some), 'host')}: {words}" for words, some in hosts.items()]
    dependent = not requests or any(each.state in ("missed", "dropped") for each in requests)
    if row.closing == "waiting" and dependent:
        lines.append(_next_scan(outside, row, rulebook.policy))
    return lines


def _next_scan(outside: Outside, row: TicketRow, policy: Policy) -> str:
    groups = open_hosts(outside.store, row).drop_nulls("ip").partition_by("product", as_dict=True)
    dues = [next_round(outside, str(product), frame["ip"].to_list()) for (product,), frame in groups.items()]
    due = min(filter(None, dues), default=None)
    if due is None:
        return "the next scan of these hosts decides; past scans do not tell when it comes"
    day = due.astimezone(policy.timezone)
    return f"the next scan of these hosts decides; going by past scans, it comes about {day:%Y-%m-%d}"


def when(moment: datetime, policy: Policy) -> str:
    return f"{moment.astimezone(policy.timezone):%Y-%m-%d %H:%M}"
