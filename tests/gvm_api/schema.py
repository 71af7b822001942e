"""GMP's own description of its commands, where it exists: which attributes and elements a command may have."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from lxml import etree

BESIDE = Path(__file__).resolve().parents[2].parent / "shared"
FILE = Path(os.environ.get("VMJIRA_SHARED", BESIDE)) / "contracts" / "gvm" / "GMP.xml.in"


@cache
def commands() -> dict[str, etree._Element]:
    text = re.sub(r"@(END)?IF_[A-Z_]+@", "", FILE.read_text(encoding="utf-8"))
    root = etree.fromstring(text.encode(), etree.XMLParser(huge_tree=True))
    return {command.findtext("name") or "": command for command in root.findall("command")}


def complaints(command: etree._Element) -> list[str]:
    """What of a command the description does not know; empty if all is well."""
    known = commands().get(str(command.tag))
    if known is None:
        return [f"there is no command {command.tag}"]
    attributes = {each.findtext("name") for each in known.findall("pattern/attrib")}
    wrong = [f"{command.tag} has no attribute {name}" for name in command.attrib if name not in attributes]
    required = {each.findtext("name") for each in known.findall("pattern/attrib") if each.findtext("required") == "1"}
    wrong += [f"{command.tag} lacks {name}" for name in required - set(command.attrib)]
    return wrong + _children(command, known)


def _children(element: etree._Element, known: etree._Element) -> list[str]:
    pattern = known.find("pattern")
    names = {each.text for each in pattern.iter("e")} if pattern is not None else set()
    described = {each.findtext("name"): each for each in known.findall("ele")}
    wrong = []
    for child in element:
        if child.tag not in names:
            wrong.append(f"{element.tag} has no element {child.tag}")
        elif child.tag in described:
            wrong += _children(child, described[str(child.tag)])
    return wrong
