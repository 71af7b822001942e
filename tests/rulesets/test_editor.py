"""What an editor makes of the JSON Schema: a validator, and a YAML language server where there is one.

`npm install -g yaml-language-server`, or VMJIRA_YAML_SERVER names its program.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from ruamel.yaml import YAML

from tests.rulefiles.good import GOOD
from tests.rulefiles.test_messages import CASES
from vmjira.errors import RulesInvalid
from vmjira.rulefiles import json_schema, load_texts
from vmjira.rulefiles.schemas import FILES

ROOT = Path(__file__).resolve().parents[2]


def plain(text: str) -> Any:
    """As an editor reads it: a date is text to it."""
    yaml = YAML(typ="safe", pure=True)
    yaml.constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: node.value)
    return yaml.load(text)


def accepts(name: str, text: str) -> bool:
    checker = FormatChecker(["date"])
    return Draft202012Validator(json_schema(name), format_checker=checker).is_valid(plain(text))


def right_files() -> Iterator[Any]:
    """Whatever the loader accepts of the cases that spoil a file in one place, and the files that we ship."""
    for path in CASES:
        for case in YAML(typ="safe", pure=True).load(path):
            for key in FILES:
                text = case.get(key.removesuffix(".yaml"))
                if text and is_right(key, text):
                    yield pytest.param(key, text, id=f"{path.stem}: {case['name']}")
    for path in sorted((ROOT / "rules").glob("*.yaml")):
        yield pytest.param(path.name, path.read_text(encoding="utf-8"), id=f"shipped {path.name}")


def is_right(name: str, text: str) -> bool:
    try:
        load_texts(GOOD | {name: text})
    except RulesInvalid:
        return False
    return True


@pytest.mark.parametrize(("name", "text"), right_files())
def test_the_schema_accepts_every_file_that_the_loader_accepts(name: str, text: str):
    assert accepts(name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("policy.yaml", "top_hosts: eleven\n"),
        ("policy.yaml", "limits: {crate: 5}\n"),
        ("policy.yaml", "forget_after: 90\n"),
        ("policy.yaml", "on_close: never\n"),
        ("ranges.yaml", "ranges: [{id: a, title: A}]\n"),
        ("ranges.yaml", "ranges: [{id: a, title: A, networks: [10.0.0.0/8], iteration: year}]\n"),
        ("categories.yaml", "categories: [{id: a b, title: A, where: 'true'}]\n"),
        ("acceptances.yaml", "acceptances: [{reason: r, approver: a, until: 2026-13-45, host: pc}]\n"),
        ("scanners.yaml", "scanners: [{id: a, type: nesus}]\n"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(name: str, text: str):
    assert not is_right(name, text) and not accepts(name, text)


# --- a language server ------------------------------------------------------------------------------------------------


class Server:
    """Speaks the Language Server Protocol with the program over its standard streams."""

    def __init__(self, program: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.said: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._schemas = {}
        for name in FILES:
            (folder / f"{name}.json").write_text(json.dumps(json_schema(name)))
            self._schemas[(folder / f"{name}.json").as_uri()] = f"/{name}"
        self._send("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": {}}, id=1)
        self._next(lambda message: message.get("id") == 1)
        self._send("initialized", {})
        self._send("workspace/didChangeConfiguration", {"settings": self._settings()})

    def problems(self, folder: Path, name: str, text: str) -> list[str]:
        """What the editor would underline."""
        uri = (folder / name).as_uri()
        self._send(
            "textDocument/didOpen",
            {"textDocument": {"uri": uri, "languageId": "yaml", "version": 1, "text": text}},
        )

        def about_it(message: dict[str, Any]) -> bool:
            return message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri

        return [each["message"] for each in self._next(about_it)["params"]["diagnostics"]]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _settings(self) -> dict[str, Any]:
        return {"yaml": {"schemas": self._schemas, "validate": True, "schemaStore": {"enable": False}}}

    def _next(self, wanted: Any) -> dict[str, Any]:
        while True:
            message = self.said.get(timeout=30)
            if message.get("method") == "workspace/configuration":
                answer = [self._settings()[item["section"]] if item["section"] == "yaml" else {} for item in
                          message["params"]["items"]]  # fmt: skip
                self._write({"id": message["id"], "result": answer})
            elif "id" in message and "method" in message:
                self._write({"id": message["id"], "result": None})
            elif wanted(message):
                return message

    def _send(self, method: str, params: Any, id: int | None = None) -> None:
        self._write({"method": method, "params": params} | ({"id": id} if id is not None else {}))

    def _write(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream
        while line := stream.readline():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
                while stream.readline().strip():
                    pass
                self.said.put(json.loads(stream.read(length)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    program = os.environ.get("VMJIRA_YAML_SERVER") or shutil.which("yaml-language-server")
    if program is None:
        pytest.skip("no YAML language server here: npm install -g yaml-language-server, or set VMJIRA_YAML_SERVER")
    folder = tmp_path_factory.mktemp("editor")
    server = Server(program, folder)
    yield server, folder
    server.stop()


def test_an_editor_finds_nothing_wrong_in_the_shipped_rules(server: tuple[Server, Path]):
    speak, folder = server
    for path in sorted((ROOT / "rules").glob("*.yaml")):
        assert speak.problems(folder, path.name, path.read_text(encoding="utf-8")) == [], path.name


def test_an_editor_underlines_what_is_wrong_while_one_types(server: tuple[Server, Path]):
    speak, folder = server
    for place, (name, text, words) in {
        "a": ("policy.yaml", "top_hosts: 99\n", "10"),
        "b": ("policy.yaml", "tophosts: 9\n", "tophosts"),
        "c": ("ranges.yaml", "ranges: [{id: a, title: A}]\n", "networks"),
        "d": ("scanners.yaml", "scanners: [{id: a, type: nesus}]\n", "nessus"),
    }.items():
        found = speak.problems(folder / place, name, text)
        assert any(words in message for message in found), (text, found)
