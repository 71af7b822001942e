"""InsightVM and Nexpose by their API: the answers to three queries about one scan, one after the other in one CSV.

`sources/insightvm.py` writes such files, `sources/rapid_queries.py` has the queries. Four tables, each begun by a line
`vmjira-insightvm,<table>` and its own header: `scan` (one row), `hosts`, `vulnerabilities`, `results`. The last three
come from the console as they are, and each ends with a row that says so; a table without it was cut off.

The reporting data model tells, per scan: which assets were fully scanned, with which credentials, what was found, and
what an accepted exception hides. It does not tell which checks were skipped, nor addresses that did not answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

from vmjira.scanners import nexpose, values
from vmjira.scanners.content import Content
from vmjira.scanners.format import Head, Observed
from vmjira.scanners.rows import Row, records
from vmjira.scanners.staging import Staging

NAME = "vmjira-insightvm"
SCANNER = nexpose.SCANNER
VERSION = "1"
#: Table → its columns. The last, `kind`, says what a row is; a row of kind END ends the table.
TABLES = {
    "scan": ("version", "console", "site", "scan", "name", "started", "finished"),
    "hosts": (
        "asset_id", "ip_address", "mac_address", "host_name", "os", "agent", "finished", "assessed", "whole",
        "credentials", "logins", "kind",
    ),
    "vulnerabilities": (
        "id", "title", "score", "cvss2", "cvss3", "exploits", "malware_kits", "exploit_names", "malware_names",
        "categories", "refs", "solution", "description", "published", "kind",
    ),
    "results": ("asset_id", "vulnerability", "score", "port", "protocol", "at", "proof", "kind"),
}  # fmt: skip
END = "end"
#: dim_aggregated_credential_status: 1 none were given, 2 all failed, 3 some worked, 4 all worked, -1 not applicable.
PARTIAL = "3"
CREDENTIALS = {"1": False, "2": False, "4": True}
#: Clocks and rounding: a host may have been finished so much before or after its scan.
SLACK = timedelta(minutes=1)
_UTC = ZoneInfo("UTC")


def recognise(head: Head) -> bool:
    return head.columns == (NAME, "scan")


def read(content: Content, staging: Staging, zone: ZoneInfo) -> Observed:
    """All its times are in UTC, whatever `zone` says."""
    reader = _Reader(staging)
    take = {"hosts": reader.host, "vulnerabilities": reader.vulnerability, "results": reader.result}
    for table, number, row in _tables(content):
        if table != "scan":
            take[table](number, row)
        elif row["version"] != VERSION:
            raise content.refuse(f"is of version '{row['version'][:20]}'; this vmjira reads {VERSION}: fetch it again")
        else:
            reader.scan(row)
    return reader.observed(content)


def _tables(content: Content) -> Iterator[tuple[str, int, Row]]:
    """Table, line and row; without the rows that end a table. Every table is there, in order, and whole."""
    expected = list(TABLES)
    table, whole = "", True
    names: list[str] = []
    for number, fields in records(content):
        if fields[0] == NAME and len(fields) == 2:
            if not whole or not expected or fields[1] != expected.pop(0):
                raise content.refuse(f"line {number}: table '{table}' was cut off; fetch it again")
            table, names, whole = fields[1], [], fields[1] == "scan"
        elif not names:
            names = [name.strip().lower() for name in fields]
            if missing := set(TABLES[table]) - set(names):
                raise content.refuse(
                    f"line {number}: table '{table}' lacks {', '.join(sorted(missing))}; fetch it again"
                )
        elif len(fields) != len(names):
            raise content.refuse(f"line {number}: has {len(fields)} fields, not {len(names)}; fetch it again")
        else:
            row = dict(zip(names, fields, strict=True))
            if row.get("kind") == END:
                whole = True
            else:
                yield table, number, row
    if expected or not whole:
        raise content.refuse(f"ends within table '{table}': it was cut off; fetch it again")


class _Reader:
    def __init__(self, staging: Staging) -> None:
        self.staging = staging
        self.started: datetime | None = None
        self.finished: datetime | None = None
        self.known: set[str] = set()  # hosts
        self.seen: set[str] = set()  # hosts that were still there when the results were asked for
        self.assessed = 0
        self.strange_times = 0

    def scan(self, row: Row) -> None:
        self.started, self.finished = values.time(row["started"], _UTC), values.time(row["finished"], _UTC)

    def host(self, _: int, row: Row) -> None:
        assessed = self._assessed(row)
        self.assessed += assessed
        self.known.add(row["asset_id"])
        self.staging.host(
            row["asset_id"],
            ip=values.address(row["ip_address"].partition("/")[0]),
            hostname=values.text(row["host_name"]),
            mac=values.mac(row["mac_address"]),
            os=values.text(row["os"]),
            agent_uuid=values.text(row["agent"]),
            scanned_at=self._time(row["finished"]),
            authenticated=_authenticated(row),
            complete=row["whole"] == "yes" and assessed,
        )

    def _assessed(self, row: Row) -> bool:
        """Whether it was checked for vulnerabilities in this scan or later: a discovery scan proves no repair."""
        moment = values.time(row["assessed"], _UTC)
        return moment is not None and (self.started is None or moment >= self.started - SLACK)

    def _time(self, written: str) -> datetime | None:
        """None, so that the end of the scan counts, for a time that does not lie within the scan."""
        moment = values.time(written, _UTC)
        if moment is None or self.finished is None or self.started is None:
            return moment
        if self.started - SLACK <= moment <= self.finished + SLACK:
            return min(moment, self.finished)
        self.strange_times += 1
        return None

    def vulnerability(self, number: int, row: Row) -> None:
        key = row["id"].strip().lower()
        if not key:
            return self.staging.warn(f"line {number}: a vulnerability has no id")
        return self.staging.vulnerability(key, _text(row, key))

    def result(self, number: int, row: Row) -> None:
        host, key, kind = row["asset_id"], row["vulnerability"].strip().lower(), row["kind"]
        if host not in self.known:
            return  # it came into the scan, or into our sight, after the hosts were asked for
        if kind == "seen":
            self.seen.add(host)
        elif kind == "excepted":
            # The scanner hides what is accepted there. That proves no repair.
            self.staging.unmade(host, key)
        elif kind == "found":
            self._found(number, host, key, row)
        else:
            self._bad(number, key, f"kind '{kind[:20]}' is none")

    def _found(self, number: int, host: str, key: str, row: Row) -> None:
        score = row["score"].strip()
        if not key or not (score.isascii() and score.isdigit() and int(score) <= 10):
            return self._bad(
                number, key, f"severity '{score[:20]}' is none; allowed are 0 to 10" if key else "has no id"
            )
        try:
            port = values.port(row["port"], row["protocol"])
        except ValueError as error:
            return self._bad(number, key, str(error))
        severity = nexpose.band(int(score))
        self.staging.records[severity] += 1
        if not self.staging.knows(key):
            self.staging.vulnerability(key, {"title": key})  # content of the console changed between two queries
        output = "\n".join(filter(None, (values.text(row["at"]), values.tidy(row["proof"]))))
        return self.staging.finding(host, key, port=port, severity=severity, output=output or None)

    def _bad(self, number: int, key: str, reason: str) -> None:
        self.staging.records["unknown"] += 1
        self.staging.bad_record(f"line {number}, vulnerability '{key[:80]}': {reason}")

    def observed(self, content: Content) -> Observed:
        if self.finished is None:
            raise content.refuse("its scan has no end that makes sense; fetch a finished scan")
        if self.known and not self.assessed:
            self.staging.warn("no host was checked for vulnerabilities, as in a discovery scan: it fixes nothing")
        if self.strange_times:
            self.staging.warn(f"{self.strange_times} hosts have a time outside of the scan; its end counts for them")
        if lost := self.known - self.seen:
            self.staging.warn(f"{len(lost)} hosts were removed from the console while it was asked; they fix nothing")
            self.staging.adjust_hosts(lambda host: {"complete": False} if host["host"] in lost else {})
        return Observed(self.finished, self.started)


def _authenticated(row: Row) -> bool | None:
    """With some credentials working, a login on the system counts, one by SNMP does not: that reads no packages."""
    if row["credentials"] == PARTIAL:
        return row["logins"] not in {"", "0"}
    return CREDENTIALS.get(row["credentials"])


def _text(row: Row, key: str) -> dict[str, Any]:
    exploits = [
        *values.lines([row["exploit_names"]]),
        *(f"malware: {kit}" for kit in values.lines([row["malware_names"]])),
    ]
    references = values.lines([row["refs"]])
    return {
        "title": values.tidy(unescape(row["title"])) or key,
        "family": ", ".join(values.lines([row["categories"]])) or None,
        "cvss2": values.score(row["cvss2"]),
        "cvss3": values.score(row["cvss3"]),
        "cves": values.cves(*(text for text in references if text.upper().startswith("CVE:"))),
        "exploit_available": bool(exploits) or row["exploits"] not in {"", "0"} or row["malware_kits"] not in {"", "0"},
        "exploits": exploits,
        "solution": values.tidy(row["solution"]),
        "description": values.tidy(row["description"]),
        "published": values.day(row["published"]),
        "references": [text.removeprefix("URL:") for text in references],
    }
