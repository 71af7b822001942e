"""Networks as people write them: CIDR, `first-last`, one address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from vmjira.domain.rulebook import Network
from vmjira.rulefiles.words import quoted

ALLOWED = "write a network such as 10.1.0.0/16, a span such as 10.2.0.0-10.2.3.255, or one address"


def parse(text: str) -> Network:
    """The addresses that `text` names. Raise ValueError with words for a person."""
    if "/" in text:
        return _cidr(text)
    first, dash, last = (part.strip() for part in text.partition("-"))
    start = _address(first, text)
    end = _address(last, text) if dash else start
    if start.version != end.version:
        raise ValueError(f"{quoted(text)} mixes IPv4 and IPv6; {ALLOWED}")
    if int(end) < int(start):
        raise ValueError(f"{quoted(text)} ends before it starts; write {last}-{first}")
    return Network(start, end)


def _cidr(text: str) -> Network:
    if "%" in text:
        raise ValueError(f"{quoted(text)} names a zone of one machine; {ALLOWED}")
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(f"{quoted(text)} is no network; {ALLOWED}") from None
    address = text.partition("/")[0].strip()
    if ip_address(address) != network.network_address:
        raise ValueError(
            f"{quoted(text)} is an address inside a network; write the network, {network}, or the address, {address}"
        )
    return Network(network.network_address, network.broadcast_address)


def _address(part: str, text: str) -> IPv4Address | IPv6Address:
    try:
        if "%" in part:  # a zone means something on one machine only
            raise ValueError
        return ip_address(part)
    except ValueError:
        raise ValueError(f"{quoted(text)} is no network; {ALLOWED}") from None
