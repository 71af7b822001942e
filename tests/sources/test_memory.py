"""A large export passes through a process without filling its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from werkzeug.wrappers import Request, Response

from tests.sources.conftest import scans
from tests.sources.nessus_stand import ACCESS, SECRET, CloudStand, NessusStand, ScansStand
from tests.sources.stand import listening

MEGABYTE = 1 << 20
SIZE = 300 * MEGABYTE
HEAD, TAIL = b"<NessusClientData_v2><Report name='large'>", b"</Report></NessusClientData_v2>"

#: What a process does that brings a small export, and then the large one: its memory after the first, and its peak.
#: Not ru_maxrss: that begins with what the parent had.
FETCHES = """
import json, sys
from pathlib import Path
from vmjira.domain.rulebook import Scanner
from vmjira.flows.sources import RemoteScan
from vmjira.scanners.sources import connect

kind, url, folder, access, secret = sys.argv[1:]
options = {"url": url, "access_key": "${A}", "secret_key": "${S}"}
source = connect(Scanner("hq", kind, options=options), {"A": access, "S": secret})

def memory(name):
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024

def fetch(id):
    return source.download(RemoteScan(id, "Weekly"), Path(folder), lambda done, total: None).stat().st_size

fetch("10/2")
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
size = fetch("10/4")
print(json.dumps([before, memory("VmHWM"), size]))
"""


class Large:
    """Answers the export of run 4 with a file of 300 MB."""

    def answer(self, request: Request) -> Response:
        response = super().answer(request)  # type: ignore[misc]
        if request.path.endswith("/download") and self.exports[request.path.split("/")[-2]][1].id == 4:  # type: ignore[attr-defined]
            return Response(_content(), headers={"Content-Length": str(SIZE)}, direct_passthrough=True)
        return response


def _content() -> Iterator[bytes]:
    block, left = b"<!-- " + b"x" * (MEGABYTE - 9) + b" -->", SIZE - len(HEAD) - len(TAIL)
    yield HEAD
    while left:
        yield block[:left]
        left -= min(left, len(block))
    yield TAIL


@dataclass
class LargeNessus(Large, NessusStand):
    """A Nessus with a large scan."""


@dataclass
class LargeCloud(Large, CloudStand):
    """The cloud with a large scan."""


@pytest.mark.parametrize(("kind", "stand"), [("nessus", LargeNessus), ("tenable", LargeCloud)])
def test_an_export_of_300_mb_needs_a_few_megabytes_of_memory(kind: str, stand: type[ScansStand], tmp_path: Path):
    with listening(stand(scans=scans(), waits=0)) as server:
        command = [sys.executable, "-c", FETCHES, kind, server.url, str(tmp_path), ACCESS, SECRET]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    before, peak, size = json.loads(done.stdout)
    assert size == SIZE
    above = peak - before
    assert above < 16 * MEGABYTE, f"{above / MEGABYTE:.1f} MB above {before / MEGABYTE:.0f} MB, {above / size:.1%}"
