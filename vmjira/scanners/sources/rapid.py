"""What the two sources of a Rapid7 console have in common: which runs there are, rescans, and files that are whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import Check, Listing, RemoteScan
from vmjira.scanners.sources import rapid_queries
from vmjira.scanners.sources.console import FINISHED, GOING, Console, Run, Site
from vmjira.scanners.sources.http import StatusRefused
from vmjira.scanners.sources.options import LIMITS, Limits, oldest, wanted
from vmjira.scanners.sources.rapid_files import PLACES, sql, table, unheard

#: How the scans that we start are called, so that they are known for rescans whoever sees them.
OURS = "vmjira "
#: How far the clocks of the console and ours may be apart.
CLOCKS = timedelta(minutes=10)
AGENT = "agent"
_WHY = {
    "running": "is running", "integrating": "is being written into the console's database", "dispatched": "is starting",
    "paused": "is paused", "stopped": "was stopped", "aborted": "was aborted", "error": "failed",
}  # fmt: skip


class ConsoleSource:
    """A `Source`, but for `download` and `_rights`."""

    cannot_rescan = ""

    def __init__(self, scanner: Scanner, environ: Mapping[str, str], limits: Limits = LIMITS) -> None:
        self.console = Console(scanner, environ, limits)
        self.who = self.console.who
        self._options = scanner.options
        self._patterns: Sequence[str] = scanner.options.get("scans", ())

    def listing(self) -> Listing:
        scans: list[tuple[datetime, RemoteScan]] = []
        passed: list[str] = []
        sites, since = self._sites(), oldest(self._options)
        for site in sites:
            runs = self.console.runs(site)
            whole = [run for run in runs if run.status == FINISHED and run.finished]
            scans += [(run.finished, _remote(site, run)) for run in whole if run.finished and run.finished >= since]
            newest = max((run.id for run in whole), default=0)
            passed += [_why(site, run) for run in runs if run not in whole and (run.id > newest or run.status in GOING)]
        if not sites:
            passed.append("no site of that name is visible to the account; see `scans` of the rule")
        return Listing(tuple(scan for _, scan in sorted(scans, key=lambda each: (each[0], each[1].id))), tuple(passed))

    def _sites(self) -> list[Site]:
        return [site for site in self.console.sites() if wanted(self._patterns, site.name, str(site.id))]

    def settle(self, scan: RemoteScan, refused: str) -> None:
        """The console keeps what it has."""

    # --- rescans ------------------------------------------------------------------------------------------------------

    def launch(self, addresses: Sequence[str], name: str) -> str:
        """In the site, of those that match, whose newest scan covered all of them."""
        site = self._site_of(addresses)
        return f"{site.id}/{self.console.start(site, sorted(set(addresses)), _called(name))}"

    def launched_by_name(self, name: str, since: datetime, others: Collection[str] = ()) -> str | None:
        """The id of the run that `launch` began under this name, not long before `since` or later; None: there is none.

        Asked after a crash or a lost answer, before anything is launched again.
        """
        runs = ((site, run) for site in self._sites() for run in self.console.runs(site) if run.name == _called(name))
        recent = [f"{site.id}/{run.id}" for site, run in runs if run.started is None or run.started > since - CLOCKS]
        return max(recent, key=lambda id: ids(id)[1], default=None)

    def _site_of(self, addresses: Sequence[str]) -> Site:
        try:
            asked = sorted({str(ip_address(address)) for address in addresses})
        except ValueError as error:
            raise ScannerRefused(f"{self.who}: only addresses can be scanned again: {error}") from error
        places = self._places(asked)
        sites = {site.id: site for site in self._sites() if site.kind != AGENT}
        best = max(sites, key=lambda id: (len(places.get(id, {})), max(places.get(id, {"": ""}).values())), default=0)
        missing = [address for address in asked if address not in places.get(best, {})]
        if best and not missing:
            return sites[best]
        where = f"site '{sites[best].name}' never scanned {', '.join(missing[:5])}" if best else "no site is visible"
        raise ScannerRefused(f"{self.who}: one scan is of one site, and none has all of these hosts: {where}")

    def _places(self, addresses: Sequence[str]) -> dict[int, dict[str, str]]:
        """Site → address → when it was last scanned there."""
        query = rapid_queries.places([ip_address(address) for address in addresses])
        places: dict[int, dict[str, str]] = {}
        with TemporaryDirectory(prefix="vmjira-") as folder:
            file = self.console.report("places", sql(query), Path(folder), unheard)
            for site, address, finished, _ in table(self.console, file, PLACES):
                if site.isascii() and site.isdigit():
                    places.setdefault(int(site), {})[address.partition("/")[0]] = finished
        return places

    def launched(self, id: str) -> RemoteScan | None:
        site, number = ids(id)
        run = self._run(number)
        if run.status == FINISHED and run.finished:
            return RemoteScan(f"{site}/{run.id}", run.name, run.finished, rescan=True)
        if run.status in GOING or run.status == FINISHED:
            return None
        raise ScannerRefused(f"{self.who}: scan {run.id} {_WHY.get(run.status, 'has ended: ' + run.status)}")

    def stop(self, id: str) -> None:
        number = ids(id)[1]
        try:
            if self.console.run(number).status in GOING:
                self.console.stop(number)
        except StatusRefused as error:
            if error.status != 404 and (error.status != 400 or self.console.run(number).status in GOING):
                raise

    # --- for downloads ------------------------------------------------------------------------------------------------

    def _run(self, number: int) -> Run:
        try:
            return self.console.run(number)
        except StatusRefused as error:
            if error.status != 404:
                raise
            raise ScannerRefused(f"{self.who}: scan {number} does not exist any more") from error

    def finished(self, number: int) -> Run:
        """ScannerRefused if it is not whole, and never will be; ScannerUnavailable if not yet."""
        run = self._run(number)
        if run.status == FINISHED and run.finished:
            return run
        text = f"{self.who}: scan {number} {_WHY.get(run.status, 'is ' + run.status)}"
        raise ScannerUnavailable(text) if run.status in GOING or run.status == FINISHED else ScannerRefused(text)

    # --- check --------------------------------------------------------------------------------------------------------

    def check(self) -> Sequence[Check]:
        checks = self.console.session.certificate()
        try:
            sites = self.console.sites()
        except ScannerError as error:
            return [*checks, Check(False, str(error), "see docs/scanners/insightvm.md, Account")]
        checks += [Check(True, f"{self.who}: connected{self._version()}"), self._matching(sites)]
        try:
            checks += self._rights()
        except ScannerError as error:
            checks.append(
                Check(False, f"reports cannot be made: {error}", "give its role the permission Create reports")
            )
        return [*checks, Check(True, "whether it may start scans is seen only when it starts one")]

    def _rights(self) -> Sequence[Check]:
        """Make a report of the kind that is needed."""
        raise NotImplementedError

    def _version(self) -> str:
        """Only administrators may ask for it; nobody needs it."""
        try:
            info = self.console.get("administration/info")
            return f", version {self.console.session.masked(str(info['version']['semantic']))}"
        except (ScannerError, KeyError, TypeError):
            return ""

    def _matching(self, sites: list[Site]) -> Check:
        names = [site.name for site in sites if wanted(self._patterns, site.name, str(site.id))]
        if not names:
            visible = ", ".join(f"'{site.name}'" for site in sites[:20]) or "none"
            return Check(False, f"no site matches; visible are: {visible}", "mend `scans`, or give the account access")
        return Check(True, f"{len(names)} of {len(sites)} sites match: {', '.join(names[:20])}")


def is_rescan(site: Site, run: Run) -> bool:
    """One that we started; or one started by hand that looked at less than half of what is in its site.

    The API does not tell with which hosts a scan was started.
    """
    return run.name.startswith(OURS) or (run.kind == "manual" and 2 * run.assets < site.assets)


def _called(name: str) -> str:
    return (name if name.startswith(OURS) else OURS + name)[:250]


def _remote(site: Site, run: Run) -> RemoteScan:
    return RemoteScan(f"{site.id}/{run.id}", f"{site.name}: {run.name}", run.finished, rescan=is_rescan(site, run))


def _why(site: Site, run: Run) -> str:
    began = f" of {run.started:%Y-%m-%d}" if run.started else ""
    return f"{site.name}: {run.name}: scan {run.id}{began} {_WHY.get(run.status, 'is ' + (run.status or 'unknown'))}"


def ids(id: str) -> tuple[int, int]:
    """Of site and scan."""
    site, _, number = id.partition("/")
    if not (site.isascii() and site.isdigit() and number.isascii() and number.isdigit()):
        raise ScannerRefused(f"'{id[:40]}' is no scan of a Rapid7 console; its scans are called <site>/<scan>")
    return int(site), int(number)
