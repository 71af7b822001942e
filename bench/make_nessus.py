"""Writes a large, realistic .nessus file, the same bytes for the same size: `python -m bench.make_nessus OUT`."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

ITEMS_PER_HOST = 43
PLUGINS_PER_HOST = 35  # some report several ports
PLUGINS = 900
PORT, PORTS = "@PORT@", ("0", "0", "22", "80", "135", "139", "443", "445", "3389", "8080")
START = datetime(2026, 6, 5, 1, 0, tzinfo=UTC)
RISKS = ("None", "Low", "Medium", "High", "Critical")
SCORES = (0.0, 2.6, 5.0, 7.6, 10.0)
FAMILIES = ("Windows : Microsoft Bulletins", "Windows", "General", "Service detection", "Web Servers", "Databases")
TEXT = (
    "remote host installed version prior affected multiple vulnerabilities unauthenticated attacker can exploit this "
    "via a specially crafted request to cause denial of service execute arbitrary code note that Nessus has not tested "
    "for these issues but has instead relied only on the application's self-reported number security update missing "
    "kernel library memory corruption improper validation user supplied input information disclosure privilege"
)
WORDS = TEXT.split()


def prose(rng: random.Random, words: int) -> str:
    text = " ".join(rng.choice(WORDS) for _ in range(words))
    return "\n".join(text[at : at + 72] for at in range(0, len(text), 72))


def elements(pairs: list[tuple[str, object]]) -> str:
    return "".join(f"<{name}>{escape(str(value))}</{name}>\n" for name, value in pairs)


def item(plugin: int, *, name: str, family: str, severity: int, children: list[tuple[str, object]]) -> str:
    """A ReportItem without its end; the port is to be put in."""
    return (
        f'<ReportItem port="{PORT}" svc_name="general" protocol="tcp" severity="{severity}" pluginID="{plugin}" '
        f"pluginName={quoteattr(name)} pluginFamily={quoteattr(family)}>\n{elements(children)}"
    )


def plugin(rng: random.Random, number: int) -> tuple[str, int]:
    """One plugin as XML up to its output, which Nessus writes last, and how many words of output it writes."""
    severity = rng.choices(range(5), (55, 5, 20, 14, 6))[0]
    name = f"{prose(rng, 6).title()} ({number})"
    children: list[tuple[str, object]] = [("agent", "all")]
    if severity:
        children += [
            *(("cve", f"CVE-{rng.randint(2012, 2026)}-{rng.randint(1000, 49999)}") for _ in range(rng.randint(0, 4))),
            ("cvss3_base_score", min(SCORES[severity] + 1, 9.8)),
            ("cvss3_vector", "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"),
            ("cvss_base_score", SCORES[severity]),
            ("cvss_vector", "CVSS2#AV:N/AC:L/Au:N/C:C/I:C/A:C"),
        ]
    children += [
        ("description", prose(rng, rng.randint(40, 130))),
        ("exploit_available", rng.choice(("true", "false"))),
        ("fname", f"plugin_{number}.nasl"),
        ("plugin_modification_date", f"2025/0{rng.randint(1, 9)}/1{rng.randint(0, 9)}"),
        ("plugin_name", name),
        ("plugin_publication_date", f"201{rng.randint(0, 9)}/06/12"),
        ("plugin_type", rng.choice(("remote", "local"))),
        ("risk_factor", RISKS[severity]),
        ("script_version", f"1.{rng.randint(1, 90)}"),
        ("see_also", f"https://example.com/advisory/{number}\nhttps://example.org/kb/{number}"),
        ("solution", prose(rng, rng.randint(6, 25))),
        ("synopsis", prose(rng, 10)),
        ("thorough_tests", "false"),
        *(("xref", f"{kind}:{rng.randint(1000, 99999)}") for kind in ("IAVA", "CWE", "MSKB")[: rng.randint(0, 3)]),
    ]
    family = rng.choice(FAMILIES)
    return item(number, name=name, family=family, severity=severity, children=children), rng.choice((0, 12, 40, 90))


def properties(rng: random.Random, number: int, begin: datetime) -> str:
    end = begin + timedelta(minutes=rng.randint(4, 50))
    high, low = number >> 8 & 255, number & 255
    tags = {
        "host-ip": f"10.{number >> 16 & 255}.{high}.{low}",
        "host-fqdn": f"pc{number}.example.com",
        "netbios-name": f"PC{number}",
        "operating-system": "Microsoft Windows 11 Pro Build 26100",
        "mac-address": f"02:00:{high:02X}:{low:02X}:00:01",
        "Credentialed_Scan": "true",
        "HOST_START": f"{begin:%a %b %d %H:%M:%S %Y}",
        "HOST_START_TIMESTAMP": f"{begin.timestamp():.0f}",
        "HOST_END": f"{end:%a %b %d %H:%M:%S %Y}",
        "HOST_END_TIMESTAMP": f"{end.timestamp():.0f}",
    }
    inside = "".join(f'<tag name="{name}">{value}</tag>\n' for name, value in tags.items())
    return f"<HostProperties>\n{inside}</HostProperties>\n"


def scan_information(begin: datetime) -> str:
    head = item(19506, name="Nessus Scan Information", family="Settings", severity=0, children=[])
    output = (
        "Information about this scan :\n\nNessus version : 10.9.3\nPlugin feed version : 202606040522\n"
        "Scan policy used : Advanced Scan\nPort range : default\nThorough tests : no\nCredentialed checks : yes\n"
        f"Scan Start Date : {begin:%Y/%-m/%-d %H:%M} UTC\nScan duration : 900 sec\n"
    )
    return f"{head.replace(PORT, '0')}<plugin_output>{output}</plugin_output>\n</ReportItem>\n"


def host(rng: random.Random, number: int, plugins: list[tuple[str, int]]) -> str:
    begin = START + timedelta(seconds=3 * number)
    items = []
    for head, words in rng.choices(rng.sample(plugins, PLUGINS_PER_HOST), k=ITEMS_PER_HOST - 1):
        output = f"<plugin_output>\n{escape(prose(rng, words))} {number}\n</plugin_output>\n" if words else ""
        items.append(f"{head.replace(PORT, rng.choice(PORTS))}{output}</ReportItem>\n")
    inside = properties(rng, number, begin) + "".join(items) + scan_information(begin)
    return f'<ReportHost name="pc{number}">{inside}</ReportHost>\n'


def document(size: int) -> Iterator[str]:
    """The parts of a file of at least `size` bytes, host by host."""
    rng = random.Random(20260605)
    plugins = [plugin(rng, 50_000 + number) for number in range(PLUGINS)]
    enabled = ";".join(str(number) for number in (19506, *range(50_000, 50_000 + PLUGINS)))
    preference = f"<preference><name>plugin_set</name><value>{enabled};</value></preference>"
    yield '<?xml version="1.0" ?>\n<NessusClientData_v2>\n<Policy><policyName>Advanced</policyName><Preferences>'
    yield f"<ServerPreferences>{preference}</ServerPreferences></Preferences></Policy>\n"
    yield '<Report name="weekly" xmlns:cm="http://www.nessus.org/cm">\n'
    written = number = 0
    while written < size:
        number += 1
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
