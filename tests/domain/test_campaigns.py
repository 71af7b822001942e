"""Random campaigns: the frames and the slow model agree, and the promises hold whatever happens."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.domain.model import Model, Rules
from tests.domain.samples import day, network, scan
from vmjira.domain.adoption import adopt
from vmjira.domain.frames import CATALOGUE, ITERATIONS, KNOWN_HOSTS, LEDGER, SEVERITIES, Scan, check
from vmjira.domain.iterations import running_ordinals
from vmjira.domain.knowledge import Knowledge
from vmjira.domain.ledger import fold, touched
from vmjira.domain.rule_change import apply_rules
from vmjira.domain.rulebook import Acceptance, AdoptionMode, Category, Policy, Range, Rulebook
from vmjira.domain.rulebook import Adoption as AdoptionRules
from vmjira.domain.statistics import host_numbers, own_numbers
from vmjira.domain.ticket import HostNumbers, OwnNumbers

rank = SEVERITIES.index
CATEGORIES = {
    "bulletins": ("family = 'Windows' AND severity >= 'high'",
                  lambda one: one.get("family") == "Windows" and rank(one["severity"]) >= rank("high")),
    "web": ("array_contains(ports, '443/tcp')", lambda one: "443/tcp" in one["ports"]),
    "named": ("array_contains(cves, 'CVE-2026-0001')", lambda one: "CVE-2026-0001" in (one.get("cves") or [])),
    "updates": ("family = 'Windows' AND severity >= 'high'",
                lambda one: one.get("family") == "Windows" and rank(one["severity"]) >= rank("high")),
    "linux": ("os LIKE 'Linux%' AND severity > 'info'",
              lambda one: (one.get("os") or "").startswith("Linux") and one["severity"] != "info"),
}  # fmt: skip
NAMES = ("hostname", "ip")
BOSTON = Range("boston", "Boston", (network("10.1.0.0", "10.1.255.255"),), identity=NAMES)
LAB = Range("lab", "Lab", (network("10.1.5.0", "10.1.5.255"),), "scan", NAMES)
HOME = Range("home", "Home", (network("10.2.0.0", "10.2.0.255"), network("fd00::", "fd00::ffff")), "day", ("ip",))
PLANT = Range("plant", "Plant", (network("10.1.5.2", "10.1.5.9"),), "month", ("mac", *NAMES))
ACCEPTED = (
    Acceptance("old", "chief", date(2026, 6, 12), vulnerability="CVE-2026-0001"),
    Acceptance("lab", "chief", date(2026, 6, 20), range="lab", category="web"),
    Acceptance("pc1", "chief", date(2026, 7, 1), host="PC1", vulnerability="a"),
    Acceptance("net", "chief", date(2026, 6, 16), network=network("10.2.0.0", "10.2.0.255")),
)


def rules(names: str, *ranges: Range, accepted: tuple[int, ...] = (), forget: int | None = None) -> Rules:
    """`names`: categories in order; what follows a ":" is an alias."""
    named = [name.split(":") for name in names.split()]
    categories = tuple(Category(name, name, CATEGORIES[name][0], aliases=tuple(old)) for name, *old in named)
    policy = Policy(
        timezone=ZoneInfo("America/New_York"), forget_after=timedelta(days=forget) if forget is not None else None
    )
    acceptances = tuple(ACCEPTED[index] for index in accepted)
    book = Rulebook(categories=categories, ranges=ranges, policy=policy, acceptances=acceptances)
    return Rules(book, {name: predicate for name, (_, predicate) in CATEGORIES.items()})


RULES = (
    rules("bulletins web", BOSTON, LAB, HOME),
    rules("web bulletins named", BOSTON, LAB, forget=9),
    rules("named linux", BOSTON, replace(LAB, iteration="week"), HOME, PLANT, accepted=(0, 2)),
    rules("linux web", replace(BOSTON, iteration="month"), LAB, PLANT, accepted=(1, 3), forget=14),
    rules("bulletins", replace(BOSTON, iteration="day"), HOME, accepted=(0, 1, 2, 3)),
    # renamed: one category and one range, and what was split off goes back
    rules("updates:bulletins web", replace(BOSTON, id="bos", aliases=("boston",)), LAB, HOME, accepted=(1,)),
    # narrowed: a host leaves the range for none
    rules("bulletins web", replace(BOSTON, networks=(network("10.1.5.0", "10.1.5.1"),)), HOME, forget=9),
    # merged: two ranges become one, which has another identity; an alias may name only one of them
    rules("web:linux bulletins:updates", replace(BOSTON, identity=("mac", "ip"), aliases=("bos", "lab"))),
    rules("bulletins web", BOSTON, replace(LAB, aliases=("plant",)), HOME),
)


@dataclass(frozen=True)
class NewRules:
    which: int  # of RULES
    at: float


@dataclass(frozen=True)
class Adoption:
    scan: Scan
    mode: AdoptionMode


maybe = st.sampled_from([None, True, False])
ids = st.sampled_from(["a", "b", "p/1"])
hosts = st.fixed_dictionaries({
    "ip": st.sampled_from(["10.1.0.1", "10.1.5.1", "10.1.5.2", "10.2.0.1", "192.168.0.1", "fd00::5", None]),
    "hostname": st.sampled_from(["pc1", "PC1", "pc2", None]),
    "mac": st.sampled_from([None, "00:11:22:33:44:55"]),
    "os": st.sampled_from([None, "Linux 6", "Windows"]),
    "authenticated": maybe,
    "complete": st.sampled_from([None, True, True, False]),
    "minutes": st.sampled_from([0, 0, 30, 2000]),
    "findings": st.dictionaries(ids, st.tuples(
        st.sampled_from(["info", "medium", "high"]), st.lists(st.sampled_from(["443/tcp", "80/tcp"]), unique=True))),
    "unmade": st.lists(ids, max_size=1),
})  # fmt: skip
texts = st.fixed_dictionaries({
    "family": st.sampled_from(["Windows", "Windows", None]),
    "cves": st.sampled_from([None, [], ["CVE-2026-0001"]]),
})  # fmt: skip


@st.composite
def scans(draw: st.DrawFn, at: float) -> Scan:
    end = day(at + draw(st.sampled_from([0, 0, 0, 0, -1, -8])))
    machines = draw(st.lists(hosts, min_size=1, max_size=4))
    rows, findings, unmade = [], [], []
    for number, machine in enumerate(machines):
        facts = {key: machine[key] for key in ("ip", "hostname", "mac", "os", "authenticated", "complete")}
        rows.append({"host": f"{number}", "scanned_at": end - timedelta(minutes=machine["minutes"]), **facts})
        unmade += [(f"{number}", id) for id in machine["unmade"] if id not in machine["findings"]]
        findings += [
            {"host": f"{number}", "vulnerability_id": id, "severity": severity, "ports": sorted(ports)}
            for id, (severity, ports) in machine["findings"].items()
        ]
    about = {id: draw(texts) for id in sorted({one["vulnerability_id"] for one in findings})}
    scanner = draw(st.sampled_from(["nessus", "nessus", "gvm"]))
    return scan(
        end, rows, findings, scanner=scanner, texts=about, unmade=unmade,
        checks=draw(st.sampled_from([frozenset(), frozenset(), frozenset({"a", "p"})])),
        unreadable=draw(st.sampled_from([0, 0, 0, 0, 1])),
        rescan=draw(st.sampled_from([False, False, False, True])),
    )  # fmt: skip


@st.composite
def campaigns(draw: st.DrawFn) -> list[Scan | NewRules | Adoption]:
    events: list[Scan | NewRules | Adoption] = [NewRules(0, 0)]
    if mode := draw(st.sampled_from([None, "silent", "iteration0"])):
        events.append(Adoption(replace(draw(scans(0)), rescan=True), mode))
    at = 0.0
    for _ in range(draw(st.integers(2, 7))):
        at += draw(st.sampled_from([0.25, 1, 3, 7, 12]))
        if draw(st.integers(0, 3)) == 0:
            events.append(NewRules(draw(st.integers(0, len(RULES) - 1)), at))
        else:
            events.append(draw(scans(at)))
    return events


@settings(
    max_examples=int(os.environ.get("CAMPAIGNS", "30")), deadline=None, derandomize="CAMPAIGNS" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(campaigns())
def test_frames_and_model_agree_and_every_promise_holds(events: list[Scan | NewRules | Adoption]) -> None:
    model, knowledge, now = Model(), Knowledge(), RULES[0]
    for event in events:
        if isinstance(event, NewRules):
            last, now = now, RULES[event.which]
            lives, changed = knowledge.lives, apply_rules(knowledge, now.book, at=day(event.at), before=last.book)
            knowledge = changed.knowledge
            model.apply_rules(now, day(event.at), before=last)
            assert_changes_are_named(lives, knowledge.lives, changed.changed)
        elif isinstance(event, Adoption):
            book = replace(now.book, policy=replace(now.book.policy, adoption=AdoptionRules(event.mode)))
            ranges = touched(knowledge.hosts, event.scan, book)
            knowledge = adopt(knowledge, [event.scan], book).folded.knowledge
            model.adopt(now, event.scan, ranges, silent=event.mode == "silent")
        else:
            before, folded = knowledge, fold(knowledge, event, now.book)
            knowledge = folded.knowledge
            model.fold(now, event)
            assert_ranges_suffice(before, event, now.book, knowledge)
            assert_changes_are_named(before.lives, knowledge.lives, folded.changed)
            assert_same(fold(knowledge, event, now.book).knowledge, knowledge)
        assert_schemas(knowledge)
        assert rows(knowledge.lives) == Counter(life.row() for life in model.lives)
        assert_iterations(knowledge, model)
        assert_lives_are_sound(knowledge.lives)
        assert_numbers(knowledge, model)


def rows(frame: pl.DataFrame) -> Counter[tuple[object, ...]]:
    return Counter(tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in frame.iter_rows())


def assert_same(one: Knowledge, other: Knowledge) -> None:
    assert rows(one.lives) == rows(other.lives)
    assert rows(one.hosts) == rows(other.hosts)
    assert rows(one.vulnerabilities) == rows(other.vulnerabilities)
    assert rows(one.iterations) == rows(other.iterations)


def assert_schemas(knowledge: Knowledge) -> None:
    check(knowledge.lives, LEDGER, "lives")
    check(knowledge.hosts, KNOWN_HOSTS, "hosts")
    check(knowledge.vulnerabilities, CATALOGUE, "vulnerabilities")
    check(knowledge.iterations, ITERATIONS, "iterations")


def assert_ranges_suffice(before: Knowledge, event: Scan, book: Rulebook, after: Knowledge) -> None:
    wanted = pl.col("range").fill_null("").is_in(sorted(touched(before.hosts, event, book)))
    part = fold(replace(before, lives=before.lives.filter(wanted)), event, book).knowledge
    assert_same(replace(part, lives=pl.concat([part.lives, before.lives.filter(~wanted)])), after)


def assert_changes_are_named(before: pl.DataFrame, after: pl.DataFrame, changed: frozenset[str]) -> None:
    for frame in (before, after):
        rest = pl.col("range").fill_null("").is_in(sorted(changed)).not_()
        assert rows(before.filter(rest)) == rows(after.filter(rest)), frame


def assert_iterations(knowledge: Knowledge, model: Model) -> None:
    expected = {
        (range_, one.ordinal, one.label, one.number, one.begun) for range_, all_ in model.rounds.items() for one in all_
    }
    assert set(knowledge.iterations.iter_rows()) == expected
    assert len(expected) == knowledge.iterations.height
    assert not knowledge.iterations.select("range", "label").is_duplicated().any()


def assert_lives_are_sound(lives: pl.DataFrame) -> None:
    finding = ["host", "scanner", "vulnerability_id"]
    counts = lives.group_by(finding).agg(
        heads=(~pl.col("superseded")).sum(), open=pl.col("ended_as").is_null().sum(),
        open_but_superseded=(pl.col("ended_as").is_null() & pl.col("superseded")).sum(),
    )  # fmt: skip
    assert (counts["heads"] == 1).all()
    assert (counts["open"] <= 1).all()
    assert (counts["open_but_superseded"] == 0).all()
    assert lives.filter(pl.col("first_seen") > pl.col("last_seen")).is_empty()
    assert lives.filter(pl.col("ended_as").is_null() != pl.col("ended_at").is_null()).is_empty()
    assert lives.filter((pl.col("ended_as") == "accepted") != pl.col("accepted_until").is_not_null()).is_empty()
    assert lives.filter(pl.col("category").is_null(), pl.col("severity") == "info", ~pl.col("superseded"),
                        pl.col("ended_as").is_null()).is_empty()  # fmt: skip


def assert_numbers(knowledge: Knowledge, model: Model) -> None:
    running = running_ordinals(knowledge.iterations)
    for range_, k in running.items():
        if range_:
            numbers = host_numbers(knowledge.lives.filter(pl.col("range") == range_), k)
            assert {row[0]: row[1:] for row in numbers.iter_rows()} == model.host_numbers(range_, k)
            for row in numbers.to_dicts():
                HostNumbers(**{key: value for key, value in row.items() if key != "category"})
    own = own_numbers(knowledge.lives, running)
    assert {row[:3]: row[3:] for row in own.iter_rows()} == model.own_numbers()
    for row in own.drop("category", "range", "first_iteration").to_dicts():
        OwnNumbers(**row)
