"""Parquet and other files, in a folder and in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import polars as pl
import pytest

from tests.store.test_unit import RULES, move, scan_row, ticket_row, with_rules
from vmjira.domain.frames import FINDINGS, HOSTS, UNMADE, VULNERABILITIES, Scan, empty
from vmjira.errors import VmjiraError
from vmjira.store import SqlStore, open_store
from vmjira.store.refused import safe_name

NOON = datetime(2026, 6, 5, 12, 0, 0, 123456, UTC)
FRAME = pl.DataFrame({"a": [1, 2]})


@pytest.fixture(params=["folder", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder and an empty bucket: every test that asks for it, or for a store, runs on both."""
    return str(tmp_path / "data" if request.param == "folder" else request.getfixturevalue("s3_root"))


@pytest.fixture
def store(root: str, sqlite_url: str) -> Iterator[SqlStore]:
    """An empty store on SQLite."""
    store = open_store(sqlite_url, root)
    store.upgrade()
    yield store
    store.close()


def refused(root: str) -> dict[str, bytes]:
    """Name and content of every file that was refused, sorted by name."""
    if not root.startswith("s3://"):
        return {path.name: path.read_bytes() for path in sorted(Path(root, "refused").iterdir())}
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/refused/")["Contents"]
    files = {entry["Key"]: client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read() for entry in listed}
    return {key.removeprefix(f"{prefix}/refused/"): content for key, content in sorted(files.items())}


def a_scan() -> Scan:
    host = {"host": "1", "ip": "10.0.0.1", "scanned_at": NOON, "authenticated": True}
    finding = {"host": "1", "scanner": "nessus", "vulnerability_id": "7", "ports": ["443/tcp"], "severity": "high"}
    return Scan(
        scanner="nessus",
        format="nessus",
        digest="d1",
        started_at=None,
        finished_at=NOON,
        hosts=pl.DataFrame([host], schema=HOSTS),
        vulnerabilities=empty(VULNERABILITIES),
        findings=pl.LazyFrame([finding, finding | {"ports": []}], schema=FINDINGS),
        unmade=pl.DataFrame([{"host": "1", "vulnerability_id": "9"}], schema=UNMADE),
        checks=frozenset({"7", "8"}),
        records=2,
        records_by_severity={"high": 2},
        warnings=("a",),
        unreadable=1,
        rescan=True,
    )


def row_of(scan: Scan, path: str) -> object:
    names = ("digest", "finished_at", "records", "records_by_severity", "warnings", "unreadable", "rescan")
    return scan_row(path=path, **{name: getattr(scan, name) for name in names})


def test_what_was_written_is_read(store: SqlStore) -> None:
    assert not store.exists("ledger/boston/1.parquet")
    store.write("ledger/boston/1.parquet", FRAME)
    assert store.exists("ledger/boston/1.parquet")
    assert not store.exists("ledger/boston/1")
    assert store.scan("ledger/boston/1.parquet").collect().equals(FRAME)


def test_writing_again_replaces(store: SqlStore) -> None:
    for frame in (FRAME, FRAME.head(1)):
        store.write("ledger/boston/1.parquet", frame)
    assert store.scan("ledger/boston/1.parquet").collect().equals(FRAME.head(1))


@pytest.mark.parametrize("path", ["ledger/zürich/1.parquet", "ledger/range=1/a+b@~.parquet"])
def test_names_mean_only_themselves(store: SqlStore, path: str) -> None:
    store.write(path, FRAME)
    assert store.scan(path).collect().equals(FRAME)


def test_paths_out_of_the_data_store_are_a_fault(store: SqlStore) -> None:
    for path in ("../x", "/etc/passwd", "a//b", "a/./b", "a/..", "a/*", "a%2e", "s3://b/x", "", "a\n"):
        for use in (store.exists, store.scan, lambda path: store.write(path, FRAME)):
            with pytest.raises(ValueError, match="not a path inside the data store"):
                use(path)


def test_a_scan_is_loaded_as_it_was_kept(store: SqlStore) -> None:
    scan = a_scan()
    store.keep_scan(scan, "scans/d1")
    loaded = store.load_scan(row_of(scan, "scans/d1"))
    for name, schema in {"hosts": HOSTS, "findings": FINDINGS, "unmade": UNMADE}.items():
        frame = getattr(loaded, name).lazy().collect()
        assert frame.equals(getattr(scan, name).lazy().collect())
        assert frame.schema == schema
    assert isinstance(loaded.findings, pl.LazyFrame)
    assert loaded.vulnerabilities.schema == VULNERABILITIES
    for name in (
        "scanner",
        "checks",
        "records",
        "records_by_severity",
        "warnings",
        "unreadable",
        "rescan",
        "finished_at",
    ):
        assert getattr(loaded, name) == getattr(scan, name)


def test_a_scan_with_other_columns_is_a_fault(store: SqlStore) -> None:
    scan = a_scan()
    wrong = Scan(**(vars(scan) | {"hosts": scan.hosts.drop("ip")}))
    with pytest.raises(TypeError, match="hosts"):
        store.keep_scan(wrong, "scans/d1")


