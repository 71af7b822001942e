"""What one result of GVM says: severity, port, and the text of its NVT."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

from vmjira.scanners import values

#: The OID of results that stem from no NVT, such as lists of open ports.
NO_NVT = "0"
THREATS = {
    "log": "info", "debug": "info", "low": "low", "medium": "medium", "high": "high", "critical": "critical",
    "alarm": "high", "false positive": "false positive", "error": "error",
}  # fmt: skip
#: Severities below zero are marks, not scores.
MARKS = {-1.0: "false positive", -2.0: "info", -3.0: "error"}
_PORT = re.compile(r"(?:^|\()(\d+)/([A-Za-z]+)\)?$")


def severity(result: etree._Element) -> str | None:
    """A severity, `error` or `false positive`. The score counts; old reports have only the threat."""
    for written in (result.findtext("severity"), result.findtext("nvt/cvss_base")):
        try:
            score = float(written or "")
        except ValueError:
            continue
        if 0 <= score <= 10:
            return values.cvss_band(score)
        return MARKS.get(score)
    return THREATS.get((result.findtext("threat") or "").strip().lower())


def port(written: str | None) -> str | None:
    """`443/tcp` and `https (443/tcp)`; `general/tcp` and all else without a number is none."""
    found = _PORT.search((written or "").strip())
    return values.port(found[1], found[2]) if found else None


def nvt_text(nvt: etree._Element, result: etree._Element) -> dict[str, Any]:
    tags = dict(part.partition("=")[::2] for part in (nvt.findtext("tags") or "").split("|"))
    version3 = (
        "CVSS:3" in tags.get("cvss_base_vector", "")
        or nvt.find("severities/severity[@type='cvss_base_v3']") is not None
    )
    base = values.score(nvt.findtext("cvss_base"))
    references = [(ref.get("type", ""), ref.get("id", "")) for ref in nvt.iterfind("refs/ref")]
    old = [text.strip() for xref in nvt.iterfind("xref") for text in (xref.text or "").split(",")]
    said = [tags.get(name, "").strip() for name in ("insight", "impact", "affected")]
    return {
        "title": values.text(nvt.findtext("name")) or values.text(result.findtext("name")) or f"NVT {nvt.get('oid')}",
        "family": values.text(nvt.findtext("family")),
        "cvss2": None if version3 else base,
        "cvss3": base if version3 else None,
        "cves": values.cves(*(cve.text for cve in nvt.iterfind("cve")), *(text for _, text in references)),
        "solution": values.text(nvt.findtext("solution")) or values.text(tags.get("solution")),
        "description": "\n\n".join(filter(None, said)) or None,
        "synopsis": values.text(tags.get("summary")),
        "references": values.lines(
            [text if kind == "url" else f"{kind.upper()}:{text}" for kind, text in references if kind != "cve"]
            + [text.removeprefix("URL:") for text in old]
        ),
    }
