"""WithSecure Elements Vulnerability Management by its API: answers about one scan group, one object a line.

`sources/withsecure.py` writes such files. The first line names the format and the group, the last one says that it is
whole; between them are hosts, findings (each after its host) and vulnerabilities. Where the vendor does not document
how something is named, `columns` of the rule has said so already: the names here are ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from vmjira.scanners import values
from vmjira.scanners.content import Content
from vmjira.scanners.format import Head, Observed
from vmjira.scanners.rows import lines
from vmjira.scanners.staging import Staging

NAME = "vmjira-withsecure"
SCANNER = "withsecure"
VERSION = 1
#: Risk levels as seen in answers; Critical is read too, should there be such.
SEVERITIES = {"information": "info", "low": "low", "medium": "medium", "high": "high", "critical": "critical"}


def recognise(head: Head) -> bool:
    return head.raw.startswith(b'{"' + NAME.encode() + b'":')


def read(content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
    ends: list[datetime] = []
    whole = False
    for number, (kind, told) in enumerate(_objects(content), start=1):
        if whole:
            raise content.refuse(f"line {number}: goes on after its end; fetch it again")
        if kind == NAME and told != VERSION:
            raise content.refuse(f"is of version '{str(told)[:20]}'; this vmjira reads {VERSION}: fetch it again")
        if kind == "host":
            ends += [end] if (end := _host(told, staging, zone)) else []
        elif kind == "vulnerability":
            _vulnerability(told, staging)
        elif kind == "finding":
            _finding(number, told, staging)
        whole = kind == "end"
    if not whole:
        raise content.refuse("was cut off; fetch it again")
    if not ends:
        raise content.refuse("no host has a time that makes sense; fetch it again")
    return Observed(max(ends))


def _objects(content: Content) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(lines(content), start=1):
        try:
            ((kind, told),) = json.loads(line).items()
        except (ValueError, AttributeError, RecursionError) as error:
            raise content.refuse(f"line {number}: is not what vmjira writes; fetch it again") from error
        yield kind, told


def _host(told: dict[str, Any], staging: Staging, zone: ZoneInfo) -> datetime | None:
    scanned = values.time(_text(told.get("scanned")), zone)
    staging.host(
        str(told["id"]),
        ip=values.address(_text(told.get("ip"))),
        hostname=values.text(_text(told.get("hostname"))),
        mac=values.mac(_text(told.get("mac"))),
        os=values.text(_text(told.get("os"))),
        scanned_at=scanned,
    )
    return scanned


def _finding(number: int, told: dict[str, Any], staging: Staging) -> None:
    key = values.text(_text(told.get("id")))
    try:
        port = values.port(_text(told.get("port")), _text(told.get("protocol")))
    except ValueError as error:
        wrong = str(error)
    else:
        if key:
            return staging.finding(
                str(told["host"]), key, port=port, severity=None, output=values.text(_text(told.get("output")))
            )
        wrong = "no id of a vulnerability"
    staging.records["unknown"] += 1
    return staging.bad_record(f"line {number}, vulnerability '{(key or '')[:60]}': {wrong}")


def _vulnerability(told: dict[str, Any], staging: Staging) -> None:
    key = str(told["id"])
    if severity := SEVERITIES.get((_text(told.get("severity")) or "").strip().lower()):
        staging.rate(key, severity)
    staging.vulnerability(
        key,
        {
            "title": values.text(_text(told.get("title"))) or f"vulnerability {key}",
            "family": values.text(_text(told.get("family"))),
            "cvss2": values.score(_text(told.get("cvss"))),
            "cves": values.cves(_text(told.get("cves"))),
            "synopsis": values.text(_text(told.get("synopsis"))),
            "description": values.text(_text(told.get("description"))),
            "solution": values.text(_text(told.get("solution"))),
        },
    )


def _text(value: Any) -> str | None:
    """Of whatever JSON it is: numbers as they are written, lists and objects as all the text in them."""
    if value is None or isinstance(value, bool):
        return None
    return value if isinstance(value, str) else json.dumps(value)
