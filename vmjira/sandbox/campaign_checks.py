"""The checks that the made-up campaign's scanner has, built from the tables beside this module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from vmjira.sandbox.campaign_tables import FLAWS, PATCHES, SOFTWARE

SEVERITIES = ("info", "low", "medium", "high", "critical")
WINDOWS_BULLETINS = "Windows : Microsoft Bulletins"
FIELDS = 7  # of a row, before those that differ: id week severity cvss share exploit on


@dataclass(frozen=True)
class Check:
    """One plugin of the scanner: what it finds, on which hosts, since when it exists."""

    id: int
    title: str
    family: str
    severity: int
    cvss: float
    on: str  # the trait that a host must have
    share: float  # of those hosts that have the flaw
    week: int  # weeks after the start when it appeared; 0: long known
    exploit: str  # no, yes, or the framework that has it
    local: bool  # found only by logging in
    port: int
    service: str
    cves: tuple[str, ...]
    description: str
    solution: str

    @property
    def number(self) -> str:
        """The vendor's number of an update, such as KB5058411; empty for others."""
        first, _, rest = self.title.partition(": ")
        return first if rest and first.startswith("KB") else ""


@cache
def checks() -> tuple[Check, ...]:
    """All checks, in the order of their ids."""
    found = [*_patches(), *_flaws(FLAWS, local=False), *_flaws(SOFTWARE, local=True)]
    return tuple(sorted(found, key=lambda check: check.id))


@cache
def by_id(id_: int) -> Check:
    return next(check for check in checks() if check.id == id_)


@cache
def known(week: int) -> tuple[Check, ...]:
    """The checks that exist `week` weeks after the start."""
    return tuple(check for check in checks() if check.week <= week)


def _patches() -> Iterator[Check]:
    for family, (row,) in _rows(PATCHES, lines=1):
        *fields, title = row.split(maxsplit=FIELDS)
        windows = family == WINDOWS_BULLETINS
        yield _check(
            fields,
            title=title,
            family=family,
            local=True,
            place=(445, "cifs") if windows else (0, "general"),
            texts=_update_texts(title, windows=windows),
        )


def _flaws(table: str, *, local: bool) -> Iterator[Check]:
    for family, (row, why, fix) in _rows(table, lines=3):
        *fields, port, service, title = row.split(maxsplit=FIELDS + 2)
        yield _check(fields, title=title, family=family, local=local, place=(int(port), service), texts=(why, fix))


def _rows(table: str, *, lines: int) -> Iterator[tuple[str, list[str]]]:
    """Each entry of `lines` lines, with the family in brackets above it."""
    family, entry = "", list[str]()
    for line in filter(None, table.splitlines()):
        if line.startswith("["):
            family = line.strip("[]")
            continue
        entry.append(line)
        if len(entry) == lines:
            yield family, entry
            entry = []


def _check(
    fields: list[str], *, title: str, family: str, local: bool, place: tuple[int, str], texts: tuple[str, str]
) -> Check:
    id_, week, severity, cvss, share, exploit, on = fields
    return Check(
        id=int(id_),
        title=title,
        family=family,
        severity=SEVERITIES.index(severity),
        cvss=float(cvss),
        on=on,
        share=float(share),
        week=int(week),
        exploit=exploit,
        local=local,
        port=place[0],
        service=place[1],
        cves=_cves(int(id_)),
        description=texts[0],
        solution=texts[1],
    )


def _update_texts(title: str, *, windows: bool) -> tuple[str, str]:
    if windows:
        number, _, subject = title.partition(": ")
        why = f"The update {number} ({subject}) is not installed on this host, by its list of installed updates."
        return why, f"Install {number} with your usual update service, then restart the host."
    why = f"Packages on this host are older than the fixed ones that the distributor published as: {title}."
    return why, "Update the packages named in the output with the system's package manager."


def _cves(id_: int) -> tuple[str, ...]:
    """Made-up numbers in a block that lies above those really given out."""
    random = Random(id_)  # noqa: S311 - a story, no secret
    return tuple(sorted(f"CVE-2026-{random.randint(90000, 99999)}" for _ in range(random.choice((1, 1, 2, 3)))))
