"""The made-up campaign tells its story in the files themselves."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from lxml import etree

from vmjira.sandbox.campaign import story, write_campaign

OFFICES = ("boston", "newyork", "berlin")
OFFICE_BY_DAY = {2: "boston", 3: "newyork", 4: "berlin"}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    return write_campaign(tmp_path_factory.mktemp("campaign"))


@pytest.fixture(scope="module")
def scans(files) -> dict[tuple[str, int], etree._Element]:
    """The root of each file, by office and week."""
    return {(OFFICES[index % 3], index // 3): etree.parse(path).getroot() for index, path in enumerate(files)}


def hosts(root) -> dict[str, etree._Element]:
    """By the first part of the DNS name; hosts that are down by their address."""
    return {
        (tag(host, "host-fqdn") or tag(host, "host-ip")).split(".corp")[0]: host for host in root.iter("ReportHost")
    }


def tag(host, name: str) -> str:
    return host.findtext(f"HostProperties/tag[@name='{name}']") or ""


def plugins(host) -> dict[int, int]:
    """Severity by plugin, for those above information."""
    items = {int(item.get("pluginID")): int(item.get("severity")) for item in host.iter("ReportItem")}
    return {plugin: severity for plugin, severity in items.items() if severity}


def where(root, plugin: int) -> set[str]:
    return {name for name, host in hosts(root).items() if plugin in plugins(host)}


def mean_findings(root) -> float:
    counts = [len(plugins(host)) for host in root.iter("ReportHost")]
    return sum(counts) / len(counts)


def test_the_same_arguments_give_the_same_bytes(files, tmp_path):
    again = write_campaign(tmp_path)
    assert [path.name for path in again] == [path.name for path in files]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(files, again, strict=True))


def test_another_seed_gives_another_campaign(files, tmp_path):
    assert write_campaign(tmp_path, weeks=1, seed=24)[0].read_bytes() != files[0].read_bytes()


def test_a_scan_of_each_office_each_week_ends_in_the_week_that_its_file_name_says(files, scans):
    ends = []
    for path, root in zip(files, scans.values(), strict=True):
        end = max(int(tag(host, "HOST_END_TIMESTAMP")) for host in root.iter("ReportHost"))
        ends.append(end)
        assert path.stem.endswith(OFFICE_BY_DAY[date.fromisoformat(path.name[:10]).weekday()])
    assert ends == sorted(ends)
    assert files[-1].name == "2026-06-26-berlin.nessus"
    assert date.fromtimestamp(ends[-1]).isocalendar()[:2] == (2026, 26)


def test_the_files_are_small_and_each_office_has_its_own_networks(files, scans):
    assert all(path.stat().st_size < 3_000_000 for path in files)
    networks = {"boston": ("10.1.",), "newyork": ("10.2.", "10.3.0."), "berlin": ("10.49.",)}
    for (office, _), root in scans.items():
        addresses = [tag(host, "host-ip") for host in root.iter("ReportHost")]
        assert all(address.startswith(networks[office]) for address in addresses)
        assert len(set(addresses)) == len(addresses)


def test_many_checks_of_the_usual_families_find_something(scans):
    found = {
        (item.get("pluginID"), item.get("pluginFamily")) for root in scans.values() for item in root.iter("ReportItem")
    }
    families = {family for _, family in found}
    assert 60 <= len(found) <= 100
    assert {
        "Windows : Microsoft Bulletins",
        "Ubuntu Local Security Checks",
        "Red Hat Local Security Checks",
    } <= families
    assert {"Debian Local Security Checks", "Web Servers", "Databases", "General", "Windows"} <= families
    assert {"Service detection", "Default Unix Accounts"} <= families


def test_every_second_week_new_bulletins_appear_everywhere(scans):
    for office in OFFICES:
        bulletins = [
            {item.get("pluginID") for item in scans[office, week].iterfind(".//ReportItem[@svc_name='cifs']")}
            for week in range(6)
        ]
        for week, known in ((1, "2902"), (3, "2903"), (5, "2904")):
            assert not any(plugin.startswith(known) for seen in bulletins[:week] for plugin in seen)
            assert sum(plugin.startswith(known) for plugin in bulletins[week]) >= 3


def test_boston_patches_well_and_new_york_does_not(scans):
    assert mean_findings(scans["boston", 5]) < mean_findings(scans["berlin", 5]) < mean_findings(scans["newyork", 5])
    assert mean_findings(scans["boston", 2]) < mean_findings(scans["boston", 0]) / 2
    assert mean_findings(scans["newyork", 1]) > mean_findings(scans["newyork", 0]) * 0.9


@pytest.mark.parametrize(("office", "week"), [("boston", 2), ("berlin", 3)])
def test_hosts_that_are_down_are_dead_or_missing_and_still_vulnerable_afterwards(scans, office, week):
    before, then, after = (hosts(scans[office, number]) for number in (week - 1, week, week + 1))
    dead = [host for host in then.values() if "considered as dead" in (host.findtext("ReportItem/plugin_output") or "")]
    assert all([item.get("pluginID") for item in host.iter("ReportItem")] == ["10180"] for host in dead)
    silent = set(before) - set(then)
    assert len(dead) >= 3
    assert len(silent) >= 6  # the dead ones have no name
    assert silent <= set(after)
    assert any(set(plugins(before[name])) & set(plugins(after[name])) for name in silent)


def test_for_one_week_new_york_s_credentials_fail_and_what_needs_them_vanishes(scans):
    for week, root in ((1, scans["newyork", 1]), (2, scans["newyork", 2]), (3, scans["newyork", 3])):
        logged_in = [host for host in root.iter("ReportHost") if tag(host, "Credentialed_Scan") == "true"]
        local = root.findall(".//ReportItem[plugin_type='local']")
        failed = root.findall(".//ReportItem[@pluginID='104410']")
        assert (not logged_in, not local, len(failed) > 40) == (week == 2,) * 3
        outputs = [item.findtext("plugin_output") for item in root.iterfind(".//ReportItem[@pluginID='19506']")]
        assert any("Credentialed checks : yes, as" in output for output in outputs) == (week != 2)
    kernel = [where(scans["newyork", week], 291102) for week in (1, 2, 3)]
    assert not kernel[1]
    assert kernel[0] & kernel[2]


def test_what_boston_calls_patched_is_still_there(scans):
    assert all("bos-srv003" in where(scans["boston", week], 290201) for week in range(1, 6))


def test_the_mended_tomcat_comes_back_with_the_backup(scans):
    seen = ["bos-web007" in where(scans["boston", week], 294101) for week in range(6)]
    assert seen == [True, True, True, False, True, True]
    assert tag(hosts(scans["boston", 3])["bos-web007"], "Credentialed_Scan") == "true"


def test_a_laptop_moves_from_boston_to_berlin_and_takes_its_findings_along(scans):
    boston, berlin = ([("bos-lt002" in hosts(scans[office, week])) for week in range(6)] for office in OFFICES[::2])
    assert boston == [True] * 4 + [False] * 2
    assert berlin == [False] * 4 + [True] * 2
    there, here = hosts(scans["boston", 3])["bos-lt002"], hosts(scans["berlin", 4])["bos-lt002"]
    assert tag(there, "host-uuid") == tag(here, "host-uuid")
    assert 290107 in plugins(there)
    assert 290107 in plugins(here)


def test_berlin_s_clients_change_addresses_and_keep_names_and_agents(scans):
    first, second = hosts(scans["berlin", 0]), hosts(scans["berlin", 1])
    clients = [name for name in first if name.startswith(("ber-pc", "ber-lt"))]
    assert len(clients) >= 30
    for name in clients:
        assert tag(first[name], "host-uuid") == tag(second[name], "host-uuid") != ""
        assert tag(first[name], "host-ip") != tag(second[name], "host-ip")
    servers = set(first) - set(clients)
    assert all(tag(first[name], "host-ip") == tag(second[name], "host-ip") for name in servers)
    assert {tag(first[name], "host-ip") for name in clients} & {tag(second[name], "host-ip") for name in clients}


def test_one_check_is_recast_in_new_york_from_the_fifth_week_on(scans):
    def severities(office, week):
        return {plugins(host)[296103] for host in scans[office, week].iter("ReportHost") if 296103 in plugins(host)}

    assert [severities("newyork", week) for week in (3, 4, 5)] == [{2}, {3}, {3}]
    assert severities("berlin", 4) == {2}
    item = scans["newyork", 4].find(".//ReportItem[@pluginID='296103']")
    assert item.findtext("risk_factor") == "Medium"


def test_a_check_that_berlin_s_policy_lacks_finds_nothing_in_that_week(scans):
    def plugin_set(office, week):
        return scans[office, week].findtext(".//preference[name='plugin_set']/value").split(";")

    assert "296105" in plugin_set("berlin", 4)
    assert "296105" not in plugin_set("berlin", 5)
    assert "296105" in plugin_set("newyork", 5)
    assert where(scans["berlin", 4], 296105)
    assert not where(scans["berlin", 5], 296105)


def test_every_plugin_that_found_something_is_in_the_plugin_set(scans):
    for root in scans.values():
        known = set(root.findtext(".//preference[name='plugin_set']/value").split(";"))
        assert {item.get("pluginID") for item in root.iter("ReportItem")} <= known


def test_the_story_has_a_line_for_each_week():
    assert len(set(story(6))) == 6
    assert story(2) == story(6)[:2]


def test_thousands_of_hosts_have_different_addresses(tmp_path):
    path = write_campaign(tmp_path, weeks=2, hosts_per_office=5000)[5]
    addresses = [tag(host, "host-ip") for host in etree.parse(path).getroot().iter("ReportHost")]
    assert len(addresses) == len(set(addresses)) == 5000


@pytest.mark.parametrize("wrong", [{"weeks": 0}, {"weeks": 7}, {"hosts_per_office": 5}, {"start": date(2026, 5, 19)}])
def test_what_has_no_story_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        write_campaign(tmp_path / "none", **wrong)
    assert not (tmp_path / "none").exists()
