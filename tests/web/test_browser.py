"""In a real browser: the ways that people go, without any script of ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import CATEGORIES, POLICY, RANGES, World
from tests.web.browsing import axe, chromium, complaints, serving
from tests.web.conftest import web_of
from tests.web.test_access import LINES
from vmjira.web.gate import Gate
from vmjira.web.users import UserFile

CSS, LINK = "css selector", "link text"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    with chromium() as found:
        (tmp_path / "loaded").mkdir()
        found.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "loaded")}
        )
        yield found


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    with serving(app) as address:
        yield address


def text(browser: Any) -> str:
    return str(browser.find_element("tag name", "main").text)


def shows(browser: Any, words: str, seconds: float = 10.0) -> None:
    """Wait until a page that was clicked for is there and says this."""
    stale = pytest.importorskip("selenium.common.exceptions").StaleElementReferenceException

    def there() -> bool:
        with suppress(stale):
            return words in browser.title or words in text(browser)
        return False

    wait_for(there, seconds)


def test_from_the_overview_to_a_ticket_to_its_list(world: World, browser: Any, address: str, tmp_path: Path):
    world.fold(week(23), {"10.1.0.1": [SMB, APACHE], "10.1.0.2": [SMB]})
    world.fold(week(24), {"10.1.0.1": [SMB], "10.1.0.2": [RDP]})
    browser.get(address)
    shows(browser, "Overview – vmjira")
    cell = browser.find_element(CSS, "a[href='/cells/windows/boston']")
    assert cell.text == "2 vulnerable"
    colour = browser.find_element(CSS, "td.overdue").value_of_css_property("background-color")
    assert colour != "rgba(0, 0, 0, 0)"  # the style sheet is let through by our own policy
    cell.click()
    shows(browser, "Windows updates – Boston Office – vmjira")
    browser.find_element(LINK, "2026-W23").click()
    shows(browser, "Windows updates – Boston Office – Scan 23 – vmjira")
    shows(browser, "first detected in 2026-W23")
    browser.find_element(LINK, "windows.boston.2026-W23.own.csv").click()
    file = tmp_path / "loaded" / "windows.boston.2026-W23.own.csv"
    wait_for(file.exists)
    key = world.known()["windows.boston.2026-W23"]["key"]
    attached = next(each.files for each in world.jira.tickets() if each.key == key)
    assert file.read_bytes() == attached[file.name]
    browser.find_element(LINK, key).click()
    wait_for(lambda: browser.current_url == f"{world.jira.url}/browse/{key}")
    assert complaints(browser) == []


def test_the_box_finds_a_host(world: World, browser: Any, address: str):
    world.ingest(world.scan(week(23), {"10.1.0.1": [SMB]}, names={"10.1.0.1": "pc1.example.com"}))
    browser.get(f"{address}/rules")
    browser.find_element(CSS, "header input").send_keys("PC1")
    browser.find_element(CSS, "header button").click()
    browser.find_element(LINK, "pc1.example.com").click()
    shows(browser, "pc1.example.com – vmjira")
    shows(browser, "SMB flaw")


def test_a_refused_operation_is_retried(world: World, browser: Any, address: str):
    world.write_rules(ranges=RANGES.replace("[10.2.0.0/16]", "[10.2.0.0/16], ticket: {project: NONE}"))
    world.fold(week(23), {"10.2.0.1": [SMB]})
    world.write_rules(ranges=RANGES)
    world.ingest()
    browser.get(address)
    browser.find_element(LINK, "The tracker refused 1 operation").click()
    browser.find_element(CSS, "main button").click()
    shows(browser, "Done: retry 1")
    world.deliver()
    browser.find_element(CSS, ".tabs a").click()
    shows(browser, "VM-1: created")
    shows(browser, "retry by local (page)")


def test_a_held_plan_is_looked_at_and_released(world: World, browser: Any, address: str):
    world.write_rules(policy=POLICY + "limits: {create: 1}\n")
    world.fold(week(23), {"10.1.0.1": [SMB], "10.2.0.1": [SMB]})
    browser.get(address)
    browser.find_element(LINK, "Plan v1 waits for a release").click()
    browser.find_element(LINK, "Look and release…").click()
    shows(browser, "2 × create")
    assert world.jira.tickets() == []
    browser.find_element(CSS, "button.strong").click()
    shows(browser, "Done: release 2")
    world.deliver()
    assert len(world.jira.tickets()) == 2


def test_a_typo_in_a_rule_file_appears_and_disappears(world: World, browser: Any, address: str):
    world.ingest(world.scan(week(23), {"10.1.0.1": [SMB]}))
    world.write_rules(categories=CATEGORIES.replace("family =", "famly ="))
    browser.get(f"{address}/rules")
    shows(browser, "famly")
    world.write_rules(categories=CATEGORIES)
    browser.refresh()
    assert "famly" not in text(browser)


def test_one_logs_in_and_the_role_decides_what_one_may(world: World, browser: Any, tmp_path: Path):
    world.write_rules(policy=POLICY + "limits: {create: 1}\n")
    world.fold(week(23), {"10.1.0.1": [SMB], "10.2.0.1": [SMB]})
    (tmp_path / "users").write_text(LINES)
    with serving(web_of(world, Gate(users=UserFile(tmp_path / "users")))) as address:
        browser.get(f"{address}/operations")
        assert "Plans that wait" not in browser.page_source
        browser.get(f"{address.replace('//', '//vic:battery%20staple@')}/operations")
        assert "vic" in browser.find_element(CSS, ".me").text and "Look and release" not in text(browser)
        browser.get(f"{address.replace('//', '//jane:correct%20horse@')}/operations")
        shows(browser, "jane" in browser.find_element(CSS, ".me").text and "Look and release")


def test_the_keyboard_alone_gets_one_in(world: World, browser: Any, address: str):
    browser.get(address)
    browser.find_element("tag name", "body").send_keys("\ue004\ue007")  # Tab, Enter
    assert browser.switch_to.active_element.get_attribute("id") == "main"


# --- for everybody

SHOWN = (
    "/", "/tickets", "/cells/windows/boston", "/tickets/windows.boston.2026-W23", "/hosts/10.1.0.1",
    "/vulnerabilities/nessus/100", "/search?q=1", "/rules?host=10.1.0.1", "/scanners", "/events", "/operations",
    "/operations/release?id=held", "/audit", "/acceptances", "/nowhere",
)  # fmt: skip
WIDTHS = {"desktop": (1300, 900), "phone": (390, 800)}


def test_every_page_is_for_everybody(world: World, app: Flask, record_property: Any):
    """No serious violation that axe-core finds, light and dark, wide and narrow; nothing sticks out of a phone."""
    script = axe()
    world.write_rules(ranges=RANGES.replace("[10.2.0.0/16]", "[10.2.0.0/16], ticket: {project: NONE}"))
    world.fold(week(23), {"10.1.0.1": [SMB, RDP, APACHE], "10.1.0.2": [SMB], "10.2.0.1": [SMB]})
    world.write_rules(policy=POLICY + "limits: {create: 1}\n", categories=CATEGORIES)
    world.fold(week(24), {"10.1.0.1": [SMB], "10.1.0.2": [RDP, APACHE], "10.1.0.3": [RDP]})
    world.write_rules(categories=CATEGORIES.replace("family =", "famly ="))
    wrong: list[str] = []
    with serving(app) as address, chromium() as browser:
        for name, (width, height) in WIDTHS.items():
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": name == "phone"}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            for scheme in ("light", "dark"):
                feature = {"name": "prefers-color-scheme", "value": scheme}
                browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
                for path in SHOWN:
                    browser.get(address + path)
                    where = f"{path}, {name}, {scheme}"
                    wrong += [f"{where}: {each}" for each in violations(browser, script)]
                    if browser.execute_script("return document.documentElement.scrollWidth > window.innerWidth"):
                        wrong.append(f"{where}: it is wider than the window")
    record_property("looks", len(SHOWN) * 4)
    assert wrong == []


def violations(browser: Any, script: str) -> list[str]:
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": script})  # past our own policy, as a tester may
    found = browser.execute_async_script(
        "axe.run(document, {resultTypes: ['violations']}).then(arguments[arguments.length - 1])"
    )
    return [
        f"{each['impact']}: {each['help']}: {node['html'][:120]} {node.get('failureSummary', '')[-160:]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:2]
    ]


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
