"""A made-up campaign of weekly scans of three offices, as .nessus files, for demo, rehearsal and measuring."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from vmjira.sandbox.campaign_hosts import OFFICES, Office
from vmjira.sandbox.campaign_story import FEWEST_HOSTS, MOST_HOSTS, WEEKS, Visit, story, visits
from vmjira.sandbox.campaign_xml import Round, document

__all__ = ["START", "story", "write_campaign", "write_rescan"]

START = date(2026, 5, 18)  # a Monday; the sixth week is 2026-W26
SCANNER_ZONE = ZoneInfo("America/New_York")


def write_campaign(
    folder: Path, *, weeks: int = WEEKS, hosts_per_office: int = 60, seed: int = 23, start: date = START
) -> list[Path]:
    """Write one file per office and week into `folder`, sorted by time. The same arguments give the same bytes.

    `start` is a Monday. Memory does not grow with the number of hosts.
    """
    _check(weeks, hosts_per_office, start)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _write(folder, _round(office, week, hosts_per_office, start=start), seed)
        for week in range(weeks)
        for office in OFFICES
    ]


def write_rescan(folder: Path, office: str, week: int, names: Collection[str], *, start: date = START) -> Path:
    """Write a scan of a few hosts of an office, by name, on the Sunday of that week: somebody wants to know it now."""
    where = next(each for each in OFFICES if each.id == office)
    sunday = datetime.combine(start + timedelta(weeks=week, days=6), time(9), SCANNER_ZONE)
    scan = Round(where, week, start, sunday, len(names))
    path = folder / f"{sunday:%Y-%m-%d}-{office}-rescan.nessus"
    chosen = [each for each in visits(where, week, count=60, seed=23) if each.host.name in names]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(document(scan, (Visit(each.host) for each in chosen)))
    return path


def _check(weeks: int, hosts_per_office: int, start: date) -> None:
    if not 1 <= weeks <= WEEKS:
        raise ValueError(f"weeks: {weeks}; the story has 1 to {WEEKS}")
    if not FEWEST_HOSTS <= hosts_per_office <= MOST_HOSTS:
        raise ValueError(f"hosts_per_office: {hosts_per_office}; allowed are {FEWEST_HOSTS} to {MOST_HOSTS}")
    if start.isoweekday() != 1:
        raise ValueError(f"start: {start}; it must be a Monday")


def _round(office: Office, week: int, hosts: int, *, start: date) -> Round:
    monday = datetime.combine(start + timedelta(weeks=week), time(), SCANNER_ZONE)
    return Round(office, week, start, monday + office.starts, hosts)


def _write(folder: Path, scan: Round, seed: int) -> Path:
    path = folder / f"{scan.started_at:%Y-%m-%d}-{scan.office.id}.nessus"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(document(scan, visits(scan.office, scan.week, count=scan.hosts, seed=seed)))
    return path
