"""Single values of rule files from their text; every refusal is a ValueError in words for a person."""

from __future__ import annotations

import re
from datetime import time, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from vmjira.domain.rulebook import Hours
from vmjira.rulefiles.words import meant, quoted

ID = r"[a-z0-9][a-z0-9-]{0,39}"
PROJECT = r"[A-Z][A-Z0-9_]+"
DURATION = r"[1-9][0-9]{0,3} ?[hdw]"
REFERENCE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
HOURS = r"([01]?[0-9]|2[0-3])(:[0-5][0-9])? ?- ?([01]?[0-9]|2[0-4])(:[0-5][0-9])?"
UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def id_(text: str) -> str:
    # Ids become parts of labels, vm.<category>.<range>.<iteration>, and of file names: no dots, no blanks.
    if re.fullmatch(ID, text):
        return text
    guess = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    advice = f"write '{guess}'" if guess else "write for instance 'web-servers'"
    raise ValueError(f"{quoted(text)} is no id; 1 to 40 of a-z, 0-9 and -, not starting with -; {advice}")


def line(text: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", text.strip()):
        raise ValueError(f"{quoted(text)} has several lines; the tracker takes one: join them")
    return text.strip()


def title(text: str) -> str:
    if len(text) > 120:
        raise ValueError(f"{quoted(text)} has {len(text)} characters; at most 120, so that tickets' titles stay whole")
    return line(text)


def project(text: str) -> str:
    if re.fullmatch(PROJECT, text):
        return text
    raise ValueError(f"{quoted(text)} is no project key; A-Z, 0-9 and _, starting with a letter, such as 'VM'")


def label(text: str) -> str:
    if re.search(r"\s", text):
        joined = "-".join(text.split())
        raise ValueError(f"{quoted(text)} has blanks, which Jira refuses in a label; write '{joined}'")
    if text.casefold() == "vmjira" or text.casefold().startswith("vm."):
        raise ValueError(f"{quoted(text)} is one of the labels by which tickets are found again; choose another")
    return text


def duration(text: str) -> timedelta:
    if not re.fullmatch(DURATION, text):
        raise ValueError(f"{quoted(text)} is no duration; a number and h, d or w (hours, days, weeks), such as 14d")
    return timedelta(**{UNITS[text[-1]]: int(text[:-1])})


def hours(text: str) -> Hours:
    if not re.fullmatch(HOURS, text):
        raise ValueError(f"{quoted(text)} are no hours of a day; write for instance 20-6 or 22:30-5")
    begin, end = (_clock(part.strip()) for part in text.split("-"))
    if begin == end:
        raise ValueError(f"{quoted(text)} begins when it ends; leave `hours` out for the whole day")
    return Hours(begin, end)


def _clock(text: str) -> time:
    hour, _, minute = text.partition(":")
    if hour == "24" and int(minute or 0):
        raise ValueError(f"{quoted(text)} is no time of a day; the last one is 24")
    return time(int(hour) % 24, int(minute or 0))


def timezone(text: str) -> ZoneInfo:
    names = available_timezones()
    if text not in names:
        advice = meant(text, names) if len(text) < 50 else ""
        advice = advice if advice.startswith("did") else "write a name such as Europe/Berlin or America/New_York"
        raise ValueError(f"unknown time zone {quoted(text)}; {advice}")
    return ZoneInfo(text)


def secret(text: str) -> str:
    """A reference to the environment. The text itself is never repeated: it may be the secret."""
    if re.fullmatch(REFERENCE, text):
        return text
    raise ValueError("a secret must not stand in a rule file; put it into the environment and write ${NAME} here")


def catalogue(text: str) -> str:
    """An https address or a path."""
    scheme, there, _ = text.partition("://")
    if not there or scheme.lower() == "file":
        return text
    if scheme.lower() == "https":
        return url(text)
    raise ValueError(f"{quoted(text)} is neither an https address nor a path; others could change what it tells")


#: About what `url` takes, for editors.
URL = r"[A-Za-z][A-Za-z0-9+.-]*:/+[^\s/]\S*"


def url(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = bool(parts.scheme and (parts.netloc or parts.path.startswith("/"))) and parts.port != 0
    except ValueError:
        parts, valid = urlsplit(""), False
    # By SSH every GVM is reached as a user of its own system, which is no secret and part of the address.
    user = re.fullmatch(r"[A-Za-z0-9_.-]+@[^@]+", parts.netloc) if parts.scheme == "ssh" else None
    if not user and (parts.username or parts.password or "@" in parts.netloc):
        raise ValueError("a user or password must not stand in an address; use username and password: ${NAME}")
    if not valid or re.search(r"\s", text):
        raise ValueError(f"{quoted(text)} is no address; write for instance https://scanner.example.com:8834")
    return text.rstrip("/")
