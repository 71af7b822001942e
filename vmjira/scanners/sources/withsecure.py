"""Type withsecure: WithSecure Elements Vulnerability Management, formerly F-Secure Radar.

The vendor's description of its API is not public as a whole. Used are only calls that its own published adapter and
scripts of users make: scan groups, their system scans, assets, the latest report of a scan about an asset, and the
details of a vulnerability. How fields are named that were not seen there, the rule says (`columns`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import structlog

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused
from vmjira.flows.sources import Check, Listing, Progress, RemoteScan, Source
from vmjira.scanners import values
from vmjira.scanners.sources.files import keep, safe_name
from vmjira.scanners.sources.http import Session
from vmjira.scanners.sources.norescan import NoRescan
from vmjira.scanners.sources.options import oldest, resolved, wanted
from vmjira.scanners.sources.remembered import Remembered
from vmjira.scanners.withsecure import NAME, VERSION

CHANNEL = "/api/integration/"  # kept stable for programs of others; `latest` may break
PAGE = 1000
#: Seconds between two calls: the vendor's own adapter takes one, "don't flood radar".
PACE = 0.5
FINDING = {"id": "PluginGuidId"}
DETAILS = {
    "title": "Name", "severity": "RiskLevel", "family": "VulnerabilityCategory", "synopsis": "Synopsis",
    "cvss": "CVSSBaseScore", "cves": "CVEReferences",
}  # fmt: skip
#: Whose defaults are not known: asked for only if the rule names them.
FINDING_ONLY = ("port", "protocol", "output")
REMEMBERED = Remembered()
log = structlog.get_logger(__name__)


def connect(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    return WithSecure(scanner, resolved(scanner, environ))


@dataclass(frozen=True)
class Target:
    """A system scan: the check of one host."""

    id: str
    hostname: str
    completed: str  # as written
    end: datetime | None
    running: bool


@dataclass(frozen=True)
class Group:
    id: str
    name: str
    targets: tuple[Target, ...]

    @property
    def end(self) -> datetime | None:
        """When the newest of its hosts was done."""
        return max((target.end for target in self.targets if target.end), default=None)

    @property
    def run(self) -> str:
        """The same as long as no host is scanned again."""
        return f"{self.id}/{self.end:%Y%m%dT%H%M%S}" if self.end else self.id

    @property
    def why_not(self) -> str:
        running = sum(target.running for target in self.targets)
        if running:
            return f"{self.name}: {running} of {len(self.targets)} system scans are running"
        return "" if self.end else f"{self.name}: no system scan has ever been completed"


class WithSecure(NoRescan):
    cannot_rescan = "how WithSecure Elements VM starts the scan of a host by its API is not described publicly"

    def __init__(self, scanner: Scanner, options: Mapping[str, Any]) -> None:
        """ScannerRefused if the rule cannot work. Connects to nothing."""
        if missing := [name for name in ("access_key", "secret_key") if not options.get(name)]:
            raise ScannerRefused(f"{scanner.id}: {' and '.join(missing)}: is missing")
        self.options = options
        self.zone = scanner.timezone or ZoneInfo("UTC")
        columns = dict(options.get("columns") or {})
        self.finding = FINDING | {key: columns.pop(key) for key in (*FINDING, *FINDING_ONLY) if key in columns}
        self.details = DETAILS | columns
        self.session = Session(scanner, options, str(options.get("url", "")))
        self.session.headers["ApiAccessKey"] = str(options["access_key"])
        self.session.headers["ApiSecretKey"] = str(options["secret_key"])
        self.who = self.session.who
        self._last = 0.0

    def listing(self) -> Listing:
        groups, since = self._groups(), oldest(self.options)
        ready = sorted((group for group in groups if not group.why_not), key=lambda group: (str(group.end), group.id))
        return Listing(
            tuple(RemoteScan(group.run, group.name, group.end) for group in ready if group.end and group.end >= since),
            tuple(group.why_not for group in groups if group.why_not),
        )

    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        """The latest reports of the group's hosts. A run that newer ones have replaced is not to be had any more."""
        group = next((group for group in self._groups() if group.run == scan.id), None)
        if group is None or group.why_not:
            raise ScannerRefused(f"{self.who}: '{scan.name}' was scanned again since, or is gone; the newer run counts")
        file = into / f"withsecure-{safe_name(scan.id)}.jsonl"
        return keep(self._lines(group), file, who=self.who, limits=self.session.limits, progress=progress)

    def settle(self, scan: RemoteScan, refused: str) -> None:
        """Reports stay in WithSecure as they are."""

    def check(self) -> Sequence[Check]:
        try:
            self._call("authenticationcheck", document=False)
            groups = self._groups()
            assets = len(next(self._pages("assets", None), []))
        except ScannerError as error:
            return [Check(False, str(error)), *self.session.certificate()]
        names = [group.name for group in groups]
        return [
            Check(True, f"{self.who}: the keys are accepted"),
            *self.session.certificate(),
            Check(assets > 0, f"{assets} assets or more are visible", "" if assets else "let the user see the assets"),
            Check(bool(names), f"{len(names)} scan groups match: {', '.join(names[:10])}",
                  "" if names else "correct scans, or let the user see the scan groups"),
        ]  # fmt: skip

    # --- what is asked ------------------------------------------------------------------------------------------------

    def _groups(self) -> list[Group]:
        """Those that the rule means."""
        found = [(_field(each, "Id"), _field(each, "Name")) for each in self._list("scangroups/simple")]
        return [
            Group(id, name, tuple(map(self._target, self._list(f"scangroups/{quote(id, safe='')}/systemscans"))))
            for id, name in found
            if id and wanted(self.options.get("scans"), name, id)
        ]

    def _target(self, told: Any) -> Target:
        completed = _field(told, "ScanLastCompleted")
        state = _field(told, "ScanRunState").lower()
        return Target(
            _field(told, "Id"), _field(told, "Hostname"), completed, values.time(completed, self.zone),
            state not in ("", "idle"),
        )  # fmt: skip

    def _lines(self, group: Group) -> Iterator[bytes]:
        """The file, line by line. A host of which nothing at all is told was not looked at, as far as we know."""
        assets = self._assets()
        seen: dict[str, None] = {}
        hosts = 0
        yield _line(NAME, VERSION)
        for target in group.targets:
            asset = assets.get(target.hostname.lower())
            told = False
            for page in self._report(target, asset):
                if not told:
                    yield _line("host", _host(target, asset or {}))
                told = True
                for item in page:
                    found = {ours: item.get(theirs) for ours, theirs in self.finding.items()}
                    seen[_field(found, "id")] = None
                    yield _line("finding", {"host": target.id, **found})
            hosts += told
            if not told:
                log.warning("a system scan is left out: never completed, no single asset has its name, or no finding "
                            "of any kind", scan=target.id, host=target.hostname)  # fmt: skip
        if not hosts:
            raise ScannerRefused(
                f"{self.who}: '{group.name}' tells nothing of any host; may we see its assets and reports?"
            )
        for id in filter(None, seen):
            yield _line("vulnerability", {"id": id} | self._vulnerability(id))
        yield _line("end", hosts)

    def _report(self, target: Target, asset: Mapping[str, Any] | None) -> Iterator[list[dict[str, Any]]]:
        """The findings of all kinds, page by page."""
        if asset is not None and target.end is not None:
            path = f"assets/{quote(_field(asset, 'Id'), safe='')}/reports/latest/vulnerabilitiesandfindings"
            yield from self._pages(path, {"ScanId": target.id, "Findings": "All"})

    def _assets(self) -> dict[str, Mapping[str, Any] | None]:
        """By each of their names and addresses, in lower case: a system scan tells no more of its host.

        None for what several have: the report of another would say that everything is repaired.
        """
        found: dict[str, Mapping[str, Any] | None] = {}
        for page in self._pages("assets", None):
            for asset in filter(lambda asset: _field(asset, "Id"), page):
                for called in {_field(asset, name).lower() for name in ("FriendlyName", "Hostname", "IpAddress")}:
                    known = found.get(called, asset)
                    found[called] = asset if known and _field(known, "Id") == _field(asset, "Id") else None
        return found

    def _vulnerability(self, id: str) -> dict[str, Any]:
        told = REMEMBERED.get(self.session.url, id)
        if told is None:
            document = self._call(f"vulnerabilities/systemscan/{quote(id, safe='')}/detailed")
            told = json.dumps(document).encode()
            REMEMBERED.put(self.session.url, id, told)
        details = json.loads(told)
        if not isinstance(details, dict):
            raise self.session.unexpected(f"answers something else than the details of vulnerability {id}")
        return {ours: details.get(theirs) for ours, theirs in self.details.items()}

    def _pages(self, path: str, asked: Mapping[str, str] | None) -> Iterator[list[dict[str, Any]]]:
        """Until a page is empty: a server may give less than a page without being at its end."""
        start, before = 0, None
        while True:
            answer = self._call(f"{path}/withStartIndex/{start}/andPageSize/{PAGE}", post=True, asked=asked)
            items = answer.get("Items") if isinstance(answer, dict) else None
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise self.session.unexpected(f"answers something else than a page of {path.partition('/')[0]}")
            if not items:
                return
            if items == before:
                raise self.session.unexpected("gives the same page again and again")
            yield items
            start, before = start + len(items), items

    def _list(self, path: str) -> list[Any]:
        answer = self._call(path)
        if not isinstance(answer, list):
            raise self.session.unexpected(f"answers something else than a list of {path.rpartition('/')[2]}")
        return answer

    def _call(
        self, path: str, *, post: bool = False, asked: Mapping[str, str] | None = None, document: bool = True
    ) -> Any:
        time.sleep(max(0.0, self._last + PACE - time.monotonic()))
        address = self.session.url + CHANNEL + path
        response = self.session.post(address, json=asked or {}) if post else self.session.get(address)
        self._last = time.monotonic()
        if ending := response.headers.get("deprecated"):
            log.warning("WithSecure will remove a call", path=path.partition("/")[0], why=self.session.masked(ending))
        return self.session.document(response) if document else None


def _host(target: Target, asset: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": target.id, "scanned": target.completed, "ip": asset.get("IpAddress"), "hostname": asset.get("Hostname"),
        "mac": asset.get("MacAddress"), "os": asset.get("OperatingSystem"),
    }  # fmt: skip


def _line(kind: str, told: Any) -> bytes:
    return json.dumps({kind: told}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _field(told: Any, name: str) -> str:
    """Text, or a number as text; empty if there is none."""
    value = told.get(name) if isinstance(told, dict) else None
    return str(value).strip() if isinstance(value, str | int) else ""
