"""Why: which network won, what each condition said, and what an observation proves of a finding. For single hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any

import polars as pl

from vmjira.domain.classify import DEFAULT_IDENTITY
from vmjira.domain.rulebook import Category, Network, Range, Rulebook

#: Characters of a value that are shown.
_LONGEST = 100


@dataclass(frozen=True)
class Match:
    """A network that holds an address."""

    network: Network
    range: str
    wins: bool


def networks(ip: str | None, rulebook: Rulebook) -> list[Match]:
    """The networks that hold the address, the winner first: the fewest addresses, then file order."""
    if ip is None:
        return []
    address = ip_address(ip)
    holding = [
        (network, range_.id)
        for range_ in rulebook.ranges
        for network in range_.networks
        if network.first.version == address.version and int(network.first) <= int(address) <= int(network.last)
    ]
    holding.sort(key=lambda pair: pair[0].size)  # sorting keeps the order of the file
    return [Match(network, range_, index == 0) for index, (network, range_) in enumerate(holding)]


def identity(host: Mapping[str, Any], range_: Range | None) -> list[str]:
    """What could identify the host, in order, and what does. `host`: a row of KNOWN_HOSTS."""
    said, found = [], False
    for kind in range_.identity if range_ else DEFAULT_IDENTITY:
        taken = not found and bool(host[kind])
        found = found or taken
        said.append(f"{kind}: {host[kind] or 'not known'}{' (this one identifies it)' if taken else ''}")
    return said


def conditions(findings: pl.DataFrame, categories: Sequence[Category]) -> list[list[dict[str, Any]]]:
    """For each of the findings, what every condition says of it, in file order: category, where, holds, takes, values.

    `findings` has every column that a condition may name. `holds` is None where the condition comes out as NULL.
    """
    expressions = [pl.sql_expr(category.where) for category in categories]
    names = [sorted(set(expression.meta.root_names())) for expression in expressions]
    # A condition on no column gives one value for all rows.
    answers = findings.with_columns(e.alias(f"_{i}") for i, e in enumerate(expressions))
    found = []
    for row in answers.iter_rows(named=True):
        said, taken = [], False
        for index, category in enumerate(categories):
            holds = row[f"_{index}"]
            takes = bool(holds) and not taken
            taken = taken or takes
            values = {name: _short(row[name]) for name in names[index]}
            words = _condition(category, holds, values, takes=takes)
            said.append(
                {"category": category.id, "where": category.where, "holds": holds, "takes": takes, "values": values,
                 "words": words}
            )  # fmt: skip
        found.append(said)
    return found


def _condition(category: Category, holds: bool | None, values: Mapping[str, Any], *, takes: bool) -> str:
    answer = {True: "true", False: "false", None: "unknown, so it does not hold"}[holds]
    note = ": it takes the finding" if takes else ", but an earlier one takes the finding" if holds else ""
    seen = ", ".join(f"{name} is {_told(value)}" for name, value in values.items())
    return f"{category.id}: {answer}{note} [{category.where}]" + (f" because {seen}" if seen else "")


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST:
        return value[:_LONGEST] + "…"
    if isinstance(value, list):
        return [_short(each) for each in value[:20]]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _told(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "empty"
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)


@dataclass(frozen=True)
class Look:
    """The newest observation of a host by one scanner, and what is known of the scan that it comes from."""

    scanner: str
    at: datetime
    authenticated: bool | None
    complete: bool | None
    scan: str = ""  # name of its file; "" if it is not kept
    checks: frozenset[str] = frozenset()  # that were enabled; empty: the scanner does not tell
    unmade: frozenset[str] = frozenset()  # that were not made on this host
    unreadable: int = 0
    id: str = ""  # of the scan; "" if an earlier program did not keep it

    @property
    def words(self) -> str:
        credentials = {True: "with credentials", False: "without credentials", None: "credentials unknown"}
        complete = ", incompletely" if self.complete is False else ""
        scan = (f" in scan {self.id}" if self.id else "") + (f" ({self.scan})" if self.scan else "")
        return f"{self.scanner} {self.at:%Y-%m-%d %H:%M} UTC{scan} {credentials[self.authenticated]}{complete}"


def evidence(life: Mapping[str, Any], look: Look | None) -> list[str]:
    """On what the state of a life (a row of LEDGER) rests. `look`: the newest of its scanner at its host."""
    seen = f"last seen {life['last_seen']:%Y-%m-%d %H:%M} UTC by {life['scanner']}" + {
        True: ", with credentials", False: ", without credentials", None: "",
    }[life["last_authenticated"]] + (f", in scan {life['last_scan']}" if life["last_scan"] else "")  # fmt: skip
    if ending := life["ended_as"]:
        scan = f"; scan {life['ended_scan']}" if life["ended_scan"] else ""
        return [seen, _ENDINGS[ending].format(at=f"{life['ended_at']:%Y-%m-%d %H:%M} UTC", **life) + scan]
    if look is None:
        return [seen, f"{life['scanner']} has no observation of this host any more"]
    if look.at <= life["last_seen"]:
        return [seen, f"that is its newest observation of this host: {look.words}"]
    doubts = _doubts(life, look)
    return [seen, f"not seen in the newest observation, {look.words}; that proves nothing: {'; '.join(doubts)}"]


_ENDINGS = {
    "fixed": "{scanner} looked at the host at {at}, completely and with sufficient credentials, and it was not there",
    "moved": "since {at} it belongs to another category or range; its next life is there",
    "gone": "the host was observed by no scanner for the policy's `forget_after`, so it ended at {at}",
    "accepted": "accepted as a risk at {at}, until {accepted_until:%Y-%m-%d %H:%M} UTC",
}


def _doubts(life: Mapping[str, Any], look: Look) -> list[str]:
    """Why an observation without the finding is no sufficient evidence: rule 3 of domain part 5."""
    doubts = []
    if look.complete is False:
        doubts.append("the scanner did not complete the host")
    if look.authenticated is not True and life["last_authenticated"] is True:
        doubts.append("it was seen with credentials, and that scan had none")
    elif look.authenticated is False and life["last_authenticated"] is None:
        doubts.append("it is not known whether it was seen with credentials, and that scan had none")
    check = life["vulnerability_id"]
    if look.checks and not {check, check.split("/", 1)[0]} & look.checks:
        doubts.append("its check was not enabled in that scan")
    if check in look.unmade:
        doubts.append("the scanner says that its check was not made")
    if look.unreadable:
        doubts.append(f"that scan has {look.unreadable} records that could not be read, so it fixes nothing")
    return doubts or ["the scan is not believed in this range (see `vmjira operations list`), or it came before a move"]
