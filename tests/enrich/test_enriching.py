"""New catalogues take effect host by host, with the next scan; the ledger stays provable, and Jira is not flooded."""

from __future__ import annotations

import csv
import gzip
import io
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.enrich.samples import (
    FILLER,
    NAMES,
    OF_APACHE,
    OF_RDP,
    OF_SMB,
    epss_csv,
    fold,
    kev_json,
    scan,
    take,
    with_cves,
    write,
)
from tests.flows.scans import APACHE, RDP, SMB, Flaw, nessus, week
from tests.flows.world import CATEGORIES, POLICY, World
from tests.web.conftest import web_of
from tests.web.reading import rows, words
from vmjira.domain.rulebook import Enrichment
from vmjira.enrichment import read_catalogue
from vmjira.errors import VmjiraError
from vmjira.flows.enrich import ENRICHED, Catalogue, enrich, run
from vmjira.flows.explain import explain
from vmjira.flows.ingest import ingest
from vmjira.flows.operations import release
from vmjira.flows.replay import differing, rebuild
from vmjira.rulefiles import load

EXPLOITED = CATEGORIES.replace(
    "categories:\n",
    "categories:\n"
    "  - {id: exploited, title: Known to be exploited, where: kev AND severity >= 'medium'}\n"
    "  - {id: likely, title: Likely to be exploited, where: epss >= 0.3}\n",
)
HOSTS = {"10.1.0.1": [SMB, RDP], "10.1.0.2": [SMB], "10.2.0.1": [SMB, APACHE]}
DUE = {OF_SMB: "2030-01-22"}


@pytest.fixture
def world(world: World) -> World:
    world.write_rules(categories=EXPLOITED)
    return world


@pytest.fixture
def anywhere(anywhere: World) -> World:
    anywhere.write_rules(categories=EXPLOITED)
    return anywhere


def cells(world: World, host: str) -> dict[str, str]:
    """Vulnerability → category of the open findings of a host."""
    found = explain(world.outside, host)["findings"]
    return {each["vulnerability_id"]: each["category"] for each in found if each["ended at"] is None}


def proven(world: World) -> bool:
    return differing(world.outside, rebuild(world.outside)) == []


def versions(world: World) -> list[str]:
    with world.store.reading() as unit:
        return [row.digest for row in unit.enrichments()]


# --- when it takes effect ---------------------------------------------------------------------------------------------


def test_a_new_catalogue_alone_changes_nothing_at_all(world: World):
    fold(world, 23, HOSTS)
    before = world.known()
    world.jira.calls()
    report = take(world, kev=DUE, epss={OF_APACHE: 0.9})
    assert report.changed and report.words() == (
        f"taken: CISA KEV 2030.01.01: 1 CVEs, FIRST EPSS v2030.01.01 of 2030-01-01: {FILLER + 1} CVEs"
    )
    assert world.deliver() == [] and world.jira.calls() == [] and world.known() == before
    assert cells(world, "10.1.0.1") == {"100": "windows", "101": "windows"}


def test_a_finding_moves_when_its_own_host_is_scanned_and_no_sooner(world: World):
    fold(world, 23, HOSTS)
    take(world, kev=DUE, epss={OF_APACHE: 0.9})
    fold(world, 24, {"10.1.0.1": [SMB, RDP]})
    assert cells(world, "10.1.0.1") == {"100": "exploited", "101": "windows"}
    assert cells(world, "10.1.0.2") == {"100": "windows"}
    assert cells(world, "10.2.0.1") == {"100": "windows", "200": "web"}
    known = world.known()
    assert known["windows.boston.2026-W23"]["own"]["moved"] == 1
    assert known["exploited.boston.2026-W24"]["own"]["open"] == 1
    fold(world, 24, {"10.2.0.1": [SMB, APACHE]}, hours=1)
    assert cells(world, "10.2.0.1") == {"100": "exploited", "200": "likely"}


def test_a_finding_that_is_not_seen_any_more_moves_with_its_host_too(world: World):
    """Without credentials, absence proves nothing: it stays open, and belongs where it is known to belong."""
    fold(world, 23, HOSTS)
    take(world, kev=DUE)
    world.ingest(with_cves(world.scan(week(24), {"10.1.0.1": [RDP]}, credentials=False), NAMES))
    assert cells(world, "10.1.0.1") == {"100": "exploited", "101": "windows"}


def test_without_any_catalogue_conditions_on_exploitation_are_not_true(world: World):
    world.write_rules(
        categories=EXPLOITED.replace(
            "kev AND", "(kev OR NOT kev OR epss < 1 OR kev_due > date '2000-01-01') AND"
        ).replace("epss >= 0.3", "epss < 0.3 OR NOT (epss < 0.3)")
    )
    fold(world, 23, HOSTS)
    assert {name.partition(".")[0] for name in world.known()} == {"windows", "web"}
    assert proven(world)