def test_sweeping_removes_what_no_row_refers_to_and_nothing_else(store: SqlStore, root: str, tmp_path: Path) -> None:
    scan = a_scan()
    for folder in ("scans/d1", "scans/lost"):
        store.keep_scan(scan, folder)
    for path in ("ledger/boston/1.parquet", "ledger/boston/lost.parquet", "scans/d1/other.parquet", "mine/x.parquet"):
        store.write(path, FRAME)
    (tmp_path / "bad.nessus").write_text("x")
    store.refuse(tmp_path / "bad.nessus", "no scan")
    with_rules(store)
    with store.begin() as unit:
        unit.add_scan(row_of(scan, "scans/d1"))
    move(store, 1, {"boston": "ledger/boston/1.parquet"})

    assert store.sweep() == 0  # all of them are young
    assert store.sweep(older_than=-timedelta(minutes=1)) == 5 + 1 + 1
    assert store.sweep(older_than=-timedelta(minutes=1)) == 0
    assert store.exists("ledger/boston/1.parquet")
    assert store.exists("mine/x.parquet")
    assert not store.exists("ledger/boston/lost.parquet")
    assert len(refused(root)) == 2
    assert store.load_scan(row_of(scan, "scans/d1")).checks == scan.checks


def test_pruning_keeps_what_a_ticket_may_still_show(store: SqlStore) -> None:
    with_rules(store)
    for version in range(1, 9):
        part = f"ledger/boston/{version}.parquet"
        store.write(part, FRAME)
        move(store, version, {"boston": part} if version != 4 else {"paris": part})
    behind = ticket_row(1, ledger=2, facts="new", shown="old")
    with store.begin() as unit:
        unit.put_tickets([behind, ticket_row(2, ledger=3), ticket_row(3, ledger=4)])  # number 3 is the newest
    before = {}
    with store.reading() as unit:
        before = {version: unit.ledger_parts(version) for version in range(1, 9)}

    with pytest.raises(ValueError, match="always kept"):
        store.prune_ledger(keep=0)
    assert store.prune_ledger(keep=2) == 4
    assert store.prune_ledger(keep=2) == 0
    assert store.sweep(older_than=-timedelta(minutes=1)) == 3

    with store.reading() as unit:
        for version in (2, 4, 7, 8):
            assert unit.ledger_parts(version) == before[version]
            assert all(store.exists(path) for path in before[version].values())
        for version in (1, 3, 5, 6):
            with pytest.raises(VmjiraError, match=f"version {version} is no longer kept"):
                unit.ledger_parts(version)
        assert len(unit.events()) == 8
        assert unit.rules_in_force() == RULES


def test_a_refused_file_is_kept_with_its_reason_and_once(store: SqlStore, root: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.nessus"
    bad.write_bytes(b"<x>" * 100_000)
    first, again = (store.refuse(bad, "no scan: \udc80") for _ in range(2))
    bad.write_bytes(b"<y>")
    other = store.refuse(bad, "no scan")
    assert first == again != other and first.endswith("-bad.nessus")
    kept = {where.rpartition("/")[2]: content for where, content in refused(root).items()}
    names = [where.rpartition("/")[2] for where in (first, other)]
    assert {name: kept.pop(name) for name in names} == {names[0]: b"<x>" * 100_000, names[1]: b"<y>"}
    assert kept == {f"{names[0]}.reason.txt": b"no scan: ?\n", f"{names[1]}.reason.txt": b"no scan\n"}


HOSTILE = [
    "..",
    "...",
    "-rf",
    "a\\..\\b",
    "x" * 250 + ".nessus",
    "日" * 80 + ".xml",
    "a\nb\0c",
    "\udc80.xml",
    "$(id)",
    "é'\"",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_becomes_a_safe_one(name: str) -> None:
    safe = safe_name(name)
    assert len(safe.encode()) <= 180
    assert all(letter.isalnum() or letter in "._-" for letter in safe)
    assert not Path(name).suffix.isascii() or safe.endswith(Path(name).suffix.replace("\\", "_").replace("\0", "_"))


def test_a_refused_file_never_leaves_its_folder(store: SqlStore, root: str, tmp_path: Path) -> None:
    for name in ("日本" * 40 + ".xml", "x" * 250, "..a..", " "):
        (tmp_path / name).write_text("x")
        store.refuse(tmp_path / name, "no scan")
    assert len(refused(root)) == 8


def test_an_address_without_a_bucket_is_refused() -> None:
    with pytest.raises(VmjiraError, match="names no bucket"):
        open_store("sqlite:///x.db", "s3://")


def test_a_bucket_that_does_not_exist_is_said_in_words(s3_root: str, sqlite_url: str) -> None:
    with pytest.raises(VmjiraError, match=r"VMJIRA_DATA: bucket 'no-such-bucket' cannot be used.*AWS_ENDPOINT_URL"):
        open_store(sqlite_url, "s3://no-such-bucket/x").upgrade()


def test_a_folder_that_cannot_be_written_is_said_in_words(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(VmjiraError, match="VMJIRA_DATA: cannot write to"):
        open_store(sqlite_url, f"{tmp_path}/file/data").upgrade()


def test_opening_touches_nothing(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/a/vmjira.db", str(tmp_path / "b")).close()
    open_store("postgresql://nobody@127.0.0.1:1/none", "s3://nowhere/x").close()
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_data_folder_is_not_followed(sqlite_url: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (tmp_path / "data" / "scans").mkdir(parents=True)
    (tmp_path / "data" / "scans" / "link").symlink_to(outside)
    store = open_store(sqlite_url, str(tmp_path / "data"))
    store.upgrade()
    store.sweep(older_than=-timedelta(minutes=1))
    assert (outside / "precious").exists()
    store.close()
