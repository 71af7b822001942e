"""XML from strangers, element by element, in flat memory: no entities, no network, nothing kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pyexpat import ExpatError, ParserCreate
from typing import Any

from lxml import etree

from vmjira.errors import ScanUnreadable
from vmjira.scanners.content import Content

#: Bytes between two elements that a format asks for; as a tree they may take ten times as much memory.
GAP = 32 << 20
BULK = 500
PIECE = 32 * 1024
#: `collect_ids` stays as it is: turning it off makes libxml2 load the DTD that a document names.
SAFE: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_blank_text": True,
    "remove_comments": True,
    "remove_pis": True,
}


@dataclass(frozen=True)
class Outline:
    """What the head of an XML file tells: its root, and the names of the first elements in it."""

    root: str
    attributes: dict[str, str]
    names: frozenset[str]


class EntityDeclared(Exception):
    """The document declares an entity: no scanner does, bombs and thieves do."""


def outline(head: bytes) -> Outline | None:
    """None if it is no XML. The whole prolog lies before the root, so entities are seen before anything is parsed."""
    found: list[tuple[str, dict[str, str]]] = []
    parser = ParserCreate()

    def on_entity(*_: object) -> None:
        raise EntityDeclared

    parser.StartElementHandler = lambda name, attributes: found.append((name, attributes))
    parser.EntityDeclHandler = on_entity
    try:
        parser.Parse(head, False)
    except (ExpatError, LookupError, ValueError):
        if not found:
            return None
    if not found:
        return None
    return Outline(*found[0], frozenset(name for name, _ in found[1:]))


def elements(content: Content, *wanted: tuple[str, str]) -> Iterator[etree._Element]:
    """Each element whose (parent, name) is wanted, when it is complete; it is emptied as soon as the next is asked for.

    libxml2's own limits stay on (10 MB for one text or attribute, nesting), so a value is either read or refused.
    """
    parser = etree.XMLPullParser(events=("end",), tag={name for _, name in wanted}, **SAFE)
    pairs, last, spent, before = frozenset(wanted), 0, 0, 0
    try:
        for piece in _pieces(content):
            parser.feed(piece)
            element: Any  # the stubs know neither what events yield nor keep_tail
            for _, element in parser.read_events():
                if (parent := element.getparent()) is None or (parent.tag, element.tag) not in pairs:
                    continue
                spent += 1
                yield element
                # Only emptied, not removed: libxml2 may still append its tail. The emptied ones go in bulk.
                element.clear(keep_tail=True)
                if spent % BULK == 0:
                    del parent[: parent.index(element)]
            if spent != before:
                last, before = content.size, spent
            if content.size - last > GAP:
                raise content.refuse(f"more than {GAP:,} bytes without a result, as in no scan; export it again")
    except etree.XMLSyntaxError as error:
        raise _refused(content, error) from error
    _close(parser, content)


def _close(parser: etree.XMLPullParser, content: Content) -> None:
    """All that was fed was well-formed so far: if the end is not, it is missing."""
    try:
        parser.close()
    except etree.XMLSyntaxError as error:
        why = f"ends too early, in line {error.lineno}: the file is incomplete; export or copy it again"
        raise content.refuse(why) from error


def _pieces(content: Content) -> Iterator[bytes]:
    """Small enough that what the parser builds of one stays in the processor's cache."""
    for chunk in content.chunks():
        for at in range(0, len(chunk), PIECE):
            yield chunk[at : at + PIECE]


def _refused(content: Content, error: etree.XMLSyntaxError) -> ScanUnreadable:
    text = (error.msg or "").split(", line ")[0]
    place = f"line {error.lineno}"
    if "huge" in text.lower() or "too long" in text or "Excessive depth" in text or "Memory" in text:
        return content.refuse(f"{place}: a value or nesting larger than any scanner writes ({text}); export it again")
    if "encoding" in text.lower() or "Invalid bytes" in text or "not proper UTF-8" in text:
        return content.refuse(f"{place}: its text is not in the encoding that it declares ({text}); export it again")
    return content.refuse(f"{place}: is not well-formed XML ({text}); export it again, and do not edit it by hand")
