"""Opening databases: empty ones, at once by many, newer ones, none at all."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from vmjira.errors import VmjiraError
from vmjira.store import SqlStore, open_store
from vmjira.store.tables import VERSION_TABLE, metadata


def test_the_migrations_make_what_the_tables_say(store: SqlStore) -> None:
    options = {"version_table": VERSION_TABLE, "compare_type": True, "target_metadata": metadata}
    with store.reading() as unit:
        assert compare_metadata(MigrationContext.configure(unit.connection, opts=options), metadata) == []


def test_a_database_that_is_up_to_date_stays_as_it_is(store: SqlStore) -> None:
    store.upgrade()
    with store.reading() as unit:
        assert unit.tickets() == []


def test_a_database_that_is_up_to_date_is_opened_without_alembic(
    database_url: str, store: SqlStore, tmp_path: Path
) -> None:
    code = (
        "import sys; from vmjira.store import open_store; open_store(*sys.argv[1:]).upgrade(); "
        "print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", code, database_url, str(tmp_path)]
    assert subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip() == "False"


def test_many_may_upgrade_at_once(database_url: str, tmp_path: Path) -> None:
    stores = [open_store(database_url, str(tmp_path)) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(SqlStore.upgrade, stores))
    with stores[0].reading() as unit:
        assert unit.connection.scalar(text(f"SELECT count(*) FROM {VERSION_TABLE}")) == 1
    for store in stores:
        store.close()


def test_a_database_of_a_newer_program_is_refused_and_left_alone(store: SqlStore) -> None:
    with store.begin() as unit:
        unit.connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
    with pytest.raises(VmjiraError, match=r"'0999'.*a newer vmjira.*restore the backup"):
        store.upgrade()
    with store.reading() as unit:
        assert unit.connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "0999"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://jo:s3cret@127.0.0.1:1/db",
        "mysql://jo:s3cret@host/db",
        "jo:s3cret@host",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////dev/null/x/vmjira.db",
    ],
)
def test_a_database_that_cannot_be_used_is_said_in_words_without_the_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(VmjiraError, match="VMJIRA_DATABASE_URL") as caught:
        open_store(url, str(tmp_path)).upgrade()
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_no_database_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "vmjira.db").write_text("not a database, but long enough to be looked at" * 100)
    with pytest.raises(VmjiraError, match="not a database"):
        open_store(f"sqlite:///{tmp_path}/vmjira.db", str(tmp_path)).upgrade()
