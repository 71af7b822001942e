"""Scanning single hosts again with Security Center: it has no other targets for a scan, but scans that run once.

Such a scan is begun with the policy, credentials, repository and zone of the scan that covered the hosts, is kept by
no schedule, and leaves nothing behind but its result (docs.tenable.com: Scan, `schedule` of type `now`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marshmallow import fields
from tenable.sc import TenableSC

from vmjira.errors import ScannerRefused
from vmjira.scanners.sources.http import Session
from vmjira.scanners.sources.runs import Address, not_covered
from vmjira.scanners.sources.tenableclient import Answer, Word, ask, shaped

FIELDS = (
    "id,name,type,ipList,policy,repository,zone,credentials,dhcpTracking,scanningVirtualHosts,maxScanTime,"
    "inactivityTimeout"
)
#: The beginning of the names of our own scans: results that have it are no rounds.
OURS = "vmjira rescan"
LONGEST = 200


class Definition(Answer):
    """What it refers to is `{"id": …}`, or for nothing an empty list, 0 or -1."""

    id = Word(required=True)
    name = fields.String(required=True)
    type = fields.String(load_default="", allow_none=True)
    targets = fields.String(data_key="ipList", load_default="", allow_none=True)
    policy = fields.Raw(load_default=None, allow_none=True)
    repository = fields.Raw(load_default=None, allow_none=True)
    zone = fields.Raw(load_default=None, allow_none=True)
    credentials = fields.List(fields.Raw(), load_default=list, allow_none=True)
    dhcpTracking = fields.Raw(load_default=None)
    scanningVirtualHosts = fields.Raw(load_default=None)
    maxScanTime = fields.Raw(load_default=None)
    inactivityTimeout = fields.Raw(load_default=None)


class Both(Answer):
    usable = fields.List(fields.Nested(Definition), load_default=list, allow_none=True)
    manageable = fields.List(fields.Nested(Definition), load_default=list, allow_none=True)


class Definitions(Answer):
    response = fields.Nested(Both, required=True)


class Begun(Answer):
    result = Word(data_key="scanResultID", required=True)


class BegunAnswer(Answer):
    response = fields.Nested(Begun, required=True)


def called(name: str) -> str:
    """What a rescan is called in the Security Center."""
    return f"{OURS}: {name}"[:LONGEST]


def begin(
    session: Session, api: TenableSC, addresses: Sequence[Address], name: str, rounds: Sequence[tuple[str, str]]
) -> str:
    """The id of the result that will be. `rounds`: id and name of the scans that may be followed, the newest first.

    ScannerRefused if none of them covers all the addresses.
    """
    answer = ask(session, api, "scan", Definitions(), fields=FIELDS)["response"]
    known = {row["id"]: row for row in [*(answer["manageable"] or ()), *(answer["usable"] or ())]}
    lacking: list[str] = []
    for id, title in dict.fromkeys(rounds):
        why = _unfit(known.get(id), addresses)
        if not why:
            response = api.post("scan", json=_once(known[id], addresses, name))
            return str(shaped(session, response, BegunAnswer())["response"]["result"])
        lacking.append(f"'{title}' {why}")
    raise ScannerRefused(
        f"{session.who}: no scan covers all these hosts: {'; '.join(lacking[:5]) or 'none has a whole result'}"
    )


def _unfit(scan: dict[str, Any] | None, addresses: Sequence[Address]) -> str:
    if scan is None:
        return "may not be seen by this account, or is gone"
    if not (scan["targets"] or "").strip():
        return "has its targets in asset lists, which do not tell whom they cover"
    if scan["type"] != "policy" or not _id(scan["policy"]) or not _id(scan["repository"]):
        return "has no policy or no repository that could be used again"
    missing = not_covered(addresses, scan["targets"], ())
    return f"lacks {', '.join(map(str, missing[:3]))}" if missing else ""


def _once(scan: dict[str, Any], addresses: Sequence[Address], name: str) -> dict[str, Any]:
    """A scan like this one, of these addresses only, that runs now and never again."""
    same = ("dhcpTracking", "scanningVirtualHosts", "maxScanTime", "inactivityTimeout")
    return {
        "name": called(name),
        "type": "policy",
        "policy": {"id": _id(scan["policy"])},
        "repository": {"id": _id(scan["repository"])},
        "credentials": [{"id": id} for each in scan["credentials"] or () if (id := _id(each))],
        "ipList": ",".join(map(str, addresses)),
        "schedule": {"type": "now"},
        "timeoutAction": "discard",
        **({"zone": {"id": zone}} if (zone := _id(scan["zone"])) else {}),
        **{key: scan[key] for key in same if scan[key] is not None},
    }


def _id(reference: Any) -> str:
    """Empty for none."""
    id = str(reference.get("id") or "") if isinstance(reference, dict) else ""
    return id if id.isdigit() and int(id) else ""
