"""Nessus v2 XML (.nessus), as Nessus, Tenable.io and Tenable Web App Scanning export it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from lxml import etree

from vmjira.domain.frames import SEVERITIES
from vmjira.scanners import nessus_info, values
from vmjira.scanners.content import Content
from vmjira.scanners.format import Head, Observed
from vmjira.scanners.nessus_plugins import Result, compliance, plugin_text, stands_in
from vmjira.scanners.staging import Staging
from vmjira.scanners.xmlstream import elements

NAME = "nessus"
SCANNER = "nessus"
BY_ATTRIBUTE = {str(number): severity for number, severity in enumerate(SEVERITIES)}
WANTED = (
    ("ServerPreferences", "preference"),
    ("ReportHost", "HostProperties"),
    ("ReportHost", "ReportItem"),
    ("Report", "ReportHost"),
)


def recognise(head: Head) -> bool:
    return head.xml is not None and head.xml.root == "NessusClientData_v2"


def read(content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
    reader = _Reader(staging, zone)
    for element in elements(content, *WANTED):
        if element.tag == "ReportItem":
            reader.item(element)
        elif element.tag == "HostProperties":
            reader.tags |= {tag.get("name", ""): tag.text or "" for tag in element.iterchildren("tag")}
        elif element.tag == "ReportHost":
            reader.host(element)
        elif element.findtext("name") == "plugin_set":
            reader.checks = frozenset(filter(None, map(str.strip, (element.findtext("value") or "").split(";"))))
    return reader.observed(content)


class _Reader:
    """The state between two elements. References of hosts are their ordinals in the file."""

    def __init__(self, staging: Staging, zone: ZoneInfo) -> None:
        self.staging, self.zone = staging, zone
        self.checks: frozenset[str] = frozenset()
        self.number, self.reference = 1, "1"
        self.tags: dict[str, str] = {}
        self.items = 0  # of the present host
        self.info: nessus_info.Info | None = None  # of the present host
        self.informed: set[str] = set()  # hosts with plugin 19506
        self.kinds: dict[str, bool] = {}  # plugin → whether its results are compliance results
        self.starts: list[datetime] = []
        self.ends: list[datetime] = []

    def item(self, item: etree._Element) -> None:
        self.items += 1
        plugin = item.get("pluginID")
        if not plugin:
            self.staging.records["unknown"] += 1
            return self._bad(item, "has no pluginID")
        if plugin not in self.kinds:
            self.kinds[plugin] = compliance(item) is not None
        severity = BY_ATTRIBUTE.get(item.get("severity", ""))
        if severity is None and (severity := stands_in(item)) is None:
            self.staging.records["unknown"] += 1
            return self._bad(item, f"severity '{item.get('severity', '')[:40]}' is none; allowed are 0 to 4")
        self.staging.records[severity] += 1
        if self.kinds[plugin] and (result := compliance(item)) is not None:
            return self._compliance(plugin, result)
        return self._finding(item, plugin, severity)

    def _finding(self, item: etree._Element, plugin: str, severity: str) -> None:
        try:
            port = values.port(
                item.get("port") or item.findtext("port"), item.get("protocol") or item.findtext("protocol")
            )
        except ValueError as error:
            return self._bad(item, str(error))
        output = item.findtext("plugin_output")
        if plugin == nessus_info.SCAN_INFORMATION:
            self.info = nessus_info.parse(output, self.zone)
            self.informed.add(self.reference)
        elif plugin == nessus_info.PING and nessus_info.says_dead(output):
            self.staging.not_observed(self.reference)
        if not self.staging.knows(plugin):
            self.staging.vulnerability(plugin, plugin_text(item, plugin))
        return self.staging.finding(self.reference, plugin, port=port, severity=severity, output=output)

    def _compliance(self, plugin: str, result: Result) -> None:
        check = f"{plugin}/{result.check}"
        if result.severity is None:
            return self.staging.unmade(self.reference, check) if result.outcome == "ERROR" else None
        if not self.staging.knows(check):
            self.staging.vulnerability(check, result.text)
        return self.staging.finding(self.reference, check, port=None, severity=result.severity, output=result.output)

    def host(self, host: etree._Element) -> None:
        start, end = self._time("HOST_START"), self._time("HOST_END")
        if self.info is not None:
            start, end = start or self.info.started_at, end or self.info.finished_at
        self.starts += [start] if start else []
        self.ends += [end or start] if end or start else []  # type: ignore[list-item]
        if not self.items:
            self.staging.not_observed(self.reference)
        self.staging.host(
            self.reference,
            **self._identity(host.get("name", "")),
            scanned_at=end,
            authenticated=self._authenticated(),
            complete=None,
        )
        self.staging.host_done()
        self.number += 1
        self.reference, self.tags, self.items, self.info = str(self.number), {}, 0, None

    def _identity(self, name: str) -> dict[str, Any]:
        tags = self.tags
        # A web application scan names the host by its URL.
        bare = (urlsplit(name).hostname or name) if "://" in name else name
        return {
            "ip": values.address(tags.get("host-ip")) or values.address(bare),
            "hostname": tags.get("host-fqdn")
            or tags.get("host-rdns")
            or (bare if bare and not values.address(bare) else None),
            "netbios": tags.get("netbios-name") or None,
            "mac": values.mac(tags.get("mac-address")),
            "agent_uuid": tags.get("TAG") or tags.get("host-uuid") or None,
            "os": (tags.get("operating-system") or tags.get("os") or "").replace("\n", " / ") or None,
        }

    def _authenticated(self) -> bool | None:
        said = {"true": True, "false": False}.get(self.tags.get("Credentialed_Scan", "").lower())
        return said if said is not None or self.info is None else self.info.authenticated

    def _time(self, tag: str) -> datetime | None:
        written = self.tags.get(tag)
        found = values.epoch(self.tags.get(f"{tag}_TIMESTAMP")) or values.time(written, self.zone)
        if written and found is None:
            self.staging.warn(f"host {self.number}: {tag} '{written[:40]}' is no time that makes sense")
        return found

    def _bad(self, item: etree._Element, reason: str) -> None:
        where = f"line {item.sourceline}, host {self.number}"
        self.staging.bad_record(f"{where}, plugin '{item.get('pluginID', '')[:20]}': {reason}")

    def observed(self, content: Content) -> Observed:
        if self.number == 1:
            raise content.refuse("holds no host: it is a policy or an empty report; export a finished scan")
        if not self.ends:
            raise content.refuse(
                "no host has a time that makes sense, so nobody knows when this was; export it from the scanner again"
            )
        if self.informed:
            # Nessus ends each host's scan with 19506: a host without it was not scanned to its end.
            self.staging.adjust_hosts(lambda host: {"complete": host["host"] in self.informed})
        return Observed(max(self.ends), min(self.starts, default=None), self.checks)
