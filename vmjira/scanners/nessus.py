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
    ("PluginsPreferences", "item"),
    ("IndividualPluginSelection", "PluginItem"),
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


_Written = tuple[str | None, str | None, str | None, str | None]  # plugin, port, protocol, severity
_Kind = tuple[str, str, str | None, bool]  # plugin, severity, port, and whether it needs a closer look
#: Kinds of results that are remembered: a plugin on one port with one severity.
KINDS = 50_000


def _output(item: etree._Element) -> str | None:
    """Nessus writes it last, where it is found at once."""
    last = item[-1] if len(item) else item
    if last.tag == "plugin_output":
        return last.text
    return next((child.text for child in item.iterchildren("plugin_output")), None)


class _Reader:
    """The state between two elements. References of hosts are their ordinals in the file."""

    def __init__(self, staging: Staging, zone: ZoneInfo) -> None:
        self.staging, self.zone = staging, zone
        self.checks: frozenset[str] = frozenset()
        self.number, self.reference = 1, "1"
        self.tags: dict[str, str] = {}
        self.items = 0  # of the present host
        self.scan_information: str | None = None  # output of 19506 for the present host
        self.informed: set[str] = set()  # hosts with plugin 19506
        self.records = staging.records
        self.kinds: dict[_Written, _Kind] = {}
        self.starts: list[datetime] = []
        self.ends: list[datetime] = []

    def item(self, item: etree._Element) -> None:
        self.items += 1
        get = item.get
        written = (get("pluginID"), get("port"), get("protocol"), get("severity"))
        kind = self.kinds.get(written) or self._meet(item, written)
        if kind is None:
            return
        plugin, severity, port, is_special = kind
        self.records[severity] += 1
        output = _output(item)
        if is_special:
            result = compliance(item)
            if result is not None:
                self._compliance(plugin, result)
                return
            output = self._about_host(plugin, output)
        self.staging.finding(self.reference, plugin, port=port, severity=severity, output=output)

    def _meet(self, item: etree._Element, written: _Written) -> _Kind | None:
        """What the attributes mean, which most hosts repeat; None, and counted, if they cannot be read."""
        plugin, port, protocol, number = written
        severity = BY_ATTRIBUTE.get(number or "") or stands_in(item)
        try:
            at = values.port(port or item.findtext("port"), protocol or item.findtext("protocol"))
            if not plugin:
                raise ValueError("no pluginID")
            if severity is None:
                raise ValueError(f"severity '{(number or '')[:40]}' is none; allowed are 0 to 4")
        except ValueError as error:
            self._bad(item, severity, str(error))
            return None
        if not self.staging.knows(plugin):
            self.staging.vulnerability(plugin, plugin_text(item, plugin))
        kind = (plugin, severity, at, plugin in nessus_info.PLUGINS or compliance(item) is not None)
        if None not in written:
            self.kinds = self.kinds if len(self.kinds) < KINDS else {}
            self.kinds[written] = kind
        return kind

    def _about_host(self, plugin: str, output: str | None) -> str | None:
        """Take what two plugins tell of the host; what may be kept of the output."""
        if plugin == nessus_info.SCAN_INFORMATION:
            self.scan_information = output
            self.informed.add(self.reference)
            return nessus_info.without_account(output)
        if plugin == nessus_info.PING and nessus_info.says_dead(output):
            self.staging.not_observed(self.reference)
        return output

    def _compliance(self, plugin: str, result: Result) -> None:
        check = f"{plugin}/{result.check}"
        if result.severity is None:
            return self.staging.unmade(self.reference, check) if result.outcome == "ERROR" else None
        if not self.staging.knows(check):
            self.staging.vulnerability(check, result.text)
        return self.staging.finding(self.reference, check, port=None, severity=result.severity, output=result.output)

    def host(self, host: etree._Element) -> None:
        start, end, authenticated = self._time("HOST_START"), self._time("HOST_END"), self._credentialed()
        if end is None or authenticated is None:
            info = nessus_info.parse(self.scan_information, self.zone)
            start, end = start or info.started_at, end or info.finished_at
            authenticated = info.authenticated if authenticated is None else authenticated
        self.starts += filter(None, [start])
        self.ends += filter(None, [end or start])
        if not self.items:
            self.staging.not_observed(self.reference)
        self.staging.host(
            self.reference,
            **self._identity(host.get("name", "")),
            scanned_at=end,
            authenticated=authenticated,
            complete=None,
        )
        self.number += 1
        self.reference, self.tags, self.items, self.scan_information = str(self.number), {}, 0, None

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

    def _credentialed(self) -> bool | None:
        return {"true": True, "false": False}.get(self.tags.get("Credentialed_Scan", "").lower())

    def _time(self, tag: str) -> datetime | None:
        written = self.tags.get(tag)
        found = values.epoch(self.tags.get(f"{tag}_TIMESTAMP")) or values.time(written, self.zone)
        if written and found is None:
            self.staging.warn(f"host {self.number}: {tag} '{written[:40]}' is no time that makes sense")
        return found

    def _bad(self, item: etree._Element, severity: str | None, reason: str) -> None:
        self.records[severity or "unknown"] += 1
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
