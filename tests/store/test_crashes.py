"""Several processes at once, and processes that are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.store.test_unit import move, operation_row, ticket_row, with_rules
from vmjira.flows.ports import Conflict
from vmjira.flows.rows import EventRow
from vmjira.store import SqlStore, open_store

ALL = -timedelta(minutes=1)  # sweep whatever its age

WRITE_AND_HANG = """
import sys, time, polars as pl
from vmjira.flows.rows import (EventRow)
from vmjira.store import open_store
store = open_store(sys.argv[1], sys.argv[2])
store.write("ledger/boston/1.parquet", pl.DataFrame({"a": [1]}))
with store.begin() as unit:
    unit.move_ledger(EventRow(1, "rules", None, "rules-1"), {"boston": "ledger/boston/1.parquet"})
    print("written", flush=True)
    time.sleep(600)
"""

SINK_FOR_EVER = """
import sys, polars as pl
from vmjira.store import open_store
def slowly(frame):
    print("writing", flush=True)
    import time; time.sleep(600)
store = open_store(sys.argv[1], sys.argv[2])
store._data.write("ledger/boston/1.parquet", pl.LazyFrame({"a": [1]}).map_batches(slowly))
"""

MOVE = """
import sys
from vmjira.flows.ports import (Conflict)
from vmjira.flows.rows import (EventRow)
from vmjira.store import open_store
store = open_store(sys.argv[1], sys.argv[2])
with store.reading() as unit:
    seen = unit.ledger_version()
print("ready", flush=True)
sys.stdin.readline()
try:
    with store.begin() as unit:
        unit.move_ledger(EventRow(seen + 1, "rules", None, "rules-1"), {"boston": "x"})
except Conflict:
    print("conflict")
"""

ADD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from tests.store.test_crashes import add_one
from vmjira.store import open_store
store = open_store(sys.argv[1], sys.argv[2])
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda number: add_one(store, number), range(int(sys.argv[3]), int(sys.argv[3]) + 20)))
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill_when_it_says(word: str, process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == word
    process.send_signal(signal.SIGKILL)
    process.communicate()


def add_one(store: SqlStore, number: int) -> None:
    """Read, then write what depends on it: what only one writer at a time may do."""
    with store.begin() as unit:
        ordinal = len(unit.tickets())
        unit.put_tickets([ticket_row(number, ordinal=ordinal)])
        unit.add_operations([operation_row(number)])


def test_a_process_killed_before_its_commit_leaves_only_a_file_to_sweep(
    store: SqlStore, database_url: str, tmp_path: Path
) -> None:
    with_rules(store)
    kill_when_it_says("written", start(WRITE_AND_HANG, database_url, tmp_path / "data"))
    with store.reading() as unit:
        assert (unit.ledger_version(), unit.ledger_parts()) == (0, {})
    assert store.exists("ledger/boston/1.parquet")
    assert store.sweep() == 0
    assert store.sweep(older_than=ALL) == 1
    move(store, 1, {"boston": "again"})  # nothing is locked


def test_a_process_killed_while_it_writes_leaves_no_half_file_under_the_name(sqlite_url: str, tmp_path: Path) -> None:
    store = open_store(sqlite_url, str(tmp_path / "data"))
    store.upgrade()
    kill_when_it_says("writing", start(SINK_FOR_EVER, sqlite_url, tmp_path / "data"))
    assert not store.exists("ledger/boston/1.parquet")
    store.sweep(older_than=ALL)
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []
    store.close()


def test_of_two_processes_that_move_the_ledger_one_gets_a_conflict(
    store: SqlStore, database_url: str, tmp_path: Path
) -> None:
    with_rules(store)
    other = start(MOVE, database_url, tmp_path)
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"  # it has seen version 0
    with store.begin() as unit:
        unit.move_ledger(EventRow(1, "rules", None, "rules-1"), {"boston": "ours"})
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()  # it begins while we have not committed yet, and waits
    assert other.communicate(timeout=60)[0] == "conflict\n"
    with store.reading() as unit:
        assert unit.ledger_parts() == {"boston": "ours"}


def test_threads_and_processes_that_write_at_once_lose_nothing(
    store: SqlStore, database_url: str, tmp_path: Path
) -> None:
    others = [start(ADD, database_url, tmp_path, first) for first in (1000, 2000)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: add_one(store, number), range(40)))
    assert [other.communicate(timeout=60)[0] for other in others] == ["", ""]
    assert [other.returncode for other in others] == [0, 0]
    with store.reading() as unit:
        assert sorted(ticket.ordinal for ticket in unit.tickets()) == list(range(80))
        assert len(unit.operations("queued")) == 80


def test_a_failed_write_leaves_nothing(tmp_path: Path, sqlite_url: str) -> None:
    store = open_store(sqlite_url, str(tmp_path / "data"))

    def fail(frame: pl.DataFrame) -> pl.DataFrame:
        raise RuntimeError("the disk is full")

    with pytest.raises(Exception, match="the disk is full"):
        store._data.write("ledger/boston/1.parquet", pl.LazyFrame({"a": [1]}).map_batches(fail))
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_a_unit_that_meets_a_conflict_leaves_nothing(store: SqlStore) -> None:
    with_rules(store)
    with store.reading() as unit:
        seen = unit.ledger_version()
    move(store, seen + 1, {"boston": "first"})
    with pytest.raises(Conflict), store.begin() as unit:
        unit.put_tickets([ticket_row()])
        unit.move_ledger(EventRow(seen + 1, "rules", None, "rules-1"), {"boston": "second"})
    with store.reading() as unit:
        assert unit.ledger_parts() == {"boston": "first"}
        assert unit.tickets() == []
