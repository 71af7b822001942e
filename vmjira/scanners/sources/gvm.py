"""Type gvm: reports of Greenbone and OpenVAS, over the Greenbone Management Protocol (GMP) 22.4 and later.

Source: GMP's own description, https://docs.greenbone.net/API/GMP/gmp-22.5.html, and the code of gvmd where that is
silent (which hosts a report holds, what a filter leaves out).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from gvm.protocols.gmp import GMP
from gvm.transforms import EtreeCheckCommandTransform
from lxml import etree

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import Check, Listing, Progress, RemoteScan, Source
from vmjira.scanners import values
from vmjira.scanners.sources import gvm_rescan
from vmjira.scanners.sources.files import keep
from vmjira.scanners.sources.gvm_answer import Answer
from vmjira.scanners.sources.gvm_wire import Wire, connection, in_our_words, known_file, refused
from vmjira.scanners.sources.options import LIMITS, Limits, oldest, resolved, secrets, wanted

#: All levels, also what a person marked as false positive; quality of detection from 70 %, as GVM itself shows;
#: severities as people recast them by overrides; hosts without results too, else a clean host would be missing.
MIN_QOD = "min_qod=70"
FILTER = f"apply_overrides=1 levels=chmlgf {MIN_QOD} result_hosts_only=0 first=1 rows=-1 sort=name"
#: Runs of one task that are looked at, newest first. Older ones could change nothing any more.
RUNS = 100
RUNNING = {"New", "Requested", "Queued", "Running", "Processing", "Stop Requested"}
#: What gvmd lets a user do, as `help` lists it: to read, and to scan single hosts.
READS = ("GET_TASKS", "GET_REPORTS")
SCANS = ("CREATE_TARGET", "MODIFY_TARGET", "CREATE_TASK", "START_TASK", "STOP_TASK", "DELETE_TASK", "DELETE_TARGET")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def connect(scanner: Scanner, environ: Mapping[str, str]) -> Source:
    return Gvm(scanner, resolved(scanner, environ))


@dataclass(frozen=True)
class Run:
    """A report of a task, whatever its state."""

    id: str
    task: str
    name: str
    status: str
    end: datetime | None


class Gvm:
    cannot_rescan = ""

    def __init__(self, scanner: Scanner, options: Mapping[str, Any], limits: Limits = LIMITS) -> None:
        """ScannerRefused if the rule cannot work. Connects to nothing."""
        self.scanner, self.options, self.limits = scanner, options, limits
        self.address = urlsplit(str(options.get("url", "")))
        where = self.address.path if self.address.scheme == "unix" else self.address.netloc.rpartition("@")[2]
        self.who = f"{scanner.id} ({where})"
        self.zone = scanner.timezone or ZoneInfo("UTC")
        self.verify = bool(options.get("verify", True))
        self._hidden = secrets(scanner, options)
        if missing := [name for name in ("username", "password") if not options.get(name)]:
            raise ScannerRefused(f"{scanner.id}: {' and '.join(missing)}: is missing; gvmd asks for both")
        if self.address.scheme == "ssh" and not self.verify:
            raise ScannerRefused(f"{scanner.id}: verify: over SSH the host key is always checked; remove verify: false")
        self._connection()  # a wrong address is told at once

    def listing(self) -> Listing:
        with self._gmp() as (gmp, _):
            tasks = [
                task
                for task in gvm_rescan.tasks(gmp, self.who)
                if not gvm_rescan.is_ours(task) and self._is_wanted(task)
            ]
            found = [self._runs(gmp, task) for task in tasks]
        since = oldest(self.options)
        runs = [run for runs, _ in found for run in runs if run.status == "Done" and (not run.end or run.end >= since)]
        runs.sort(key=lambda run: (run.end or datetime.min.replace(tzinfo=UTC), run.id))
        return Listing(
            tuple(RemoteScan(f"{run.task}/{run.id}", run.name, run.end) for run in runs),
            tuple(words for runs, more in found for words in _passed_over(runs, more)),
        )

    def download(self, scan: RemoteScan, into: Path, progress: Progress) -> Path:
        report = _id(scan.id.rpartition("/")[2])
        with self._gmp() as (gmp, wire):
            with wire.postponed():
                gmp.get_report(report, filter_string=FILTER, ignore_pagination=True, details=True)
            file = into / f"gvm-{report}.xml"
            return keep(self._whole(wire, report), file, who=self.who, limits=self.limits, progress=progress)

    def settle(self, scan: RemoteScan, refused: str) -> None:
        """A rescan's task and target are of no use any more; all else stays as people made it."""
        if scan.rescan:
            self.stop(scan.id)

    def check(self) -> Sequence[Check]:
        try:
            with self._gmp() as (gmp, _):
                version = gmp.get_version().findtext("version") or "?"
                may = set((gmp.help().text or "").split())
                tasks = gvm_rescan.tasks(gmp, self.who)
        except ScannerError as error:
            return [Check(False, str(error))]
        names = [_text(task, "name") for task in tasks if self._is_wanted(task) and not gvm_rescan.is_ours(task)]
        return [
            Check(True, f"{self.who}: GMP {version}, logged in as {self.options['username']}"),
            *self._certificate(),
            _may(may, READS, "read reports", "give its user a role with these commands"),
            _may(may, SCANS, "scan single hosts again", "give its user the role User, or live without rescans"),
            Check(
                bool(names),
                f"{len(names)} of {len(tasks)} visible tasks match: {', '.join(names[:10])}",
                "" if names else "correct scans, or let the user see the tasks (permission get_tasks on each)",
            ),
        ]

    def launch(self, addresses: Sequence[str], name: str) -> str:
        with self._gmp() as (gmp, _):
            candidates = [task for task in gvm_rescan.tasks(gmp, self.who) if self._is_wanted(task)]
            return gvm_rescan.launch(gmp, candidates, addresses, name=name, who=self.who)

    def launched_by_name(self, name: str, since: datetime, others: Collection[str] = ()) -> str | None:
        with self._gmp() as (gmp, _):
            return gvm_rescan.begun(gmp, name, who=self.who)

    def launched(self, id: str) -> RemoteScan | None:
        task, _, report = id.partition("/")
        with self._gmp() as (gmp, _):
            run = self._run(gmp.get_report(_id(report), details=False).find("report"))
        if run is None or run.status in RUNNING:
            return None
        if run.status != "Done":
            raise ScannerRefused(f"{self.who}: the rescan '{run.name}' has ended as {run.status}, so it tells nothing")
        return RemoteScan(f"{task}/{report}", run.name, run.end, rescan=True)

    def stop(self, id: str) -> None:
        with self._gmp() as (gmp, _):
            gvm_rescan.remove(gmp, _id(id.partition("/")[0]))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _connection(self) -> Any:
        ca_file = known_file(self.scanner.id, self.options.get("ca_file"))
        try:
            return connection(
                self.address, ca_file=ca_file, verify=self.verify, limits=self.limits,
                ssh_password=str(self.options.get("ssh_password", "")),
            )  # fmt: skip
        except ValueError as error:
            raise ScannerRefused(f"{self.scanner.id}: url: '{self.options.get('url')}' is no such; {error}") from error

    @contextmanager
    def _gmp(self) -> Iterator[tuple[Any, Wire]]:
        """Connected and logged in. The commands of python-gvm depend on the version that the server speaks."""
        wire = Wire(self._connection(), self.who, self.limits)
        with in_our_words(self.who, self._hidden):
            try:
                with GMP(wire, transform=_checked) as gmp:
                    gmp.authenticate(self.options["username"], self.options["password"])
                    yield gmp, wire
            finally:
                wire.disconnect()

    def _is_wanted(self, task: etree._Element) -> bool:
        return wanted(self.options.get("scans"), _text(task, "name"), task.get("id", ""))

    def _runs(self, gmp: Any, task: etree._Element) -> tuple[list[Run], int]:
        """The newest runs of a task, and how many older ones there are."""
        answer = gmp.get_reports(
            filter_string=f"task_id={_id(task.get('id', ''))} first=1 rows={RUNS} sort-reverse=date", details=False
        )
        runs = [run for run in map(self._run, answer.findall("report")) if run is not None]
        filtered = answer.findtext("report_count/filtered") or "0"
        total = int(filtered) if filtered.isdigit() else 0
        if len(runs) < min(total, RUNS):
            raise ScannerUnavailable(f"{self.who}: lists {len(runs)} of {min(total, RUNS)} runs of a task")
        return runs, total - len(runs)

    def _run(self, element: etree._Element | None) -> Run | None:
        inner = element.find("report") if element is not None else None
        if element is None or inner is None or not UUID.fullmatch(element.get("id", "")):
            return None
        task = element.find("task")
        end = values.time(_text(inner, "scan_end"), self.zone)
        return Run(
            element.get("id", ""),
            task.get("id", "") if task is not None else "",
            _text(task, "name") if task is not None else "",
            _text(inner, "scan_run_status"),
            end,
        )

    def _whole(self, wire: Wire, report: str) -> Iterator[bytes]:
        """The pieces of a report; at its end, ScannerUnavailable if it is a part, or not of a finished run."""
        answer = Answer()
        yield from wire.pieces(answer)
        if not answer.status.startswith("2"):
            raise refused(self.who, answer.status, answer.status_text)
        if answer.counts.get("report", 0) != 1:
            raise ScannerRefused(f"{self.who}: there is no report {report} any more")
        if (status := answer.texts.get("scan_run_status", "")) != "Done":
            raise ScannerUnavailable(f"{self.who}: report {report} is {status or 'of no known state'}, not Done")
        if wrong := _partial(answer):
            raise ScannerUnavailable(f"{self.who}: report {report} came as a part only: {wrong}; nothing of it is kept")

    def _certificate(self) -> list[Check]:
        if self.verify:
            return []
        how = "name the authority of its certificate as ca_file, and remove verify: false"
        return [Check(False, "the certificate of the scanner is not checked (verify: false)", how)]


