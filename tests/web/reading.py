"""What one reads on a page."""

from __future__ import annotations

import re
from typing import Any

from flask.testing import FlaskClient
from lxml import html


def words(page: str) -> str:
    """All of it, with single blanks."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("</header>")[2]).split())


def rows(page: str, caption: str = "") -> list[list[str]]:
    """The texts of the rows of the table whose caption holds `caption`."""
    found = [
        table
        for table in html.fromstring(page).iter("table")
        if caption in " ".join(each.text_content() for each in table.iter("caption"))
    ]
    return [
        [" ".join(cell.text_content().split()) for cell in row if cell.tag in ("th", "td")]
        for table in found[:1]
        for row in table.iterfind("tbody/tr")
    ]


def forms(page: str) -> list[tuple[str, dict[str, str]]]:
    """Where each form that changes something goes, and what it holds."""
    return [
        (str(form.action), {name: value or "" for name, value in form.fields.items()})
        for form in html.fromstring(page).forms
        if form.method == "POST"
    ]


def press(web: FlaskClient, path: str, **further: Any) -> Any:
    """Load a page and send its first form, as a browser does."""
    action, fields = forms(web.get(path, **further).text)[0]
    return web.post(action, data=fields, **further)
