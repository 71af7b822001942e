"""Files that we know and do not read, each with its reason."""

from __future__ import annotations

from collections.abc import Callable

from vmjira.scanners.format import Head

Rule = tuple[Callable[[Head], bool], str]


def _root(*names: str) -> Callable[[Head], bool]:
    return lambda head: head.xml is not None and head.xml.root in names


def _starts(*texts: str) -> Callable[[Head], bool]:
    return lambda head: head.text.lstrip().startswith(texts)


def _columns(*names: str) -> Callable[[Head], bool]:
    return lambda head: set(names) <= set(head.columns)


def _is_wapiti(head: Head) -> bool:
    return head.xml is not None and head.xml.root == "report" and "report_infos" in head.xml.names


def _is_broken_xml(head: Head) -> bool:
    return head.xml is None and head.text.lstrip().startswith("<")


RULES: tuple[Rule, ...] = (
    (_root("NessusClientData"), "is Nessus format v1, dead since 2010; export the scan as Nessus v2 (.nessus)"),
    (_root("nmaprun"), "is an nmap result: open ports, no vulnerabilities; export from a vulnerability scanner"),
    (
        _root("NeXposeSimpleXML"),
        "is Nexpose Simple XML, which has neither titles nor severities; export as XML Export 2.0",
    ),
    (
        _root("KNOWLEDGE_BASE_VULN_LIST_OUTPUT"),
        "is the Qualys KnowledgeBase: no hosts; export a scan or the host detections",
    ),
    (_is_wapiti, "is a Wapiti report, about one web site and no hosts; export from a vulnerability scanner"),
    (
        _columns("Plugin", "Total", "Host Total"),
        "is a Tenable.sc summary without hosts; export the Vulnerability Detail List",
    ),
    (_columns("IP", "QID", "Vuln Status"), "is a Qualys CSV report; export it as XML"),
    (_columns("IP", "QID", "VULN TITLE"), "is a HackerGuardian CSV report; export it as Qualys XML"),
    (_starts('"Asset Vuln Datalist Report"'), "is a Qualys VMDR CSV report; export it as XML"),
    (_starts("[{", "{"), "is JSON; of Qualys, fetch the scan as XML, of others export XML or CSV"),
    (_is_broken_xml, "is not well-formed XML from its very beginning; export it again, and do not edit it by hand"),
)


def reason(head: Head) -> str | None:
    """Why a file that we know is refused; None if we do not know it."""
    return next((why for matches, why in RULES if matches(head)), None)
