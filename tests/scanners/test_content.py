"""Packed files, and what is told while they are read."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zipfile
from pathlib import Path

import pytest

from tests.scanners.conftest import SAMPLES, UTC, item, nessus, report_host
from vmjira.errors import ScanUnreadable
from vmjira.scanners.content import Limits
from vmjira.scanners.registry import read_scan

GOOD = nessus(report_host(item())).encode()
OTHER = nessus(report_host(item("2000"), item("3000"))).encode()


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress], ids=["plain", "gzip", "xz"])
def test_the_digest_is_of_the_content_however_it_is_packed(read, pack):
    scan = read(pack(GOOD))
    assert (scan.records, scan.digest) == (1, hashlib.sha256(GOOD).hexdigest())


def test_the_digest_of_a_csv_covers_all_of_it(read):
    content = (SAMPLES / "nessus.csv").read_bytes() + b"\r\n\r\n"
    assert read(content).digest == hashlib.sha256(content).hexdigest()


def test_a_zip_holds_one_scan_or_several(tmp_path):
    path = zipped(tmp_path / "x", **{"a/one.nessus": GOOD, "two": OTHER, "__MACOSX/._one": b"?", "empty/": b""})
    scans = read_scan(path, tmp_path / "into", timezone=UTC)
    assert [scan.records for scan in scans] == [1, 2]
    assert [scan.findings.collect().height for scan in scans] == [1, 2]


def test_a_zip_with_one_bad_member_is_refused_as_a_whole(tmp_path):
    path = zipped(tmp_path / "x", good=GOOD, bad=b"nothing")
    with pytest.raises(ScanUnreadable) as refusal:
        read_scan(path, tmp_path / "into", timezone=UTC)
    assert str(refusal.value).startswith(f"{path}[bad]: is no scan in a known format")
    assert list((tmp_path / "into").rglob("*")) == []


def test_a_zip_without_a_file_or_with_too_many_is_refused(tmp_path):
    with pytest.raises(ScanUnreadable, match="the zip holds no file"):
        read_scan(zipped(tmp_path / "x"), tmp_path / "into", timezone=UTC)
    with pytest.raises(ScanUnreadable, match="the zip holds 2 files, at most 1 are allowed"):
        read_scan(zipped(tmp_path / "y", a=GOOD, b=GOOD), tmp_path / "into", timezone=UTC, limits=Limits(members=1))


def test_a_zip_in_a_zip_is_refused(tmp_path):
    inner = zipped(tmp_path / "inner", a=GOOD).read_bytes()
    with pytest.raises(ScanUnreadable, match="is packed twice; unpack it once"):
        read_scan(zipped(tmp_path / "x", inner=inner), tmp_path / "into", timezone=UTC)


def test_an_encrypted_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "x", a=GOOD)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ScanUnreadable, match=r"x\[a\]: is encrypted; pack it without a password"):
        read_scan(path, tmp_path / "into", timezone=UTC)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
def test_a_damaged_or_cut_packed_file_is_refused(read, pack):
    content = bytearray(pack(GOOD * 1))
    with pytest.raises(ScanUnreadable, match="the packed file is damaged or incomplete"):
        read(bytes(content[:-12]))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(ScanUnreadable, match="the packed file is damaged or incomplete"):
        read(bytes(content))


def test_a_damaged_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "x", a=GOOD)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ScanUnreadable, match="the zip is damaged or incomplete"):
        read_scan(path, tmp_path / "into", timezone=UTC)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_progress_goes_from_little_to_all(tmp_path, pack):
    path = tmp_path / "x"
    path.write_bytes(
        pack(nessus(*(report_host(item(inside=f"<synopsis>{n}</synopsis>" * 50)) for n in range(900))).encode())
    )
    seen: list[tuple[int, int]] = []
    read_scan(path, tmp_path / "into", timezone=UTC, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
