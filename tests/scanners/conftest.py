"""Reading samples, and writing small scans on the fly."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from vmjira.domain.frames import Scan
from vmjira.scanners.registry import read_scan

SAMPLES = Path(__file__).parent / "samples"
UTC = ZoneInfo("UTC")
Read = Callable[..., Scan]


def shared() -> Path:
    """Scans of real scanners; they are not part of the repository."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    return Path(os.environ.get("VMJIRA_SHARED", beside)) / "scans"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read one scan: a file, or the content of one under a name that says nothing."""

    def read_one(source: Path | str | bytes, *, zone: ZoneInfo = UTC) -> Scan:
        path = source
        if not isinstance(path, Path):
            path = tmp_path / "file.bin"
            path.write_bytes(source.encode() if isinstance(source, str) else source)
        (scan,) = read_scan(path, tmp_path / "into", timezone=zone)
        return scan

    return read_one


def host(scan: Scan, reference: str = "1") -> dict[str, object]:
    return scan.hosts.row(by_predicate=pl.col("host") == reference, named=True)


def findings(scan: Scan) -> dict[tuple[str, str], tuple[list[str], str]]:
    """(host, vulnerability) → (ports, severity)"""
    rows = scan.findings.collect().iter_rows(named=True)
    return {(row["host"], row["vulnerability_id"]): (row["ports"], row["severity"]) for row in rows}


def vulnerability(scan: Scan, key: str) -> dict[str, object]:
    return scan.vulnerabilities.row(by_predicate=pl.col("vulnerability_id") == key, named=True)


# --- small Nessus files -----------------------------------------------------------------------------------------------

ENDED = '<tag name="HOST_END">Fri Jun  5 10:00:00 2026</tag>'


def item(
    plugin: str = "1000", *, port: str = "443", severity: str = "3", inside: str = "", family: str = "General"
) -> str:
    return (
        f'<ReportItem port="{port}" svc_name="www" protocol="tcp" severity="{severity}" pluginID="{plugin}" '
        f'pluginName="Plugin {plugin}" pluginFamily="{family}">{inside}</ReportItem>'
    )


def report_host(*items: str, name: str = "10.0.0.1", tags: str = ENDED) -> str:
    return f'<ReportHost name="{name}"><HostProperties>{tags}</HostProperties>{"".join(items)}</ReportHost>'


def nessus(*hosts: str, policy: str = "") -> str:
    return (
        f'<?xml version="1.0"?><NessusClientData_v2>{policy}<Report name="r" xmlns:cm="http://www.nessus.org/cm">'
        f"{''.join(hosts)}</Report></NessusClientData_v2>"
    )
