"""Three made-up offices, their hosts, and how soon each of their administrators patches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from ipaddress import IPv4Address
from math import log
from random import Random
from uuid import UUID

from vmjira.sandbox.campaign_checks import Check, checks

DOMAIN = "corp.example.com"
GUEST_LEASES = 8000  # numbers from here on are for hosts of other offices
DMZ_HOSTS = 40  # at most so many of New York's servers stand in its second network


@dataclass(frozen=True)
class Office:
    """`patch` and `configure`: the share of open flaws that is mended from one week to the next, by kind of work."""

    id: str
    title: str
    code: str
    targets: str
    network: IPv4Address
    starts: timedelta  # of the scan, from Monday 00:00 in the scanner's zone
    patch_servers: float
    patch_clients: float
    configure: float
    dhcp: bool = False


@dataclass(frozen=True)
class Kind:
    """A sort of machine: what it is, and the traits that checks ask for."""

    code: str
    os: str
    traits: frozenset[str]
    login: str  # the protocol of credentialed checks; empty: there is none
    ports: tuple[tuple[int, str], ...]


OFFICES = (
    Office(
        id="boston", title="Boston", code="BOS",
        targets="10.1.0.0/16", network=IPv4Address("10.1.0.0"), starts=timedelta(days=2, hours=20),
        patch_servers=0.8, patch_clients=0.7, configure=0.3,
    ),
    Office(
        id="newyork", title="New York", code="NYC",
        targets="10.2.0.0/16,10.3.0.0/24", network=IPv4Address("10.2.0.0"), starts=timedelta(days=3, hours=20),
        patch_servers=0.2, patch_clients=0.25, configure=0.07,
    ),
    Office(
        id="berlin", title="Berlin", code="BER",
        targets="10.49.0.0/16", network=IPv4Address("10.49.0.0"), starts=timedelta(days=4, hours=2),
        patch_servers=0.65, patch_clients=0.3, configure=0.15, dhcp=True,
    ),
)  # fmt: skip

SMB, RDP, SSH, HTTP, HTTPS = (445, "cifs"), (3389, "msrdp"), (22, "ssh"), (80, "www"), (443, "www")


def _kind(code: str, os: str, traits: str, login: str, *ports: tuple[int, str]) -> Kind:
    return Kind(code, os, frozenset(traits.split()), login, ports)


PC = _kind("PC", "Microsoft Windows 11 Enterprise Build 26100", "windows client", "SMB", SMB)
OLD_PC = _kind("PC", "Microsoft Windows 10 Enterprise Build 19045", "windows client win10", "SMB", SMB)
LAPTOP = _kind("LT", "Microsoft Windows 11 Enterprise Build 26100", "windows client", "SMB", SMB)
SERVER = _kind(
    "SRV", "Microsoft Windows Server 2022 Standard Build 20348", "windows winserver tls", "SMB", HTTP, HTTPS, SMB, RDP
)
UBUNTU = _kind("UB", "Linux Kernel 5.15 on Ubuntu 22.04", "linux ubuntu ssh", "SSH", SSH)
REDHAT = _kind("RH", "Linux Kernel 5.14 on Red Hat Enterprise Linux release 9.4", "linux rhel ssh", "SSH", SSH)
DEBIAN = _kind("DE", "Linux Kernel 6.1 on Debian 12.7", "linux debian ssh", "SSH", SSH)
WEB = _kind(
    "WEB", "Linux Kernel 6.8 on Ubuntu 24.04", "linux ubuntu ssh tls web", "SSH", SSH, HTTP, HTTPS, (8080, "www")
)
DATABASE = _kind(
    "DB", "Linux Kernel 5.14 on Red Hat Enterprise Linux release 9.2", "linux rhel ssh db", "SSH",
    SSH, (3306, "mysql"), (5432, "postgresql"),
)  # fmt: skip
PRINTER = _kind("PRN", "HP LaserJet Embedded Firmware", "printer snmp tls", "", HTTP, HTTPS, (9100, "jetdirect"))
SWITCH = _kind("SW", "Cisco IOS 15.2 on Catalyst", "network ssh snmp", "", SSH, (23, "telnet"))

#: Every twenty hosts of an office are these.
MIX = (
    PC, LAPTOP, SERVER, OLD_PC, UBUNTU, PC, WEB, PC, LAPTOP, SERVER,
    DATABASE, PC, PRINTER, OLD_PC, REDHAT, SERVER, PC, SWITCH, LAPTOP, DEBIAN,
)  # fmt: skip


@dataclass(frozen=True)
class Host:
    """One machine and its flaws: each is there from the week of its check until it is mended."""

    number: int
    office: Office
    kind: Kind
    agent_uuid: str | None
    flaws: tuple[tuple[Check, int], ...]  # with the first week without it

    @property
    def name(self) -> str:
        return f"{self.office.code}-{self.kind.code}{self.number:03d}"

    @property
    def fqdn(self) -> str:
        return f"{self.name.lower()}.{DOMAIN}"

    @property
    def mac(self) -> str:
        office = OFFICES.index(self.office)
        return f"00:50:56:{office:02X}:{self.number >> 8:02X}:{self.number & 255:02X}"

    def address(self, office: Office, week: int) -> IPv4Address:
        """Its address while it is in `office`; with DHCP, clients get one each week that was another's."""
        if office.dhcp and "client" in self.kind.traits:
            lease = self.number + 3 * week + (GUEST_LEASES if office != self.office else 0)
            return office.network + (1 << 14) + lease * 5 % (1 << 15)
        if office.id == "newyork" and self.kind in (WEB, DATABASE) and self.number < DMZ_HOSTS:
            return IPv4Address("10.3.0.0") + 10 + self.number
        return office.network + 256 + self.number


def hosts(office: Office, count: int, seed: int) -> Iterator[Host]:
    """The office's machines, always the same for the same seed; a larger office begins with the smaller one."""
    for number in range(1, count + 1):
        yield host(office, number, seed)


def host(office: Office, number: int, seed: int) -> Host:
    kind = MIX[(number - 1) % len(MIX)]
    random = Random(f"{seed}/{office.id}/{number}")  # noqa: S311 - a story, no secret
    agent = str(UUID(int=random.getrandbits(128), version=4)) if "client" in kind.traits else None
    return Host(number, office, kind, agent, tuple(_flaws(office, kind, random)))


def _flaws(office: Office, kind: Kind, random: Random) -> Iterator[tuple[Check, int]]:
    for check in _possible(kind):
        has, luck = random.random() < check.share, random.random()
        if has:
            yield check, check.week + 1 + int(log(1 - luck) / log(1 - _rate(office, kind, check)))


@cache
def _possible(kind: Kind) -> tuple[Check, ...]:
    return tuple(check for check in checks() if check.on in kind.traits)


def _rate(office: Office, kind: Kind, check: Check) -> float:
    if not check.local:
        return office.configure
    return office.patch_clients if "client" in kind.traits else office.patch_servers
