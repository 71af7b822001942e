"""Type `upload`: scans that others send (see `vmjira.web.uploads`); there is nothing to fetch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerRefused
from vmjira.flows.sources import Check, Listing, Progress, RemoteScan, Source
from vmjira.scanners.sources.norescan import NoRescan

TOKENS = "VMJIRA_UPLOAD_TOKENS"


def connect(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    return Upload(scanner.id, bool(environ.get(TOKENS)))


class Upload(NoRescan):
    cannot_rescan = "its scans are sent to us; where from, and how to start one, is not known"

    def __init__(self, id: str, open_: bool) -> None:
        self.id, self.open = id, open_

    def listing(self) -> Listing:
        return Listing(())

    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        raise ScannerRefused(f"{self.id}: there is nothing to fetch; scans are sent to POST /api/scans")

    def settle(self, scan: RemoteScan, refused: str) -> None:
        """There is nothing to tidy up."""

    def check(self) -> Sequence[Check]:
        how = "" if self.open else f"make a token and put its SHA-256 into {TOKENS} (docs/scanners/upload.md)"
        return [Check(self.open, "scans may be sent to POST /api/scans", how)]
