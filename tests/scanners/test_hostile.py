"""Files that are broken, foreign or an attack: each is refused in its own words, and nothing is left behind."""

from __future__ import annotations

import gzip
import lzma
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scanners.conftest import SAMPLES, UTC, findings, item, nessus, report_host
from vmjira.errors import ScanUnreadable
from vmjira.scanners.content import Limits
from vmjira.scanners.registry import FORMATS, read_scan

GOOD = nessus(report_host(item()))
CASES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty; export the scan again"),
    "blank": (b" \n\n", "the file is empty"),
    "five bytes": (b"hello", "is no scan in a known format; known are: "),
    "binary": (bytes(range(256)) * 9, "is no scan in a known format"),
    "truncated": (GOOD.encode()[:-40], "ends too early, in line 1: the file is incomplete"),
    "cut in a tag": (GOOD.encode()[:200], "the file is incomplete"),
    "text before": (b"Warning: x\n" + GOOD.encode(), "is no scan in a known format"),
    "space before the declaration": (b"\n" + GOOD.encode(), "is not well-formed XML from its very beginning"),
    "rubbish after": (GOOD.encode() + b"<more/>", "line 1: is not well-formed XML (Extra content"),
    "mismatched tag": (
        GOOD.replace("</Report>", "</Raport>").encode(),
        "is not well-formed XML (Opening and ending tag",
    ),
    "NUL byte": (GOOD.replace("Plugin", "Plu\0gin").encode(), "is not well-formed XML"),
    "wrong encoding": (GOOD.replace("Plugin", "Plügin").encode("latin-1"), "not in the encoding that it declares"),
    "unknown encoding": (
        GOOD.replace('"1.0"', '"1.0" encoding="x-foo"').encode(),
        "is not well-formed XML from its very",
    ),
    "wrong root": (b"<NessusClientData_vwrong/>", "is no scan in a known format; known are: gvm, gvm-csv, nessus,"),
    "wapiti": (b'<report type="security"><report_infos/></report>', "is a Wapiti report"),
    "html": (b"<!DOCTYPE html><html><body>Log in</body></html>", "is no scan in a known format"),
    "tar": (b"scan.nessus\0" * 50, "is no scan in a known format"),
}
ENTITIES = {
    "laughs": '<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">',
    "one internal": '<!ENTITY a "x">',
    "external": '<!ENTITY a SYSTEM "file:///etc/passwd">',
    "parameter": '<!ENTITY % a SYSTEM "http://127.0.0.1:1/evil.dtd"> %a;',
}


def left_behind(into: Path) -> list[Path]:
    return list(into.rglob("*")) if into.exists() else []


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_whole_scan_is_refused_in_words_of_its_own(read, tmp_path, name):
    content, words = CASES[name]
    with pytest.raises(ScanUnreadable) as refusal:
        read(content)
    assert str(refusal.value).startswith(f"{tmp_path}/file.bin: ")
    assert words in str(refusal.value)
    assert left_behind(tmp_path / "into") == []


@pytest.mark.parametrize("name", ENTITIES)
def test_a_document_that_declares_entities_is_refused_before_it_is_parsed(read, name):
    content = GOOD.replace(
        "<NessusClientData_v2>", f"<!DOCTYPE NessusClientData_v2 [{ENTITIES[name]}]><NessusClientData_v2>", 1
    )
    with pytest.raises(ScanUnreadable, match="declares an XML entity"):
        read(content.replace("Plugin 1000", "&a;"))


def test_a_plain_doctype_is_read_and_nothing_is_fetched(read):
    doctype = '<!DOCTYPE NessusClientData_v2 SYSTEM "http://127.0.0.1:1/unreachable.dtd"><NessusClientData_v2>'
    assert read(GOOD.replace("<NessusClientData_v2>", doctype, 1)).records == 1


def test_a_name_says_nothing_about_a_format(tmp_path):
    path = tmp_path / "scan.csv"
    path.write_bytes(lzma.compress(GOOD.encode()))
    (scan,) = read_scan(path, tmp_path / "into", timezone=UTC)
    assert scan.format == "nessus"


def test_utf_16_and_a_byte_order_mark_are_read(read):
    assert read(GOOD.replace('"1.0"', '"1.0" encoding="utf-16"').encode("utf-16")).records == 1
    assert read(b"\xef\xbb\xbf" + GOOD.encode()).records == 1


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.nessus", tmp_path):
        with pytest.raises(ScanUnreadable, match=r"cannot be opened .*; check the path and its rights"):
            read_scan(path, tmp_path / "into", timezone=UTC)


