"""What a ReportItem of Nessus says about its plugin, and the results of compliance checks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lxml import etree

from vmjira.scanners import values

CM = "{http://www.nessus.org/cm}compliance-"
COMPLIANCE_FAMILY = "Policy Compliance"
COMPLIANCE_SEVERITY = {"FAILED": "high", "WARNING": "medium"}
RISKS = {"none": "info", "info": "info", "low": "low", "medium": "medium", "high": "high", "critical": "critical"}
FRAMEWORKS = {
    "exploit_framework_metasploit": "Metasploit",
    "exploit_framework_core": "Core Impact",
    "exploit_framework_canvas": "CANVAS",
    "exploit_framework_d2_elliot": "D2 Elliot",
    "exploit_framework_exploithub": "ExploitHub",
    "exploited_by_malware": "malware",
    "exploited_by_nessus": "Nessus",
}
KNOWN_EXPLOITED = "CISA known exploited"
REFERENCES = ("cwe", "bid", "mskb", "msft", "iava", "iavb", "iavt", "cert", "rhsa", "usn", "edb-id")
#: 2011 and before: no elements, only text.
_OLD_RESULT = re.compile(
    r'\s*"(?P<check>.+?)"\s*:\s*\[(?P<outcome>PASSED|FAILED|WARNING|ERROR)\]\s*(?P<rest>.*)', re.DOTALL
)


@dataclass(frozen=True)
class Result:
    """One compliance check on one host. `severity` is None unless it is a finding."""

    check: str
    outcome: str
    text: dict[str, Any]
    output: str | None

    @property
    def severity(self) -> str | None:
        return COMPLIANCE_SEVERITY.get(self.outcome)


def compliance(item: etree._Element) -> Result | None:
    """None if the item is no result of a compliance check."""
    outcome = item.findtext(f"{CM}result")
    if outcome is not None:
        return _new_result(item, outcome.strip().upper())
    if item.get("pluginFamily") != COMPLIANCE_FAMILY:
        return None
    old = _OLD_RESULT.match(item.findtext("description") or "")
    if old is None:
        return None
    return Result(old["check"], old["outcome"], _text(title=old["check"]), old["rest"].strip() or None)


def _new_result(item: etree._Element, outcome: str) -> Result:
    def said(name: str) -> str | None:
        return values.text(item.findtext(f"{CM}{name}"))

    title = said("check-name") or item.get("pluginName") or "unnamed check"
    words = _text(
        title=title,
        solution=said("solution"),
        description=said("info") or values.text(item.findtext("description")),
        references=values.lines([said("reference"), said("see-also")]),
    )
    return Result(said("check-id") or title, outcome, words, said("actual-value") or said("error"))


def stands_in(item: etree._Element) -> str | None:
    """The severity of an item that lacks the attribute: its risk, else its CVSS score. A wrong one stays wrong."""
    if item.get("severity"):
        return None
    risk = RISKS.get((item.findtext("risk_factor") or item.get("risk_factor") or "").lower())
    if risk:
        return risk
    scores = (values.score(item.findtext(name) or item.get(name)) for name in ("cvss3_base_score", "cvss_base_score"))
    return next((values.cvss_band(score) for score in scores if score is not None), None)


def plugin_text(item: etree._Element, plugin: str) -> dict[str, Any]:
    """Everything that an item repeats for every host."""
    children: dict[str, list[str]] = {}
    for child in item.iterchildren():
        children.setdefault(str(child.tag), []).append(child.text or "")
    first = {name: found[0] for name, found in children.items()}
    exploits = _exploits(first, children)
    return _text(
        title=item.get("pluginName") or first.get("plugin_name") or f"Plugin {plugin}",
        family=item.get("pluginFamily") or None,
        cvss2=values.score(first.get("cvss_base_score")),
        cvss3=values.score(first.get("cvss3_base_score")),
        cves=values.cves(*children.get("cve", [])),
        exploit_available=_exploitable(first, exploits),
        exploits=exploits,
        solution=values.text(first.get("solution")),
        description=values.text(first.get("description")),
        synopsis=values.text(first.get("synopsis")),
        published=values.day(first.get("vuln_publication_date")),
        patch_published=values.day(first.get("patch_publication_date")),
        references=_references(children),
    )


def _text(title: str, **known: Any) -> dict[str, Any]:
    blank: dict[str, Any] = {"family": COMPLIANCE_FAMILY, "cves": [], "exploits": [], "references": []}
    return blank | {"title": title} | known


def _exploits(first: dict[str, str], children: dict[str, list[str]]) -> list[str]:
    names = [f"Metasploit: {name}" for name in children.get("metasploit_name", [])]
    names += [f"CANVAS: {name}" for name in children.get("canvas_package", [])]
    bare = [name for tag, name in FRAMEWORKS.items() if first.get(tag) == "true"]
    names += [name for name in bare if not any(known.startswith(f"{name}:") for known in names)]
    return names + ([KNOWN_EXPLOITED] if "cisa-known-exploited" in children else [])


def _exploitable(first: dict[str, str], exploits: list[str]) -> bool | None:
    if exploits or first.get("exploit_available") == "true":
        return True
    ease = first.get("exploitability_ease", "").lower()
    if ease.startswith(("exploits are available", "no exploit is required")):
        return True
    return False if first.get("exploit_available") == "false" or ease.startswith("no known exploits") else None


def _references(children: dict[str, list[str]]) -> list[str]:
    typed = [f"{tag.upper()}:{value}" for tag in REFERENCES for value in children.get(tag, [])]
    return values.lines([*children.get("see_also", []), *children.get("xref", []), *typed])
