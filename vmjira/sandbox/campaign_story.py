"""What happens in the weeks of the made-up campaign, beside patching: the events, and the same in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vmjira.sandbox.campaign_checks import Check, by_id
from vmjira.sandbox.campaign_hosts import OFFICES, Host, Office, host, hosts

WEEKS = 6
FEWEST_HOSTS, MOST_HOSTS = 20, 6000  # with fewer, the persons of the story are missing; more have no address

MOVED = ("BOS-LT002", 4)  # the laptop that is in Berlin from this week on
ALWAYS, NOT_IN_THE_FOURTH = frozenset(range(WEEKS)), frozenset(range(WEEKS)) - {3}

#: Flaws that do not follow chance: host, check, and the weeks in which it is there (once the check exists).
SCRIPTED = {
    "BOS-SRV003": {290201: ALWAYS},  # said to be patched in the third week; it never was
    "BOS-WEB007": {294101: NOT_IN_THE_FOURTH},  # mended, until a backup brings it back
    "BOS-LT002": {290107: ALWAYS},  # the laptop takes it along to Berlin
    "BOS-PC001": {290201: ALWAYS},  # down for a week, and not safe because of that
    "BER-PC001": {290201: ALWAYS},  # the same in Berlin
}

DOWN = {("boston", 2), ("berlin", 3)}
LOGIN_FAILS = ("newyork", 2)
RECAST = ("newyork", 4, 296103, 3)  # an analyst raises this check to high from this week on
NOT_ENABLED = ("berlin", 5, 296105)  # the policy lacks this check in this week

STORY = (
    "The first scans of Boston, New York and Berlin: everything they find is new.",
    "Patch Tuesday: five Windows updates appear. Boston has patched most of the first week, New York little.",
    "Updates for Linux appear. In New York the scanner's password has expired: nothing found by logging in can be"
    " confirmed. Some Boston hosts are down. Boston's administrators say that all is patched, but BOS-SRV003 is not.",
    "The second Patch Tuesday. Some Berlin hosts are down, many others have got new addresses. BOS-WEB007 has a new"
    " Tomcat at last.",
    "More Linux updates. A backup of BOS-WEB007 brings the old Tomcat back. Laptop BOS-LT002 moves to Berlin."
    " New York's analyst raises weak TLS ciphers to high.",
    "The third Patch Tuesday. Berlin's policy has lost the check for weak SSH ciphers: its findings are not fixed, just"
    " not looked for.",
)


@dataclass(frozen=True)
class Visit:
    """One host as it is met in one scan; `down`: it is a target, and does not answer."""

    host: Host
    down: bool = False


def story(weeks: int = WEEKS) -> list[str]:
    """One line a week, for people."""
    return list(STORY[:weeks])


def visits(office: Office, week: int, *, count: int, seed: int) -> Iterator[Visit]:
    """The hosts that the office's scan of that week meets. Of those that are down it may not see even that."""
    for machine in hosts(office, count, seed):
        if _moved(machine, week):
            continue
        down = (office.id, week) in DOWN and machine.number % 8 == 1
        if not down or machine.number % 16 == 1:
            yield Visit(machine, down)
    if office.id == "berlin" and week >= MOVED[1]:
        yield Visit(_traveller(seed))


def found(machine: Host, office: Office, week: int) -> Iterator[tuple[Check, int]]:
    """The checks that find something on a host, with the severity that the scanner shows."""
    for check in _present(machine, week):
        if enabled(check, office, week) and (logs_in(machine, office, week) or not check.local):
            yield check, _severity(check, office, week)


def logs_in(machine: Host, office: Office, week: int) -> bool:
    return bool(machine.kind.login) and (office.id, week) != LOGIN_FAILS


def enabled(check: Check, office: Office, week: int) -> bool:
    return (office.id, week, check.id) != NOT_ENABLED


def _present(machine: Host, week: int) -> Iterator[Check]:
    scripted = SCRIPTED.get(machine.name, {})
    for check, until in machine.flaws:
        if check.week <= week < until and check.id not in scripted:
            yield check
    for id_, weeks in scripted.items():
        if week in weeks and by_id(id_).week <= week:
            yield by_id(id_)


def _severity(check: Check, office: Office, week: int) -> int:
    recast = RECAST[0] == office.id and week >= RECAST[1] and check.id == RECAST[2]
    return RECAST[3] if recast else check.severity


def _moved(machine: Host, week: int) -> bool:
    return machine.name == MOVED[0] and week >= MOVED[1]


def _traveller(seed: int) -> Host:
    return host(OFFICES[0], int(MOVED[0].removeprefix("BOS-LT")), seed)
