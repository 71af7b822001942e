"""What people write as the target of a scan: addresses, networks, ranges, names."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address
Span = tuple[Address, Address]  # first and last, both included


def networks(text: str | None) -> list[Span]:
    """Addresses, 10.0.0.0/24, 10.0.0.1-20 and 10.0.0.1-10.0.0.20; all else is passed over, see `names`."""
    return [span for part in _parts(text) if (span := _span(part))]


def names(text: str | None) -> frozenset[str]:
    """What is no address: host names, in lower case."""
    return frozenset(part.lower() for part in _parts(text) if not _span(part))


def within(address: Address, spans: Sequence[Span]) -> bool:
    return any(first.version == address.version and int(first) <= int(address) <= int(last) for first, last in spans)


def _parts(text: str | None) -> list[str]:
    return [part for line in (text or "").split(",") for part in line.split()]


def _span(text: str) -> Span | None:
    try:
        if "/" in text:
            whole = ip_network(text, strict=False)
            return whole[0], whole[-1]
        first, dash, last = text.partition("-")
        begin = ip_address(first)
        if not dash:
            return begin, begin
        if "." in last or ":" in last:
            return begin, ip_address(last)
        stem = "".join(first.rpartition("." if begin.version == 4 else ":")[:2])
        return begin, ip_address(f"{stem}{last}")
    except ValueError:
        return None
