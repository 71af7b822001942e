"""The rules that come with vmjira: they load, and their categories take what their titles say."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from vmjira.domain.frames import SEVERITIES
from vmjira.rulefiles import load
from vmjira.rulefiles.complaints import COLUMNS

RULES = load(Path(__file__).resolve().parents[2] / "rules")
BULLETINS = "Windows : Microsoft Bulletins"


def category(**finding) -> str | None:
    """Id of the first category that takes a finding with these values."""
    values = {"scanner": "nessus", "severity": "high", "ports": [], "title": "Something"} | finding
    frame = pl.DataFrame({name: [values.get(name)] for name in COLUMNS}, schema=COLUMNS)
    for one in RULES.categories:
        if frame.filter(pl.sql_expr(one.where)).height:
            return one.id
    return None


def test_the_three_offices_are_those_of_the_demo():
    assert {one.id: [f"{network.first}-{network.last}" for network in one.networks] for one in RULES.ranges} == {
        "boston": ["10.1.0.0-10.1.255.255"],
        "newyork": ["10.2.0.0-10.2.255.255", "10.3.0.0-10.3.0.255"],
        "berlin": ["10.49.0.0-10.49.255.255"],
    }
    assert RULES.range("berlin").identity == ("agent_uuid", "hostname", "ip")
    assert {one.ticket.project for one in RULES.ranges} == {"VM"}
    assert {one.iteration for one in RULES.ranges} == {"week"}


@pytest.mark.parametrize(
    ("expected", "finding"),
    [
        ("ms-exploitable", {"family": BULLETINS, "exploit_available": True}),
        ("ms-exploitable", {"family": BULLETINS, "severity": "critical", "exploit_available": True}),
        ("ms-exploitable", {"family": "Windows", "scanner": "qualys", "exploit_available": True}),
        ("ms-bulletins", {"family": BULLETINS, "exploit_available": False}),
        ("ms-bulletins", {"family": BULLETINS, "exploit_available": None}),
        ("ms-bulletins", {"family": BULLETINS, "severity": "medium", "exploit_available": True}),
        ("ms-bulletins", {"family": BULLETINS, "scanner": "gvm"}),
        (None, {"family": BULLETINS, "severity": "low"}),
        ("ubuntu", {"family": "Ubuntu Local Security Checks", "severity": "medium"}),
        ("debian", {"family": "Debian Local Security Checks"}),
        ("redhat", {"family": "Red Hat Local Security Checks"}),
        ("redhat", {"family": "CentOS Local Security Checks"}),
        ("redhat", {"family": "Alma Linux Local Security Checks"}),
        ("redhat", {"family": "Rocky Linux Local Security Checks"}),
        ("suse", {"family": "SuSE Local Security Checks"}),
        ("suse", {"family": "openSUSE Local Security Checks", "scanner": "gvm"}),
        ("default-credentials", {"family": "Default Unix Accounts", "severity": "critical"}),
        ("default-credentials", {"family": "Default Accounts", "scanner": "gvm"}),
        ("default-credentials", {"family": "Default Account, Telnet", "scanner": "nexpose"}),
        ("default-credentials", {"family": "Databases", "title": "MySQL default credentials"}),
        ("end-of-life", {"family": "Web Servers", "title": "Apache HTTP Server Unsupported Version Detection"}),
        ("end-of-life", {"family": "General", "title": "Operating System (OS) End of Life (EOL) Detection"}),
        ("end-of-life", {"family": "Obsolete Software", "scanner": "nexpose"}),
        (
            "tls-ssh",
            {"family": "General", "title": "SSL Medium Strength Cipher Suites Supported", "severity": "medium"},
        ),
        ("tls-ssh", {"family": "SSL and TLS", "scanner": "gvm", "severity": "medium"}),
        ("tls-ssh", {"family": "Misc.", "title": "SSH Weak Key Exchange Algorithms Enabled", "severity": "medium"}),
        ("web-servers", {"family": "Web Servers", "severity": "medium"}),
        ("web-servers", {"family": "CGI abuses : XSS", "severity": "medium"}),
        ("web-servers", {"family": "Web application abuses", "scanner": "gvm"}),
        ("web-servers", {"family": "Web server", "scanner": "qualys"}),
        ("web-servers", {"family": "Apache, Apache HTTP Server, Web", "scanner": "nexpose"}),
        ("databases", {"family": "Databases"}),
        ("windows-software", {"family": "Windows", "title": "Mozilla Firefox < 140"}),
        ("remote-access", {"family": "Gain a shell remotely"}),
        ("remote-access", {"family": "Misc.", "exploit_available": True, "ports": ["445/tcp"], "severity": "medium"}),
        ("other-high", {"family": "Misc."}),
        ("other-high", {"family": None}),
        (None, {"family": "Misc.", "severity": "medium"}),
        (None, {"family": "Policy Compliance", "severity": "medium"}),
    ],
)
def test_category_takes_what_its_title_says(expected, finding):
    assert category(**finding) == expected


@pytest.mark.parametrize(
    "family", [BULLETINS, "Web Servers", "Databases", "Windows", "SuSE Local Security Checks", None]
)
@pytest.mark.parametrize("severity", SEVERITIES[:2])
def test_information_and_low_findings_make_no_ticket(family, severity):
    assert category(family=family, severity=severity, exploit_available=True, ports=["80/tcp"]) is None
