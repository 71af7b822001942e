"""Bad rule books and exactly what is said of them. `python -m tests.rulefiles.test_messages` writes the words anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from tests.rulefiles.good import problems

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


def cases():
    for path in CASES:
        for case in YAML(typ="safe", pure=True).load(path):
            files = {key: text for key, text in case.items() if key not in ("name", "problems")}
            yield pytest.param(files, case.get("problems", ""), id=f"{path.stem}: {case['name']}")


@pytest.mark.parametrize(("files", "expected"), cases())
def test_message_is_exactly_this(files, expected):
    assert "\n".join(problems(**files)) == expected.rstrip("\n")


def write_anew() -> None:
    yaml = YAML()
    yaml.width = 100_000
    for path in CASES:
        document = yaml.load(path)
        for case in document:
            files = {key: text for key, text in case.items() if key not in ("name", "problems")}
            case["problems"] = LiteralScalarString("\n".join(problems(**files)) + "\n")
        yaml.dump(document, path)


if __name__ == "__main__":
    write_anew()
