"""What scanners write as text, as values: times, addresses, ports, numbers, severities."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from zoneinfo import ZoneInfo

from lxml import etree

from vmjira.domain.frames import SEVERITIES

#: What people and scanners write in place of nothing.
NOTHING = frozenset({"", "n/a", "na", "none", "null", "nocve", "nobid", "noxref", "-"})
FORMS = (
    "%a %b %d %H:%M:%S %Y",  # ctime: Nessus
    "%Y%m%dT%H%M%S%f",  # Nexpose
    "%b %d, %Y %H:%M:%S",  # Tenable.sc
    "%Y/%m/%d %H:%M",  # plugin 19506
    "%Y/%m/%d",
    "%Y-%m-%d %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d %b %Y %I:%M%p",
)
#: Zones by the letters that scanners write, as hours from UTC. Letters with several meanings are left out.
ZONES = {"UTC": 0, "GMT": 0, "Z": 0, "EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
         "CET": 1, "CEST": 2, "AEST": 10, "AEDT": 11, "JST": 9}  # fmt: skip
_ZONE = re.compile(r"(.*\d)\s+([A-Za-z][A-Za-z .]*|[+-]\d{2}:?\d{2})$")
_CVE = re.compile(r"\b(?:CVE|CAN)-(\d{4}-\d{4,})\b", re.IGNORECASE)
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}|\b[0-9A-Fa-f]{12}\b")
EARLIEST, LATEST = datetime(1995, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def text(value: str | None) -> str | None:
    """Without white space around it; None for every way of writing nothing."""
    stripped = (value or "").strip()
    return None if stripped.lower() in NOTHING else stripped


@lru_cache(maxsize=4096)
def time(value: str | None, zone: ZoneInfo) -> datetime | None:
    """In UTC. A time without a zone, or with one that nobody knows, is in `zone`; None if it makes no sense."""
    written = " ".join((value or "").split())
    try:
        moment = _moment(written, zone) if written else None
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment is not None and EARLIEST <= moment < LATEST else None


def epoch(value: str | None) -> datetime | None:
    written = (value or "").strip()
    if not re.fullmatch(r"\d{8,11}", written):
        return None
    moment = datetime.fromtimestamp(int(written), UTC)
    return moment if EARLIEST <= moment < LATEST else None


def _moment(written: str, zone: ZoneInfo) -> datetime | None:
    named = _ZONE.match(written)
    offset = _offset(named[2]) if named else None
    found = _iso(written) or next(
        filter(None, (_by_form(named[1] if named else written, form) for form in FORMS)), None
    )
    if found is None:
        return None
    if found.tzinfo is None and offset is not None:
        return found.replace(tzinfo=UTC) - offset
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def _offset(zone: str) -> timedelta | None:
    """From UTC; None for letters that nobody knows."""
    if zone[0] in "+-":
        minutes = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        return -minutes if zone[0] == "-" else minutes
    hours = ZONES.get(zone.upper())
    return None if hours is None else timedelta(hours=hours)


def _iso(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        return None


def _by_form(written: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(written, form)
    except ValueError:
        return None


def day(value: str | None) -> date | None:
    moment = time(value, ZoneInfo("UTC"))
    return moment.date() if moment else None


def address(value: str | None) -> str | None:
    """Canonical text, or None if it is no address. A scope (`%eth0`) is left out: it means nothing elsewhere."""
    try:
        found = ip_address((value or "").strip().split("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def mac(value: str | None) -> str | None:
    """The first of them, as `00:11:22:aa:bb:cc`; all zeros is none."""
    found = _MAC.search(value or "")
    digits = re.sub("[^0-9a-f]", "", found[0].lower()) if found else ""
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2)) if digits.strip("0") else None


@lru_cache(maxsize=4096)
def port(number: str | None, protocol: str | None) -> str | None:
    """`443/tcp`, or None for no port. Raises ValueError for what is no port."""
    written = (number or "").strip()
    if written.lower() in {"", "0", "general", "-", "n/a"}:
        return None
    value = int(written) if written.isascii() and written.isdigit() else -1
    if not 0 <= value <= 65535:
        raise ValueError(f"port '{written[:40]}' is none; allowed are 0 to 65535")
    return f"{value}/{kind}" if (kind := (protocol or "").strip().lower()) else str(value)


def score(value: str | None) -> float | None:
    """A CVSS score; None if it is none."""
    try:
        found = float((value or "").split("(")[0])
    except ValueError:
        return None
    return found if 0 <= found <= 10 else None


def cves(*values: str | None) -> list[str]:
    """Every CVE in the texts, as CVE-2024-1234, sorted; CAN is what they were called before 2005."""
    return sorted({f"CVE-{number}" for value in values for number in _CVE.findall(value or "")})


def lines(values: Iterable[str | None]) -> list[str]:
    """Every line that says something, once, in order."""
    found = (text(line) for value in values for line in (value or "").splitlines())
    return list(dict.fromkeys(line for line in found if line))


def prose(element: etree._Element | None) -> str | None:
    """The text of marked up text: one line for each that holds any."""
    return tidy("".join(map(str, element.itertext()))) if element is not None else None


def tidy(value: str) -> str | None:
    """One line for each that says anything, single blanks."""
    return "\n".join(filter(None, (" ".join(line.split()) for line in value.splitlines()))) or None


def cvss_band(value: float) -> str:
    """As CVSS 3 names it."""
    return SEVERITIES[(value > 0) + (value >= 4) + (value >= 7) + (value >= 9)]


def higher(first: datetime | None, second: datetime | None) -> datetime | None:
    return max((moment for moment in (first, second) if moment), default=None)
