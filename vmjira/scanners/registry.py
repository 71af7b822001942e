"""All formats, and the one way in: `read_scan`."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

from vmjira.domain.frames import SEVERITIES, Scan
from vmjira.scanners import (
    gvm,
    gvmcsv,
    insightvm,
    nessus,
    nexpose,
    owncsv,
    qualys_detections,
    qualys_report,
    qualys_scan,
    refused,
    tenablecsv,
    withsecure,
)
from vmjira.scanners.content import Content, Limits, Progress, opened, packing
from vmjira.scanners.format import Format, Head, Observed
from vmjira.scanners.staging import Staging
from vmjira.scanners.xmlstream import EntityDeclared

MODULES: tuple[Format, ...] = (
    nessus,
    tenablecsv,
    nexpose,
    insightvm,
    gvm,
    gvmcsv,
    qualys_report,
    qualys_scan,
    qualys_detections,
    owncsv,
    withsecure,
)
FORMATS: dict[str, Format] = {module.NAME: module for module in MODULES}


def read_scan(
    path: Path, into: Path, *, timezone: ZoneInfo, progress: Progress | None = None, limits: Limits | None = None
) -> list[Scan]:
    """The scans in a file: one, or one for each member of a zip. Their findings lie in Parquet under `into`.

    `timezone` is that of times without a zone. `progress` is told bytes read and bytes in all, from any thread.
    All or nothing: on ScanUnreadable, `into` is left as it was.
    """
    scans: list[Scan] = []
    folders: list[Path] = []
    into.mkdir(parents=True, exist_ok=True)
    try:
        for content in opened(path, limits=limits or Limits(), progress=progress):
            folders.append(Path(tempfile.mkdtemp(prefix="scan-", dir=into)))
            scans.append(_read(content, folders[-1], timezone))
    except BaseException:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return scans


def _read(content: Content, folder: Path, zone: ZoneInfo) -> Scan:
    module = recognised(content)
    with Staging(folder, module.SCANNER) as staging:
        observed = module.read(content, staging, zone)
        content.drain()
        return _scan(module, content, staging, observed)


def _scan(module: Format, content: Content, staging: Staging, observed: Observed) -> Scan:
    findings = staging.findings()
    return Scan(
        scanner=module.SCANNER,
        format=module.NAME,
        digest=content.digest,
        started_at=observed.started_at,
        finished_at=observed.finished_at,
        hosts=staging.hosts(observed.finished_at),
        vulnerabilities=staging.vulnerabilities(findings),
        findings=findings,
        unmade=staging.unmade_checks(),
        checks=observed.checks,
        records=staging.records.total(),
        records_by_severity={severity: staging.records[severity] for severity in SEVERITIES},
        warnings=staging.warnings,
        unreadable=staging.unreadable,
    )


def recognised(content: Content) -> Format:
    """The one format of these bytes; ScanUnreadable names what is known if it is none, or more than one."""
    head = Head(content.head)
    if not head.raw.strip():
        raise content.refuse("the file is empty; export the scan again")
    if packing(head.raw):
        raise content.refuse("is packed twice; unpack it once")
    try:
        found = [module for module in FORMATS.values() if module.recognise(head)]
    except EntityDeclared:
        raise content.refuse(
            "declares an XML entity, as attacks do and no scanner does; do not trust where it came from"
        ) from None
    if len(found) == 1:
        return found[0]
    known = refused.reason(head)
    if known is not None:
        raise content.refuse(known)
    if found:
        raise content.refuse(f"could be {' or '.join(module.NAME for module in found)}; export it in another format")
    raise content.refuse(f"is no scan in a known format; known are: {', '.join(sorted(FORMATS))}")
