"""The security console of InsightVM and Nexpose by its API, version 3 (https://HOST:3780/api/3): sites, scans, reports.

Read from Rapid7's own description of it, and from recorded answers, which differ: a scan has `startedByUsername`, not
`startedBy`. So only what is needed is looked at, and it is checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4
from zoneinfo import ZoneInfo

import requests
import structlog
from requests.auth import HTTPBasicAuth

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import Progress
from vmjira.scanners import values
from vmjira.scanners.sources.http import Session, StatusRefused
from vmjira.scanners.sources.options import LIMITS, Limits, resolved

PAGE = 500  # the most that it gives
PAGES = 10_000
PATIENCE = 30.0  # seconds between two questions, at most
FINISHED = "finished"
#: Statuses from which a scan still may come to its end.
GOING = frozenset({"running", "integrating", "dispatched", "paused", "unknown"})
#: Reports that a killed process of ours left behind are deleted when they are so old, in seconds.
STALE = 24 * 3600
_UTC = ZoneInfo("UTC")
Answer = TypeVar("Answer")
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Site:
    id: int
    name: str
    kind: str  # static, dynamic, agent
    assets: int


@dataclass(frozen=True)
class Run:
    """One scan of a site."""

    id: int
    name: str
    kind: str  # manual, scheduled, automated
    status: str
    started: datetime | None
    finished: datetime | None
    assets: int


class Console:
    """Every method raises only ScannerErrors."""

    def __init__(self, scanner: Scanner, environ: Mapping[str, str], limits: Limits = LIMITS) -> None:
        options = resolved(scanner, environ)
        if missing := [name for name in ("username", "password") if not options.get(name)]:
            raise ScannerRefused(f"{scanner.id}: {' and '.join(missing)} must be given in scanners.yaml")
        self.session = Session(scanner, options, options["url"], limits)
        self.session.auth = HTTPBasicAuth(options["username"].encode(), options["password"].encode())
        if token := options.get("token"):
            self.session.headers["Token"] = token
        self.who, self.host, self.limits = self.session.who, urlsplit(options["url"]).netloc, limits
        self._base = f"{self.session.url.removesuffix('/api/3')}/api/3/"
        self._ours = f"vmjira {scanner.id} "

    # --- sites and scans ----------------------------------------------------------------------------------------------

    def sites(self) -> list[Site]:
        """Those that the account may see."""
        return [
            Site(_number(site, "id"), _text(site, "name"), _text(site, "type"), _number(site, "assets"))
            for site in self._pages("sites")
        ]

    def runs(self, site: Site) -> list[Run]:
        """All scans of a site, past and present ones, oldest first."""
        found: dict[int, Run] = {}
        for active in ("true", "false"):  # in this order, so that none is missed that ends in between
            for run in self._pages(f"sites/{site.id}/scans", active=active):
                found[_number(run, "id")] = _run(run)
        return sorted(found.values(), key=lambda run: run.id)

    def run(self, id: int) -> Run:
        """StatusRefused (404) if there is none."""
        return _run(self._object(self.get(f"scans/{id}")))

    def start(self, site: Site, hosts: list[str], name: str) -> int:
        """Scan some hosts of a site, with its template and engine; the number of the scan."""
        return self._made(f"sites/{site.id}/scans", {"name": name, "hosts": hosts})

    def stop(self, run: int) -> None:
        self.session.post(f"{self._base}scans/{run}/stop")

    # --- reports ------------------------------------------------------------------------------------------------------

    def report(self, title: str, body: Mapping[str, Any], into: Path, progress: Progress) -> Path:
        """Define a report, have it made, and stream it into a file of that title; its definition is deleted again.

        The file is as it came: often gzip.
        """
        with self.defined(title, body) as report:
            instance = self._made(f"reports/{report}/generate")
            self._wait(report, instance, title)
            path = f"{self._base}reports/{report}/history/{instance}/output"
            response = self._found(lambda: self.session.get(path, stream=True), title)
            return self.session.save(response, into / title, progress)

    @contextmanager
    def defined(self, title: str, body: Mapping[str, Any]) -> Iterator[int]:
        """A report definition that exists only inside."""
        name = f"{self._ours}{title} {int(time.time())}-{uuid4().hex[:8]}"
        report = self._made("reports", {"name": name, **body})
        try:
            yield report
        finally:
            self._delete(report)

    def tidy(self) -> None:
        """Delete the definitions that killed processes of ours left behind."""
        try:
            reports = list(self._pages("reports"))
        except StatusRefused as error:
            log.warning("report definitions of ours cannot be looked for", reason=str(error))
            return
        for report in reports:
            name = _text(report, "name")
            made = name.rpartition(" ")[2].partition("-")[0]
            if name.startswith(self._ours) and made.isdigit() and int(made) < time.time() - STALE:
                self._delete(_number(report, "id"))

    def _delete(self, report: int) -> None:
        try:
            self.session.delete(f"{self._base}reports/{report}")
        except ScannerError as error:
            log.warning("a report definition of ours could not be deleted", report=report, reason=str(error))

    def _wait(self, report: int, instance: int, title: str) -> None:
        deadline, pause = time.monotonic() + self.limits.prepare, self.limits.poll
        while True:
            status = self._found(lambda: self._status(report, instance), title)
            if status == "complete":
                return
            if status in {"failed", "aborted"}:
                raise ScannerUnavailable(f"{self.who}: its report '{title}' has {status}; the console's log says why")
            if time.monotonic() > deadline:
                raise ScannerUnavailable(
                    f"{self.who}: its report '{title}' is not ready after {self.limits.prepare:,.0f} s"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, PATIENCE)

    def _status(self, report: int, instance: int) -> str:
        return _text(self._object(self.get(f"reports/{report}/history/{instance}")), "status")

    def _found(self, ask: Callable[[], Answer], title: str) -> Answer:
        """A report that is not there any more can be made again."""
        try:
            return ask()
        except StatusRefused as error:
            if error.status != requests.codes.not_found:
                raise
            raise ScannerUnavailable(f"{self.who}: its report '{title}' is gone, it is to be made again") from error

    # --- calls --------------------------------------------------------------------------------------------------------

    def get(self, path: str, **params: Any) -> Any:
        return self.session.document(self.session.get(self._base + path, params=params))

    def _made(self, path: str, body: Mapping[str, Any] | None = None) -> int:
        """The number of what a POST makes."""
        answer = self._object(self.session.document(self.session.post(self._base + path, json=body)))
        if (id := _number(answer, "id")) < 1:
            raise self.session.unexpected("does not tell the number of what it made")
        return id

    def _pages(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Each once, though there may be more pages, or fewer, while we turn them: they are sorted by age."""
        seen: set[Any] = set()
        for number in range(PAGES):
            answer = self._object(self.get(path, page=number, size=PAGE, sort="id,asc", **params))
            resources, page = answer.get("resources", []), answer.get("page", {})
            if not isinstance(resources, list) or not isinstance(page, dict):
                raise self.session.unexpected(f"answers no page to {path}")
            for resource in resources:
                if (id := _number(self._object(resource), "id")) not in seen:
                    seen.add(id)
                    yield resource
            if not resources or number + 1 >= _number(page, "totalPages"):
                return
        raise self.session.unexpected(f"has more than {PAGES:,} pages of {path}")

    def _object(self, answer: Any) -> dict[str, Any]:
        if not isinstance(answer, dict):
            raise self.session.unexpected("answers JSON of another form than InsightVM does")
        return answer


def _run(scan: Mapping[str, Any]) -> Run:
    return Run(
        _number(scan, "id"),
        _text(scan, "scanName"),
        _text(scan, "scanType").lower(),
        _text(scan, "status").lower(),
        values.time(_text(scan, "startTime"), _UTC),
        values.time(_text(scan, "endTime"), _UTC),
        _number(scan, "assets"),
    )


def _number(resource: Mapping[str, Any], key: str) -> int:
    """0 for everything that is no number."""
    value = resource.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _text(resource: Mapping[str, Any], key: str) -> str:
    value = resource.get(key)
    return value[:500] if isinstance(value, str) else ""
