"""Problems of rule files as other programs show them beside the line: GitHub Actions, and whatever reads SARIF."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from vmjira.errors import Problem

#: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_RULE = "vmjira-rules"


def beside(problems: Iterable[Problem], folder: Path) -> list[Problem]:
    """The same with the path of each file as `folder` was given: a checkout is where these programs look."""
    return [replace(problem, file=_path(problem.file, folder)) for problem in sorted(problems)]


def _path(file: str, folder: Path) -> str:
    if file == str(folder):
        return folder.as_posix()
    named = PurePosixPath(file)  # the name of the folder, and what is in it
    name = folder.name or folder.resolve().name
    return (folder / (named.relative_to(name) if named.parts[:1] == (name,) else named)).as_posix()


def github(problems: Iterable[Problem]) -> str:
    """One workflow command a problem: what GitHub shows as an annotation.

    https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
    """
    return "\n".join(
        f"::error file={_property(each.file)},line={each.line},col={each.column},title=vmjira rules::"
        f"{_data(each.message)}"
        for each in problems
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def sarif(problems: Iterable[Problem]) -> str:
    """One SARIF 2.1.0 log of one run; without problems too, so that an earlier result is seen to be mended."""
    driver = {
        "name": "vmjira",
        "version": version("vmjira"),
        "rules": [{"id": _RULE, "shortDescription": {"text": "A rule file cannot be used as it is."}}],
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [_result(p) for p in problems]}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _result(problem: Problem) -> dict[str, Any]:
    region = {"startLine": problem.line, "startColumn": problem.column}
    place = {"artifactLocation": {"uri": quote(problem.file)}, "region": region}
    return {
        "ruleId": _RULE,
        "level": "error",
        "message": {"text": problem.message},
        "locations": [{"physicalLocation": place}],
    }
