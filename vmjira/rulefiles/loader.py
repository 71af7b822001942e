"""The five rule files as a whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from vmjira.domain.rulebook import Rulebook
from vmjira.errors import Problem, RulesInvalid
from vmjira.rulefiles import build, crosschecks
from vmjira.rulefiles.problems import report
from vmjira.rulefiles.schemas import FILES, MANDATORY
from vmjira.rulefiles.tree import MAX_BYTES, Tree, read
from vmjira.rulefiles.words import described, meant, plain


def load(folder: Path) -> Rulebook:
    """The rule book in `folder`. Raise RulesInvalid with every problem of every file."""
    texts, prefix, problems = _read(folder)
    return _load(texts, prefix, problems)


def read_texts(folder: Path) -> dict[str, str]:
    """The rule files as they are, right or wrong, by name; RulesInvalid if there is no such folder."""
    return {name: text for name, text in _read(folder)[0].items() if text is not None}


def _read(folder: Path) -> tuple[dict[str, str | None], str, list[Problem]]:
    """Texts by file name (None: not readable), what stands before a name where a person reads it, and problems."""
    name = folder.name or folder.resolve().name
    if not folder.is_dir():
        problem = "there is no such folder; make it, or point VMJIRA_RULES to the folder that holds categories.yaml"
        raise RulesInvalid([Problem(str(folder), 1, 1, problem)])
    texts: dict[str, str | None] = {}
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.y*ml")):
        try:
            with path.open("rb") as stream:  # a little more than allowed, so that `read` refuses it
                texts[path.name] = stream.read(MAX_BYTES + 1).decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            problems.append(Problem(f"{name}/{path.name}", line, 1, "this is not UTF-8; save the file as UTF-8 text"))
            texts[path.name] = None
        except OSError as error:
            problem = f"cannot be read: {error.strerror}; check its permissions"
            problems.append(Problem(f"{name}/{path.name}", 1, 1, problem))
            texts[path.name] = None
    return texts, f"{name}/", problems


def load_texts(files: Mapping[str, str]) -> Rulebook:
    """The rule book in these texts by file name, for instance `Rulebook.files` of an earlier one."""
    return _load(files, "", [])


def _load(texts: Mapping[str, str | None], prefix: str, problems: list[Problem]) -> Rulebook:
    unreadable = [name for name, text in texts.items() if text is None]
    trees = {name: read(prefix + name, texts.get(name) or "") for name in FILES}
    problems = problems + [
        Problem(prefix + plain(name), 1, 1, f"unknown rule file, it would be ignored; {meant(name, FILES)}")
        for name in texts
        if name not in FILES
    ]
    loaded = {name: {} if name in unreadable else _values(name, trees[name], name in texts) for name in FILES}
    crosschecks.check(trees)
    problems += [problem for tree in trees.values() for problem in tree.problems]
    if problems:
        raise RulesInvalid(list(set(problems)))
    files = {name: text for name, text in texts.items() if text is not None}
    return build.rulebook(loaded, files, _digest(files))


def _values(name: str, tree: Tree, there: bool) -> Mapping[str, Any]:
    """What the schema of the file makes of it; problems are added to `tree`."""
    top = next(iter(FILES[name]().fields))
    if tree.data is None:
        if name in MANDATORY and not tree.problems:
            state = "is empty" if there else "is missing"
            tree.refuse((), f"the file {state}; write '{top}:' with at least one entry (docs/rules.md shows how)")
        return {}
    if not isinstance(tree.data, dict):
        tree.refuse((), f"{described(tree.data)} where keys are wanted; the file begins with '{top}:'")
        return {}
    try:
        return FILES[name]().load(tree.data)  # type: ignore[no-any-return]
    except ValidationError as error:
        report(tree, error.messages_dict)
        return {}


def _digest(files: Mapping[str, str]) -> str:
    digest = sha256()
    for name in sorted(files):
        for part in (name, files[name]):
            content = part.encode()
            digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()
