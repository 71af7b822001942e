"""What is kept of a delivery, what is answered, and that nothing is lost or taken in twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.webhooks.conftest import (
    BY_PATH,
    PATH_SECRET,
    SECRET,
    SIGNED,
    Server,
    application,
    digest,
    event,
    recorded,
    signature,
)
from vmjira.domain.ticket import TicketRow
from vmjira.errors import StoreUnavailable
from vmjira.flows import queue
from vmjira.flows.deliver import attempt
from vmjira.flows.events import parse
from vmjira.flows.operations import new_operation
from vmjira.flows.ports import Unit
from vmjira.flows.react import react
from vmjira.flows.receive import TOGETHER, Receiver
from vmjira.flows.rows import DeliveryRow
from vmjira.webapp import web_app_of

IDENTIFIER = "X-Atlassian-Webhook-Identifier"


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """One server for the many bodies."""
    app = application(tmp_path_factory.mktemp("busy"), **SIGNED, **BY_PATH)
    return Server(app, web_app_of(app).test_client())


@pytest.mark.parametrize("file", recorded(), ids=lambda file: file.stem)
def test_every_recorded_body_is_taken_in_signed(busy: Server, file: Path):
    server, body, identifier = busy, file.read_bytes(), f"id-{file.stem}"
    answer = server.post(body, {IDENTIFIER: identifier})
    assert (answer.status_code, answer.get_json()) == (200, {"delivery": identifier, "state": "queued"})
    row = next(row for row in server.kept if row.id == identifier)
    assert (row.body, row.issue, row.state) == (body, parse(body).issue_id, "queued")
    assert f"event.{identifier}" in server.queued
    wrong = server.post(body, {IDENTIFIER: f"wrong-{file.stem}"}, sign="another")
    missing = server.client.post("/webhooks/jira", data=body, headers={IDENTIFIER: f"wrong-{file.stem}"})
    assert (wrong.status_code, missing.status_code) == (403, 401)
    assert not [row for row in server.kept if row.id.startswith("wrong-")]


@pytest.mark.parametrize("file", recorded(), ids=lambda file: file.stem)
def test_every_recorded_body_is_taken_in_at_the_secret_address(busy: Server, file: Path):
    server, body = busy, file.read_bytes()
    answer = server.post_to(PATH_SECRET, body, "10.1.2.3")
    assert (answer.status_code, answer.get_json()) == (200, {"delivery": digest(body), "state": "queued"})
    assert f"event.{digest(body)}" in server.queued


def test_the_same_identifier_again_is_the_same_event(server: Server):
    for retry in ("", "1", "2"):
        headers = {IDENTIFIER: "abc-1", **({"X-Atlassian-Webhook-Retry": retry} if retry else {})}
        answer = server.post(event(), headers)
        assert answer.status_code == 200
        assert answer.get_json()["state"] == ("known" if retry else "queued")
    assert [row.id for row in server.kept] == ["abc-1"]
    assert server.queued == ["event.abc-1"]


def test_two_identifiers_are_two_events_even_with_the_same_body(server: Server):
    server.post(event(), {IDENTIFIER: "abc-1"})
    server.post(event(), {IDENTIFIER: "abc-2"})
    assert len(server.kept) == 2


def test_without_identifier_the_same_body_of_the_same_time_is_the_same_event(server: Server):
    for timestamp in (1, 1, 2):
        assert server.post(event(timestamp=timestamp)).status_code == 200
    assert sorted(row.id for row in server.kept) == sorted(digest(event(timestamp=each)) for each in (1, 2))


def test_a_strange_identifier_is_none(server: Server):
    assert server.post(event(), {IDENTIFIER: "'; DROP TABLE deliveries --"}).status_code == 200
    assert [row.id for row in server.kept] == [digest(event())]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"webhookEvent": "jira:worklog_updated"}, "events of this kind are of no use to us"),
        ({"webhookEvent": "board_created"}, "events of this kind are of no use to us"),
        ({"issue": None}, "the event names no issue"),
    ],
)
def test_events_of_no_use_are_acknowledged_and_kept_but_not_queued(server: Server, changes: dict[str, Any], why: str):
    answer = server.post(event(**changes))
    assert (answer.status_code, answer.get_json()["state"]) == (200, "ignored")
    (row,) = server.kept
    assert (row.state, row.answer) == ("ignored", why)
    assert server.queued == []


def test_our_own_account_is_heard_too(server: Server):
    assert server.post(event(user={"name": "vmjira"})).get_json()["state"] == "queued"


def test_neither_signature_nor_cookies_are_kept(server: Server):
    server.post(event(), {IDENTIFIER: "a", "Cookie": "session=1", "Authorization": "Basic eA==", "User-Agent": "Jira"})
    assert server.kept[0].headers == {IDENTIFIER: "a", "User-Agent": "Jira"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("address", ["/webhooks/jira", f"/webhooks/jira/{PATH_SECRET}"])
def test_other_methods_are_not_allowed(busy: Server, method: str, address: str):
    assert busy.client.open(address, method=method, data=event()).status_code == 405


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "the body is empty"),
        (b"[1]", "a webhook of Jira is an object"),
        (b"{", "the body is no JSON"),
        (b'{"webhookEvent": ' + b"[" * 50_000, "the nesting is too large"),
        (b'{"webhookEvent": ' + b"9" * 50_000 + b"}", "a number or the nesting is too large"),
        (b'{"webhookEvent": "\x00"}', "the body is no JSON"),
        (b'{"webhookEvent": "\xc3\x28"}', "the body is not UTF-8"),
        (b"{}", "webhookEvent: Missing data for required field."),
        (event(webhookEvent=["jira:issue_updated"]), "webhookEvent: Not a valid string."),
        (event(webhookEvent="x" * 201), "webhookEvent: Length must be between 1 and 200."),
        (event(issue="VM-41", changelog=7), "changelog: Not a valid mapping type.; issue: Not a valid mapping type."),
    ],
)
def test_what_is_no_webhook_is_refused_in_words(busy: Server, body: bytes, why: str):
    before = len(busy.kept)
    answer = busy.post(body)
    assert answer.status_code == 400
    assert why in answer.get_json()["error"]
    assert len(busy.kept) == before


def test_hostile_texts_are_kept_byte_for_byte(server: Server):
    body = event(issue={"id": "10040", "key": "\ud800\x00", "fields": {"summary": "\x00'; --\ud83d"}})
    assert server.post(body).get_json()["state"] == "queued"
    assert (server.kept[0].body, server.kept[0].issue) == (body, "10040")


def test_ten_megabytes_are_enough(server: Server):
    frame = len(event(description=""))
    largest = event(description="x" * (10 * 1024 * 1024 - frame))
    assert server.post(largest).status_code == 200
    answer = server.post(largest + b" ")
    assert answer.status_code == 413
    assert "more than 10 MB" in answer.get_json()["error"]
    assert len(server.kept) == 1


def test_no_secret_and_no_body_is_logged_or_answered(
    serve: Callable[..., Server], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.DEBUG)
    structlog.reset_defaults()
    server = serve(**SIGNED, **BY_PATH)
    private = event(issue={"id": "1", "fields": {"summary": "for our eyes only"}})
    answers = [
        server.post(private),
        server.post(private, sign="wrong"),
        server.post(private + b"}"),
        server.post_to(PATH_SECRET, private, "10.9.9.9"),
        server.post_to(PATH_SECRET, private + b"}", "10.1.2.3"),
    ]
    server.app.store.begin = broken  # type: ignore[method-assign, assignment]
    answers.append(server.post_to(PATH_SECRET, event(timestamp=6), "10.1.2.3"))
    assert [answer.status_code for answer in answers] == [200, 403, 400, 403, 400, 500]
    said = capsys.readouterr()
    everything = caplog.text + said.out + said.err + "".join(answer.text for answer in answers)
    assert "webhook refused" in everything
    assert "ZeroDivisionError" in everything
    for secret in (SECRET, PATH_SECRET, "for our eyes only", signature(private)):
        assert secret not in everything


def broken() -> Any:
    raise ZeroDivisionError


# --- when the store is not there --------------------------------------------------------------------------------------


def test_without_a_database_jira_is_asked_to_send_again_and_then_heard(tmp_path: Path):
    place = tmp_path / "data"
    place.write_text("a file where the folder should be")
    app = application(tmp_path, **SIGNED)
    server = Server(app, web_app_of(app).test_client())
    answer = server.post(event(), {IDENTIFIER: "abc-1"})
    assert (answer.status_code, answer.get_json()["error"]) == (
        503,
        "the event could not be stored; send it again later",
    )
    place.unlink()
    assert server.post(event(), {IDENTIFIER: "abc-1"}).get_json() == {"delivery": "abc-1", "state": "queued"}
    assert (len(server.kept), server.queued) == (1, ["event.abc-1"])


def test_on_a_full_disk_jira_is_asked_to_send_again_and_then_heard(server: Server):
    assert server.post(event(timestamp=1)).status_code == 200
    pages(server, 1)
    assert server.post(event(timestamp=2, much="x" * 100_000)).status_code == 503
    assert len(server.kept) == len(server.queued) == 1
    pages(server, 1_000_000)
    assert server.post(event(timestamp=2, much="x" * 100_000)).status_code == 200
    assert len(server.kept) == len(server.queued) == 2


def pages(server: Server, limit: int) -> None:
    """SQLite then says what it says on a full disk."""
    with server.app.store.begin() as unit:
        unit.connection.exec_driver_sql(f"PRAGMA max_page_count = {limit}")


def test_what_cannot_be_queued_is_not_kept(server: Server, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(queue.Queue, "put_event", refuse)
    assert server.post(event()).status_code == 503
    assert server.kept == []


def test_events_wait_while_the_database_is_away(server: Server, monkeypatch: pytest.MonkeyPatch):
    server.post(event(), {IDENTIFIER: "abc-1"})
    monkeypatch.setattr("vmjira.flows.react._take_up", away)
    assert react(server.app.outside, "abc-1")
    assert (server.kept[0].state, server.kept[0].answer) == ("queued", "away")


def test_operations_wait_while_the_database_is_away(server: Server, monkeypatch: pytest.MonkeyPatch):
    outside = replace(server.app.outside, tracker=away)
    ticket = TicketRow("ms.boston.2026-W23", "ms", "boston", 1, "2026-W23", 23, "title", 1)
    row = new_operation("update", ticket.identifier, "why", plan="p", now=outside.clock())
    with server.app.store.begin() as unit:
        unit.put_tickets([ticket])
        unit.add_operations([row])
    assert attempt(outside, row.id)
    with server.app.store.reading() as unit:
        assert unit.count_operations("queued") == 1


def away(*_: object) -> Any:
    raise StoreUnavailable("away")


# --- many at once -----------------------------------------------------------------------------------------------------


class Slow:
    """A queue that lets nobody pass before told, and does not take some."""

    def __init__(self, real: Any) -> None:
        self.real, self.go, self.units, self.entered = real, threading.Event(), [], threading.Event()

    def put_event(self, unit: Unit, row: DeliveryRow) -> None:
        self.entered.set()
        assert self.go.wait(20)
        if row.id.startswith("bad"):
            raise ValueError(row.id)
        self.units.append(unit)
        self.real.put_event(unit, row)


def bring(server: Server, ids: list[str]) -> tuple[Slow, dict[str, object]]:
    """All at once, while the first is being kept; what each was told."""
    slow, told = Slow(server.app.outside.queue), dict[str, object]()
    outside = replace(server.app.outside, queue=slow)
    receiver = Receiver(lambda: outside)
    body = event()

    def one(id_: str) -> None:
        try:
            told[id_] = receiver.receive(
                DeliveryRow(id=id_, received_at=outside.clock(), headers={}, body=body, issue="1")
            )
        except ValueError as error:
            told[id_] = error

    threads = [threading.Thread(target=one, args=(each,)) for each in ids]
    threads[0].start()
    assert slow.entered.wait(20)
    for thread in threads[1:]:
        thread.start()
    while len(receiver._waiting) < len(ids) - 1:
        threading.Event().wait(0.005)
    slow.go.set()
    for thread in threads:
        thread.join(20)
    return slow, told


def test_those_that_come_together_share_transactions(server: Server):
    ids = [f"id-{number}" for number in range(TOGETHER + 11)]
    slow, told = bring(server, ids)
    assert set(told.values()) == {True}
    assert len(server.kept) == len(server.queued) == len(ids)
    assert len({id(unit) for unit in slow.units}) <= 3


def test_one_that_cannot_be_kept_takes_no_other_with_it(server: Server):
    _, told = bring(server, ["id-1", "id-2", "bad-1", "id-3"])
    assert isinstance(told.pop("bad-1"), ValueError)
    assert set(told.values()) == {True}
    assert sorted(row.id for row in server.kept) == ["id-1", "id-2", "id-3"]


def test_the_same_event_twice_at_once_is_kept_once(server: Server):
    slow, told = Slow(server.app.outside.queue), []
    outside = replace(server.app.outside, queue=slow)
    slow.go.set()
    receiver = Receiver(lambda: outside)
    row = DeliveryRow(id="same", received_at=outside.clock(), headers={}, body=event(), issue="1")
    threads = [threading.Thread(target=lambda: told.append(receiver.receive(row))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(told) == [False] * 7 + [True]
    assert server.queued == ["event.same"]


def test_on_either_database_an_event_is_kept_and_queued_once(database_url: str, tmp_path: Path):
    app = application(tmp_path, VMJIRA_DATABASE_URL=database_url, **SIGNED)
    server = Server(app, web_app_of(app).test_client())
    body = event(issue={"id": "10040", "key": "\ud800\x00", "fields": {"summary": "\x00"}})
    assert [server.post(body).get_json()["state"] for _ in range(2)] == ["queued", "known"]
    assert [row.body for row in server.kept] == [body]
    assert server.queued == [f"event.{digest(body)}"]
