"""The terminal, for people: it prints every text letter by letter, wherever the text comes from."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

#: What a terminal would obey instead of showing it: control characters (line breaks and tabs apart), marks that turn
#: the direction of writing, and halves of characters, which no encoding has.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Terminal(Console):
    """A console without markup, emoji codes and highlighting: host names, titles and answers come from outside.

    This holds for everything that is printed, cells and titles of tables included. What a terminal would obey is shown
    as an escape sequence, such as `\\x1b`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        literally = {"markup": False, "emoji": False, "highlight": False, "highlighter": None}
        return super().render_str(visible(text), **options | literally)


def visible(text: str) -> str:
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def never_fail() -> None:
    """Make the standard streams show what their encoding lacks as an escape sequence, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
