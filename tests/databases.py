"""Databases and object stores for tests: SQLite files, a private PostgreSQL server, an S3 of moto's.

`VMJIRA_TEST_POSTGRES` (an URL whose user may create databases) takes the place of the private server.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from vmjira.store import SqlStore, open_store


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server in which the tests may create databases."""
    if given := os.environ.get("VMJIRA_TEST_POSTGRES"):
        yield given
        return
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    pg_ctl = str(programs[-1]) if programs else shutil.which("pg_ctl")
    if pg_ctl is None:
        pytest.skip("no PostgreSQL here: install postgresql, or set VMJIRA_TEST_POSTGRES")
    folder = Path(tempfile.mkdtemp(prefix="vmjira-pg-"))
    try:
        with _server(Path(pg_ctl).parent, folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """URL of an empty database, dropped afterwards."""
    name = f"test_{uuid4().hex}"
    server = create_engine(make_url(postgres), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(postgres).set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/database/vmjira.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty database: every test that asks for it runs on both kinds."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[SqlStore]:
    """An empty store, its files in a folder."""
    store = open_store(database_url, str(tmp_path / "data"))
    store.upgrade()
    yield store
    store.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of an object store."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_root(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """`s3://bucket/prefix` of an empty bucket, with the environment that reaches it."""
    boto3 = pytest.importorskip("boto3")
    environment = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "for-tests",
        "AWS_SECRET_ACCESS_KEY": "for-tests",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"test-{uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return f"s3://{bucket}/some/prefix"


class _server:
    """A private server below `folder`, as another user where we are root: PostgreSQL refuses to run as root."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._as = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()

    def __enter__(self) -> str:
        if self._as:
            shutil.chown(self._folder, "postgres")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._run("initdb", "--auth=trust", "--username=vmjira", "--encoding=UTF8", "--no-sync", "--no-instructions")
        options = f"-p {port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=100"
        self._run("pg_ctl", "--wait", f"--log={self._folder}/log", f"--options={options}", "start")
        return f"postgresql+psycopg://vmjira@127.0.0.1:{port}/postgres"

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "--wait", "--mode=immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._programs / program), f"--pgdata={self._folder}/data", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