def test_what_is_on_no_list_is_not_exploited(world: World):
    """Also what has no CVE at all."""
    world.write_rules(categories=EXPLOITED.replace("where: kev AND", "where: NOT kev AND"))
    take(world, kev=DUE)
    fold(world, 23, {"10.1.0.1": [SMB, RDP, Flaw("300", "Of our own making")]})
    assert cells(world, "10.1.0.1") == {"100": "windows", "101": "exploited", "300": "exploited"}


def test_a_change_of_rules_goes_by_the_newest_catalogues_and_the_preview_says_so(world: World):
    world.write_rules(categories=CATEGORIES)
    fold(world, 23, HOSTS)
    take(world, kev=DUE)
    world.write_rules(categories=EXPLOITED)
    seen = {row["identifier"] for row in world.preview() if row["operation"] == "create"}
    world.ingest()
    world.deliver()
    assert {name.rpartition(".")[0] for name in seen} == {"exploited.boston", "exploited.newyork"}
    assert seen <= set(world.jira.by_identifier())
    assert proven(world)


# --- what it must never do --------------------------------------------------------------------------------------------


def test_the_ledger_is_rebuilt_exactly_after_several_versions(anywhere: World):
    fold(anywhere, 23, HOSTS)
    take(anywhere, kev=DUE)
    fold(anywhere, 24, HOSTS)
    take(anywhere, epss={OF_APACHE: 0.9, OF_RDP: 0.29})
    take(anywhere, epss={OF_APACHE: 0.1, OF_RDP: 0.31})  # no scan went by the one before
    fold(anywhere, 25, {"10.1.0.1": [SMB, RDP], "10.2.0.1": [APACHE]})
    take(anywhere, kev={OF_RDP: "2030-03-01"}, epss={OF_APACHE: 0.5, OF_RDP: 0.33})
    anywhere.write_rules(categories=EXPLOITED.replace("0.3}", "0.32}"))
    fold(anywhere, 26, HOSTS)
    assert cells(anywhere, "10.1.0.1") == {"100": "windows", "101": "exploited"}
    assert cells(anywhere, "10.2.0.1") == {"100": "windows", "200": "likely"}
    assert len(versions(anywhere)) == 4
    assert proven(anywhere)


def test_a_score_that_jitters_moves_nothing_to_and_fro(world: World):
    take(world, epss={OF_SMB: 0.301})
    fold(world, 23, {"10.1.0.1": [SMB]})
    for number, score in enumerate([0.299, 0.304, 0.285, 0.3]):
        take(world, epss={OF_SMB: score})
        fold(world, 24 + number, {"10.1.0.1": [SMB]})
    (ticket,) = world.known().values()
    assert ticket["own"] | {"open": 1, "moved": 0, "total": 1} == ticket["own"]
    take(world, epss={OF_SMB: 0.2})
    fold(world, 28, {"10.1.0.1": [SMB]})
    assert cells(world, "10.1.0.1") == {"100": "windows"}
    assert proven(world)


def test_a_catalogue_that_lists_everything_floods_nobody(world: World):
    """As with a broken rule file: what the next scan would do is over the limits, so it is held."""
    wheres = "".join(
        f"  - {{id: due-{n}, title: Due {n}, where: kev AND vulnerability_id = '{n}'}}\n" for n in range(8)
    )
    world.write_rules(
        categories="categories:\n" + wheres + CATEGORIES.removeprefix("categories:\n"),
        policy=POLICY + "limits: {create: 3, close: 3}\n",
    )
    flaws = [Flaw(str(n), f"Flaw {n}") for n in range(8)]
    names = {str(n): [f"CVE-2030-9{n:03}"] for n in range(8)}
    world.ingest(with_cves(world.scan(week(23), {"10.1.0.1": flaws}), names))
    world.deliver()
    take(world, kev={name: "2030-01-01" for each in names.values() for name in each})
    report = world.ingest(with_cves(world.scan(week(24), {"10.1.0.1": flaws}), names))
    assert {row.state for row in map(world.operation, report.operations)} == {"held"} and len(report.operations) >= 8
    assert world.deliver() == [] and len(world.jira.tickets()) == 1
    assert proven(world)
    release(world.outside, [])
    world.deliver()
    assert len(world.jira.tickets()) == 9


def test_a_catalogue_that_shrank_is_refused_and_the_last_good_one_stays(world: World):
    take(world, kev={OF_SMB: "2030-01-22", OF_RDP: "2030-01-22", OF_APACHE: "2030-01-22"})
    report = take(world, kev={OF_APACHE: "2030-01-22"})
    assert "names only 1 CVEs, the last one named 3" in report.refused["kev"] and not report.changed
    assert "--shrunk" in report.refused["kev"] and report.words() == "nothing was taken"
    fold(world, 23, {"10.1.0.1": [SMB]})
    assert cells(world, "10.1.0.1") == {"100": "exploited"}
    assert take(world, kev={OF_APACHE: "2030-01-22"}, shrunk=True).changed
    fold(world, 24, {"10.1.0.1": [SMB]})
    assert cells(world, "10.1.0.1") == {"100": "windows"}


