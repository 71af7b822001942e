"""What a source brings is what the readers of scan files read: the same findings, the same digest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.flows.scans import SMB, nessus, week
from tests.sources.conftest import SHARED, scans
from tests.sources.nessus_stand import ACCESS, SECRET, CloudStand, NessusStand
from tests.sources.stand import Stand, listening
from tests.sources.test_tenable_sc import CenterStand, packed, result
from vmjira.domain.frames import Scan
from vmjira.domain.rulebook import Scanner
from vmjira.flows.sources import RemoteScan
from vmjira.scanners import read_scan
from vmjira.scanners.sources import connect

UTC = ZoneInfo("UTC")
LARGEST = 1 << 20  # of real files, so that the tests stay quick


def brought(kind: str, stand: Stand, id: str, folder: Path) -> Path:
    options = {"url": stand.url, "access_key": "${A}", "secret_key": "${S}"}
    source = connect(Scanner("hq", kind, options=options), {"A": ACCESS, "S": SECRET})
    return source.download(RemoteScan(id, "Weekly"), folder, lambda done, total: None)


def read(file: Path, folder: Path) -> Scan:
    (scan,) = read_scan(file, folder / "read", timezone=UTC)
    return scan


@pytest.mark.parametrize("kind", ["nessus", "tenable", "tenable-sc"])
def test_what_is_brought_is_read(kind: str, tmp_path: Path):
    content = nessus(tmp_path / "a.nessus", week(23), {"10.1.0.7": [SMB], "10.1.0.8": [SMB]}).read_bytes()
    stands: dict[str, Any] = {"nessus": NessusStand, "tenable": CloudStand}
    if kind == "tenable-sc":
        stand: Any = CenterStand(results=[result(41, "Weekly", 1)], file=packed(content))
    else:
        stand = stands[kind](scans=scans(), waits=0)
        stand.scans[0].runs[3].content = content
    with listening(stand):
        scan = read(brought(kind, stand, "5/41" if kind == "tenable-sc" else "10/4", tmp_path), tmp_path)
    assert scan.hosts.height == 2
    assert scan.digest == hashlib.sha256(content).hexdigest()


def real() -> list[Path]:
    found = sorted((SHARED / "scans" / "nessus").rglob("*.nessus")) if SHARED.is_dir() else []
    return [file for file in found if file.stat().st_size < LARGEST and b"<NessusClientData_v2" in file.read_bytes()]


@pytest.mark.skipif(not real(), reason="real scan files are not at hand (VMJIRA_SHARED)")
def test_real_files_come_as_they_are(tmp_path: Path):
    with listening(NessusStand(scans=scans(), waits=0)) as stand:
        assert isinstance(stand, NessusStand)
        for number, file in enumerate(real()):
            stand.scans[0].runs[3].content = file.read_bytes()
            folder = tmp_path / str(number)
            folder.mkdir()
            assert brought("nessus", stand, "10/4", folder).read_bytes() == file.read_bytes(), file.name
