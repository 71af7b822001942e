"""What all XML of Qualys has in common: severities, ports, texts with HTML in them."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

from vmjira.domain.frames import SEVERITIES
from vmjira.scanners import values

BY_NUMBER = {str(number): severity for number, severity in enumerate(SEVERITIES, start=1)}
_BREAK = re.compile(r"<\s*(?:p|br|li|/p)\b[^>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^>]*>")


def plain(written: str | None) -> str | None:
    """Without its HTML."""
    text = _TAG.sub("", _BREAK.sub("\n", written or ""))
    return values.text("\n".join(filter(None, (line.strip() for line in text.splitlines()))))


def name(written: str | None) -> str | None:
    found = values.text(written)
    return None if found == "No registered hostname" else found


def qid_text(element: etree._Element, qid: str, *, family: str | None) -> dict[str, Any]:
    """From the details of a QID, in a glossary, the KnowledgeBase, or beside its result."""
    exploits = [title.text or "" for title in element.iterfind(".//EXPLT_LIST/EXPLT/DESC")]
    malware = [title.text or "" for title in element.iterfind(".//MW_INFO/MW_ID")]
    correlated = element.find("CORRELATION") is not None
    return {
        "title": values.text(element.findtext("TITLE")) or f"QID {qid}",
        "family": family,
        "cvss2": values.score(_first(element, "CVSS_BASE", "CVSS_SCORE/CVSS_BASE", "CVSS/BASE")),
        "cvss3": values.score(_first(element, "CVSS3_BASE", "CVSS3_SCORE/CVSS3_BASE", "CVSS_V3/BASE")),
        "cves": values.cves(
            element.get("cveid"),
            *(cve.text for path in ("CVE_ID_LIST/CVE_ID/ID", "CVE_LIST/CVE/ID") for cve in element.iterfind(path)),
        ),
        "exploit_available": True if exploits or malware else False if correlated else None,
        "exploits": exploits + [f"malware: {found}" for found in malware],
        "solution": plain(element.findtext("SOLUTION")),
        "description": plain(_first(element, "IMPACT", "CONSEQUENCE")),
        "synopsis": plain(_first(element, "THREAT", "DIAGNOSIS")),
        "references": values.lines(
            link.text for path in ("VENDOR_REFERENCE_LIST/VENDOR_REFERENCE/URL", "BUGTRAQ_ID_LIST/BUGTRAQ_ID/URL")
            for link in element.iterfind(path)
        ),
    }  # fmt: skip


def _first(element: etree._Element, *paths: str) -> str | None:
    return next((found for path in paths if (found := values.text(element.findtext(path)))), None)
