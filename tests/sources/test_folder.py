"""Files that are dropped into a folder."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import RemoteScan
from vmjira.scanners.sources import connect
from vmjira.scanners.sources.folder import Folder


def nothing(done: int, total: int) -> None:
    """Nobody looks."""


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def drop(inbox: Path, name: str, content: str = "scan", *, at: int = 1_780_000_000) -> Path:
    file = inbox / name
    file.write_text(content)
    os.utime(file, (at, at))
    return file


def folder(inbox: Path, pattern: str = "*", quiet: float = 0) -> Folder:
    return Folder("inbox", inbox, pattern, quiet=quiet)


def tree(inbox: Path) -> list[str]:
    return sorted(str(file.relative_to(inbox)) for file in inbox.rglob("*") if not file.is_dir())


def names(source: Folder) -> list[str]:
    return [scan.name for scan in source.listing().scans]


# --- what is taken ----------------------------------------------------------------------------------------------------


def test_files_are_taken_oldest_first_and_only_by_the_pattern(inbox: Path):
    drop(inbox, "b.nessus", at=1_780_000_000)
    drop(inbox, "a.NESSUS", at=1_780_000_100)
    drop(inbox, "c.csv")
    assert names(folder(inbox, "*.nessus")) == ["b.nessus", "a.NESSUS"]


@pytest.mark.parametrize("name", ["scan.nessus.part", "scan.tmp", ".scan.nessus", "scan.crdownload", "~scan.nessus"])
def test_what_is_not_complete_by_its_name_is_left(inbox: Path, name: str):
    drop(inbox, name)
    listing = folder(inbox).listing()
    assert listing.scans == () and "not complete yet" in listing.passed_over[0]


def test_what_was_just_written_is_left_however_old_it_says_it_is(inbox: Path):
    drop(inbox, "scan.nessus", at=0)  # cp -p keeps the old time
    listing = folder(inbox, quiet=30).listing()
    assert listing.scans == () and "it may still grow" in listing.passed_over[0]


def test_links_folders_and_pipes_are_never_followed(inbox: Path, tmp_path: Path):
    secret = drop(tmp_path, "secret.nessus")
    (inbox / "link.nessus").symlink_to(secret)
    (inbox / "folder.nessus").mkdir()
    os.mkfifo(inbox / "pipe.nessus")
    listing = folder(inbox).listing()
    assert listing.scans == () and len(listing.passed_over) == 3


def test_a_file_that_is_swapped_for_a_link_is_not_followed(inbox: Path, into: Path, tmp_path: Path):
    secret, source = drop(tmp_path, "secret.nessus"), folder(inbox)
    file = drop(inbox, "scan.nessus")
    (scan,) = source.listing().scans
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises(ScannerUnavailable, match="was changed while it was taken"):
        source.download(scan, into, nothing)
    assert list(into.iterdir()) == [] and secret.exists()
    assert source.listing().scans == ()


def test_a_file_that_grew_meanwhile_is_looked_at_again(inbox: Path, into: Path):
    source, file = folder(inbox), drop(inbox, "scan.nessus")
    (scan,) = source.listing().scans
    file.write_text("scan, longer")
    with pytest.raises(ScannerUnavailable, match="was changed while it was taken"):
        source.download(scan, into, nothing)
    (again,) = source.listing().scans
    assert again.id != scan.id
    assert source.download(again, into, nothing).read_text() == "scan, longer"


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    rule = Scanner("inbox", "folder", options={"path": "inbox"})

    def place(data: str) -> Path:
        connect(rule, {"VMJIRA_DATA": data}).listing()
        return next(path for path in tmp_path.rglob("inbox"))

    assert place(str(tmp_path / "data")) == tmp_path / "data" / "inbox"
    (tmp_path / "data" / "inbox").rename(tmp_path / "old")
    assert place("s3://bucket") == tmp_path / "inbox"


def test_a_folder_that_cannot_be_is_a_check_that_failed(tmp_path: Path):
    source = folder(tmp_path / "not" / "mounted")
    with pytest.raises(ScannerRefused, match="cannot be used: No such file"):
        source.listing()
    assert [check.ok for check in source.check()] == [False]
    assert all(check.ok for check in folder(tmp_path).check())


# --- from inbox to done -----------------------------------------------------------------------------------------------


def test_a_file_goes_from_inbox_to_done(inbox: Path, into: Path):
    drop(inbox, "scan.nessus", "content")
    source, heard = folder(inbox), list[tuple[int, int]]()
    (scan,) = source.listing().scans
    file = source.download(scan, into, lambda *told: heard.append(told))
    assert (file.read_text(), file.name, heard) == ("content", "scan.nessus", [(7, 7)])
    assert tree(inbox) == [f"taking/{scan.id}/scan.nessus"] and source.listing().scans == ()
    source.settle(scan, "")
    source.settle(scan, "")
    assert tree(inbox) == [f"done/{scan.id[:8]}-scan.nessus"]


def test_what_was_not_read_lies_in_refused_with_its_reason(inbox: Path, into: Path):
    drop(inbox, "scan.nessus")
    source = folder(inbox)
    (scan,) = source.listing().scans
    source.download(scan, into, nothing)
    source.settle(scan, "scan.nessus: is no scan")
    name = f"refused/{scan.id[:8]}-scan.nessus"
    assert tree(inbox) == [name, f"{name}.reason.txt"]
    assert (inbox / f"{name}.reason.txt").read_text() == "scan.nessus: is no scan\n"


def test_the_same_name_again_is_another_file(inbox: Path, into: Path):
    source = folder(inbox)
    for number in range(2):
        drop(inbox, "scan.nessus", at=1_780_000_000 + number)
        (scan,) = source.listing().scans
        source.download(scan, into, nothing)
        source.settle(scan, "")
    assert len(tree(inbox)) == 2


def test_what_is_known_already_is_tidied_up_without_being_taken(inbox: Path):
    drop(inbox, "scan.nessus")
    source = folder(inbox)
    (scan,) = source.listing().scans
    source.settle(scan, "")
    assert tree(inbox) == [f"done/{scan.id[:8]}-scan.nessus"]


def test_of_many_that_take_the_same_file_one_gets_it(inbox: Path, tmp_path: Path):
    drop(inbox, "scan.nessus", "x" * 100_000)
    (scan,) = folder(inbox).listing().scans
    gate, won, lost = threading.Barrier(8), [], []

    def take(number: int) -> None:
        source, place = folder(inbox), tmp_path / str(number)
        place.mkdir()
        gate.wait()
        try:
            won.append((source, source.download(scan, place, nothing)))
        except ScannerUnavailable as error:
            lost.append(str(error))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert won[0][1].read_text() == "x" * 100_000


DIES = """
import os, sys
from pathlib import Path
from vmjira.scanners.sources.folder import Folder
source = Folder("inbox", Path(sys.argv[1]), quiet=0)
(scan,) = source.listing().scans
source.download(scan, Path(sys.argv[2]), lambda *_: None)
print("taken", flush=True)
sys.stdin.read()
os._exit(9)
"""


def test_what_a_process_had_taken_when_it_was_killed_is_taken_up_by_another(inbox: Path, into: Path, tmp_path: Path):
    drop(inbox, "scan.nessus", "content")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    source = folder(inbox)
    with subprocess.Popen(
        [sys.executable, "-c", DIES, str(inbox), str(theirs)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "taken\n"
        assert source.listing().scans == ()
        (taken,) = (inbox / "taking").iterdir()
        with pytest.raises(ScannerUnavailable, match="is being read by somebody else"):
            source.download(RemoteScan(taken.name, "scan.nessus"), into, nothing)
        process.kill()
        process.wait()
    (scan,) = source.listing().scans
    assert source.download(scan, into, nothing).read_text() == "content"
    source.settle(scan, "")
    assert tree(inbox) == [f"done/{scan.id[:8]}-scan.nessus"]


def test_what_a_source_had_taken_and_left_is_taken_up_by_the_next(inbox: Path, into: Path, tmp_path: Path):
    drop(inbox, "scan.nessus", "content")
    first = folder(inbox)
    (scan,) = first.listing().scans
    first.download(scan, into, nothing)
    assert folder(inbox).listing().scans == ()
    del first  # something failed before it could settle
    gc.collect()
    (again,) = folder(inbox).listing().scans
    assert again == scan


def test_a_folder_scans_nothing(inbox: Path):
    source = folder(inbox)
    assert "not known" in source.cannot_rescan
    with pytest.raises(ScannerError):
        source.launch(["10.1.0.7"], "x")
