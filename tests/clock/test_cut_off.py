"""A job that a crash interrupted is begun again; what it had already done is not done twice, and nothing is left out.

Each job is cut off before each of its commits: all it did outside is done, and not recorded. Then it is begun again,
a minute later, and everything must be as if nothing had happened.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from tests.clock.world import Desk
from tests.flows.jira import running
from tests.flows.scans import APACHE, RDP, SMB, week
from tests.flows.world import CATEGORIES, a_world
from vmjira.flows.enrich import Catalogue
from vmjira.flows.ports import Unit
from vmjira.flows.replay import differing, rebuild
from vmjira.flows.rows import AcceptanceRow
from vmjira.flows.rulewatch import look
from vmjira.store.store import SqlStore
from vmjira.trackers.jira.tracker import JiraTracker

PC, OLD, NEW = "10.1.0.5", "windows.boston.2026-W23", "windows.boston.2026-W24"


class Cut(BaseException):
    """As kill -9: nothing catches it."""


@dataclass
class Knife:
    """Cuts off before the commit of this number (0: never)."""

    number: int = 0
    commits: int = 0

    @contextmanager
    def drawn(self) -> Iterator[None]:
        kept = SqlStore.begin

        @contextmanager
        def begin(store: SqlStore) -> Iterator[Unit]:
            with kept(store) as unit:
                yield unit
                self.commits += 1
                if self.commits == self.number:
                    raise Cut

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SqlStore, "begin", begin)
            yield


def at(day: int, month: int = 6) -> datetime:
    return datetime(2026, month, day, 9, tzinfo=UTC)


# --- what there is to do for each job


def two_scans(desk: Desk) -> None:
    """Of following weeks; their tickets are planned."""
    desk.set(at(9))
    desk.world.ingest(desk.world.scan(week(23), {PC: [SMB]}), desk.world.scan(week(24), {PC: [SMB, RDP]}))


def a_due_date(desk: Desk) -> None:
    two_scans(desk)
    desk.world.deliver()
    desk.set(at(13))


def an_acceptance_that_ended(desk: Desk) -> None:
    two_scans(desk)
    desk.world.deliver()
    with desk.world.store.begin() as unit:
        unit.put_acceptance(AcceptanceRow("a", OLD, "Won't Fix", "jane", at(3), at(10)))
    desk.set(at(11))


def a_scan_and_a_file_that_is_none(desk: Desk) -> None:
    desk.offer("1", week(23), {PC: [SMB]})
    desk.offer("2", week(24), {PC: [SMB]}).write_text("<html>log in</html>")


def a_tracker_that_people_changed(desk: Desk) -> None:
    """A file is lost, a link, a ticket is closed, and there is a copy of one."""
    two_scans(desk)
    desk.world.deliver()
    jira, tickets = desk.world.jira, desk.world.jira.by_identifier()
    old, new = tickets[OLD], tickets[NEW]
    jira.rest("DELETE", f"attachment/{old.fields['attachment'][0]['id']}")
    jira.rest("DELETE", f"issueLink/{new.fields['issuelinks'][0]['id']}")
    ways = jira.rest("GET", f"issue/{old.key}/transitions")["transitions"]
    done = {"transition": {"id": next(each["id"] for each in ways if each["name"] == "Done")}}
    jira.rest("POST", f"issue/{old.key}/transitions", done | {"fields": {"resolution": {"name": "Done"}}})
    copy = {"project": {"key": "VM"}, "summary": "copy", "issuetype": {"name": "Task"}, "labels": [f"vm.{NEW}"]}
    jira.rest("POST", "issue", {"fields": copy})


def something_wrong(desk: Desk) -> None:
    desk.findings = [SimpleNamespace(ok=False, what="no issue type 'Bug'", how="there is: Task", where="policy.yaml:3")]


def much_to_forget(desk: Desk) -> None:
    desk.world.write_rules(policy="ticket: {project: VM}\nretention: {versions: 1, firings: 10d}\n")
    two_scans(desk)
    desk.world.ingest(desk.world.scan(week(25), {PC: [SMB, APACHE]}))


def a_catalogue(desk: Desk) -> None:
    desk.world.write_rules(policy="ticket: {project: VM}\nenrichment: {kev: kev.json}\n")
    two_scans(desk)
    rows = pl.DataFrame({"cve": ["CVE-2026-0001"], "kev_due": [date(2026, 7, 1)]})
    object.__setattr__(desk.tools, "read_catalogue", lambda *_: Catalogue(rows, "d1", "1", "kev.json"))


def changed_rules(desk: Desk) -> None:
    two_scans(desk)
    desk.world.write_rules(categories=CATEGORIES.replace("id: windows", "id: microsoft"))
    look(desk.outside, desk.load, patient=True)  # they stay as they are


WORK: dict[str, Callable[[Desk], None]] = {
    "fetch.hq": a_scan_and_a_file_that_is_none,
    "reconcile": a_tracker_that_people_changed,
    "doctor": something_wrong,
    "acceptances": an_acceptance_that_ended,
    "reminders": a_due_date,
    "retention": much_to_forget,
    "schedule": a_scan_and_a_file_that_is_none,
    "enrich": a_catalogue,
    "rules": changed_rules,
}


# --- what came of it


def outcome(desk: Desk) -> dict[str, Any]:
    """What people see in Jira, if it has tickets, and in vmjira."""
    if desk.world.jira.tickets():
        deliver(desk)
    issues = desk.world.jira.rest("POST", "search", {"jql": "project = VM", "maxResults": 100})["issues"]
    tickets = {each["key"]: desk.world.jira.ticket(each["key"]) for each in issues}
    with desk.world.store.reading() as unit:
        operations, ledger = unit.operations(), unit.ledger_version()
        catalogues, history = len(unit.enrichments()), unit.rules_in_force()
        taken = [(row.remote, row.outcome != "refused", row.settled) for row in unit.taken()]
    return {
        "tickets": {
            key: (_timeless(each.description), each.status, _labels(each.labels), each.links, each.names,
                  [_timeless(comment) for comment in each.comments])
            for key, each in tickets.items()
        },
        "operations": Counter((row.operation, row.identifier, row.state) for row in operations),
        "ledger": (ledger, differing(desk.outside, rebuild(desk.outside))),
        "rules": (catalogues, history and history.digest),
        "taken": taken, "folded": desk.folded(),
        "kept aside": len(list(desk.world.folder.rglob("refused/*"))),
    }  # fmt: skip


def deliver(desk: Desk) -> None:
    """What is queued, whoever queued it."""
    with desk.world.store.reading() as unit:
        desk.queue.waiting = [row.id for row in reversed(unit.operations("queued"))]
    desk.world.deliver()


def _labels(labels: Iterable[str]) -> list[str]:
    """Each desk is an installation of its own."""
    return sorted(label for label in labels if not label.startswith("vmjira-by."))


def _timeless(text: str) -> str:
    return re.sub(r"\d\d:\d\d UTC", "", text)


@contextmanager
def a_desk(folder: Path, job: str) -> Iterator[Desk]:
    with running(folder, "datacenter") as jira, a_world(folder / "world", jira) as world:
        desk = Desk(world)
        WORK[job](desk)
        desk.wait(minutes=1)
        yield desk


@pytest.mark.parametrize("job", WORK)
def test_a_job_that_is_cut_off_anywhere_comes_to_the_same_end(tmp_path: Path, job: str):
    whole = Knife()
    (tmp_path / "0").mkdir()
    with a_desk(tmp_path / "0", job) as desk:
        with whole.drawn():
            desk.job(job)
        expected = outcome(desk)
    assert whole.commits >= 1, "there is nothing to cut off"
    for number in range(1, whole.commits + 1):
        (tmp_path / str(number)).mkdir()
        with a_desk(tmp_path / str(number), job) as desk:
            with pytest.raises(Cut), Knife(number).drawn():
                desk.job(job)
            desk.wait(minutes=1)
            desk.job(job)
            desk.wait(minutes=1)
            desk.job(job)  # as if it had been cut off after its last commit
            assert outcome(desk) == expected, f"cut off before commit {number} of {whole.commits}"


@pytest.mark.parametrize("flavour", ["datacenter", "cloud"])
@pytest.mark.parametrize("cut", ["before the comment", "after the comment", "not at all"])
def test_a_reminder_is_one_comment_wherever_its_delivery_is_cut_off(tmp_path: Path, flavour: str, cut: str):
    with running(tmp_path, flavour) as jira, a_world(tmp_path / "world", jira) as world:
        desk = Desk(world)
        a_due_date(desk)
        desk.job("reminders")
        desk.job("reminders")
        if cut != "not at all":
            (id,) = desk.queue.waiting
            with cut_at_comments(after=cut.startswith("after")), pytest.raises(Cut):
                desk.world.deliver()
            if flavour == "cloud":
                as_cloud_returns_it(desk)
            desk.queue.waiting = [id]
        desk.world.deliver()
        comments = jira.by_identifier()[OLD].comments
        assert len(comments) == 1 and "due on 15 June 2026" in comments[0]


@contextmanager
def cut_at_comments(*, after: bool) -> Iterator[None]:
    kept = JiraTracker.comment

    def comment(tracker: JiraTracker, key: str, body: str) -> str:
        if after:
            kept(tracker, key, body)
        raise Cut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JiraTracker, "comment", comment)
        yield


def as_cloud_returns_it(desk: Desk) -> None:
    """Cloud keeps a document, and writes the markup anew: the words are the same, marks and blanks need not be."""
    ticket = desk.world.jira.by_identifier()[OLD]
    for each in ticket.fields["comment"]["comments"]:
        other = each["body"].replace("\n* ", "\n\n * ").replace("*Reminder*", "{*}Reminder{*}")
        assert other != each["body"]
        desk.world.jira.rest("PUT", f"issue/{ticket.key}/comment/{each['id']}", {"body": other})
