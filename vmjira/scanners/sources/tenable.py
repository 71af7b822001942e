"""Type `tenable`: Tenable Vulnerability Management (formerly Tenable.io), each run of a scan by its own export."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from tenable.base.platform import APIPlatform
from tenable.io import TenableIO

from vmjira.domain.rulebook import Scanner
from vmjira.flows.sources import Check, Source
from vmjira.scanners.sources import scansanswers as answers
from vmjira.scanners.sources.http import StatusRefused
from vmjira.scanners.sources.options import LIMITS, Limits, resolved
from vmjira.scanners.sources.runs import Definition, Run
from vmjira.scanners.sources.scansapi import ScansSource, connected
from vmjira.scanners.sources.tenableclient import ask

URL = "https://cloud.tenable.com"
PAGE, PAGES = 200, 50


def connect(scanner: Scanner, environ: Mapping[str, str], limits: Limits = LIMITS) -> Source:
    options = resolved(scanner, environ)
    return TenableSource(scanner, options, options.get("url") or URL, limits)


class TenableSource(ScansSource):
    keys_only = True

    def _connected(self) -> AbstractContextManager[APIPlatform]:
        return connected(TenableIO, self)

    def _runs(self, api: APIPlatform, scan: Definition) -> list[Run]:
        """Its history; what was imported has none, so that is told by its details."""
        found: list[Run] = []
        for page in range(PAGES):
            try:
                answer = ask(
                    self.session, api, f"scans/{scan.id}/history", answers.CloudHistory(),
                    limit=PAGE, offset=page * PAGE, exclude_rollover="false",
                )  # fmt: skip
            except StatusRefused as error:
                if error.status == 404:
                    break
                raise
            rows = answer["history"] or ()
            found += [
                Run(
                    str(run["id"]), run["scan_uuid"] or "", run["status"] or "", run["time_end"],
                    bool((run["targets"] or {}).get("custom")), run["id"],
                )
                for run in rows
            ]  # fmt: skip
            if not rows or (page + 1) * PAGE >= answer["pagination"]["total"]:
                break
        return sorted(found or self._imported(api, scan), key=lambda run: (run.ended or 0, run.id))

    def _imported(self, api: APIPlatform, scan: Definition) -> list[Run]:
        info = ask(self.session, api, f"scans/{scan.id}", answers.Details())["info"]
        if not info["uuid"]:
            return []
        other = bool(info["alt_targets_used"])
        return [Run(info["uuid"], info["uuid"], info["status"] or "", info["scan_end"], other, None)]

    def _about(self, api: APIPlatform) -> list[Check]:
        return [Check(True, f"{self.session.who}: Tenable Vulnerability Management")]
