"""What Nessus says about a host in the output of two plugins: 19506, Scan Information, and 10180, Ping."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from vmjira.scanners import values

SCAN_INFORMATION = "19506"
PING = "10180"
PLUGINS = frozenset({SCAN_INFORMATION, PING})
_FIRST_WORD = re.compile(r"\w+")
_ACCOUNT = re.compile(r"(Credentialed checks *: *\w+).*")
_DEAD = re.compile(r"considered as dead|\bis dead\b")


@dataclass(frozen=True)
class Info:
    started_at: datetime | None
    finished_at: datetime | None
    authenticated: bool | None


def parse(output: str | None, zone: ZoneInfo) -> Info:
    """`yes` may be followed by the account, which is left alone."""
    said = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in (output or "").splitlines())
    }
    began = values.time(said.get("Scan Start Date"), zone)
    seconds = said.get("Scan duration", "").removesuffix(" sec")
    lasted = timedelta(seconds=int(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 9 else 0)
    credentials = _FIRST_WORD.match(said.get("Credentialed checks", "").lower())
    return Info(
        started_at=began,
        finished_at=began + lasted if began else None,
        authenticated={"yes": True, "no": False}.get(credentials[0]) if credentials else None,
    )


def says_dead(output: str | None) -> bool:
    return bool(_DEAD.search(output or ""))


def without_account(output: str | None) -> str | None:
    """The account that the scanner logs in with is nobody's business in a ticket."""
    return _ACCOUNT.sub(r"\1", output) if output else output
