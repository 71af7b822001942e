"""Hosts to keys and ranges."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.samples import RULES, day, network, scan
from vmjira.domain.classify import identify, newest, ranges_of
from vmjira.domain.frames import KNOWN_HOSTS
from vmjira.domain.rulebook import IdentityKind, Network, Range, Rulebook

EVERYWHERE = Range("all", "All", (network("0.0.0.0", "255.255.255.255"),))


def range_of(address: str | None, *ranges: Range) -> str | None:
    found: str | None = ranges_of(pl.Series([address], dtype=pl.String), Rulebook(ranges=ranges)).item()
    return found


def test_the_network_with_the_fewest_addresses_wins_and_then_the_order_in_the_file() -> None:
    wide = Range("wide", "", (network("10.0.0.0", "10.0.0.255"),))
    narrow = Range("narrow", "", (network("10.0.0.8", "10.0.0.15"), network("10.0.1.0", "10.0.1.255")))
    twin = replace(narrow, id="twin")
    assert range_of("10.0.0.9", wide, narrow, twin) == "narrow"
    assert range_of("10.0.0.9", wide, twin, narrow) == "twin"
    assert [range_of(ip, wide, narrow) for ip in ("10.0.0.7", "10.0.0.15", "10.0.0.16", "10.0.1.0", "10.0.2.0")] == [
        "wide", "narrow", "wide", "narrow", None,
    ]  # fmt: skip


def test_both_ip_versions_are_told_apart_and_a_host_without_address_is_in_no_range() -> None:
    assert range_of("::a00:1", EVERYWHERE) is None
    assert range_of("10.0.0.1", Range("six", "", (network("::", "ffff::"),))) is None
    assert range_of("fd00::1", EVERYWHERE, Range("six", "", (network("fd00::", "fd00::ffff"),))) == "six"
    assert range_of("255.255.255.255", EVERYWHERE) == "all"
    assert range_of(None, EVERYWHERE) is None


addresses = st.integers(0, 40)


@given(st.lists(st.tuples(addresses, addresses), max_size=8))
def test_every_address_is_where_a_look_at_all_networks_puts_it(edges: list[tuple[int, int]]) -> None:
    networks = [Network(ip_address(min(pair)), ip_address(max(pair))) for pair in edges]
    rules = Rulebook(ranges=tuple(Range(str(order), "", (one,)) for order, one in enumerate(networks)))
    all_ = [ip_address(number) for number in range(42)]
    expected = [
        min(((one.size, order, str(order)) for order, one in enumerate(networks) if one.first <= ip <= one.last),
            default=(0, 0, None))[2]
        for ip in all_
    ]  # fmt: skip
    assert ranges_of(pl.Series([str(ip) for ip in all_]), rules).to_list() == expected


@pytest.mark.parametrize(
    ("identity", "facts", "key"),
    [
        (("ip",), {"ip": "10.0.0.1"}, "ip:10.0.0.1"),
        (("hostname", "ip"), {"ip": "10.0.0.1", "hostname": " PC7.Example.com"}, "hostname:pc7.example.com"),
        (("hostname", "ip"), {"ip": "10.0.0.1", "hostname": ""}, "ip:10.0.0.1"),
        (("agent_uuid",), {"ip": "10.0.0.1", "agent_uuid": "AB-1"}, "agent_uuid:ab-1"),
        (("netbios",), {"ip": "10.0.0.1", "netbios": "PC"}, "netbios:pc"),
        (("hostname",), {"ip": "10.0.0.1"}, None),
        (("mac",), {"ip": "10.0.0.1", "mac": "00-1A-2b-3c-4d-5e"}, "mac:00:1a:2b:3c:4d:5e"),
        (("mac",), {"ip": "10.0.0.1", "mac": "b01a.2b3c.4d5e\n00:1A:2B:3C:4D:5E"}, "mac:00:1a:2b:3c:4d:5e"),
        (("mac", "ip"), {"ip": "10.0.0.1", "mac": "unknown"}, "ip:10.0.0.1"),
    ],
)
def test_the_first_kind_that_the_host_has_is_its_key(
    identity: tuple[IdentityKind, ...], facts: dict[str, Any], key: str | None
) -> None:
    rules = Rulebook(ranges=(replace(EVERYWHERE, identity=identity),))
    assert identify(scan(day(0), [{"host": "x", **facts}]), rules)["key"].item() == key


def test_hosts_in_no_range_are_known_by_whatever_they_have() -> None:
    names = [{"ip": "192.168.0.1", "hostname": "a"}, {"hostname": "a", "mac": "001a2b3c4d5e"}, {"agent_uuid": "u"}, {}]
    hosts = [{"host": str(number), "ip": None, **facts} for number, facts in enumerate(names)]
    assert identify(scan(day(0), hosts), RULES)["key"].to_list() == [
        "ip:192.168.0.1", "hostname:a", "agent_uuid:u", None,
    ]  # fmt: skip


def test_the_newest_word_on_a_host_comes_from_any_scanner_and_names_from_whoever_knows_them() -> None:
    rows = [
        {"host": "h", "scanner": "nessus", "range": "a", "ip": "10.0.0.1", "hostname": "pc", "observed_at": day(0)},
        {"host": "h", "scanner": "gvm", "range": "b", "ip": "10.0.0.2", "observed_at": day(1)},
    ]
    one = newest(pl.DataFrame(rows, schema=KNOWN_HOSTS)).row(0, named=True)
    assert (one["range"], one["ip"], one["hostname"], one["scanner"]) == ("b", "10.0.0.2", "pc", "gvm")
