"""Type `nessus`: Nessus Professional, Expert and Manager, port 8834."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from tenable.base.platform import APIPlatform
from tenable.nessus import Nessus

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerRefused
from vmjira.flows.sources import Check, Source
from vmjira.scanners.sources import scansanswers as answers
from vmjira.scanners.sources.http import StatusRefused
from vmjira.scanners.sources.options import LIMITS, Limits, resolved
from vmjira.scanners.sources.runs import Definition, Run
from vmjira.scanners.sources.scansapi import ScansSource, connected
from vmjira.scanners.sources.tenableclient import ask

NO_LAUNCH = (
    "this Nessus lets nobody start scans by its API (since version 7, only Nessus Manager does); "
    "what was closed is verified by the next scan of its schedule"
)


def connect(scanner: Scanner, environ: Mapping[str, str], limits: Limits = LIMITS) -> Source:
    options = resolved(scanner, environ)
    return NessusSource(scanner, options, options["url"], limits)


class NessusSource(ScansSource):
    """`cannot_rescan` is found out by `check`, or by the first `launch`: a Nessus says what it is only when asked."""

    def _connected(self) -> AbstractContextManager[APIPlatform]:
        return connected(Nessus, self)

    def _runs(self, api: APIPlatform, scan: Definition) -> list[Run]:
        details = ask(self.session, api, f"scans/{scan.id}", answers.Details())
        runs = [
            Run(
                str(run["history_id"]), run["uuid"] or "", run["status"] or "", run["last_modification_date"],
                bool(run["alt_targets_used"]), run["history_id"],
            )
            for run in details["history"] or ()
        ]  # fmt: skip
        info = details["info"]
        if not runs and info["uuid"]:  # imported: there is only what it is now
            runs = [
                Run(
                    info["uuid"], info["uuid"], info["status"] or "", info["scan_end"], bool(info["alt_targets_used"]),
                    None,
                )
            ]  # fmt: skip
        return sorted(runs, key=lambda run: (run.ended or 0, run.id))

    def launch(self, addresses: Sequence[str], name: str) -> str:
        try:
            return super().launch(addresses, name)
        except StatusRefused as error:
            if error.status == 412:  # "API is not available"
                self.cannot_rescan = NO_LAUNCH
                raise ScannerRefused(f"{self.session.who}: {NO_LAUNCH}") from error
            raise

    def _about(self, api: APIPlatform) -> list[Check]:
        properties = ask(self.session, api, "server/properties", answers.Properties())
        kind, version = properties["nessus_type"] or "Nessus", properties["server_version"] or "of unknown version"
        checks = [Check(True, f"{self.session.who}: {self.session.masked(f'{kind} {version}')}")]
        told = [(properties[key] or {}) for key in ("features",)] + [
            (properties["license"] or {}).get("features") or {}
        ]
        says = next((each["scan_api"] for each in told if each.get("scan_api") is not None), None)
        if says is False or (says is None and "manager" not in kind.lower()):
            self.cannot_rescan = NO_LAUNCH
            checks.append(Check(True, f"cannot scan single hosts: {NO_LAUNCH}"))
        return checks
