"""Bringing the database to the revision that this program needs; any number of processes may do so at once."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, column, inspect, select, table
from sqlalchemy.exc import OperationalError

from vmjira.errors import StoreUnavailable, VmjiraError
from vmjira.store.engine import sqlite_file
from vmjira.store.tables import VERSION_TABLE

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Run the migrations that are missing, in one transaction; refuse a database of a newer program."""
    try:
        if file := sqlite_file(engine):
            _prepare(engine, file)
        with engine.begin() as connection:
            if not _up_to_date(connection):
                _migrate(connection)
    except (OperationalError, sqlite3.Error, OSError) as error:
        where, why = engine.url.render_as_string(hide_password=True), getattr(error, "orig", error)
        raise StoreUnavailable(
            f"database {where}: cannot be opened: {why}; check VMJIRA_DATABASE_URL, and that it can be reached"
        ) from error


def _up_to_date(connection: Connection) -> bool:
    """Whether the newest migration has run; found out without Alembic, which takes half a second to import."""
    newest = max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    if not inspect(connection).has_table(VERSION_TABLE):
        return False
    return connection.scalars(select(column("version_num")).select_from(table(VERSION_TABLE))).all() == [newest]


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    present = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    known = {revision.revision for revision in script.walk_revisions()}
    if present is not None and present not in known:
        raise VmjiraError(
            f"database: its revision is {present!r}, which this program does not know (it knows revisions up to "
            f"{script.get_current_head()!r}): a newer vmjira has upgraded it; "
            "install that version again, or restore the backup that was made before the upgrade"
        )
    if present != script.get_current_head():
        command.upgrade(config, "head")


def _prepare(engine: Engine, file: Path) -> None:
    """Make the folder and switch to write-ahead logging, which lets readers go on while somebody writes.

    The switch does not wait for others as a transaction does, hence the lock around it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file.parent), closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA journal_mode = WAL")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
