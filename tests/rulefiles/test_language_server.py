"""Rule files in the YAML language server, as VS Code, Neovim, Emacs and others run it.

Skipped where it is not installed (`npm install --global yaml-language-server`). `VMJIRA_TEST_YAML_SERVER` is its path,
if it is not found by PATH.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vmjira.rulefiles.schemas import FILES

RULES = Path(__file__).resolve().parents[2] / "rules"


class Server:
    """Speaks LSP with it over stdio. It knows of the folder only what the first lines of the files say."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        assert process.stdin and process.stdout
        self._to, self._from, self._folder, self._asked = process.stdin, process.stdout, folder, 0
        self.ask("initialize", {"processId": os.getpid(), "rootUri": folder.as_uri(), "capabilities": {
            "workspace": {"configuration": True},
            "textDocument": {"completion": {"completionItem": {"documentationFormat": ["plaintext"]}}},
        }})  # fmt: skip
        self._send({"method": "initialized", "params": {}})

    def problems(self, name: str, text: str) -> list[tuple[int, str]]:
        """Line and message of everything that it complains of."""
        uri = self._open(name, text)
        said = self._until(lambda each: each.get("method") == "textDocument/publishDiagnostics"
                           and each["params"]["uri"] == uri)  # fmt: skip
        return [(each["range"]["start"]["line"] + 1, each["message"]) for each in said["params"]["diagnostics"]]

    def offers(self, name: str, text: str) -> dict[str, str]:
        """What it would put in at the end of the text, and what it says of that."""
        uri = self._open(name, text)
        lines = text.split("\n")
        place = {"line": len(lines) - 1, "character": len(lines[-1])}
        found = self.ask("textDocument/completion", {"textDocument": {"uri": uri}, "position": place})
        return {each["label"]: str(each.get("documentation", "")) for each in found["items"]}

    def _open(self, name: str, text: str) -> str:
        self._asked += 1
        uri = (self._folder / f"{self._asked}-{name}").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return uri

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        self._asked += 1
        id = self._asked
        self._send({"id": id, "method": method, "params": params})
        return self._until(lambda each: each.get("id") == id and "method" not in each)["result"]

    def _send(self, message: dict[str, Any]) -> None:
        content = json.dumps({"jsonrpc": "2.0"} | message).encode()
        self._to.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        self._to.flush()

    def _until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            length = 0
            while line := self._from.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            assert length, "the language server ended"
            message = json.loads(self._from.read(length))
            if "method" in message and "id" in message:  # it asks us
                items = message.get("params", {}).get("items", ())
                settings = {"validate": True, "completion": True, "schemaStore": {"enable": False}}
                self._send({"id": message["id"], "result": [settings for _ in items]})
            elif wanted(message):
                return message


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    program = os.environ.get("VMJIRA_TEST_YAML_SERVER") or shutil.which("yaml-language-server")
    if not program or not shutil.which("node"):
        pytest.skip("no YAML language server here: npm install --global yaml-language-server")
    folder = tmp_path_factory.mktemp("rules")
    shutil.copy(RULES / "schema.json", folder)
    process = subprocess.Popen([program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Server(process, folder)
    finally:
        process.kill()
        process.wait()


def first_line(name: str) -> str:
    return f"# yaml-language-server: $schema=schema.json#/$defs/{name}\n"


@pytest.mark.parametrize("name", list(FILES))
def test_it_has_nothing_to_say_of_the_shipped_rules(server: Server, name: str):
    assert server.problems(name, (RULES / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("name", "text", "line", "said"),
    [
        ("categories.yaml", "categories:\n  - {id: a, titel: A, title: A, where: 'true'}\n", 3, "titel is not allowed"),
        ("ranges.yaml", "ranges:\n  - {id: a, title: A, networks: [10.0.0.0/8], iteration: weak}\n", 3, '"week"'),
        ("policy.yaml", "on_close: verfy\n", 2, '"verify", "strict", "trust"'),
        ("policy.yaml", "title: '{category.titel}'\n", 2, "does not match"),
        ("acceptances.yaml", "acceptances:\n  - {reason: R, approver: A, until: 2027-05-31}\n", 3, "category"),
        ("scanners.yaml", "scanners:\n  - {id: a, type: nesus}\n", 3, '"nessus"'),
        ("scanners.yaml", "scanners:\n  - {id: a, type: nessus}\n", 3, '"url"'),
        ("scanners.yaml", "scanners:\n  - {id: a, type: upload, path: x}\n", 3, '"id", "type", "fetch"'),
    ],
)
def test_it_shows_a_mistake_in_its_line_while_one_types(server: Server, name: str, text: str, line: int, said: str):
    problems = server.problems(name, first_line(name) + text)
    assert any(place == line and said in words for place, words in problems), problems


def test_it_offers_keys_and_values_and_says_what_they_mean(server: Server):
    values = server.offers("policy.yaml", first_line("policy.yaml") + "on_close: ")
    assert set(values) >= {"verify", "strict", "trust"} and "waits for newer scans" in values["verify"]
    keys = server.offers("ranges.yaml", first_line("ranges.yaml") + "ranges:\n  - id: a\n    ")
    assert {"title", "networks", "iteration", "identity", "ticket"} <= set(keys) and "id" not in keys
    assert keys["title"] == "What people read."
    types = server.offers("scanners.yaml", first_line("scanners.yaml") + "scanners:\n  - id: a\n    type: ")
    assert {"folder", "nessus", "gvm", "qualys"} <= set(types)
