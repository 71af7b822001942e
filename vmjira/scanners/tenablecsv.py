"""CSV of Nessus, Tenable.io and Tenable.sc, in the column layouts of their versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from vmjira.scanners import nessus_info, values
from vmjira.scanners.content import Content
from vmjira.scanners.format import Head, Observed
from vmjira.scanners.nessus_plugins import RISKS
from vmjira.scanners.rows import Row, rows
from vmjira.scanners.staging import Staging

NAME = "tenable-csv"
SCANNER = "nessus"
PLUGIN = ("Plugin ID", "Plugin", "definition.id")
SEVERITY = ("Severity", "Risk", "severity", "definition.severity")
ADDRESS = ("IP Address", "asset.display_ipv4_address", "asset.ipv4_addresses")
HOST = ("Host", "asset.name", "asset.host_name")
FQDN = ("FQDN", "DNS Name", "asset.display_fqdn")
TIME = ("Host End", "Last Observed", "Last Found", "Last Seen", "last_seen")
STARTED = ("Host Start",)
STATE = ("Vulnerability State", "state")
CVE = ("CVE", "definition.cve")
OUTPUT = ("Plugin Output", "Plugin Text", "output")
NUMBERS = {str(number): risk for number, risk in enumerate(("info", "low", "medium", "high", "critical"))}
FRAMEWORKS = ("Metasploit", "Core Impact", "Core Exploits", "CANVAS", "D2 Elliot", "ExploitHub")


def recognise(head: Head) -> bool:
    names = set(head.columns)
    return all(names.intersection(any_of) for any_of in (PLUGIN, SEVERITY, ADDRESS + HOST)) and "Total" not in names


def read(content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
    hosts: dict[tuple[str, str], _Host] = {}
    for number, row in rows(content):
        _read_row(number, row, hosts, staging=staging, zone=zone)
    for host in hosts.values():
        host.settle(staging)
    ends = [host.ended_at for host in hosts.values() if host.ended_at]
    if not hosts:
        raise content.refuse("holds no result, so no host and no time; export a finished scan with results")
    if not ends:
        raise content.refuse("no column and no plugin 19506 tells when this was; export it as .nessus")
    informed = {host.reference for host in hosts.values() if host.informed}
    if informed:
        staging.adjust_hosts(lambda host: {"complete": host["host"] in informed})
    return Observed(max(ends), min((host.began_at for host in hosts.values() if host.began_at), default=None))


@dataclass
class _Host:
    reference: str
    known: dict[str, Any] = field(default_factory=dict)
    began_at: datetime | None = None
    ended_at: datetime | None = None
    authenticated: bool | None = None
    informed: bool = False

    def settle(self, staging: Staging) -> None:
        staging.host(self.reference, **self.known, scanned_at=self.ended_at, authenticated=self.authenticated)


def _first(row: Row, names: tuple[str, ...]) -> str:
    return next((row[name].strip() for name in names if row.get(name, "").strip()), "")


def _read_row(number: int, row: Row, hosts: dict[tuple[str, str], _Host], *, staging: Staging, zone: ZoneInfo) -> None:
    if _first(row, STATE).lower() == "fixed":
        return None
    plugin, written = _first(row, PLUGIN), _first(row, SEVERITY).lower()
    severity = NUMBERS.get(written) or RISKS.get(written)
    staging.records[severity or "unknown"] += 1
    host = _host(row, hosts, zone)
    try:
        port = values.port(row.get("Port") or row.get("port"), row.get("Protocol") or row.get("protocol"))
    except ValueError as error:
        return staging.bad_record(f"line {number}, plugin '{plugin[:20]}': {error}")
    if not plugin or severity is None or host is None:
        wrong = f"severity '{written[:40]}' is none" if plugin and host else "no plugin" if host else "no host"
        return staging.bad_record(f"line {number}, plugin '{plugin[:20]}': {wrong}")
    output = _first(row, OUTPUT).removeprefix("Plugin Output:").strip()
    if plugin in nessus_info.PLUGINS:
        _about(host, plugin, output, staging=staging, zone=zone)
        output = nessus_info.without_account(output) or ""
    if not staging.knows(plugin):
        staging.vulnerability(plugin, _plugin_text(row, plugin))
    staging.more_cves(plugin, values.cves(_first(row, CVE)))  # Nessus writes one line for each CVE
    return staging.finding(host.reference, plugin, port=port, severity=severity, output=output or None)


def _about(host: _Host, plugin: str, output: str, *, staging: Staging, zone: ZoneInfo) -> None:
    if plugin == nessus_info.SCAN_INFORMATION:
        info = nessus_info.parse(output, zone)
        host.informed, host.authenticated = True, info.authenticated
        host.began_at, host.ended_at = host.began_at or info.started_at, host.ended_at or info.finished_at
    elif nessus_info.says_dead(output):
        staging.not_observed(host.reference)


def _host(row: Row, hosts: dict[tuple[str, str], _Host], zone: ZoneInfo) -> _Host | None:
    name, written = _first(row, HOST), _first(row, ADDRESS)
    ip = values.address(written) or values.address(name)
    fqdn = _first(row, FQDN) or ("" if values.address(name) else name)
    if not ip and not fqdn:
        return None
    host = hosts.setdefault((ip or "", fqdn), _Host(str(len(hosts) + 1)))
    host.known = host.known or {
        "ip": ip,
        "hostname": fqdn or None,
        "netbios": _first(row, ("NetBIOS Name", "NetBios", "asset.netbios_name")).split("\\")[-1] or None,
        "mac": values.mac(_first(row, ("MAC Address", "asset.display_mac_address"))),
        "agent_uuid": _first(row, ("Agent ID",)) or None,
        "os": _first(row, ("OS", "asset.operating_system")) or None,
    }
    host.ended_at = values.higher(host.ended_at, values.time(_first(row, TIME), zone))
    host.began_at = host.began_at or values.time(_first(row, STARTED), zone)
    return host


def _plugin_text(row: Row, plugin: str) -> dict[str, Any]:
    exploits = [name for name in FRAMEWORKS if row.get(name, "").strip().lower() == "true"]
    frameworks = row.get("Exploit Frameworks", "").strip()
    exploits += [frameworks] if frameworks else []
    said = _first(row, ("Exploit?", "Exploit Available")).lower()
    return {
        "title": _first(row, ("Name", "Plugin Name", "definition.name")) or f"Plugin {plugin}",
        "family": _first(row, ("Family", "Plugin Family", "definition.family")) or None,
        "cvss2": values.score(_first(row, ("CVSS", "CVSS v2.0 Base Score", "CVSS V2 Base Score", "CVSS Base Score"))),
        "cvss3": values.score(
            _first(row, ("CVSS v3.0 Base Score", "CVSS V3 Base Score", "CVSS3 Base Score", "CVSSv3"))
        ),
        "exploit_available": True if exploits else {"yes": True, "true": True, "no": False, "false": False}.get(said),
        "exploits": exploits,
        "solution": values.text(_first(row, ("Solution", "definition.solution"))),
        "description": values.text(_first(row, ("Description", "definition.description"))),
        "synopsis": values.text(_first(row, ("Synopsis", "definition.synopsis"))),
        "published": values.day(row.get("Vuln Publication Date")),
        "patch_published": values.day(row.get("Patch Publication Date")),
        "references": values.lines([_first(row, ("See Also", "definition.see_also")), _cross_references(row)]),
    }


def _cross_references(row: Row) -> str:
    """`IAVA #0001-A-0560,CWE #310` and `IAVT:0001-T-0931`, one a line, as TYPE:VALUE."""
    return _first(row, ("Cross References", "XREF")).replace(" #", ":").replace(",", "\n")
