"""SQL and Parquet together: all that vmjira keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from vmjira.domain.frames import FINDINGS, HOSTS, UNMADE, VULNERABILITIES, Scan, check
from vmjira.domain.knowledge import conform
from vmjira.errors import StoreUnavailable
from vmjira.flows.rows import ScanRow
from vmjira.store.data import Data, checked, open_data
from vmjira.store.engine import for_reading, make_engine
from vmjira.store.refused import refuse
from vmjira.store.sweeping import forget_unused, old_files, prune, used_files
from vmjira.store.unit import SqlUnit
from vmjira.store.upgrading import upgrade

SCHEMAS = {"hosts": HOSTS, "vulnerabilities": VULNERABILITIES, "findings": FINDINGS, "unmade": UNMADE}


def open_store(database_url: str, data: str) -> SqlStore:
    """The store of these settings. Connects to nothing; call `upgrade` before anything else."""
    return SqlStore(make_engine(database_url), open_data(data))


class SqlStore:
    """Implements `vmjira.flows.ports.Store`. Threads may share it; a process that forks opens its own."""

    def __init__(self, engine: Engine, data: Data) -> None:
        self._engine = engine
        self._data = data

    def upgrade(self) -> None:
        """Make database and data store ready for this program; an error in words if that cannot be."""
        self._data.prepare()
        upgrade(self._engine)

    @property
    def engine(self) -> Engine:
        """For the queue, which keeps its tables in the same database."""
        return self._engine

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[SqlUnit]:
        with _reached(), self._engine.begin() as connection:
            yield SqlUnit(connection)

    @contextmanager
    def reading(self) -> Iterator[SqlUnit]:
        with _reached(), self._engine.connect() as connection, for_reading(connection).begin():
            yield SqlUnit(connection)

    def write(self, path: str, frame: pl.DataFrame) -> None:
        self._data.write(checked(path), frame.lazy())

    def scan(self, path: str) -> pl.LazyFrame:
        frame = pl.scan_parquet(self._data.location(checked(path)), glob=False, hive_partitioning=False)
        folder, _, rest = path.partition("/")
        return conform(frame, rest.partition("/")[0]) if folder == "ledger" else frame

    def exists(self, path: str) -> bool:
        return self._data.exists(checked(path))

    def keep_scan(self, scan: Scan, path: str) -> None:
        for name, schema in SCHEMAS.items():
            frame = getattr(scan, name)
            check(frame, schema, name)
            self._data.write(checked(f"{path}/{name}.parquet"), frame.lazy())
        checks = pl.DataFrame({"vulnerability_id": sorted(scan.checks)}, schema={"vulnerability_id": pl.String})
        self.write(f"{path}/checks.parquet", checks)

    def load_scan(self, row: ScanRow) -> Scan:
        """The scan as it was kept; its findings stay lazy."""
        frames = {name: self.scan(f"{row.path}/{name}.parquet") for name in (*SCHEMAS, "checks")}
        return Scan(
            scanner=row.scanner,
            format=row.format,
            digest=row.digest,
            started_at=row.started_at,
            finished_at=row.finished_at,
            hosts=frames["hosts"].collect(),
            vulnerabilities=frames["vulnerabilities"].collect(),
            findings=frames["findings"],
            unmade=frames["unmade"].collect(),
            checks=frozenset(frames["checks"].collect()["vulnerability_id"]),
            records=row.records,
            records_by_severity=dict(row.records_by_severity),
            warnings=row.warnings,
            unreadable=row.unreadable,
            rescan=row.rescan,
        )

    def refuse(self, file: Path, reason: str) -> str:
        return refuse(self._data, file, reason)

    def sweep(self, *, older_than: timedelta = timedelta(hours=1)) -> int:
        """Remove files of scans, ledger and enrichment that no row refers to and nobody touched for `older_than`.

        A writer has that long between writing a file and committing the row that refers to it.
        """
        before = datetime.now(UTC) - older_than
        old = old_files(self._data, before)
        with self.begin() as unit:
            forget_unused(unit.connection, before)
            lost = old - used_files(unit.connection, [f"{name}.parquet" for name in (*SCHEMAS, "checks")])
        for path in lost:
            self._data.remove(path)
        return len(lost)

    def prune_ledger(self, *, keep: int) -> int:
        """Forget old versions of the ledger (see `sweeping.prune`); the next sweeps remove their files."""
        with self.begin() as unit:
            return prune(unit.connection, keep)


@contextmanager
def _reached() -> Iterator[None]:
    """Says in our words that the database is not there: whoever uses a store knows nothing of SQL."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise StoreUnavailable(f"database: {error.orig}; check that it can be reached and has room") from error
