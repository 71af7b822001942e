"""Values that the schemas have accepted to the values of the domain. Defaults are the domain's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmjira.domain.rulebook import (
    Acceptance,
    Adoption,
    Category,
    Enrichment,
    Escalation,
    Policy,
    Range,
    Reminders,
    RescanRules,
    Retention,
    Rulebook,
    Scanner,
    Schedule,
    TicketRules,
)
from vmjira.rulefiles.scanner_schema import COMMON
from vmjira.rulefiles.ticket_schema import MERGED

Loaded = Mapping[str, Any]


def rulebook(loaded: Mapping[str, Loaded], files: Mapping[str, str], digest: str) -> Rulebook:
    policy = loaded["policy.yaml"]
    ticket = policy.get("ticket") or {}
    return Rulebook(
        categories=tuple(Category(**_tuples(entry)) for entry in loaded["categories.yaml"]["categories"]),
        ranges=tuple(_range(entry, ticket) for entry in loaded["ranges.yaml"]["ranges"]),
        policy=_policy(policy),
        acceptances=tuple(Acceptance(**entry) for entry in loaded["acceptances.yaml"].get("acceptances") or ()),
        scanners=tuple(_scanner(entry) for entry in loaded["scanners.yaml"].get("scanners") or ()),
        digest=digest,
        files=files,
    )


def _range(entry: Loaded, policy_ticket: Loaded) -> Range:
    return Range(**{**_tuples(entry), "ticket": _ticket(policy_ticket, entry.get("ticket") or {})})


def _tuples(entry: Loaded) -> Loaded:
    return {**entry, "aliases": tuple(entry.get("aliases") or ())}


def _ticket(policy: Loaded, own: Loaded) -> TicketRules:
    """The policy's values, replaced by the range's own; maps are merged key by key."""
    maps: Loaded = {key: {**(policy.get(key) or {}), **(own.get(key) or {})} for key in MERGED}
    plain: Loaded = {key: value or () for key, value in {**policy, **own}.items() if key not in MERGED}
    return TicketRules(**{**plain, **maps})


_NESTED = (
    "ticket",
    "escalation",
    "accept",
    "limits",
    "enrichment",
    "schedule",
    "reminders",
    "retention",
    "rescan",
    "adoption",
)


def _policy(data: Loaded) -> Policy:
    plain = {key: value for key, value in data.items() if key not in _NESTED}
    accept, limits = data.get("accept") or {}, data.get("limits") or {}
    names = {"resolutions": "accept_resolutions", "for": "accept_for", **{key: f"limit_{key}" for key in limits}}
    nested = {names[key]: value for key, value in {**accept, **limits}.items() if value is not None}
    return Policy(
        **plain,
        **nested,
        ticket=_ticket({}, data.get("ticket") or {}),
        escalation=Escalation(**data.get("escalation") or {}),
        enrichment=Enrichment(**data.get("enrichment") or {}),
        schedule=Schedule(**data.get("schedule") or {}),
        reminders=Reminders(**data.get("reminders") or {}),
        retention=Retention(**data.get("retention") or {}),
        rescan=RescanRules(**data.get("rescan") or {}),
        adoption=Adoption(**data.get("adoption") or {}),
    )


def _scanner(entry: Loaded) -> Scanner:
    common = {key: value for key, value in entry.items() if key in COMMON}
    return Scanner(**common, options={key: value for key, value in entry.items() if key not in COMMON})
