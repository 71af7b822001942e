"""Made-up catalogues, as their publishers write them, and scans whose flaws have CVEs."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.flows.scans import Hosts, week
from tests.flows.world import World
from vmjira.domain.rulebook import Enrichment
from vmjira.enrichment import read_catalogue
from vmjira.flows.enrich import Report, enrich

#: plugin → CVEs.
OF_SMB, OF_RDP, OF_APACHE = "CVE-2030-0001", "CVE-2030-0002", "CVE-2030-0003"
NAMES = {"100": [OF_SMB, "CVE-2030-0009"], "101": [OF_RDP], "200": [OF_APACHE]}
FILLER = 20  # CVEs that no scan knows


def kev_json(due: Mapping[str, str], version: str = "2030.01.01", **changes: object) -> bytes:
    entries = [
        {
            "cveID": cve,
            "vendorProject": "Example",
            "product": "Server",
            "vulnerabilityName": "Example Server Overflow",
            "dateAdded": "2030-01-01",
            "shortDescription": "Made up.",
            "requiredAction": "Apply updates.",
            "dueDate": day,
            "knownRansomwareCampaignUse": "Unknown",
            "notes": "",
            "cwes": ["CWE-787"],
        }
        for cve, day in due.items()
    ]
    top = {"title": "Made up", "catalogVersion": version, "dateReleased": "2030-01-01T12:00:00.0000Z"}
    return json.dumps(top | {"count": len(entries), "vulnerabilities": entries} | changes).encode()


def epss_csv(scores: Mapping[str, float], date: str = "2030-01-01") -> bytes:
    filler = {f"CVE-2031-{number:05}": 0.0004 for number in range(FILLER)}
    lines = [f"{cve},{score},0.5" for cve, score in (filler | dict(scores)).items()]
    return "\n".join(
        [f"#model_version:v2030.01.01,score_date:{date}T00:00:00+0000", "cve,epss,percentile", *lines, ""]
    ).encode()


def write(folder: Path, name: str, content: bytes, *, packed: bool = False) -> str:
    (folder / name).write_bytes(gzip.compress(content) if packed else content)
    return str(folder / name)


def take(
    world: World, *, kev: Mapping[str, str] | None = None, epss: Mapping[str, float] | None = None, **further: bool
) -> Report:
    """Take catalogues of these CVEs."""
    sources = Enrichment(
        kev=write(world.folder, "kev.json", kev_json(kev)) if kev is not None else None,
        epss=write(world.folder, "epss.csv.gz", epss_csv(epss), packed=True) if epss is not None else None,
    )
    return enrich(world.outside, read_catalogue, sources, **further)


def scan(world: World, number: int, hosts: Hosts, *, hours: float = 0) -> Path:
    """A scan of that week; its flaws have the CVEs of NAMES."""
    path = world.scan(week(number, hours=hours), hosts)
    return with_cves(path, NAMES)


def with_cves(path: Path, names: Mapping[str, Sequence[str]]) -> Path:
    text = path.read_text(encoding="utf-8")
    for plugin, cves in names.items():
        told = "".join(f"<cve>{cve}</cve>" for cve in cves)
        text = re.sub(rf'(<ReportItem [^>]*pluginID="{plugin}"[^>]*>)', lambda found, told=told: found[1] + told, text)
    path.write_text(text, encoding="utf-8")
    return path


def fold(world: World, number: int, hosts: Hosts, *, hours: float = 0) -> list[str]:
    report = world.ingest(scan(world, number, hosts, hours=hours))
    assert not report.refused
    return world.deliver()
