"""Names of hosts compare without regard to case, in every order that people see."""

from __future__ import annotations

import random

import polars as pl

from tests.domain.samples import WINDOWS, day, finding, fold_all, host, scan
from vmjira.domain.classify import newest
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.report import all_rows, diff_rows, own_rows
from vmjira.domain.statistics import top_hosts

#: In the order that people expect; two spellings of one name follow their addresses.
NAMES = {
    "10.1.0.9": "Alpha", "10.1.0.8": "beta", "10.1.0.4": "PC1", "10.1.0.5": "pc1", "10.1.0.6": "Pc1", "10.1.0.1": "pc2",
}  # fmt: skip


def known(seed: int) -> Knowledge:
    """One finding on each of the hosts, told in any order."""
    hosts = [host(ip, hostname=name) for ip, name in NAMES.items()]
    random.Random(seed).shuffle(hosts)
    return fold_all(scan(day(0), hosts, [finding(each["ip"], "a") for each in hosts]))


def test_lists_and_top_hosts_follow_names_in_any_spelling() -> None:
    for seed in range(5):
        knowledge = known(seed)
        k = knowledge.iterations["ordinal"][0]
        top = top_hosts(knowledge.lives, k, newest(knowledge.hosts), 10)
        reports = [rows(knowledge, WINDOWS, "boston", k) for rows in (own_rows, all_rows, diff_rows)]
        for rows in (top, *reports):
            assert rows["hostname"].to_list() == list(NAMES.values())
            assert rows["ip"].to_list() == list(NAMES)


def test_hosts_without_a_name_come_by_their_address() -> None:
    told = scan(day(0), ["10.1.0.2", host("10.1.0.1", hostname="ZZ")], [finding(f"10.1.0.{n}", "a") for n in (1, 2)])
    knowledge = fold_all(told)
    top = top_hosts(knowledge.lives, knowledge.iterations["ordinal"][0], newest(knowledge.hosts), 10)
    assert top.select(pl.coalesce("hostname", "ip")).to_series().to_list() == ["10.1.0.2", "ZZ"]
