"""What Nessus and Tenable Vulnerability Management have in common: the API below `/scans`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from tenable.base.platform import APIPlatform

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import Check, Listing, Progress, RemoteScan
from vmjira.scanners.sources import scansanswers as answers
from vmjira.scanners.sources.exports import Exports
from vmjira.scanners.sources.files import safe_name
from vmjira.scanners.sources.http import Busy, Session, StatusRefused
from vmjira.scanners.sources.options import LIMITS, Limits, oldest, wanted
from vmjira.scanners.sources.runs import (
    BROKEN,
    WHOLE,
    Address,
    Definition,
    Run,
    addresses_of,
    not_covered,
    remote,
    why_not,
)
from vmjira.scanners.sources.tenableclient import ask, client, credentials, shaped

CONTROL = 32  # the permission to launch a scan
WEB = ("webapp", "was")


class ScansSource(ABC):
    """A source that speaks that API. What differs is where its runs are told, and how it is launched."""

    cannot_rescan = ""
    keys_only = False  # it takes no user and password

    def __init__(self, scanner: Scanner, options: Mapping[str, Any], url: str, limits: Limits = LIMITS) -> None:
        self.id = scanner.id
        self.options, self.patterns = options, options.get("scans")
        self.session = Session(scanner, options, url, limits)
        self.credentials = credentials(scanner, options, keys_only=self.keys_only)

    @abstractmethod
    def _connected(self) -> AbstractContextManager[APIPlatform]:
        """Logged in."""

    @abstractmethod
    def _runs(self, api: APIPlatform, scan: Definition) -> list[Run]:
        """All its runs, whatever became of them, the oldest first."""

    @abstractmethod
    def _about(self, api: APIPlatform) -> list[Check]:
        """What kind of scanner it is."""

    # --- what there is ------------------------------------------------------------------------------------------------

    def listing(self) -> Listing:
        """Completed and imported runs that ended within the `history` of the rule."""
        found: list[RemoteScan] = []
        passed: list[str] = []
        since = oldest(self.options)
        with self._connected() as api:
            for scan in self._definitions(api, passed):
                try:
                    runs = self._runs(api, scan)
                except StatusRefused as error:
                    passed.append(f"'{scan.name}': {error}")
                    continue
                for run in runs:
                    if run.ended_at and run.ended_at < since:
                        continue
                    if run.status in WHOLE:
                        found.append(remote(scan, run))
                    else:
                        passed.append(why_not(scan, run))
        found.sort(key=lambda scan: (scan.finished_at is None, scan.finished_at, scan.id))
        return Listing(tuple(found), tuple(passed))

    def _definitions(self, api: APIPlatform, passed: list[str]) -> Iterator[Definition]:
        listed = ask(self.session, api, "scans", answers.Scans())
        folders = {folder["id"]: folder for folder in listed["folders"] or ()}
        for scan in listed["scans"] or ():
            folder = folders.get(scan["folder_id"], {})
            if not wanted(self.patterns, scan["name"], str(scan["id"]), f"{folder.get('name', '')}/{scan['name']}"):
                continue
            if folder.get("type") == "trash":
                passed.append(f"'{scan['name']}': is in the trash")
            elif scan["type"] in WEB:
                passed.append(f"'{scan['name']}': is a scan of web applications, not of hosts")
            elif scan["status"] == "empty":
                passed.append(f"'{scan['name']}': has never run")
            else:
                permissions = scan["user_permissions"]
                may = scan["control"] is not False and (permissions is None or permissions >= CONTROL)
                yield Definition(scan["id"], scan["name"], folder.get("name", ""), scan["status"] or "", may)

    # --- bringing one -------------------------------------------------------------------------------------------------

    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        file = into / f"{safe_name(f'{self.id}-{scan.id}')}.nessus"
        with self._connected() as api:
            return Exports(self.session, api, scan.id).fetch(file, progress)

    def settle(self, scan: RemoteScan, refused: str) -> None:  # noqa: B027  nothing is to be done, for both
        """The scanner keeps its runs; nothing is deleted there."""

    # --- scanning hosts again -----------------------------------------------------------------------------------------

    def launch(self, addresses: Sequence[str], name: str) -> str:
        """The scan whose latest round covered them all is run once with these targets."""
        wanted_ = addresses_of(addresses)
        with self._connected() as api:
            scan = self._covering(api, wanted_)
            body = {"alt_targets": [str(address) for address in wanted_]}
            response = api.post(f"scans/{scan.id}/launch", json=body, box=False, conv_json=False)
            return f"{scan.id}/{shaped(self.session, response, answers.Launched())['scan_uuid']}"

    def _covering(self, api: APIPlatform, addresses: Sequence[Address]) -> Definition:
        rounds = []
        for scan in self._definitions(api, []):
            whole = [run for run in self._runs(api, scan) if run.status in WHOLE and not run.other_targets]
            if whole:
                rounds.append((whole[-1].ended or 0, scan, whole[-1]))
        lacking: list[str] = []
        for _, scan, run in sorted(rounds, key=lambda each: each[0], reverse=True):
            missing = self._missing(api, scan, run, addresses)
            if missing:
                lacking.append(f"'{scan.name}' lacks {', '.join(map(str, missing[:3]))}")
            elif not scan.launchable:
                lacking.append(f"'{scan.name}' covers them, but may not be launched by this account")
            elif scan.status not in (*WHOLE, *BROKEN, ""):
                raise ScannerUnavailable(f"{self.session.who}: '{scan.name}' is busy ({scan.status}); launched later")
            else:
                return scan
        raise ScannerRefused(
            f"{self.session.who}: no scan covers all these hosts: {'; '.join(lacking[:5]) or 'none has ever run'}"
        )

    def _missing(self, api: APIPlatform, scan: Definition, run: Run, addresses: Sequence[Address]) -> list[Address]:
        params = {} if run.history is None else {"history_id": run.history}
        details = ask(self.session, api, f"scans/{scan.id}", answers.Details(), **params)
        hosts = [host["hostname"] or "" for host in details["hosts"] or ()]
        return not_covered(addresses, details["info"]["targets"] or "", hosts)

    def launched_by_name(self, name: str, since: datetime, others: Collection[str] = ()) -> str | None:
        """Runs have no names here: it is the newest one with other targets that was not over before `since`.

        What is not over is newer than all that is, and may not tell any time (the cloud).
        """
        begun: list[tuple[bool, int, str]] = []
        with self._connected() as api:
            for scan in self._definitions(api, []):
                for run in self._runs(api, scan):
                    over = run.status in (*WHOLE, *BROKEN)
                    id = f"{scan.id}/{run.uuid}"
                    if run.other_targets and id not in others and not (over and run.ended_at and run.ended_at < since):
                        begun.append((not over, run.ended or 0, id))
        return max(begun, default=(True, 0, None))[2]

    def launched(self, id: str) -> RemoteScan | None:
        with self._connected() as api:
            scan, run = self._launched_run(api, id)
        if run is None or run.status not in (*WHOLE, *BROKEN):
            return None
        if run.status in BROKEN:
            raise ScannerRefused(f"{self.session.who}: the rescan is not whole: {why_not(scan, run)}")
        found = remote(scan, run)
        return RemoteScan(found.id, found.name, found.finished_at, rescan=True)

    def _launched_run(self, api: APIPlatform, id: str) -> tuple[Definition, Run | None]:
        number, _, uuid = id.partition("/")
        if not number.isdigit() or not uuid:
            raise ScannerRefused(f"{self.id}: '{id}' is no rescan of this scanner")
        known = (scan for scan in self._all(api) if scan.id == int(number))
        scan = next(known, Definition(int(number), f"scan {number}"))
        return scan, next((run for run in self._runs(api, scan) if run.uuid == uuid), None)

    def _all(self, api: APIPlatform) -> list[Definition]:
        listed = ask(self.session, api, "scans", answers.Scans())
        return [Definition(scan["id"], scan["name"]) for scan in listed["scans"] or ()]

    def stop(self, id: str) -> None:
        """Only if this very run is still going: the scan's next round is not ours to stop."""
        with self._connected() as api:
            scan, run = self._launched_run(api, id)
            if run is None or run.status in (*WHOLE, *BROKEN):
                return
            try:
                api.post(f"scans/{scan.id}/stop", box=False, conv_json=False)
            except Busy as error:
                if error.status != 409:  # it has just ended
                    raise

    # --- for people ---------------------------------------------------------------------------------------------------

    def check(self) -> Sequence[Check]:
        checks = self.session.certificate()
        try:
            with self._connected() as api:
                checks += self._about(api)
                checks += self._matches(list(self._all(api)), list(self._definitions(api, [])))
        except ScannerError as error:
            return [*checks, Check(False, str(error), "see docs/scanners for the rights that the account needs")]
        return checks

    def _matches(self, everything: Sequence[Definition], matching: Sequence[Definition]) -> list[Check]:
        if not matching:
            names = ", ".join(f"'{scan.name}'" for scan in everything[:10]) or "none that this account may see"
            return [Check(False, "no scan that has run matches scans", f"there are: {names}")]
        names = ", ".join(f"'{scan.name}'" for scan in matching[:10])
        checks = [Check(True, f"{len(matching)} scans match: {names}")]
        if not self.cannot_rescan and (shut := [scan.name for scan in matching if not scan.launchable]):
            how = "give the account 'Can Control' on them, if closed tickets are to be verified at once"
            checks.append(Check(True, f"may be read but not launched: {', '.join(shut[:10])}", how))
        return checks


def connected(kind: Any, source: ScansSource) -> AbstractContextManager[APIPlatform]:
    manager: AbstractContextManager[APIPlatform] = client(kind, source.session, source.credentials)
    return manager
