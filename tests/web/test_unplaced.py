"""The overview, the API and the metrics tell what the rules do not cover."""

from __future__ import annotations

from flask.testing import FlaskClient
from lxml import html

from tests.flows.scans import APACHE, SMB, Flaw, week
from tests.flows.world import CATEGORIES, RANGES, World
from vmjira.flows.replay import differing, rebuild

UBUNTU = Flaw("400", "OpenSSL flaw", "Ubuntu", severity=4)
MISC = Flaw("401", "Other flaw", "Misc.", severity=1)
NOTE = Flaw("402", "A note", "General", severity=0)
HOSTS = {"10.1.0.1": [SMB, UBUNTU, NOTE], "10.2.0.1": [UBUNTU, MISC], "10.9.0.1": [SMB, NOTE], "10.9.0.2": [APACHE]}
NO_RANGE = "2 hosts are in no range: 10.9.0.0/24 (2). Add their networks to ranges.yaml."
NO_CATEGORY = (
    "3 findings are in no category (2 critical, 1 low): Ubuntu (2), Misc. (1). Add a category to categories.yaml; "
    "`vmjira plan --preview` proposes conditions."
)


def told(web: FlaskClient) -> list[str]:
    page = html.fromstring(web.get("/").text)
    return [each.text_content() for each in page.xpath("//section[@aria-labelledby='unplaced']//li")]


def metrics(web: FlaskClient) -> list[str]:
    return [line for line in web.get("/metrics").text.splitlines() if "_without_" in line and not line.startswith("#")]


def test_hosts_and_findings_outside_the_rules_are_told_with_the_next_step(world: World, web: FlaskClient):
    world.fold(week(23), HOSTS)
    assert told(web) == [NO_RANGE, NO_CATEGORY]
    said = web.get("/api/overview").json["unplaced"]
    assert said["hints"] == [NO_RANGE, NO_CATEGORY]
    assert said["unowned"] == {
        "hosts": 2, "without_address": 0, "findings": 2, "severities": {"high": 2}, "total": 1,
        "top": [{"network": "10.9.0.0/24", "hosts": 2, "examples": ["ip:10.9.0.1", "ip:10.9.0.2"]}],
    }  # fmt: skip
    assert [(each["family"], each["severities"]) for each in said["untaken"]["top"]] == [
        ("Ubuntu", {"critical": 2}), ("Misc.", {"low": 1}),
    ]  # fmt: skip
    assert said["untaken"]["top"][0]["where"] == "family = 'Ubuntu' AND severity >= 'critical'"
    assert metrics(web) == [
        "vmjira_hosts_without_range 2.0",
        'vmjira_findings_without_range{severity="high"} 2.0',
        'vmjira_findings_without_category{family="Ubuntu",severity="critical"} 2.0',
        'vmjira_findings_without_category{family="Misc.",severity="low"} 1.0',
    ]


def test_rules_that_cover_everything_leave_nothing_to_tell(world: World, web: FlaskClient):
    world.fold(week(23), HOSTS)
    world.write_rules(
        ranges=RANGES + "  - {id: lab, title: Laboratory, networks: [10.9.0.0/16]}\n",
        categories=CATEGORIES + "  - {id: rest, title: The rest, where: \"severity >= 'low'\"}\n",
    )
    world.ingest()
    assert told(web) == [] and metrics(web) == ["vmjira_hosts_without_range 0.0"]
    assert web.get("/api/overview").json["unplaced"]["unowned"]["hosts"] == 0


def test_what_was_fixed_is_told_no_more_and_a_replay_changes_nothing(world: World, web: FlaskClient):
    world.fold(week(23), HOSTS)
    world.fold(week(24), dict.fromkeys(HOSTS, ()))
    assert told(web) == [NO_RANGE] and metrics(web) == ["vmjira_hosts_without_range 2.0"]
    assert differing(world.outside, rebuild(world.outside)) == []


def test_a_first_scan_outside_all_ranges_is_not_called_no_scan(world: World, web: FlaskClient):
    world.fold(week(23), {"10.9.0.1": [SMB]})
    page = web.get("/").text
    assert "No scan has been folded in yet" not in page and "so there are no tickets" in page
    assert told(web) == ["1 host is in no range: 10.9.0.0/24 (1). Add its network to ranges.yaml."]


def test_before_the_first_scan_nothing_is_told(world: World, web: FlaskClient):
    assert told(web) == [] and metrics(web) == ["vmjira_hosts_without_range 0.0"]
