"""Catalogues are read whole and right, or refused in words; whoever writes them may be hostile."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.enrich.samples import FILLER, OF_RDP, OF_SMB, epss_csv, kev_json, write
from tests.enrich.server import Publisher, publisher
from vmjira.enrichment import content, read_catalogue
from vmjira.errors import CatalogueUnreadable

KEV = kev_json({OF_SMB: "2030-01-22", OF_RDP.lower(): "2030-02-01"})
EPSS = epss_csv({OF_SMB: 0.97, OF_RDP: 0.3})
ENTRY = {"cveID": OF_SMB, "dueDate": "2030-01-22"}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """Trusted, because its certificate is named as an authority."""
    with publisher(tmp_path) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.ca))
        yield server


def refused(name: str, source: str) -> str:
    with pytest.raises(CatalogueUnreadable) as caught:
        read_catalogue(name, source)
    return str(caught.value)


# --- what they tell ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_the_kev_catalogue_tells_each_cve_and_its_day(tmp_path: Path, packed: bool):
    found = read_catalogue("kev", write(tmp_path, "kev", KEV, packed=packed))
    assert dict(found.rows.iter_rows()) == {OF_SMB: date(2030, 1, 22), OF_RDP: date(2030, 2, 1)}
    assert (found.edition, len(found.digest)) == ("2030.01.01", 64)


@pytest.mark.parametrize("packed", [False, True])
def test_the_scores_tell_each_cve_and_their_edition(tmp_path: Path, packed: bool):
    found = read_catalogue("epss", write(tmp_path, "epss", EPSS, packed=packed))
    told = dict(found.rows.iter_rows())
    assert (told[OF_SMB], told[OF_RDP], len(told)) == (0.97, 0.3, FILLER + 2)
    assert found.edition == "v2030.01.01 of 2030-01-01"


def test_a_file_has_the_same_digest_however_it_is_packed(tmp_path: Path):
    plain, packed = write(tmp_path, "plain", EPSS), write(tmp_path, "packed", EPSS, packed=True)
    assert read_catalogue("epss", plain).digest == read_catalogue("epss", packed).digest


def test_what_others_have_done_to_a_file_does_no_harm(tmp_path: Path):
    """A mark of UTF-8, ends of lines, no comment, small letters, a CVE twice."""
    lines = EPSS.decode().splitlines()[1:]
    mixed = "\ufeff" + "\r\n".join([*lines, f"{OF_RDP.lower()},0.4,0.9", ""])
    assert dict(read_catalogue("epss", write(tmp_path, "epss", mixed.encode())).rows.iter_rows())[OF_RDP] == 0.4
    twice = {"vulnerabilities": [ENTRY, ENTRY | {"dueDate": "2030-01-02"}]}
    found = read_catalogue("kev", write(tmp_path, "kev", b"\xef\xbb\xbf" + json.dumps(twice).encode()))
    assert found.rows.rows() == [(OF_SMB, date(2030, 1, 2))]


def test_a_file_may_be_named_as_an_address(tmp_path: Path):
    write(tmp_path, "kev of today.json", KEV)
    assert read_catalogue("kev", f"file://{tmp_path}/kev%20of%20today.json").rows.height == 2


# --- what is refused --------------------------------------------------------------------------------------------------


def entries(*changed: dict) -> bytes:
    return json.dumps({"vulnerabilities": [ENTRY | each for each in changed]}).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (KEV[:-40], "is no JSON, or incomplete (line 1"),
        (EPSS, "is no JSON, or incomplete"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b"[" * 100_000, "nested"),
        (b"[]", "is not the KEV catalogue as CISA writes it"),
        (b"{}", "vulnerabilities: Missing data"),
        (kev_json({}), "vulnerabilities: is empty"),
        (kev_json({OF_SMB: "2030-01-22"}, count=2), "says that it lists 2 vulnerabilities, but holds 1"),
        (entries({"cveID": "<b>CVE</b>"}), "vulnerabilities: entry 1: cveID: '<b>CVE</b>' is no CVE"),
        (entries({}, {"cveID": f"{OF_SMB}\n"}), "entry 2: cveID"),
        (entries({"cveID": "CVE-٢٠٣٠-0001"}), "is no CVE"),
        (entries({"dueDate": "soon"}), "entry 1: dueDate: Not a valid date"),
        (entries({"dueDate": None}), "entry 1: dueDate"),
        (entries(*[{"cveID": "x"}] * 9), "(and 6 more)"),
        (entries({"cveID": "x" * 10_000}), "xxx"),
    ],
)
def test_what_is_no_kev_catalogue_is_refused_in_words(tmp_path: Path, content: bytes, words: str):
    said = refused("kev", path := write(tmp_path, "kev.json", content))
    assert said.startswith(f"{path}: ") and words in said
    assert len(said) < 800 and "Traceback" not in said


def lines(*rows: str) -> bytes:
    return "\n".join(["#model_version:v1,score_date:2030-01-01T00:00:00+0000", *rows, ""]).encode()


HEADER = "cve,epss,percentile"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (lines(), "is no CSV file of EPSS scores"),
        (lines(HEADER), "holds no score"),
        (lines("cve,score", f"{OF_SMB},0.1"), "lacks the column epss, percentile"),
        (KEV, "lacks the column"),
        (EPSS[:-20], "is no score"),
        (lines(HEADER, f"{OF_SMB},0.1,0.2", f"{OF_RDP},97,0.2"), f"line 4: '{OF_RDP},97,0.2' is no score"),
        (lines(HEADER, f"{OF_SMB},-0.1,0.2"), "line 3:"),
        (lines(HEADER, f"{OF_SMB},nan,0.2"), "line 3:"),
        (lines(HEADER, f"{OF_SMB},inf,0.2"), "line 3:"),
        (lines(HEADER, f"{OF_SMB},,0.2"), "line 3:"),
        (lines(HEADER, "=cmd(),0.1,0.2", "x,0.1,0.2"), "2 such lines"),
        (lines(HEADER, f"{OF_SMB},0.1,0.2,0.3"), "is no CSV file of EPSS scores"),
        (b"\x00" * 100, "lacks the column"),
        (b"#\xff\xff\n\xff\xfe,\xff", "EPSS scores"),
    ],
)
def test_what_is_no_table_of_scores_is_refused_in_words(tmp_path: Path, content: bytes, words: str):
    said = refused("epss", path := write(tmp_path, "epss.csv", content))
    assert said.startswith(f"{path}: ") and words in said
    assert len(said) < 800 and "Traceback" not in said


def test_a_packed_file_that_was_cut_off_is_refused(tmp_path: Path):
    (tmp_path / "epss.gz").write_bytes(gzip.compress(EPSS)[:-5])
    assert "damaged or incomplete" in refused("epss", str(tmp_path / "epss.gz"))


def test_a_packed_file_with_a_flipped_bit_is_refused(tmp_path: Path):
    packed = bytearray(gzip.compress(EPSS))
    packed[-6] ^= 1
    (tmp_path / "epss.gz").write_bytes(packed)
    assert "damaged or incomplete" in refused("epss", str(tmp_path / "epss.gz"))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, layers: int):
    bomb = bytes(content.UNPACKED + 1)
    for _ in range(layers):
        bomb = gzip.compress(bomb, 1)
    (tmp_path / "bomb.gz").write_bytes(bomb)
    assert "unpacks to more than" in refused("epss", str(tmp_path / "bomb.gz"))


def test_what_is_no_file_is_refused_and_nobody_waits_for_it(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    assert "is no plain file" in refused("kev", str(tmp_path / "pipe"))
    assert "is no plain file" in refused("kev", str(tmp_path))
    assert "is not there" in refused("kev", str(tmp_path / "none"))


def test_a_file_that_is_far_too_large_is_refused(tmp_path: Path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(content.PACKED + 1)
    assert "has more than" in refused("kev", str(tmp_path / "large"))


@pytest.mark.parametrize("source", ["http://example.com/kev.json", "ftp://example.com/x", "gopher://x"])
def test_only_https_is_trusted(source: str):
    assert "is not possible; give an https address or the path of a file" in refused("kev", source)


# --- over https -------------------------------------------------------------------------------------------------------


def test_a_catalogue_comes_over_https(server: Publisher):
    found = read_catalogue("kev", server.serve("/feeds/kev.json", KEV))
    assert found.rows.height == 2 and found.source == f"{server.url}/feeds/kev.json"


@pytest.mark.parametrize("headers", [{}, {"Content_Encoding": "gzip"}])
def test_a_packed_catalogue_comes_over_https_however_the_server_calls_it(server: Publisher, headers: dict[str, str]):
    url = server.serve("/epss.csv.gz", gzip.compress(EPSS), **headers)
    assert read_catalogue("epss", url).rows.height == FILLER + 2


def test_a_packed_file_that_is_packed_again_on_its_way_is_read(server: Publisher):
    url = server.serve("/epss.csv.gz", gzip.compress(gzip.compress(EPSS)), Content_Encoding="gzip")
    assert read_catalogue("epss", url).rows.height == FILLER + 2


def test_a_move_is_followed_over_https_only(server: Publisher):
    target = server.serve("/new", KEV)
    assert read_catalogue("kev", server.serve("/old", b"", 301, Location=target)).rows.height == 2
    said = refused("kev", server.serve("/plain", b"", 302, Location="http://127.0.0.1:9/kev.json"))
    assert "leads to an address that is not https" in said
    assert "leads on more than 5 times" in refused("kev", server.serve("/round", b"", 302, Location="/round"))
    assert len([path for path in server.seen if path == "/round"]) == 6


def test_an_answer_other_than_the_file_is_refused(server: Publisher):
    assert "the server answers 404; check the address" in refused("kev", server.serve("/none", b"no", 404))
    assert "the server answers 503" in refused("kev", server.serve("/busy", b"", 503))
    assert "is no JSON" in refused("kev", server.serve("/login", b"<html>Please log in</html>"))
    assert "packed in a way" in refused("kev", server.serve("/br", KEV, Content_Encoding="br"))


def test_an_unknown_certificate_is_refused_and_nothing_is_asked(server: Publisher, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert "its certificate is not trusted" in refused("kev", server.serve("/kev", KEV))
    assert server.seen == []


def test_what_may_be_a_secret_in_an_address_is_not_repeated(server: Publisher):
    url = server.serve("/mirror", b"", 403).replace("https://", "https://me:hush@") + "?token=hush"
    assert "hush" not in refused("kev", url) and server.seen == ["/mirror"]
    assert "hush" not in refused("kev", "https://127.0.0.1:9/kev?token=hush")


def test_an_answer_without_end_is_cut_off(server: Publisher, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(content, "PACKED", 1 << 20)
    ended = threading.Event()

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b" " * 65_536)
        finally:
            ended.set()

    assert "sends more than 1,048,576 bytes" in refused("kev", server.act("/endless", endless))
    assert ended.wait(10)


def test_an_answer_that_breaks_off_is_refused(server: Publisher):
    def broken(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(KEV)))
        handler.end_headers()
        handler.wfile.write(KEV[:100])

    assert "no connection, or it broke off; the last good one stays" in refused("kev", server.act("/broken", broken))


def test_an_answer_that_trickles_is_given_up(server: Publisher, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(content, "ALTOGETHER", 0.3)
    given_up = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not given_up.wait(0.05):
            handler.wfile.write(b"{")

    assert "takes more than" in refused("kev", server.act("/trickle", trickle))
    given_up.set()


def test_silence_is_given_up(server: Publisher, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(content, "SILENCE", 0.2)
    given_up = threading.Event()
    assert "no answer in time" in refused("kev", server.act("/silent", lambda handler: given_up.wait(10)))
    given_up.set()
