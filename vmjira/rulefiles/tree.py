"""YAML text to plain values that remember where they stood; hostile YAML gives problems and no harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from vmjira.errors import Problem
from vmjira.rulefiles.words import plain, quoted

Path = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_VALUES = 200_000  # after aliases are expanded

STANDARD = "tag:yaml.org,2002:"


@dataclass
class Tree:
    """One file: its plain values, where each stood, and what is wrong with it so far."""

    file: str
    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def place(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a value (or of its key), else of what is around it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def refuse(self, path: Path, message: str, *, key: bool = False) -> None:
        self.problems.append(Problem(self.file, *self.place(path, key=key), plain(message)))


class _Refused(Exception):
    """The file as a whole cannot be used; why, and where."""

    def __init__(self, message: str, place: tuple[int, int] = (1, 1)) -> None:
        super().__init__(message)
        self.message, self.place = message, place


def read(file: str, text: str) -> Tree:
    """The values of one file. With `data` None, the file is empty or could not be read at all (see `problems`)."""
    tree = Tree(file)
    try:
        if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            raise _Refused("the file is larger than 1 MB; split or shorten it")
        node = _compose(text)
        if node is not None:
            tree.data = _Plain(tree).value(node, ())
    except _Refused as refused:
        tree.data = None
        tree.problems.append(Problem(file, *refused.place, refused.message))
    return tree


def _compose(text: str) -> Any:
    # Nodes, not objects: no tag is ever acted upon, and each node knows its place.
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # the warning would repeat text, and it may be a secret
    try:
        return yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _Refused(_explained(error), place) from None
    except YAMLError:
        raise _Refused("the text holds characters that YAML does not allow; save it as plain UTF-8 text") from None
    except RecursionError:
        raise _Refused("the values are nested too deeply; no rule needs more than a few levels") from None


def _explained(error: MarkedYAMLError) -> str:
    """The parser's complaint, without any piece of the text: it may be a secret."""
    problem = "an unknown alias" if "undefined alias" in str(error.problem) else str(error.problem)
    if "alias" in f"{error.context} {error.problem}":
        advice = "put a value that starts with * in quotes"
    elif "mapping values" in problem:
        advice = "put a value that holds ': ' in quotes, or below '>-', and check the indentation"
    elif "cannot start any token" in problem:
        advice = "indent with blanks, not tabs, and put a value that starts with % @ or ` in quotes"
    elif "another document" in problem:
        advice = "keep one document in a file: remove the second '---'"
    else:
        advice = "check indentation, quotes and brackets here, and put a value that starts with { or [ in quotes"
    return f"this is not YAML: {problem}; {advice}"


class _Plain:
    """Nodes to plain values, counting what aliases expand to."""

    def __init__(self, tree: Tree) -> None:
        self.tree, self.count = tree, 0

    def value(self, node: Node, path: Path) -> Any:
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        self.count += 1
        if len(path) > MAX_DEPTH:
            raise _Refused("the values are nested too deeply; no rule needs more than a few levels", place)
        if self.count > MAX_VALUES:
            raise _Refused("aliases (*name) expand to too many values; write the values out", place)
        self.tree.values[path] = place
        if str(node.tag).removeprefix(STANDARD) not in TAGS:
            self.tree.refuse(path, "a tag is not allowed; remove it, or put a value that starts with ! in quotes")
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self.scalar(node, path)

    def mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, child in node.value:
            place = (key.start_mark.line + 1, key.start_mark.column + 1)
            if not isinstance(key, ScalarNode):
                raise _Refused("a key must be plain text; put text that starts with { or [ in quotes", place)
            here = (*path, key.value)
            if key.value in result:
                first = self.tree.place(here, key=True)[0]
                problem = f"key {quoted(key.value)} is written twice (first in line {first}); keep one of them"
                self.tree.problems.append(Problem(self.tree.file, *place, problem))
                continue
            self.tree.keys[here] = place
            result[key.value] = self.value(child, here)
            if result[key.value] is None and not child.value:  # nothing is written: it stands nowhere
                self.tree.values[here] = place
        return result

    def scalar(self, node: Node, path: Path) -> Any:
        kind = str(node.tag).removeprefix(STANDARD)
        try:
            return SCALARS[kind](node.value) if kind in SCALARS else node.value
        except ValueError:  # a time of day, a number that Python does not know: the schema says what is wanted
            return node.value


def _integer(text: str) -> int:
    return int(text.replace("_", ""), 0 if text.lower().lstrip("+-").startswith(("0x", "0o")) else 10)


def _real(text: str) -> float:
    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": _real,
    "timestamp": date.fromisoformat,
}
TAGS = {*SCALARS, "str", "map", "seq", "merge"}