def _partial(answer: Answer) -> str:
    """What shows that results or hosts were left out: gvmd pages and filters, even where it is asked not to."""
    results, hosts = answer.counts.get("results/result", 0), answer.counts.get("host", 0)
    expected, known = answer.number("result_count/filtered"), answer.number("hosts/count")
    term = answer.texts.get("filters/term", "").split()
    if expected is None:
        return "it does not say how many results it has"
    if results < expected:
        return f"{results} of {expected} results (page of {answer.pages}, filter '{' '.join(term)}')"
    if known is not None and hosts < known:
        return f"{hosts} of {known} hosts"
    if MIN_QOD not in term:
        return f"filtered by '{' '.join(term)}' instead of what we asked for"
    return ""


def _passed_over(runs: list[Run], older: int) -> Iterator[str]:
    states = Counter(run.status or "of no known state" for run in runs if run.status != "Done")
    for status, count in sorted(states.items()):
        yield f"{runs[0].name}: {count} {'run is' if count == 1 else 'runs are'} {status}, not Done"
    if older > 0:
        yield f"{runs[0].name if runs else 'a task'}: {older} runs are older than its newest {RUNS}"


def _may(may: set[str], needed: Sequence[str], what: str, how: str) -> Check:
    lacking = [name for name in needed if name not in may]
    return Check(not lacking, f"may {what}" if not lacking else f"may not {what}: {', '.join(lacking)}",
                 how if lacking else "")  # fmt: skip


def _checked(response: Any) -> Any:
    """The tree of an answer; GvmResponseError or GvmServerError if it is a refusal."""
    transform: Any = EtreeCheckCommandTransform
    return transform()(response)


def _text(element: etree._Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _id(text: str) -> str:
    """It comes back from the database, and goes into commands and file names."""
    if not UUID.fullmatch(text):
        raise ScannerRefused(f"'{text[:60]}' is no id of GVM")
    return text.lower()