def test_one_bad_catalogue_does_not_keep_the_other_back(world: World):
    sources = Enrichment(
        kev=write(world.folder, "kev.json", b"{"),
        epss=write(world.folder, "epss.csv", epss_csv({OF_APACHE: 0.9})),
    )
    report = enrich(world.outside, read_catalogue, sources)
    assert set(report.refused) == {"kev"} and set(report.catalogues) == {"epss"} and report.changed
    fold(world, 23, HOSTS)
    assert cells(world, "10.2.0.1") == {"100": "windows", "200": "likely"}
    with world.store.reading() as unit:
        assert unit.mark(ENRICHED) is None  # not all is well


def test_taking_one_catalogue_keeps_the_other(world: World):
    take(world, kev=DUE)
    take(world, epss={OF_APACHE: 0.9})
    take(world, kev={OF_RDP: "2030-01-22"})
    fold(world, 23, HOSTS)
    assert cells(world, "10.1.0.1") == {"100": "windows", "101": "exploited"}
    assert cells(world, "10.2.0.1") == {"100": "windows", "200": "likely"}


def test_the_same_catalogue_again_is_no_new_version(world: World):
    take(world, kev=DUE)
    report = take(world, kev=DUE)
    assert not report.changed and report.words() == "nothing new: CISA KEV 2030.01.01: 1 CVEs"
    assert len(versions(world)) == 1


def test_an_older_catalogue_that_comes_back_is_the_newest(world: World):
    first = take(world, kev=DUE)
    take(world, kev={OF_RDP: "2030-01-22"})
    take(world, kev=DUE)
    with world.store.reading() as unit:
        newest = unit.enrichment()
    assert newest and newest.catalogues["kev"]["digest"] == first.catalogues["kev"]["digest"]
    fold(world, 23, HOSTS)
    assert cells(world, "10.1.0.2") == {"100": "exploited"} and proven(world)


def test_two_who_take_different_catalogues_at_once_lose_none(anywhere: World):
    barrier, failed = threading.Barrier(2), []
    kev, epss = write(anywhere.folder, "k", kev_json(DUE)), write(anywhere.folder, "e", epss_csv({OF_APACHE: 0.9}))

    def read(name: str, source: str) -> Catalogue:
        found = read_catalogue(name, source)
        barrier.wait(20)
        return found

    def one(sources: Enrichment) -> None:
        try:
            enrich(anywhere.outside, read, sources)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(each,)) for each in (Enrichment(kev=kev), Enrichment(epss=epss))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with anywhere.store.reading() as unit:
        newest = unit.enrichment()
    assert failed == [] and newest and set(newest.catalogues) == {"kev", "epss"}
    fold(anywhere, 23, HOSTS)
    assert cells(anywhere, "10.2.0.1") == {"100": "exploited", "200": "likely"}


def test_a_scan_that_was_being_folded_meanwhile_is_proven_with_what_it_went_by(world: World):
    """The catalogue arrives between the computation of a scan and its record."""
    take(world, kev=DUE)
    file, store = scan(world, 23, HOSTS), world.store

    class Late:
        def keep_scan(self, *arguments: Any) -> None:
            take(world, kev={OF_RDP: "2030-01-22"})
            store.keep_scan(*arguments)

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

    outside = replace(world.outside, store=Late())
    ingest(outside, [file], world.read, lambda: load(world.rules))
    assert cells(world, "10.1.0.1") == {"100": "exploited", "101": "windows"}
    assert proven(world)
    fold(world, 24, HOSTS)
    assert cells(world, "10.1.0.1") == {"100": "windows", "101": "exploited"}
    assert proven(world)


def test_versions_that_no_event_refers_to_are_swept_and_the_others_stay(world: World):
    take(world, kev=DUE)
    fold(world, 23, HOSTS)
    take(world, epss={OF_APACHE: 0.9})
    take(world, epss={OF_APACHE: 0.8})
    used, _, newest = versions(world)
    assert len(list((world.folder / "data" / "enrichment").iterdir())) == 3
    world.store.sweep(older_than=timedelta(days=10_000))  # whoever folds with one may still be at it
    assert len(versions(world)) == 3
    world.store.sweep(older_than=-timedelta(minutes=1))
    assert versions(world) == [used, newest]
    assert len(list((world.folder / "data" / "enrichment").iterdir())) == 2
    assert proven(world)
    fold(world, 24, HOSTS)
    assert cells(world, "10.2.0.1") == {"100": "exploited", "200": "likely"} and proven(world)


