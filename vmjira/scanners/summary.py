"""What `vmjira inspect` tells of a scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from vmjira.domain.frames import Scan


def summary(scan: Scan, path: Path) -> dict[str, Any]:
    """Plain values, ready for JSON. `records` as written in the file, `findings` distinct by host and vulnerability."""
    return {
        "path": str(path),
        "format": scan.format,
        "scanner": scan.scanner,
        "started_at": scan.started_at.isoformat() if scan.started_at else None,
        "finished_at": scan.finished_at.isoformat(),
        "hosts": scan.hosts.height,
        "records": scan.records,
        "findings": scan.findings.select(pl.len()).collect().item(),
        "vulnerabilities": scan.vulnerabilities.height,
        "authenticated_hosts": int(scan.hosts["authenticated"].sum()),
        "records_by_severity": scan.records_by_severity,
        "warnings": list(scan.warnings),
    }