def test_what_lay_in_the_folder_before_stays_after_a_refusal(tmp_path):
    into = tmp_path / "into"
    into.mkdir()
    (into / "mine").write_text("x")
    path = tmp_path / "bad"
    path.write_bytes(GOOD.encode()[:-40])
    with pytest.raises(ScanUnreadable):
        read_scan(path, into, timezone=UTC)
    assert left_behind(into) == [into / "mine"]


def test_two_scans_may_be_read_into_the_same_folder(read):
    first, second = read(GOOD), read(nessus(report_host(item("2000"))))
    assert set(findings(first)) == {("1", "1000")}
    assert set(findings(second)) == {("1", "2000")}


def test_refusals_and_values_in_them_stay_short(read):
    with pytest.raises(ScanUnreadable) as refusal:
        read("<x" + "y" * 50_000 + "/>")
    assert len(str(refusal.value)) < 500
    assert all(len(line) < 300 for line in read(nessus(report_host(item(port="9" * 5000)))).warnings)


# --- size -------------------------------------------------------------------------------------------------------------


def endless(start: str, filler: bytes, megabytes: int) -> Iterator[bytes]:
    yield start.encode()
    for _ in range(megabytes):
        yield filler * (1_000_000 // len(filler))


def packed(path: Path, chunks: Iterator[bytes]) -> Path:
    compressor = zlib.compressobj(1, wbits=31)
    with path.open("wb") as out:
        for chunk in chunks:
            out.write(compressor.compress(chunk))
        out.write(compressor.flush())
    return path


ATTACKS = {
    "one attribute": ('<NessusClientData_v2 a="', b"a"),
    "one text": ("<NessusClientData_v2><Report>", b"text "),
    "one element of many": ("<NessusClientData_v2><Policy>", b"<a></a>   "),
    "a deep tree": ("<NessusClientData_v2>", b"<a>"),
    "one comment": ("<NessusClientData_v2><!--", b"comment "),
    "one line of CSV": ("Plugin ID,Risk,Host\n", b"a"),
    "one field of CSV": ('Plugin ID,Risk,Host\n"', b"abc\n"),
    "empty lines": ("Plugin ID,Risk,Host\n", b"\n"),
}
READ = """
import resource, sys
from pathlib import Path
from zoneinfo import ZoneInfo
from vmjira.errors import ScanUnreadable
from vmjira.scanners.registry import read_scan
from vmjira.scanners.content import Limits
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    limits = Limits(ratio=2000, bytes=110_000_000)
    read_scan(Path(sys.argv[1]), Path(sys.argv[2]), timezone=ZoneInfo('UTC'), limits=limits)
except ScanUnreadable as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, error)
"""


@pytest.mark.parametrize("name", ATTACKS)
def test_endless_content_is_refused_in_flat_memory(tmp_path, name):
    path = packed(tmp_path / "attack", endless(*ATTACKS[name], megabytes=120))
    done = subprocess.run(
        [sys.executable, "-c", READ, path, tmp_path / "into"], capture_output=True, text=True, check=True
    )
    grown, _, words = done.stdout.partition(" ")
    assert words.startswith(str(path)), done.stdout
    assert int(grown) < 450, words  # MiB; a tree is larger than its text
    assert left_behind(tmp_path / "into") == []


def test_a_bomb_is_told_by_its_ratio(tmp_path):
    path = packed(tmp_path / "bomb", endless("<NessusClientData_v2><Report>", b" ", megabytes=80))
    with pytest.raises(ScanUnreadable, match="unpacks to more than 100 times its size, as only bombs do"):
        read_scan(path, tmp_path / "into", timezone=UTC, limits=Limits(ratio=100, ratio_from=1 << 20))


def test_the_limit_of_size_is_the_callers(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(GOOD.encode()))
    with pytest.raises(ScanUnreadable, match="unpacks to more than 100 bytes"):
        read_scan(path, tmp_path / "into", timezone=UTC, limits=Limits(bytes=100))


def test_every_format_has_a_sample_that_only_it_recognises(read):
    assert {read(path).format for path in SAMPLES.iterdir()} == set(FORMATS)


def test_results_of_one_host_beyond_a_batch_are_merged(read, monkeypatch):
    monkeypatch.setattr("vmjira.scanners.staging.BATCH_ROWS", 3)
    items = [item(str(n % 10), port=str(n + 1)) for n in range(40)]
    dead = item("10180", inside="<plugin_output>is considered as dead</plugin_output>")
    scan = read(nessus(report_host(*items), report_host(*items, dead, name="b"), report_host(item(), name="c")))
    found = findings(scan)
    assert len(found) == 11
    assert found[("1", "3")] == (["14/tcp", "24/tcp", "34/tcp", "4/tcp"], "high")
    assert {host for host, _ in found} == {"1", "3"}
