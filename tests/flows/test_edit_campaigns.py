"""Random campaigns of scans, closings, acceptances and edits of the rules: after each step, the ledger follows from its
events, and every number that is kept follows from the ledger."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.flows.scans import APACHE, RDP, SMB, nessus, week
from tests.flows.world import ListQueue
from vmjira import rulefiles
from vmjira.domain.decide import Seen, decide
from vmjira.domain.iterations import BACKLOG
from vmjira.domain.statistics import host_numbers, own_numbers
from vmjira.domain.ticket import TicketRow
from vmjira.flows.ingest import ingest
from vmjira.flows.knowledge import ITERATION_NAMES, Base, load, part_name, running_of
from vmjira.flows.look import Look, keep_decision
from vmjira.flows.operations import release
from vmjira.flows.ports import Outside
from vmjira.flows.readahead import ReadAhead
from vmjira.flows.replay import differing, rebuild
from vmjira.flows.rules import rules_in_force
from vmjira.flows.rulewatch import look as look_at_rules
from vmjira.rendering import Renderer
from vmjira.scanners import read_scan
from vmjira.store import open_store

HOSTS = ("10.1.0.1", "10.1.5.1", "10.1.5.2", "10.2.0.1")
WINDOWS = "{id: %s, title: Windows, where: \"family = 'Windows'\"%s}"
WEB = "{id: web, title: Web, where: \"family = 'Web Servers'\"}"
CRITICAL = "{id: critical, title: Critical, where: \"severity = 'critical'\"}"
BOSTON = "{id: %s, title: Boston, networks: [%s]%s}"
YORK = "{id: york, title: York, networks: [10.2.0.0/16]%s}"
LAB = "{id: lab, title: Lab, networks: [10.1.5.0/24]%s}"
#: What the rules may become: categories and ranges; each is an edit of the one before it, whichever that was.
EDITS: dict[str, tuple[list[str], list[str]]] = {
    "first": ([WINDOWS % ("windows", ""), WEB], [BOSTON % ("boston", "10.1.0.0/16", ""), YORK % ""]),
    "narrow": ([WINDOWS % ("windows", ""), WEB], [BOSTON % ("boston", "10.1.5.0/24", ""), YORK % ""]),
    "widen": ([WINDOWS % ("windows", ""), WEB], [BOSTON % ("boston", "10.0.0.0/8", "")]),
    "reorder": ([CRITICAL, WINDOWS % ("windows", ""), WEB], [BOSTON % ("boston", "10.1.0.0/16", ""), YORK % ""]),
    "rename": (
        [WINDOWS % ("win", ", aliases: [windows]"), WEB],
        [BOSTON % ("bos", "10.1.0.0/16", ", aliases: [boston]"), YORK % ""],
    ),
    "rename back": (
        [WINDOWS % ("windows", ", aliases: [win]"), WEB],
        [BOSTON % ("boston", "10.1.0.0/16", ", aliases: [bos]"), YORK % ""],
    ),
    "split": ([WINDOWS % ("windows", ""), WEB], [BOSTON % ("boston", "10.1.0.0/16", ""), LAB % "", YORK % ""]),
    "merge": ([WINDOWS % ("windows", "")], [BOSTON % ("boston", "10.1.0.0/16, 10.2.0.0/16", ", aliases: [lab]")]),
    "delete": ([WEB], [YORK % ""]),
    "cadence": (
        [WINDOWS % ("windows", ""), WEB],
        [BOSTON % ("boston", "10.1.0.0/16", ", iteration: scan"), LAB % ", iteration: day"],
    ),
    "identity": (
        [WINDOWS % ("windows", ""), WEB],
        [BOSTON % ("boston", "10.1.0.0/16", ", identity: [hostname, ip]"), YORK % ", identity: [hostname, ip]"],
    ),
}  # fmt: skip
START = week(23)
POLICY = "ticket: {project: VM}\naccept: {resolutions: [Risk Accepted], for: 30d}\nlimits: {create: 1000}\n"


@dataclass(frozen=True)
class Scan:
    hosts: dict[str, list[str]]
    hours: int


@dataclass(frozen=True)
class Edit:
    name: str


@dataclass(frozen=True)
class Close:
    """A person closes a ticket or, if it is closed, reopens it."""

    ticket: int
    accepts: bool


FLAWS = {"smb": SMB, "rdp": RDP, "apache": APACHE}
scans = st.builds(
    Scan,
    st.dictionaries(st.sampled_from(HOSTS), st.lists(st.sampled_from(sorted(FLAWS)), unique=True), min_size=1),
    st.sampled_from([1, 24, 24 * 7, 24 * 7]),
)
steps = st.one_of(
    scans, st.builds(Edit, st.sampled_from(sorted(EDITS))), st.builds(Close, st.integers(0, 9), st.booleans())
)


@dataclass
class Campaign:
    folder: Path
    outside: Outside
    now: datetime = START
    files: int = 0
    closings: int = 0

    def take(self, step: Scan | Edit | Close) -> None:
        if isinstance(step, Scan):
            self.now += timedelta(hours=step.hours)
            self.files += 1
            path = nessus(
                self.folder / f"{self.files}.nessus", self.now,
                {host: [FLAWS[flaw] for flaw in flaws] for host, flaws in step.hosts.items()},
                names={host: f"pc{host[-1]}" for host in step.hosts},
            )  # fmt: skip
            assert not ingest(self.outside, [path], self.read, self.rules).refused
        elif isinstance(step, Edit):
            self.now += timedelta(minutes=7)
            write(self.folder, *EDITS[step.name])
            if look_at_rules(self.outside, self.rules).state == "held":
                release(self.outside, [])
                look_at_rules(self.outside, self.rules)
        else:
            self.close(step)

    def close(self, step: Close) -> None:
        self.now += timedelta(minutes=3)
        with self.outside.store.reading() as unit:
            rows = unit.tickets()
        if not rows:
            return
        row = rows[step.ticket % len(rows)]
        self.closings += 1
        status = ("Open", "new") if row.closing else ("Done", "done")
        seen = Seen(
            row.key or f"VM-{self.closings}", *status, "Risk Accepted" if step.accepts else "Done", self.now, "jane"
        )  # type: ignore[arg-type]
        rulebook = rules_in_force(self.outside)
        decision = decide(row, seen, 0, rulebook.policy)
        keep_decision(self.outside, Look(row, seen, decision), rulebook, lambda unit: None)

    def read(self, path: Path) -> list[Any]:
        return read_scan(path, self.folder / "read" / path.name, timezone=ZoneInfo("UTC"))

    def rules(self) -> Any:
        return rulefiles.load(self.folder / "rules")


def write(folder: Path, categories: list[str], ranges: list[str]) -> None:
    (folder / "rules").mkdir(exist_ok=True)
    for name, rows in (("categories", categories), ("ranges", ranges)):
        text = f"{name}:\n" + "".join(f"  - {row}\n" for row in rows)
        (folder / "rules" / f"{name}.yaml").write_text(text, encoding="utf-8")
    (folder / "rules" / "policy.yaml").write_text(POLICY, encoding="utf-8")


@contextmanager
def campaign() -> Iterator[Campaign]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, *EDITS["first"])
        store = open_store(f"sqlite:///{folder}/vmjira.db", str(folder / "data"))
        store.upgrade()
        found: list[Campaign] = []
        outside = Outside(
            store=store, queue=ListQueue(), renderer=Renderer(), tracker=lambda: None,  # type: ignore[arg-type,return-value]
            tickets=ReadAhead(store), rulebook=rulefiles.load_texts, clock=lambda: found[0].now,
        )  # fmt: skip
        found.append(Campaign(folder, outside))
        try:
            yield found[0]
        finally:
            store.close()


def assert_numbers_follow(base: Base) -> None:
    """Every ticket's own numbers, and the host numbers of every running cell, are what the ledger says."""
    running = running_of(base.part(ITERATION_NAMES))
    lives = pl.concat([base.part(part_name(name)) for name in sorted(base.ranges)])
    own = {(each["category"], each["range"], each["first_iteration"]): each for each in
           own_numbers(lives.filter(pl.col("first_iteration") != BACKLOG), running).to_dicts()}  # fmt: skip
    for row in base.tickets.values():
        assert asdict(row.own) == {name: own[key(row)][name] for name in asdict(row.own)}, row.identifier
    for name in base.ranges - {""}:
        if name in running:
            frame = base.part(part_name(name)).filter(pl.col("category").is_not_null())
            for numbers in host_numbers(frame, running[name]).to_dicts():
                cell = base.cells[numbers.pop("category"), name, running[name]]
                assert asdict(cell.numbers) == numbers, (cell.category, name)
    open_cells = {key for key, numbers in own.items() if numbers["open"]}
    assert open_cells <= {key(row) for row in base.tickets.values()}, "open findings without a ticket"


def key(row: TicketRow) -> tuple[str, str, int]:
    return row.category, row.range, row.ordinal


@settings(
    max_examples=int(os.environ.get("EDITS", "12")), deadline=None, derandomize="EDITS" not in os.environ,
    suppress_health_check=list(HealthCheck), print_blob=True,
)  # fmt: skip
@given(st.lists(steps, min_size=3, max_size=9))
def test_after_every_step_replay_is_exact_and_every_number_follows_from_the_ledger(taken: list[Any]) -> None:
    with campaign() as one:
        one.take(Scan({host: ["smb", "rdp", "apache"] for host in HOSTS}, 1))
        for step in taken:
            one.take(step)
            assert differing(one.outside, rebuild(one.outside)) == [], step
            assert_numbers_follow(load(one.outside.store))
