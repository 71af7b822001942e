"""Writes one made-up scan as the Nessus scanner exports it (.nessus, version 2), host by host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from html import escape

from vmjira.sandbox.campaign_checks import SEVERITIES, Check, known
from vmjira.sandbox.campaign_hosts import Host, Office
from vmjira.sandbox.campaign_story import Visit, enabled, found, logs_in

POLICY = "Weekly Full Scan"
DURATION = timedelta(hours=3)  # of a whole scan, however many hosts it has
PER_HOST = timedelta(minutes=7)
INFORMATION = {
    10180: ("Ping the remote host", "Port scanners", "remote"),
    11219: ("Nessus SYN scanner", "Port scanners", "remote"),
    11936: ("OS Identification", "General", "combined"),
    19506: ("Nessus Scan Information", "Settings", "summary"),
    104410: (
        "Target Credential Status by Authentication Protocol - Failure for Provided Credentials", "Settings", "summary",
    ),
    110723: (
        "Target Credential Status by Authentication Protocol - No Credentials Provided", "Settings", "summary",
    ),
    141118: (
        "Target Credential Status by Authentication Protocol - Valid Credentials Provided", "Settings", "summary",
    ),
}  # fmt: skip
ACCOUNTS = {"SMB": r"CORP\svc-scan", "SSH": "svc-scan"}
RISKS = ("None", *(severity.capitalize() for severity in SEVERITIES[1:]))


@dataclass(frozen=True)
class Round:
    """One scan of one office in one week."""

    office: Office
    week: int
    first_day: date  # of the campaign
    started_at: datetime  # in the scanner's zone
    hosts: int


def document(scan: Round, visits: Iterable[Visit]) -> Iterator[str]:
    """The file, piece by piece."""
    yield '<?xml version="1.0" ?>\n<NessusClientData_v2>\n'
    yield _policy(scan)
    yield f'<Report name="Weekly {scan.office.title}" xmlns:cm="http://www.nessus.org/cm">\n'
    for order, visit in enumerate(visits):
        start = scan.started_at + (DURATION - PER_HOST) * min(order, scan.hosts) / scan.hosts
        yield from _host(scan, visit, start.replace(microsecond=0))
    yield "</Report>\n</NessusClientData_v2>\n"


def _policy(scan: Round) -> str:
    ids = sorted([*INFORMATION, *(check.id for check in known(scan.week) if enabled(check, scan.office, scan.week))])
    preferences = {
        "TARGET": scan.office.targets,
        "port_range": "default",
        "plugin_set": ";".join(map(str, ids)),
        "whoami": "scan-operator",
        "safe_checks": "yes",
        "unscanned_closed": "no",
    }
    lines = [
        f"<preference><name>{name}</name><value>{value}</value></preference>" for name, value in preferences.items()
    ]
    return (
        f"<Policy><policyName>{POLICY}</policyName>\n<Preferences><ServerPreferences>\n"
        + "\n".join(lines)
        + "\n</ServerPreferences></Preferences>\n</Policy>\n"
    )


def _host(scan: Round, visit: Visit, start: datetime) -> Iterator[str]:
    machine, address = visit.host, str(visit.host.address(scan.office, scan.week))
    end = start + (timedelta(seconds=12) if visit.down else PER_HOST)
    name = machine.fqdn if scan.office.dhcp and not visit.down else address
    yield f'<ReportHost name="{name}"><HostProperties>\n'
    yield from (f'<tag name="{tag}">{escape(value)}</tag>\n' for tag, value in _tags(scan, visit, start, end).items())
    yield "</HostProperties>\n"
    if visit.down:
        yield _ping(f"The remote host ({address}) is considered as dead - not scanning")
    else:
        yield _ping("The remote host is up")
        yield from _information(scan, machine, start, end)
        for check, severity in found(machine, scan.office, scan.week):
            before, after = _finding(check, severity, scan.first_day)
            yield before + escape(_output(check, machine)) + after
    yield "</ReportHost>\n"


def _tags(scan: Round, visit: Visit, start: datetime, end: datetime) -> dict[str, str]:
    machine = visit.host
    times = {
        "HOST_END_TIMESTAMP": f"{end.timestamp():.0f}",
        "HOST_END": end.ctime(),
        "HOST_START_TIMESTAMP": f"{start.timestamp():.0f}",
        "HOST_START": start.ctime(),
        "host-ip": str(machine.address(scan.office, scan.week)),
    }
    if visit.down:
        return times
    windows = "windows" in machine.kind.traits
    return (
        {
            "Credentialed_Scan": str(logs_in(machine, scan.office, scan.week)).lower(),
            "policy-used": POLICY,
            "operating-system": machine.kind.os,
            "os": "windows" if windows else "linux" if "linux" in machine.kind.traits else "other",
            "host-fqdn": machine.fqdn,
            "mac-address": machine.mac,
        }
        | ({"netbios-name": machine.name} if windows else {})
        | ({"host-uuid": machine.agent_uuid} if machine.agent_uuid else {})
        | times
    )


def _information(scan: Round, machine: Host, start: datetime, end: datetime) -> Iterator[str]:
    yield _informational(11936, f"Remote operating system : {machine.kind.os}\nConfidence level : 95")
    for port, service in machine.kind.ports:
        yield _informational(11219, f"Port {port}/tcp was found to be open", port=port, service=service)
    protocol, worked = machine.kind.login, logs_in(machine, scan.office, scan.week)
    port, service = next(iter(machine.kind.ports))
    if worked:
        yield _informational(141118, f"Logged in as '{ACCOUNTS[protocol]}' via {protocol}.", port=port, service=service)
    elif protocol:
        yield _informational(104410, f"Could not log in via {protocol}.", port=port, service=service)
    else:
        yield _informational(110723, "No credentials were given for this host.", port=port, service=service)
    credentialed = f"yes, as '{ACCOUNTS[protocol]}' via {protocol.replace('SSH', 'ssh')}" if worked else "no"
    yield _informational(19506, _scan_information(scan, credentialed, start=start, end=end))


def _scan_information(scan: Round, credentialed: str, *, start: datetime, end: datetime) -> str:
    return "\n".join(
        (
            "Information about this scan :\n",
            "Nessus version : 10.9.1",
            f"Plugin feed version : {scan.started_at:%Y%m%d}0415",
            "Scanner edition used : Nessus",
            "Scan type : Normal",
            f"Scan name : Weekly {scan.office.title}",
            f"Scan policy used : {POLICY}",
            "Scanner IP : 10.1.0.20",
            "Port scanner(s) : nessus_syn_scanner",
            "Port range : default",
            "Thorough tests : no",
            "Experimental tests : no",
            "Paranoia level : 1",
            f"Credentialed checks : {credentialed}",
            "Patch management checks : None",
            f"Scan Start Date : {start:%Y/%m/%d %H:%M %Z}",
            f"Scan duration : {(end - start).seconds} sec",
        )
    )


def _ping(text: str) -> str:
    return _informational(10180, text)


def _informational(plugin: int, output: str, *, port: int = 0, service: str = "general") -> str:
    name, family, kind = INFORMATION[plugin]
    return (
        f'<ReportItem port="{port}" svc_name="{service}" protocol="tcp" severity="0" pluginID="{plugin}"'
        f' pluginName="{name}" pluginFamily="{family}">\n<plugin_type>{kind}</plugin_type>\n'
        f"<risk_factor>None</risk_factor>\n<solution>n/a</solution>\n<plugin_output>{escape(output)}</plugin_output>\n"
        "</ReportItem>\n"
    )


@cache
def _finding(check: Check, severity: int, first_day: date) -> tuple[str, str]:
    """The item of a check, before and after the host's own output; a recast severity leaves the risk factor alone."""
    title = escape(check.title)
    head = (
        f'<ReportItem port="{check.port}" svc_name="{check.service}" protocol="{_protocol(check)}"'
        f' severity="{severity}" pluginID="{check.id}" pluginName="{title}" pluginFamily="{check.family}">\n'
    )
    children = [f"<{name}>{escape(value)}</{name}>" for name, value in _children(check, first_day)]
    return head + "\n".join(children) + "\n<plugin_output>", "</plugin_output>\n</ReportItem>\n"


