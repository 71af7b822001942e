"""Type `tenable-sc`: Tenable Security Center; a zip with the .nessus file of each scan result."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from marshmallow import fields
from tenable.sc import TenableSC

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import Check, Listing, Progress, RemoteScan
from vmjira.scanners.sources.files import safe_name
from vmjira.scanners.sources.http import Session
from vmjira.scanners.sources.options import LIMITS, Limits, oldest, resolved, wanted
from vmjira.scanners.sources.runs import addresses_of
from vmjira.scanners.sources.tenable_sc_rescan import OURS, begin, called
from vmjira.scanners.sources.tenableclient import Answer, Word, ask, client, credentials

FIELDS = "id,name,status,importStatus,startTime,finishTime,downloadAvailable,scan"
MEMBERS = 10
#: Why a result is not taken (docs.tenable.com: Scan Result Statuses).
BROKEN = {
    "Partial": "is partial: the scan did not reach all its targets",
    "Error": "ended with an error",
    "Stopped": "was stopped",
}
NOT_IMPORTED = {
    "No Results": "yielded nothing",
    "Blocked": "was not imported (license, or repository full): it may not be whole",
    "Error": "could not be imported: it may not be whole",
}


class Result(Answer):
    """Numbers are texts, truth is the text true, and what is not there may be an empty list."""

    id = Word(required=True)
    name = fields.String(required=True)
    status = fields.String(load_default="", allow_none=True)
    imported = fields.String(data_key="importStatus", load_default="", allow_none=True)
    finished = fields.Integer(data_key="finishTime", load_default=-1, allow_none=True)
    available = fields.Boolean(data_key="downloadAvailable", load_default=True, allow_none=True)
    scan = fields.Raw(load_default=None, allow_none=True)


class Both(Answer):
    """A result may be in both lists."""

    usable = fields.List(fields.Nested(Result), load_default=list, allow_none=True)
    manageable = fields.List(fields.Nested(Result), load_default=list, allow_none=True)


class Results(Answer):
    response = fields.Nested(Both, required=True)


class User(Answer):
    username = fields.String(load_default="", allow_none=True)


class OneResult(Answer):
    response = fields.Nested(Result, required=True)


class CurrentUser(Answer):
    response = fields.Nested(User, required=True)


def connect(scanner: Scanner, environ: Mapping[str, str], limits: Limits = LIMITS) -> SecurityCenter:
    return SecurityCenter(scanner, resolved(scanner, environ), limits)


class SecurityCenter:
    cannot_rescan = ""

    def __init__(self, scanner: Scanner, options: Mapping[str, Any], limits: Limits = LIMITS) -> None:
        self.id = scanner.id
        self.options, self.patterns = options, options.get("scans")
        self.session = Session(scanner, options, options["url"], limits)
        self.credentials = credentials(scanner, options)

    def _connected(self) -> AbstractContextManager[TenableSC]:
        manager: AbstractContextManager[TenableSC] = client(TenableSC, self.session, self.credentials)
        return manager

    def listing(self) -> Listing:
        """Completed and imported results that began within the `history` of the rule."""
        found: list[RemoteScan] = []
        passed: list[str] = []
        with self._connected() as api:
            results = self._results(api)
        for result in results:
            if why := _why_not(result):
                passed.append(f"'{result['name']}', result {result['id']}: {why}")
            else:
                found.append(_remote(result))
        found.sort(key=lambda scan: (scan.finished_at is None, scan.finished_at, scan.id))
        return Listing(tuple(found), tuple(passed))

    def _results(self, api: TenableSC) -> list[dict[str, Any]]:
        """Those that are meant by the rule, whatever became of them."""
        return [row for row in self._all(api) if wanted(self.patterns, row["name"], _scan_id(row))]

    def _all(self, api: TenableSC) -> list[dict[str, Any]]:
        answer = ask(
            self.session, api, "scanResult", Results(),
            fields=FIELDS, startTime=int(oldest(self.options).timestamp()), optimizeCompletedScans="true",
        )["response"]  # fmt: skip
        rows = {row["id"]: row for row in [*(answer["usable"] or ()), *(answer["manageable"] or ())]}
        return list(rows.values())

    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        _, _, number = scan.id.partition("/")
        if not number.isdigit():
            raise ScannerRefused(f"{self.id}: '{scan.id}' is no result of this scanner")
        with self._connected() as api:
            response = api.post(f"scanResult/{number}/download", stream=True, json={"downloadType": "v2"})
            if "json" in response.headers.get("Content-Type", ""):
                response.close()
                raise ScannerUnavailable(f"{self.session.who}: gives no file for {scan.id}, but an explanation")
            file = self.session.save(response, into / f"{safe_name(f'{self.id}-{scan.id}')}.zip", progress)
        try:
            self._look_into(file)
        except BaseException:
            file.unlink()
            raise
        return file

    def _look_into(self, file: Path) -> None:
        """Whole, and no bomb. What is in it is unpacked and limited once more where it is read."""
        try:
            with zipfile.ZipFile(file) as archive:
                members = [member for member in archive.infolist() if not member.is_dir()]
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise self.session.truncated() from error
        scans = [member for member in members if member.filename.lower().endswith(".nessus")]
        size = sum(member.file_size for member in members)
        if not scans or len(members) > MEMBERS or size > self.session.limits.file:
            raise ScannerRefused(
                f"{self.session.who}: the zip holds {len(members)} files, {len(scans)} of them .nessus, {size:,} bytes "
                f"in all; at least one .nessus, at most {MEMBERS} files and {self.session.limits.file:,} bytes are read"
            )

    def settle(self, scan: RemoteScan, refused: str) -> None:
        """Security Center keeps its results; nothing is deleted there."""

    def check(self) -> Sequence[Check]:
        checks = self.session.certificate()
        try:
            with self._connected() as api:
                name = ask(self.session, api, "currentUser", CurrentUser())["response"]["username"] or "unknown"
            listing = self.listing()
        except ScannerError as error:
            return [*checks, Check(False, str(error), "see docs/scanners/tenable-sc.md for the rights it needs")]
        checks.append(Check(True, f"{self.session.who}: Security Center, as {self.session.masked(name)}"))
        how = "" if listing.scans else "check scans, and that the account's group may see these results"
        text = f"{len(listing.scans)} results match, {len(listing.passed_over)} are passed over"
        return [*checks, Check(bool(listing.scans), text, how)]

    def launch(self, addresses: Sequence[str], name: str) -> str:
        """A scan of its own, that runs once, like the one whose latest round covered them all."""
        wanted_ = addresses_of(addresses)
        with self._connected() as api:
            whole = [row for row in self._results(api) if not _why_not(row) and not _is_ours(row)]
            newest = sorted(whole, key=lambda row: row["finished"] or 0, reverse=True)
            return begin(self.session, api, wanted_, name, [(_scan_id(row), row["name"]) for row in newest])

    def launched_by_name(self, name: str, since: datetime, others: Collection[str] = ()) -> str | None:
        """One that was over before is of an earlier vmjira, which counted its rescans anew."""
        with self._connected() as api:
            named = [row for row in self._all(api) if row["name"] == called(name)]
        return next((str(row["id"]) for row in named if not 0 < (row["finished"] or 0) < since.timestamp()), None)

    def launched(self, id: str) -> RemoteScan | None:
        with self._connected() as api:
            result = self._result(api, id)
        why = _why_not(result)
        if not why:
            return _remote(result)
        if _is_over(result):
            raise ScannerRefused(f"{self.session.who}: the rescan, result {id}, {why}")
        return None

    def stop(self, id: str) -> None:
        with self._connected() as api:
            if not _is_over(self._result(api, id)):
                api.post(f"scanResult/{id}/stop", json={})

    def _result(self, api: TenableSC, id: str) -> dict[str, Any]:
        if not id.isdigit():
            raise ScannerRefused(f"{self.id}: '{id}' is no rescan of this scanner")
        found: dict[str, Any] = ask(self.session, api, f"scanResult/{id}", OneResult(), fields=FIELDS)["response"]
        return found


def _remote(result: Mapping[str, Any]) -> RemoteScan:
    ended = result["finished"] or 0
    finished = datetime.fromtimestamp(ended, UTC) if ended > 0 else None
    return RemoteScan(f"{_scan_id(result)}/{result['id']}", result["name"], finished, _is_ours(result))


def _is_ours(result: Mapping[str, Any]) -> bool:
    return str(result["name"]).startswith(OURS)


def _is_over(result: Mapping[str, Any]) -> bool:
    """Whether nothing will come of it any more, or all has."""
    if result["status"] != "Completed":
        return result["status"] in BROKEN
    return result["imported"] in (*NOT_IMPORTED, "Finished")


def _scan_id(result: Mapping[str, Any]) -> str:
    """Of the scan that it is a run of; 0: of none that still exists."""
    scan = result["scan"]
    id = str(scan.get("id", "")) if isinstance(scan, dict) else ""
    return id if id.isdigit() else "0"


def _why_not(result: Mapping[str, Any]) -> str:
    """Why a result is not taken, for people; empty if it is."""
    status, imported = result["status"] or "", result["imported"] or ""
    if status != "Completed":
        return BROKEN.get(status, f"is not finished ({status or 'no status'})")
    if imported != "Finished":
        return NOT_IMPORTED.get(imported, f"is not imported yet ({imported or 'no status'})")
    if not result["available"]:
        return "cannot be downloaded any more"
    return ""
