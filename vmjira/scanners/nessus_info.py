"""What Nessus says about a host in the output of two plugins: 19506, Scan Information, and 10180, Ping."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from vmjira.scanners import values

SCAN_INFORMATION = "19506"
PING = "10180"
_DEAD = re.compile(r"considered as dead|\bis dead\b")
_CREDENTIALS = re.compile(r"^Credentialed checks *: *(\w+)", re.MULTILINE)
_START = re.compile(r"^Scan Start Date *: *(.+)$", re.MULTILINE)
_DURATION = re.compile(r"^Scan duration *: *(\d{1,8})", re.MULTILINE)


@dataclass(frozen=True)
class Info:
    started_at: datetime | None
    finished_at: datetime | None
    authenticated: bool | None


def parse(output: str | None, zone: ZoneInfo) -> Info:
    """`yes` may be followed by the account, which is left alone."""
    written = output or ""
    credentials, start, duration = (form.search(written) for form in (_CREDENTIALS, _START, _DURATION))
    began = values.time(start[1], zone) if start else None
    lasted = timedelta(seconds=int(duration[1])) if duration else timedelta()
    return Info(
        started_at=began,
        finished_at=began + lasted if began else None,
        authenticated={"yes": True, "no": False}.get(credentials[1].lower()) if credentials else None,
    )


def says_dead(output: str | None) -> bool:
    return bool(_DEAD.search(output or ""))
