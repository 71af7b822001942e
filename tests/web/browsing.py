"""A real browser, and a server for it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """Debian's chromium; skips where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no browser here: install chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options, webdriver.ChromeService(driver))
    found.implicitly_wait(10)
    try:
        yield found
    finally:
        found.quit()


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def axe() -> str:
    """The text of axe-core: of the file VMJIRA_AXE if that is set, else the one that axe-core-python brings."""
    if given := os.environ.get("VMJIRA_AXE"):
        return Path(given).read_text("utf-8")
    package = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed, nor VMJIRA_AXE set")
    return (Path(package.__path__[0]) / "axe.min.js").read_text("utf-8")


def complaints(browser: Any) -> list[str]:
    """What the browser itself complains of: a policy that stops something, an answer that fails."""
    return [entry["message"] for entry in browser.get_log("browser")]
