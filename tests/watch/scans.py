"""Small .nessus files, written on the fly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

MONDAY = datetime(2026, 6, 1, 20, tzinfo=UTC)  # of week 23


def week(number: int, *, hours: float = 0) -> datetime:
    """The Monday of an ISO week of 2026, in the evening, and so many hours later."""
    return MONDAY + timedelta(weeks=number - 23, hours=hours)


@dataclass(frozen=True)
class Flaw:
    """A vulnerability as a scanner tells it."""

    plugin: str
    title: str
    family: str = "Windows"
    severity: int = 3
    port: str = "445"


SMB = Flaw("100", "SMB flaw")
RDP = Flaw("101", "RDP flaw", severity=4, port="3389")
APACHE = Flaw("200", "Apache flaw", "Web Servers", port="443")
NGINX = Flaw("201", "nginx flaw", "Web Servers", severity=2, port="443")

Hosts = Mapping[str, Sequence[Flaw]]  # address → what was found


def nessus(
    path: Path,
    ended: datetime,
    hosts: Hosts,
    *,
    names: Mapping[str, str] | None = None,
    credentials: bool = True,
    garbled: bool = False,
) -> Path:
    """Write a scan of these hosts. `garbled`: one more record has a severity that does not exist."""
    names = names or {}
    parts = [_host(ip, flaws, ended, names.get(ip, ""), credentials) for ip, flaws in hosts.items()]
    if garbled:
        parts[0] = parts[0].replace("</ReportHost>", _item(Flaw("999", "Garbled", severity=77)) + "</ReportHost>")
    path.write_text(
        f'<?xml version="1.0"?>\n<NessusClientData_v2><Report name="weekly">{"".join(parts)}</Report>'
        "</NessusClientData_v2>",
        encoding="utf-8",
    )
    return path


def _host(ip: str, flaws: Sequence[Flaw], ended: datetime, name: str, credentials: bool) -> str:
    tags = {
        "host-ip": ip,
        "HOST_START_TIMESTAMP": f"{(ended - timedelta(hours=1)).timestamp():.0f}",
        "HOST_END_TIMESTAMP": f"{ended.timestamp():.0f}",
        "Credentialed_Scan": str(credentials).lower(),
    } | ({"host-fqdn": name} if name else {})
    told = "".join(f"<tag name={quoteattr(key)}>{escape(value)}</tag>" for key, value in tags.items())
    items = [*flaws, Flaw("19506", "Nessus Scan Information", "Settings", 0, "0")]
    return (
        f"<ReportHost name={quoteattr(ip)}><HostProperties>{told}</HostProperties>"
        f"{''.join(map(_item, items))}</ReportHost>"
    )


def _item(flaw: Flaw) -> str:
    return (
        f'<ReportItem port="{flaw.port}" svc_name="cifs" protocol="tcp" severity="{flaw.severity}" '
        f'pluginID="{flaw.plugin}" pluginName={quoteattr(flaw.title)} pluginFamily={quoteattr(flaw.family)}>'
        f"<solution>Update it.</solution><description>{escape(flaw.title)}, described.</description></ReportItem>"
    )