# --- the job ----------------------------------------------------------------------------------------------------------


def configure(world: World, **sources: str) -> None:
    """The policy names these catalogues, and is in force."""
    lines = "".join(f"  {name}: {path}\n" for name, path in sources.items())
    world.write_rules(policy=POLICY + ("enrichment:\n" + lines if sources else ""))
    world.ingest()


def test_the_job_takes_what_the_policy_names_and_says_what_it_did(world: World):
    configure(world, kev=write(world.folder, "kev.json", kev_json(DUE)))
    assert run(world.outside, read_catalogue) == "taken: CISA KEV 2030.01.01: 1 CVEs"
    assert run(world.outside, read_catalogue) == "nothing new: CISA KEV 2030.01.01: 1 CVEs"
    with world.store.reading() as unit:
        mark = unit.mark(ENRICHED)
    assert mark and mark.at == world.outside.clock() and mark.details["kev"]["cves"] == 1


def test_the_job_does_nothing_where_nothing_is_configured(world: World):
    configure(world)
    assert "no catalogue is named in policy.yaml" in run(world.outside, read_catalogue)
    assert versions(world) == []


def test_a_job_that_failed_says_why_and_what_it_took_all_the_same(world: World):
    configure(world, kev=f"{world.folder}/none", epss=write(world.folder, "epss.csv", epss_csv({})))
    with pytest.raises(VmjiraError, match=r"(?s)CISA KEV: .*none: is not there.*taken: FIRST EPSS .*: 20 CVEs"):
        run(world.outside, read_catalogue)


# --- what people see --------------------------------------------------------------------------------------------------


def table(content: bytes) -> list[dict[str, str]]:
    text = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    return list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"), newline="")))


def test_a_ticket_says_what_is_exploited_and_by_when_it_is_to_be_repaired(world: World):
    take(world, kev=DUE, epss={OF_SMB: 0.97312, OF_RDP: 0.02})
    fold(world, 23, HOSTS)
    ticket = world.jira.by_identifier()["exploited.boston.2026-W23"]
    assert (
        "*2* of its open findings, on 2 hosts, are known to be exploited (CISA KEV). "
        "CISA asks to fix them by 22 January 2030." in ticket.description
    )
    assert "The highest probability of exploitation within 30 days (EPSS) is 97.3 %." in ticket.description
    other = world.jira.by_identifier()["windows.boston.2026-W23"]
    assert "CISA" not in other.description and "(EPSS) is 2.0 %." in other.description
    rows = table(ticket.files["exploited.boston.2026-W23.own.csv"])
    assert list(rows[0])[-6:] == ["ticket", "known exploited", "known exploited due", "epss", "scan", "credentials"]
    assert [list(row.values())[-5:-2] for row in rows] == [["yes", "2030-01-22", "0.97312"]] * 2


def test_without_catalogues_tickets_and_files_are_as_before(world: World):
    fold(world, 23, HOSTS)
    ticket = world.jira.by_identifier()["windows.boston.2026-W23"]
    assert "exploit" not in ticket.description and "EPSS" not in ticket.description
    (row, *_) = table(ticket.files["windows.boston.2026-W23.own.csv"])
    assert list(row)[-3:] == ["ticket", "scan", "credentials"] and len(row) == 19


def test_explain_tells_what_is_known_of_a_finding(world: World):
    take(world, kev=DUE, epss={OF_SMB: 0.9})
    fold(world, 23, HOSTS)
    (found,) = explain(world.outside, "10.1.0.2")["findings"]
    told = (found["known exploited"], found["known exploited due"], found["epss"])
    assert told == (True, "2030-01-22", 0.9)


def test_pages_and_api_tell_what_is_known_of_a_vulnerability_and_from_which_catalogue(world: World):
    take(world, kev=DUE, epss={OF_SMB: 0.9})
    fold(world, 23, HOSTS)
    web = web_of(world).test_client()
    page = words(web.get("/vulnerabilities/nessus/100").text)
    assert "to be mended by 2030-01-22" in page and "(EPSS) 90.0%" in page
    told = web.get("/api/vulnerabilities/nessus/100").json
    assert (told["kev"], told["kev_due"], told["epss"]) == (True, "2030-01-22", 0.9)
    assert [row[0] for row in rows(web.get("/scanners").text, "Catalogues")] == ["EPSS", "KEV"]
    assert {each["name"]: each["cves"] > 0 for each in web.get("/api/scanners").json["catalogues"]} == {
        "epss": True, "kev": True,
    }  # fmt: skip


def test_a_scanner_that_gives_no_cves_is_read_as_before(world: World):
    take(world, kev=DUE)
    world.ingest(nessus(Path(world.folder / "plain.nessus"), week(23), HOSTS))
    assert cells(world, "10.1.0.1") == {"100": "windows", "101": "windows"}
