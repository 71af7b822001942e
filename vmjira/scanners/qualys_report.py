"""Qualys scan reports in XML (`ASSET_DATA_REPORT`)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from lxml import etree

from vmjira.scanners import values
from vmjira.scanners.content import Content
from vmjira.scanners.format import Head, Observed
from vmjira.scanners.qualys_values import BY_NUMBER, name, qid_text
from vmjira.scanners.staging import Staging
from vmjira.scanners.xmlstream import elements

NAME = "qualys-report"
SCANNER = "qualys"
WANTED = (("HEADER", "GENERATION_DATETIME"), ("HOST_LIST", "HOST"), ("VULN_DETAILS_LIST", "VULN_DETAILS"))


def recognise(head: Head) -> bool:
    return head.xml is not None and head.xml.root == "ASSET_DATA_REPORT"


def read(content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
    made: datetime | None = None
    ends: list[datetime | None] = []
    for element in elements(content, *WANTED):
        if element.tag == "HOST":
            ends.append(_host(element, str(len(ends) + 1), staging=staging, zone=zone))
        elif element.tag == "VULN_DETAILS":
            _details(element, staging)
        else:
            made = values.time(element.text, zone)
    finished = max((end for end in ends if end), default=made)
    if finished is None:
        raise content.refuse("neither a host nor the report has a time that makes sense; export it again")
    return Observed(finished)


def _host(host: etree._Element, reference: str, *, staging: Staging, zone: ZoneInfo) -> datetime | None:
    """When it was scanned: a report tells it by what was found last, since informational QIDs are found every time."""
    results = host.findall("VULN_INFO_LIST/VULN_INFO")
    found = [values.time(result.findtext("LAST_FOUND"), zone) for result in results]
    scanned = values.time(host.findtext("LAST_SCAN_DATETIME"), zone) or max(filter(None, found), default=None)
    staging.host(
        reference,
        ip=values.address(host.findtext("IP")),
        hostname=name(host.findtext("DNS")),
        netbios=values.text(host.findtext("NETBIOS")),
        os=values.text(host.findtext("OPERATING_SYSTEM") or host.findtext("OS")),
        scanned_at=scanned,
    )
    for result in results:
        _result(reference, result, staging)
    return scanned


def _result(reference: str, result: etree._Element, staging: Staging) -> None:
    qid = values.text(result.findtext("QID"))
    if (result.findtext("VULN_STATUS") or "").strip().lower() == "fixed":
        return
    try:
        port = values.port(result.findtext("PORT"), result.findtext("PROTOCOL"))
    except ValueError as error:
        _bad(result, str(error), staging)
        return
    if qid is None:
        _bad(result, "no QID", staging)
        return
    staging.finding(reference, qid, port=port, severity=None, output=values.text(result.findtext("RESULT")))


def _bad(result: etree._Element, reason: str, staging: Staging) -> None:
    staging.records["unknown"] += 1
    staging.bad_record(f"line {result.sourceline}, QID '{(result.findtext('QID') or '')[:20]}': {reason}")


def _details(details: etree._Element, staging: Staging) -> None:
    qid, severity = values.text(details.findtext("QID")), BY_NUMBER.get((details.findtext("SEVERITY") or "").strip())
    if qid is None:
        return
    if severity is not None:
        staging.rate(qid, severity)
    staging.vulnerability(qid, qid_text(details, qid, family=values.text(details.findtext("CATEGORY"))))
