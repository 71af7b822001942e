"""Runs of scans, as the APIs of Tenable tell of them: which are whole, which are not, and which cover an address."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from vmjira.errors import ScannerRefused
from vmjira.flows.sources import RemoteScan

#: Only these are whole (https://developer.tenable.com/docs/scan-status-tio).
WHOLE = ("completed", "imported")
#: These will never be.
BROKEN = {
    "aborted": "was aborted: its results are only those of the tasks that were done",
    "canceled": "was canceled: its results are partial",
    "cancelled": "was canceled: its results are partial",
    "stopped": "was stopped: its results are partial",
    "empty": "has never run",
}
Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Definition:
    """A scan as it is set up."""

    id: int
    name: str
    folder: str = ""
    status: str = ""
    launchable: bool = True


@dataclass(frozen=True)
class Run:
    """One of its runs."""

    id: str  # of the run; the same run always has the same
    uuid: str
    status: str
    ended: int | None  # seconds since 1970
    other_targets: bool
    history: int | None  # what an export is asked by; None: the scan has no history

    @property
    def ended_at(self) -> datetime | None:
        return datetime.fromtimestamp(self.ended, UTC) if self.ended else None


def remote(scan: Definition, run: Run) -> RemoteScan:
    return RemoteScan(f"{scan.id}/{run.id}", scan.name, run.ended_at, run.other_targets)


def why_not(scan: Definition, run: Run) -> str:
    """Why a run is not taken, for people."""
    reason = BROKEN.get(run.status, f"is not finished ({run.status or 'no status'})")
    return f"'{scan.name}', run {scan.id}/{run.id}: {reason}"


def addresses_of(texts: Iterable[str]) -> list[Address]:
    """What a rescan is asked for; ScannerRefused for anything that is no address."""
    try:
        return [ip_address(text) for text in texts]
    except ValueError as error:
        raise ScannerRefused(f"a rescan needs addresses: {error}") from error


def not_covered(addresses: Collection[Address], targets: str, hosts: Iterable[str]) -> list[Address]:
    """Those that are neither among the targets of a scan (as people type them) nor among the hosts that it found."""
    found = {host for text in hosts if (host := _address(text))}
    spans = [span for text in re.split(r"[\s,;]+", targets) if text and (span := _span(text))]
    return [
        address
        for address in addresses
        if address not in found
        and not any(address.version == version and first <= int(address) <= last for version, first, last in spans)
    ]


def _address(text: str) -> Address | None:
    try:
        return ip_address(text.strip())
    except ValueError:
        return None


def _span(text: str) -> tuple[int, int, int] | None:
    """Version, first and last address of `10.1.2.3`, `10.1.0.0/16`, `10.1.2.3-10.1.2.9` or `10.1.2.3-9`."""
    first, _, last = text.partition("-")
    try:
        if not last:
            network = ip_network(text, strict=False)
            return network.version, int(network.network_address), int(network.broadcast_address)
        start = ip_address(first)
        end = ip_address(first.rpartition(".")[0] + "." + last if last.isdigit() else last)
    except ValueError:
        return None  # a name; or a way to write targets that we do not know
    return start.version, int(start), int(end)
