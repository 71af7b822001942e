"""In a real browser: from the overview over a cell to what was done and why."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.serving import make_server

from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import World

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no browser here: install chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    browser.implicitly_wait(10)
    yield browser
    browser.quit()


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_one_finds_the_way_from_the_numbers_to_the_reasons_and_to_the_ticket(
    world: World, browser: webdriver.Chrome, address: str
):
    world.fold(week(23), {"10.1.0.1": [SMB, APACHE], "10.1.0.2": [SMB]})
    world.fold(week(24), {"10.1.0.1": [SMB], "10.1.0.2": [RDP]})
    browser.get(address)
    assert browser.title == "Overview – vmjira"
    cell = browser.find_element("css selector", "a[href='/cells/windows/boston']")
    assert cell.text == "2 vulnerable"
    colour = browser.find_element("css selector", "td.bad").value_of_css_property("background-color")
    assert colour != "rgba(0, 0, 0, 0)"  # the style sheet is let through by our own policy
    cell.click()
    assert browser.title == "Windows updates – Boston Office – vmjira"
    labels = [each.text for each in browser.find_elements("css selector", "tbody th")]
    assert labels == ["2026-W23", "2026-W24"]
    browser.find_element("link text", "why").click()
    assert browser.title == "What was done and why – vmjira"
    assert "first detected in 2026-W23" in browser.find_element("tag name", "main").text
    browser.back()
    key = world.known()["windows.boston.2026-W24"]["key"]
    browser.find_element("link text", key).click()
    assert browser.current_url == f"{world.jira.url}/browse/{key}"
    assert "Windows updates – Boston Office – Scan 24" in browser.find_element("tag name", "body").text
    wrong = [entry["message"] for entry in browser.get_log("browser") if "favicon" not in entry["message"]]
    assert wrong == []
