"""Qualys scan results in XML (`SCAN`)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from lxml import etree

from vmjira.scanners import values
from vmjira.scanners.content import Content
from vmjira.scanners.format import Head, Observed
from vmjira.scanners.qualys_values import BY_NUMBER, name, qid_text
from vmjira.scanners.staging import Staging
from vmjira.scanners.xmlstream import elements

NAME = "qualys-scan"
SCANNER = "qualys"
GROUPS = ("INFOS", "SERVICES", "VULNS", "PRACTICES")
_DURATION = re.compile(r"(?:(\d+) days? )?(\d+):(\d\d):(\d\d)")


def recognise(head: Head) -> bool:
    return head.xml is not None and head.xml.root == "SCAN"


def read(content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
    header: dict[str, str] = {}
    hosts = 0
    for element in elements(content, ("HEADER", "KEY"), ("SCAN", "IP")):
        if element.tag == "KEY":
            header[element.get("value", "")] = element.text or ""
        else:
            hosts += 1
            _host(element, str(hosts), staging)
    start = values.time(header.get("DATE"), zone)
    if start is None:
        raise content.refuse(f"its DATE '{header.get('DATE', '')[:40]}' is no time that makes sense; export it again")
    finished = header.get("STATUS", "").strip().upper() == "FINISHED"
    staging.adjust_hosts(lambda _: {"complete": finished})
    return Observed(_end(start, header.get("DURATION", "")), start)


def _end(start: datetime, duration: str) -> datetime:
    found = _DURATION.search(duration)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0, 0)
    return start + timedelta(days=min(days, 366), hours=min(hours, 9999), minutes=minutes, seconds=seconds)


def _host(host: etree._Element, reference: str, staging: Staging) -> None:
    staging.host(
        reference,
        ip=values.address(host.get("value")),
        hostname=name(host.get("name")),
        netbios=values.text(host.findtext("NETBIOS_HOSTNAME")),
        os=values.text(host.findtext("OS")),
    )
    for group in GROUPS:
        for category in host.iterfind(f"{group}/CAT"):
            for result in category:
                _result(reference, category, result, staging)


def _result(reference: str, category: etree._Element, result: etree._Element, staging: Staging) -> None:
    qid, severity = result.get("number", ""), BY_NUMBER.get(result.get("severity", ""))
    staging.records[severity or "unknown"] += 1
    where = f"line {result.sourceline}, QID '{qid[:20]}'"
    try:
        port = values.port(category.get("port"), category.get("protocol"))
    except ValueError as error:
        return staging.bad_record(f"{where}: {error}")
    if not qid or severity is None:
        return staging.bad_record(
            f"{where}: severity '{result.get('severity', '')[:20]}' is none" if qid else f"{where}: no number"
        )
    if not staging.knows(qid):
        staging.vulnerability(qid, qid_text(result, qid, family=category.get("value")))
    output = values.text(result.findtext("RESULT"))
    return staging.finding(reference, qid, port=port, severity=severity, output=output)
