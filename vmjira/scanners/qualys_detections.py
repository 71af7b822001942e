"""Qualys host detections in XML (`HOST_LIST_VM_DETECTION_OUTPUT`), as the API gives them.

Type qualys of scanners.yaml puts what the KnowledgeBase has of their QIDs behind the hosts, as `VULN_LIST`.
"""

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

NAME = "qualys-detections"
SCANNER = "qualys"
WANTED = (("RESPONSE", "DATETIME"), ("RESPONSE", "WARNING"), ("HOST_LIST", "HOST"), ("VULN_LIST", "VULN"))


def recognise(head: Head) -> bool:
    return head.xml is not None and head.xml.root == "HOST_LIST_VM_DETECTION_OUTPUT"


def read(content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
    made: datetime | None = None
    ends: list[datetime | None] = []
    for element in elements(content, *WANTED):
        if element.tag == "HOST":
            ends.append(_host(element, str(len(ends) + 1), staging=staging, zone=zone))
        elif element.tag == "VULN":
            _knowledge(element, staging)
        elif element.tag == "DATETIME":
            made = values.time(element.text, zone)
        else:
            # Qualys cuts at 1,000 hosts and says so here; the rest comes by the URL that it names.
            staging.warn("Qualys warns: " + " ".join("".join(map(str, element.itertext())).split())[:300])
    finished = max((end for end in ends if end), default=made)
    if finished is None:
        raise content.refuse("neither a host nor the answer has a time that makes sense; fetch it again")
    return Observed(finished)


def _host(host: etree._Element, reference: str, *, staging: Staging, zone: ZoneInfo) -> datetime | None:
    scanned = values.time(host.findtext("LAST_VM_SCANNED_DATE") or host.findtext("LAST_SCAN_DATETIME"), zone)
    authenticated = values.time(host.findtext("LAST_VM_AUTH_SCANNED_DATE"), zone)
    staging.host(
        reference,
        ip=values.address(host.findtext("IP")) or values.address(host.findtext("IPV6")),
        hostname=name(host.findtext("DNS")),
        netbios=values.text(host.findtext("NETBIOS")),
        agent_uuid=values.text(host.findtext("QG_HOSTID")),
        os=values.text(host.findtext("OS")),
        scanned_at=scanned,
        authenticated=authenticated >= scanned if authenticated and scanned else None,
    )
    for detection in host.iterfind("DETECTION_LIST/DETECTION"):
        _detection(reference, detection, staging)
    return scanned


def _knowledge(vuln: etree._Element, staging: Staging) -> None:
    if qid := values.text(vuln.findtext("QID")):
        told = qid_text(vuln, qid, family=values.text(vuln.findtext("CATEGORY")))
        # It was asked for with all details, so what it does not mention is not known to exist.
        staging.vulnerability(qid, told | {"exploit_available": bool(told["exploit_available"])})


def _detection(reference: str, detection: etree._Element, staging: Staging) -> None:
    qid, written = values.text(detection.findtext("QID")), (detection.findtext("SEVERITY") or "").strip()
    severity = BY_NUMBER.get(written)
    where = f"line {detection.sourceline}, QID '{(qid or '')[:20]}'"
    staging.records[severity or "unknown"] += 1
    try:
        port = values.port(detection.findtext("PORT"), detection.findtext("PROTOCOL"))
    except ValueError as error:
        return staging.bad_record(f"{where}: {error}")
    if qid is None or severity is None:
        return staging.bad_record(f"{where}: severity '{written[:20]}' is none" if qid else f"{where}: no QID")
    if (detection.findtext("STATUS") or "").strip().lower() == "fixed":
        return None
    if "1" in (detection.findtext("IS_IGNORED"), detection.findtext("IS_DISABLED")):
        # Somebody's decision in Qualys, no proof of a repair.
        return staging.unmade(reference, qid)
    if not staging.knows(qid):
        # Its title is in the KnowledgeBase: further down, or in another file.
        staging.vulnerability(qid, {"title": f"QID {qid}"})
    return staging.finding(
        reference, qid, port=port, severity=severity, output=values.text(detection.findtext("RESULTS"))
    )