def _children(check: Check, first_day: date) -> Iterator[tuple[str, str]]:
    published = first_day + timedelta(weeks=check.week, days=1 if check.week else -30 - check.id % 40)
    day = f"{published:%Y/%m/%d}"
    yield from (("cve", cve) for cve in check.cves)
    yield "cvss3_base_score", f"{check.cvss:.1f}"
    yield "cvss_base_score", f"{max(check.cvss - 1.2, 1):.1f}"
    yield "description", check.description
    yield "exploit_available", "false" if check.exploit == "no" else "true"
    if check.exploit == "metasploit":
        yield "exploit_framework_metasploit", "true"
        yield "metasploit_name", f"{check.title} Module"
    yield (
        "exploitability_ease",
        "No known exploits are available" if check.exploit == "no" else "Exploits are available",
    )
    if check.number:
        yield "mskb", check.number.removeprefix("KB")
    yield "patch_publication_date", day
    yield "plugin_name", check.title
    yield "plugin_publication_date", day
    yield "plugin_type", "local" if check.local else "remote"
    yield "risk_factor", RISKS[check.severity]
    yield "see_also", f"https://advisories.example.com/{check.id}"
    yield "solution", check.solution
    yield "synopsis", f"The host is affected: {check.title}."
    yield "vuln_publication_date", day
    if check.number:
        yield "xref", f"MSKB:{check.number.removeprefix('KB')}"


def _protocol(check: Check) -> str:
    return "udp" if check.service == "snmp" else "tcp"


def _output(check: Check, machine: Host) -> str:
    if check.number:
        return f"{check.number} is missing from the list of installed updates of {machine.name}."
    if check.local:
        return f"Read from {machine.name}'s list of installed software, build {machine.number % 7 + 1}."
    return f"The service on port {check.port}/{_protocol(check)} of {machine.fqdn} answered as expected of this flaw."
