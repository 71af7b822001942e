"""What the session with a scanner promises to every connector."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import structlog
from werkzeug.wrappers import Request, Response

from tests.sources.conftest import Authority
from tests.sources.stand import (
    Stand,
    cut_off,
    dripping,
    endless,
    garbage,
    listening,
    redirect,
    silent,
    status,
    told,
)
from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerRefused, ScannerUnavailable
from vmjira.scanners.sources.http import Busy, Session, StatusRefused
from vmjira.scanners.sources.options import LIMITS, resolved, wanted

HASTY = replace(LIMITS, connect=1, read=0.3, answer=1 << 20, file=1 << 20, download=0.5, poll=0.01, prepare=0.3)
RULE = Scanner("hq", "nessus", options={"access_key": "${KEY}", "url": "https://x"})


@dataclass
class Echo(Stand):
    def answer(self, request: Request) -> Response:
        return told({"path": request.path})


@pytest.fixture
def stand() -> Iterator[Stand]:
    with listening(Echo()) as stand:
        yield stand


def session(url: str, **options: object) -> Session:
    return Session(RULE, {"access_key": "hush-hush", **options}, url, HASTY)


def nothing(done: int, total: int) -> None:
    """Nobody looks."""


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 412, 422])
def test_what_no_later_try_will_change_is_refused_with_the_scanners_own_words(stand: Stand, code: int):
    stand.fail("GET", status(code, {"error": "no <b>way</b>\nhush-hush"}))
    with pytest.raises(StatusRefused, match=rf"hq \(127.0.0.1:\d+\): answers {code}: no <b>way</b> \*\*\*") as caught:
        session(stand.url).get(stand.url + "/a")
    assert caught.value.status == code
    assert len(stand.calls) == 1


@pytest.mark.parametrize("code", [408, 409, 425, 429, 500, 507])
def test_what_a_later_try_may_change_is_unavailable_and_says_when(stand: Stand, code: int):
    stand.fail("GET", status(code, **{"Retry-After": "17"}))
    with pytest.raises(Busy) as caught:
        session(stand.url).get(stand.url + "/a")
    assert (caught.value.status, caught.value.retry_after) == (code, 17)


def test_a_get_is_tried_again_where_that_is_harmless_a_post_never(stand: Stand):
    stand.fail("/a", status(503), times=1)
    assert session(stand.url).get(stand.url + "/a").json() == {"path": "/a"}
    stand.fail("/b", status(503), times=1)
    with pytest.raises(ScannerUnavailable):
        session(stand.url).post(stand.url + "/b")
    assert stand.asked() == ["GET /a", "GET /a", "POST /b"]


def test_a_retry_after_of_hours_is_handed_on_not_waited_for(stand: Stand):
    stand.fail("/a", status(503, **{"Retry-After": "3600"}))
    began = time.monotonic()
    with pytest.raises(ScannerUnavailable) as caught:
        session(stand.url).get(stand.url + "/a")
    assert caught.value.retry_after == 3600
    assert time.monotonic() - began < 5


def test_silence_has_an_end(stand: Stand):
    stand.fail("POST", silent(stand))
    with pytest.raises(ScannerUnavailable, match=r"has been silent for 0.3 s"):
        session(stand.url).post(stand.url)


def test_nobody_there_and_no_such_host():
    with pytest.raises(ScannerUnavailable, match="nobody listens there"):
        session("http://127.0.0.1:9").get("http://127.0.0.1:9/scans")
    with pytest.raises(ScannerUnavailable, match="no such host"):
        session("https://scanner.invalid").get("https://scanner.invalid/scans")


@pytest.mark.parametrize(
    ("fault", "why"), [(dripping, "does not come to its end"), (endless, "an answer has more than 1,048,576 bytes")]
)
def test_an_answer_that_never_ends_is_given_up(stand: Stand, fault, why: str):
    stand.fail("GET", fault(stand))
    with pytest.raises(ScannerUnavailable, match=why):
        session(stand.url).get(stand.url)


def test_what_is_no_json_is_unavailable(stand: Stand):
    stand.fail("GET", garbage)
    with pytest.raises(ScannerUnavailable, match="no JSON; is url the address of its API"):
        ours = session(stand.url)
        ours.document(ours.get(stand.url))


# --- where credentials go ---------------------------------------------------------------------------------------------


def test_a_redirect_elsewhere_gets_nothing(stand: Stand):
    with listening(Echo()) as other:
        stand.fail("GET", redirect(f"{other.url}/steal"))
        with pytest.raises(ScannerRefused, match="another address, which gets no credentials"):
            session(stand.url).get(stand.url + "/a")
        with pytest.raises(ScannerRefused, match="another address"):
            session(stand.url).get(other.url + "/a")
        assert other.calls == []


def test_a_redirect_at_home_is_followed_for_get_only_and_not_for_ever(stand: Stand):
    stand.fail("/old", redirect("/new"))
    assert session(stand.url).get(stand.url + "/old").json() == {"path": "/new"}
    with pytest.raises(ScannerRefused, match="redirects"):
        session(stand.url).post(stand.url + "/old")
    stand.fail("/loop", redirect("/loop"))
    with pytest.raises(ScannerRefused, match="redirects without end"):
        session(stand.url).get(stand.url + "/loop")


def test_a_password_of_netrc_is_not_sent(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    session(stand.url).get(stand.url)
    assert "Authorization" not in stand.calls[0].headers


def test_credentials_never_travel_in_clear_unless_one_insists():
    with pytest.raises(ScannerRefused, match=r"hq: url: 'http://scanner.example.com' is not encrypted"):
        session("http://scanner.example.com")
    with structlog.testing.capture_logs() as logs:
        session("http://scanner.example.com", verify=False)
    assert "NOT CHECKED" in logs[0]["event"]


# --- certificates -----------------------------------------------------------------------------------------------------


def test_a_certificate_is_checked_by_the_authority_of_the_rule(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    with listening(Echo(), authority.context) as stand:
        with pytest.raises(ScannerRefused, match=r"certificate is not trusted \(unable to get local issuer.*ca_file"):
            session(stand.url).get(stand.url)
        ours = session(stand.url, ca_file=str(authority.file))
        assert ours.get(stand.url).json() == {"path": "/"}
        assert ours.certificate() == []
        by_name = stand.url.replace("127.0.0.1", "localhost")
        with pytest.raises(ScannerRefused, match="certificate is not trusted"):
            session(by_name, ca_file=str(authority.file)).get(by_name)


def test_no_check_of_the_certificate_is_loud(authority: Authority):
    with listening(Echo(), authority.context) as stand, structlog.testing.capture_logs() as logs:
        ours = session(stand.url, verify=False)
        assert ours.get(stand.url).json() == {"path": "/"}
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert [check.ok for check in ours.certificate()] == [False]


def test_an_authority_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ScannerRefused, match=rf"hq: ca_file: there is no file '{tmp_path}/ca.pem'"):
        session("https://scanner.example.com", ca_file=str(tmp_path / "ca.pem"))
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ScannerRefused, match=r"ca.pem' holds no certificate in PEM format"):
        session("https://scanner.example.com", ca_file=str(tmp_path / "ca.pem"))


# --- files ------------------------------------------------------------------------------------------------------------


BOMB = gzip.compress(bytes(64 << 20))  # 64 MB in 65 KB


def body(content: bytes, **headers: str):
    return lambda request: Response(content, headers=headers)


def fetch(stand: Stand, folder: Path, heard=nothing) -> Path:
    ours = session(stand.url)
    return ours.save(ours.get(stand.url + "/file", stream=True), folder / "scan.nessus", heard)


def test_a_file_comes_whole_and_tells_how_far_it_is(stand: Stand, tmp_path: Path):
    content, heard = b"0123456789" * 50_000, []
    stand.fail("/file", body(content))
    file = fetch(stand, tmp_path, lambda done, total: heard.append((done, total)))
    assert file.read_bytes() == content
    assert heard[-1] == (500_000, 500_000)
    assert [each.name for each in tmp_path.iterdir()] == ["scan.nessus"]


def test_a_packed_file_comes_unpacked(stand: Stand, tmp_path: Path):
    stand.fail("/file", body(gzip.compress(b"0123456789" * 50_000), **{"Content-Encoding": "gzip"}))
    assert fetch(stand, tmp_path).read_bytes() == b"0123456789" * 50_000


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (lambda stand: cut_off(b"x" * 1000, 5000), "broke off"),
        (dripping, "in 0.5 s only"),
        (endless, "more than 1,048,576 bytes"),
        (lambda stand: cut_off(b"x", 1 << 40), "more than 1,048,576 bytes"),
        (silent, "silent"),
        (lambda stand: status(404), "answers 404"),
        (lambda stand: body(b"\x1f\x8bnonsense", **{"Content-Encoding": "gzip"}), "broke off"),
        (lambda stand: body(BOMB, **{"Content-Encoding": "gzip"}), "more than 1,048,576 bytes"),
    ],
)
def test_of_a_file_that_does_not_come_whole_nothing_is_left(stand: Stand, tmp_path: Path, fault, why: str):
    stand.fail("/file", fault(stand))
    with pytest.raises((ScannerUnavailable, ScannerRefused), match=why):
        fetch(stand, tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- options ----------------------------------------------------------------------------------------------------------


def test_secrets_come_from_the_environment_and_all_that_are_missing_are_named():
    rule = Scanner("hq", "nessus", options={"username": "${U}", "password": "${P}", "url": "https://x", "verify": True})
    assert resolved(rule, {"U": "me", "P": "p"}) == {
        "username": "me", "password": "p", "url": "https://x", "verify": True
    }  # fmt: skip
    with pytest.raises(ScannerRefused, match="hq: U, P: is not set"):
        resolved(rule, {"P": ""})


@pytest.mark.parametrize(
    ("patterns", "meant"),
    [
        (None, True), ([], True), (["Weekly *"], True), (["weekly *"], False), (["10"], True), (["My Scans/*"], True),
        (["*[DMZ]"], False), (["Weekly [DMZ]"], True), (["Monthly", "*ly*"], True), (["1"], False),
    ],
)  # fmt: skip
def test_a_scan_is_meant_by_name_id_or_folder(patterns, meant: bool):
    assert wanted(patterns, "Weekly [DMZ]", "10", "My Scans/Weekly [DMZ]") is meant
