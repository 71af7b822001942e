"""Writes a large, realistic .nessus file, the same bytes for the same size: `python -m bench.make_nessus --size-mb 300 big.nessus`."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

ITEMS_PER_HOST = 43
PLUGINS = 900
START = datetime(2026, 6, 5, 1, 0, tzinfo=UTC)
PORT, PORTS = "@PORT@", ("0", "0", "22", "80", "135", "139", "443", "445", "3389", "8080")
FAMILIES = ("Windows : Microsoft Bulletins", "Windows", "General", "Service detection", "Web Servers", "Misc.",
            "Red Hat Local Security Checks", "Databases", "SNMP", "Settings")  # fmt: skip
WORDS = [
    "remote",
    "host",
    "installed",
    "version",
    "prior",
    "affected",
    "multiple",
    "vulnerabilities",
    "unauthenticated",
    "attacker",
    "can",
    "exploit",
    "this",
    "via",
    "a",
    "specially",
    "crafted",
    "request",
    "to",
    "cause",
    "denial",
    "of",
    "service",
    "condition",
    "execute",
    "arbitrary",
    "code",
    "note",
    "that",
    "Nessus",
    "has",
    "not",
    "tested",
    "for",
    "these",
    "issues",
    "but",
    "has",
    "instead",
    "relied",
    "only",
    "on",
    "the",
    "application's",
    "self-reported",
    "number",
    "security",
    "update",
    "missing",
    "kernel",
    "library",
    "memory",
    "corruption",
    "improper",
    "validation",
    "user",
    "supplied",
    "input",
    "information",
    "disclosure",
    "privilege",
    "escalation",
]


def prose(rng: random.Random, words: int) -> str:
    text = " ".join(rng.choice(WORDS) for _ in range(words))
    return "\n".join(text[i : i + 72] for i in range(0, len(text), 72))


def plugin(rng: random.Random, number: int) -> tuple[str, int]:
    """One plugin as XML up to its output, and how many words of output it writes."""
    severity = rng.choices((0, 1, 2, 3, 4), (55, 5, 20, 14, 6))[0]
    family = rng.choice(FAMILIES)
    cves = [
        f"CVE-{rng.randint(2012, 2026)}-{rng.randint(1000, 49999)}" for _ in range(rng.randint(0, 4) if severity else 0)
    ]
    name = f"{prose(rng, 6).title()} ({number})"
    risk = ("None", "Low", "Medium", "High", "Critical")[severity]
    head = (
        f'<ReportItem port="{PORT}" svc_name="general" protocol="tcp" severity="{severity}" pluginID="{number}" '
        f'pluginName="{escape(name)}" pluginFamily="{family}">\n<agent>all</agent>\n'
    )
    if severity:
        score = (0.0, 2.6, 5.0, 7.6, 10.0)[severity]
        head += (
            f"<cvss3_base_score>{min(score + 1, 9.8)}</cvss3_base_score>\n<cvss3_vector>CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
            f"</cvss3_vector>\n<cvss_base_score>{score}</cvss_base_score>\n<cvss_vector>CVSS2#AV:N/AC:L/Au:N/C:C/I:C/A:C</cvss_vector>\n"
        )
    head += "".join(f"<cve>{cve}</cve>\n" for cve in cves)
    head += (
        f"<description>{escape(prose(rng, rng.randint(40, 130)))}</description>\n"
        f"<exploit_available>{rng.choice(('true', 'false'))}</exploit_available>\n<fname>plugin_{number}.nasl</fname>\n"
        f"<plugin_modification_date>2025/0{rng.randint(1, 9)}/1{rng.randint(0, 9)}</plugin_modification_date>\n"
        f"<plugin_name>{escape(name)}</plugin_name>\n<plugin_publication_date>201{rng.randint(0, 9)}/06/12</plugin_publication_date>\n"
        f"<plugin_type>{rng.choice(('remote', 'local'))}</plugin_type>\n<risk_factor>{risk}</risk_factor>\n"
        f"<script_version>1.{rng.randint(1, 90)}</script_version>\n<see_also>https://example.com/advisory/{number}\n"
        f"https://example.org/kb/{number}</see_also>\n<solution>{escape(prose(rng, rng.randint(6, 25)))}</solution>\n"
        f"<synopsis>{escape(prose(rng, 10))}</synopsis>\n<thorough_tests>false</thorough_tests>\n"
    )
    xrefs = (
        f"<xref>{kind}:{rng.randint(1000, 99999)}</xref>\n" for kind in ("IAVA", "CWE", "MSKB")[: rng.randint(0, 3)]
    )
    return head + "".join(xrefs), rng.choice((0, 12, 40, 90))


def host(rng: random.Random, number: int, plugins: list[tuple[str, int]]) -> str:
    begin = START + timedelta(seconds=3 * number)
    end = begin + timedelta(minutes=rng.randint(4, 50))
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    tags = {
        "host-ip": address, "host-fqdn": f"pc{number}.example.com", "netbios-name": f"PC{number}",
        "operating-system": "Microsoft Windows 11 Pro Build 26100", "mac-address": f"02:00:{number >> 8 & 255:02X}:{number & 255:02X}:00:01",
        "Credentialed_Scan": "true", "HOST_START": f"{begin:%a %b %d %H:%M:%S %Y}", "HOST_START_TIMESTAMP": f"{begin.timestamp():.0f}",
        "HOST_END": f"{end:%a %b %d %H:%M:%S %Y}", "HOST_END_TIMESTAMP": f"{end.timestamp():.0f}",
    }  # fmt: skip
    properties = "".join(f'<tag name="{name}">{value}</tag>\n' for name, value in tags.items())
    items = []
    for head, words in rng.choices(rng.sample(plugins, 35), k=ITEMS_PER_HOST - 1):  # some on several ports
        output = f"<plugin_output>\n{escape(prose(rng, words))} {address}\n</plugin_output>\n" if words else ""
        items.append(head.replace(PORT, rng.choice(PORTS)) + output + "</ReportItem>\n")
    return f'<ReportHost name="{address}"><HostProperties>\n{properties}</HostProperties>\n{"".join(items)}{scan_info(begin)}</ReportHost>\n'


def scan_info(begin: datetime) -> str:
    return (
        '<ReportItem port="0" svc_name="general" protocol="tcp" severity="0" pluginID="19506" pluginName="Nessus Scan Information" '
        'pluginFamily="Settings">\n<description>This plugin displays information about the Nessus scan.</description>\n'
        f"<plugin_output>Information about this scan :\n\nCredentialed checks : yes\nScan Start Date : {begin:%Y/%-m/%-d %H:%M} UTC\n"
        "Scan duration : 900 sec\n</plugin_output>\n</ReportItem>\n"
    )


def document(size: int) -> Iterator[str]:
    """The parts of a file of at least `size` bytes, host by host."""
    rng = random.Random(20260605)
    plugins = [plugin(rng, 50_000 + number) for number in range(PLUGINS)]
    plugin_set = ";".join(str(50_000 + number) for number in range(PLUGINS))
    written = 0
    yield (
        '<?xml version="1.0" ?>\n<NessusClientData_v2>\n<Policy><policyName>Advanced</policyName><Preferences><ServerPreferences>'
        f"<preference><name>plugin_set</name><value>{plugin_set};19506;</value></preference></ServerPreferences></Preferences></Policy>\n"
        '<Report name="weekly" xmlns:cm="http://www.nessus.org/cm">\n'
    )
    for number in range(1, 1 << 24):
        if written >= size:
            break
        part = host(rng, number, plugins)
        written += len(part)
        yield part
    yield "</Report>\n</NessusClientData_v2>\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size-mb", type=int, default=300)
    options.add_argument("path", type=Path)
    chosen = options.parse_args()
    with chosen.path.open("w", encoding="utf-8") as out:
        out.writelines(document(chosen.size_mb * 1_000_000))


if __name__ == "__main__":
    main()
