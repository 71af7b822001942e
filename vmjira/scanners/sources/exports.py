"""One run as a .nessus file: ask for it, wait until it is made, bring it. Not pyTenable's way, which waits for ever."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tenable.base.platform import APIPlatform

from vmjira.errors import ScannerUnavailable
from vmjira.flows.sources import Progress
from vmjira.scanners.sources import scansanswers as answers
from vmjira.scanners.sources.files import ends_with
from vmjira.scanners.sources.http import Session, StatusRefused
from vmjira.scanners.sources.tenableclient import ask, shaped

ENDING = b"</NessusClientData_v2>"
TRIES = 2  # the file of a failed export is gone, but a new one may do better
SLOWEST = 15.0  # seconds between two questions


class ExportLost(ScannerUnavailable):
    """The scanner failed to make the file, or has it no more."""


@dataclass(frozen=True)
class Exports:
    session: Session
    api: APIPlatform
    run: str  # `<scan>/<history>`

    def fetch(self, file: Path, progress: Progress) -> Path:
        """ScannerUnavailable if it does not come whole, in time, and within the limits."""
        for left in reversed(range(TRIES)):
            try:
                return self._once(file, progress)
            except ExportLost:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _once(self, file: Path, progress: Progress) -> Path:
        where = self._asked()
        try:
            self._wait(where)
            response = self.api.get(f"{where}/download", stream=True, box=False, conv_json=False)
        except StatusRefused as error:
            if error.status == 404:
                raise ExportLost(f"{self.session.who}: the export of {self.run} was gone before it came") from error
            raise
        self.session.save(response, file, progress)
        if not ends_with(file, ENDING):
            file.unlink()
            raise self.session.truncated()
        return file

    def _asked(self) -> str:
        """Where the file will be."""
        scan, _, history = self.run.partition("/")
        params = {"history_id": history} if history.isdigit() else {}  # what was imported has no history
        address = f"scans/{quote(scan, safe='')}/export"
        response = self.api.post(address, params=params, json={"format": "nessus"}, box=False, conv_json=False)
        return self._place(address, shaped(self.session, response, answers.Export()))

    def _place(self, address: str, export: Mapping[str, Any]) -> str:
        if export["file"] not in (None, ""):
            return f"{address}/{quote(str(export['file']), safe='')}"
        if export["token"] not in (None, ""):
            return f"tokens/{quote(str(export['token']), safe='')}"
        raise self.session.unexpected("takes the export, but names no file")

    def _wait(self, where: str) -> None:
        limits, pause = self.session.limits, self.session.limits.poll
        deadline = time.monotonic() + limits.prepare
        while (status := ask(self.session, self.api, f"{where}/status", answers.Status())["status"]) != "ready":
            if status == "error":
                raise ExportLost(f"{self.session.who}: could not make the export of {self.run}")
            if time.monotonic() + pause > deadline:
                raise ScannerUnavailable(
                    f"{self.session.who}: the export of {self.run} was not ready after {limits.prepare:g} s "
                    f"(status {self.session.masked(status)})"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, max(SLOWEST, limits.poll))
