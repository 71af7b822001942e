"""Renders the part of Jira's wiki markup that tickets use; whatever is not markup is shown as text, escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape

from markupsafe import Markup

COLORS = {"red", "green", "blue", "gray", "grey", "orange", "purple", "black", "white", "yellow", "teal", "maroon"}
_SCHEMES = ("http://", "https://", "mailto:")
_PANELS = {"panel", "info", "note", "tip", "warning", "quote"}

_INLINE = re.compile(
    r"""
      (?P<newline>\\\\(?=\s|$|[^\\*_{}\[\]|!~^+\-]))
    | \\(?P<escaped>[{}\[\]|*^~!?@()#+_\-])
    | \{\{(?P<code>[^{}]+)\}\}
    | \{color:(?P<color>[^}]*)\}(?P<colored>(?:(?!\{color).)*)\{color\}
    | \[\^(?P<file>[^\[\]|\n]+)\]
    | \[~(?P<person>[^\[\]|\n]+)\]
    | \[(?P<link>[^\[\]\n]+)\]
    | !(?P<image>[^\s!|][^!|\n]*)(?:\|(?P<traits>[^!\n]*))?!
    | (?P<url>https?://[^\s<>|\]}]+)
    | (?<![A-Za-z0-9])(?P<key>[A-Z][A-Z0-9]+-[1-9][0-9]*)(?![A-Za-z0-9-])
    | (?<![A-Za-z0-9\\])(?P<mark>[*_+\-])(?=\S)
      (?P<marked>(?:\\.|(?!(?P=mark)).)*?(?:\\.|[^\s\\]))(?P=mark)(?![A-Za-z0-9])
    """,
    re.VERBOSE,
)
_KINDS = ("newline", "escaped", "code", "color", "file", "person", "link", "image", "url", "key", "mark")
_MARKS = {"*": "strong", "_": "em", "+": "ins", "-": "del"}
_BLOCK = re.compile(r"\{(?P<name>noformat|code|panel|info|note|tip|warning|quote)(?::(?P<traits>[^}]*))?\}\s*$")
_ONE_LINE = re.compile(r"\{(?P<name>noformat|code)(?::[^}]*)?\}(?P<text>.*?)\{(?P=name)\}\s*$")
_HEADING = re.compile(r"h([1-6])\.\s+(.*)")
_ITEM = re.compile(r"([*#]+|-)\s+(.*)")


@dataclass(frozen=True)
class Surroundings:
    """What a text may refer to: files by name, and whether a key is a ticket of this site."""

    files: Mapping[str, str] = field(default_factory=dict)  # name → address
    person: Callable[[str], str | None] = lambda _: None
    ticket: Callable[[str], str | None] = lambda _: None  # address of a ticket


def render(text: str | None, around: Surroundings) -> Markup:
    """HTML that is safe to show; nothing in `text` gets through as HTML."""
    return Markup(_Renderer(around).blocks((text or "").replace("\r\n", "\n").split("\n")))  # noqa: S704 - all escaped


class _Renderer:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    # blocks
    def blocks(self, lines: list[str]) -> str:
        parts: list[str] = []
        at = 0
        while at < len(lines):
            at = self._block(lines, at, parts)
        return "\n".join(parts)

    def _block(self, lines: list[str], at: int, parts: list[str]) -> int:
        """Render the block that begins at a line; the line after it."""
        line = lines[at].strip()
        fence, single = _BLOCK.match(line), _ONE_LINE.match(line)
        if single:
            parts.append(f"<pre>{escape(single['text'])}</pre>")
        elif fence:
            return self._fenced(fence, lines, at, parts)
        elif heading := _HEADING.match(line):
            level = heading[1]
            parts.append(f"<h{level}>{self.inline(heading[2])}</h{level}>")
        elif line.startswith("|"):
            return self._table(lines, at, parts)
        elif _ITEM.match(line):
            return self._list(lines, at, parts)
        elif re.fullmatch(r"-{4,}", line):
            parts.append("<hr>")
        elif line:
            return self._paragraph(lines, at, parts)
        return at + 1

    def _fenced(self, fence: re.Match[str], lines: list[str], at: int, parts: list[str]) -> int:
        name = fence["name"]
        end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == f"{{{name}}}"), None)
        if end is None:
            parts.append(f"<p>{escape(lines[at])}</p>")
            return at + 1
        inner = lines[at + 1 : end]
        if name in _PANELS:
            title = re.search(r"(?:^|\|)title=([^|]*)", fence["traits"] or "")
            head = f"<p class='panel-title'>{escape(title[1])}</p>" if title else ""
            parts.append(f"<div class='panel panel-{name}'>{head}{self.blocks(inner)}</div>")
        else:
            parts.append(f"<pre>{escape(chr(10).join(inner))}</pre>")
        return end + 1

    def _paragraph(self, lines: list[str], at: int, parts: list[str]) -> int:
        inner: list[str] = []
        while at < len(lines) and (not inner or self._continues(lines[at].strip())):
            inner.append(self.inline(lines[at].strip()))
            at += 1
        parts.append(f"<p>{'<br>'.join(inner)}</p>")
        return at

    def _continues(self, line: str) -> bool:
        begins = (_BLOCK, _ONE_LINE, _HEADING, _ITEM)
        return bool(line) and not line.startswith("|") and not any(pattern.match(line) for pattern in begins)

    def _table(self, lines: list[str], at: int, parts: list[str]) -> int:
        rows = []
        while at < len(lines) and lines[at].strip().startswith("|"):
            rows.append(self._row(lines[at].strip()))
            at += 1
        parts.append(f"<div class='scroll'><table>{''.join(rows)}</table></div>")
        return at

    def _row(self, line: str) -> str:
        """`||` begins a heading cell, `|` another; inside of links and images and behind a backslash it does not."""
        pieces = re.findall(r"\|\|?|(?:\\.|\[[^\[\]]*\]|!\S[^!\n]*!|\{\{.*?\}\}|[^|])+", line)
        cells: list[tuple[str, str]] = []
        for bar, text in zip(pieces[::2], [*pieces[1::2], ""], strict=False):
            if text.strip() or (bar and len(pieces) > 2 and text):
                cells.append(("th" if bar == "||" else "td", text.strip()))
        return "<tr>" + "".join(f"<{tag}>{self.inline(text)}</{tag}>" for tag, text in cells) + "</tr>"

    def _list(self, lines: list[str], at: int, parts: list[str]) -> int:
        """Nested lists; a `-` is a bullet of the first level."""
        html: list[str] = []
        open_tags: list[str] = []
        while at < len(lines) and (item := _ITEM.match(lines[at].strip())):
            wanted = ["ol" if sign == "#" else "ul" for sign in item[1].replace("-", "*")]
            while len(open_tags) > len(wanted) or (open_tags and open_tags != wanted[: len(open_tags)]):
                html.append(f"</li></{open_tags.pop()}>")
            if len(open_tags) == len(wanted):
                html.append("</li>")
            for tag in wanted[len(open_tags) :]:
                html.append(f"<{tag}>")
                open_tags.append(tag)
            html.append(f"<li>{self.inline(item[2])}")
            at += 1
        html.extend(f"</li></{tag}>" for tag in reversed(open_tags))
        parts.append("".join(html))
        return at

    # inside of a line
    def inline(self, text: str) -> str:
        parts: list[str] = []
        at = 0
        for match in _INLINE.finditer(text):
            parts.append(_plain(text[at : match.start()]))
            parts.append(self._piece(match))
            at = match.end()
        return "".join([*parts, _plain(text[at:])])

    def _piece(self, match: re.Match[str]) -> str:
        """What refers to nothing that is here is shown as it was written."""
        kind = next(kind for kind in _KINDS if match[kind] is not None)
        shown: str | None = getattr(self, f"_{kind}")(match)
        return escape(match[0]) if shown is None else shown

    def _newline(self, _: re.Match[str]) -> str:
        return "<br>"

    def _escaped(self, match: re.Match[str]) -> str:
        return escape(match["escaped"])

    def _code(self, match: re.Match[str]) -> str:
        return f"<code>{escape(match['code'])}</code>"

    def _color(self, match: re.Match[str]) -> str:
        name = match["color"].lower()
        inner = self.inline(match["colored"])
        return f"<span class='color-{name}'>{inner}</span>" if name in COLORS else f"<span>{inner}</span>"

    def _mark(self, match: re.Match[str]) -> str:
        tag = _MARKS[match["mark"]]
        return f"<{tag}>{self.inline(match['marked'])}</{tag}>"

    def _image(self, match: re.Match[str]) -> str:
        address = self._around.files.get(match["image"])
        if address is None:
            return f"<span class='missing'>{escape(match['image'])}</span>"
        traits = match["traits"] or ""
        width = re.search(r"\bwidth=(\d{1,4})", traits)
        size = f" width='{width[1]}'" if width else " class='thumbnail'" if "thumbnail" in traits else ""
        return f"<a href='{escape(address)}'><img src='{escape(address)}' alt='{escape(match['image'])}'{size}></a>"

    def _file(self, match: re.Match[str]) -> str | None:
        return self._to_file(match["file"])

    def _to_file(self, name: str) -> str | None:
        address = self._around.files.get(name)
        return f"<a class='file' href='{escape(address)}'>{escape(name)}</a>" if address else None

    def _person(self, match: re.Match[str]) -> str | None:
        shown = self._around.person(match["person"].removeprefix("accountid:"))
        return f"<span class='person'>@{escape(shown)}</span>" if shown else None

    def _link(self, match: re.Match[str]) -> str | None:
        text, bar, target = match["link"].rpartition("|")
        if target.startswith("^"):
            return self._to_file(target[1:])
        if target.startswith(_SCHEMES):
            shown = self.inline(text) if bar else escape(target)
            return f"<a href='{escape(target)}' rel='noreferrer'>{shown}</a>"
        return self._to_ticket(target)

    def _url(self, match: re.Match[str]) -> str:
        address = escape(match["url"])
        return f"<a href='{address}' rel='noreferrer'>{address}</a>"

    def _key(self, match: re.Match[str]) -> str | None:
        return self._to_ticket(match["key"])

    def _to_ticket(self, key: str) -> str | None:
        address = self._around.ticket(key)
        return f"<a href='{escape(address)}'>{escape(key)}</a>" if address else None


def _plain(text: str) -> str:
    """Text as it is; of character entities a numeric one is what it stands for, as in Jira."""
    return escape(re.sub(r"&#(\d{2,6});", lambda number: chr(min(int(number[1]), 0x10FFFF)), text))
