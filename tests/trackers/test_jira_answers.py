"""What each answer of Jira's (or of what stands before it, or none) becomes in our words."""

from __future__ import annotations

import socket
import time
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.trackers.scripted import TOKEN, Answer, Script
from vmjira.domain.rulebook import TicketRules
from vmjira.errors import TicketGone, TrackerRefused, TrackerUnavailable
from vmjira.flows.tracking import Draft, File
from vmjira.trackers.jira import JiraSettings, JiraTracker, Secret, connect

DRAFT = Draft("smb.boston.2026-W23", "SMB – Boston – Scan 23", "text", TicketRules(project="VM"))
CREATE = "POST /rest/api/2/issue"
GET = "GET /rest/api/2/issue/VM-1"
COMMENT = "POST /rest/api/2/issue/VM-1/comment"


def refused(*messages: str, **fields: str) -> dict[str, object]:
    return {"errorMessages": list(messages), "errors": fields}


def unavailable(script: Script, tracker: JiraTracker, answer: Answer) -> TrackerUnavailable:
    script.say(COMMENT, answer)
    with pytest.raises(TrackerUnavailable) as caught:
        tracker.comment("VM-1", "x")
    return caught.value


@pytest.mark.parametrize(
    ("status", "unknown"), [(500, True), (502, True), (503, True), (409, False), (429, False), (408, False)]
)
def test_an_answer_that_may_change_is_unavailable_and_knows_whether_the_write_may_have_happened(
    script, tracker, status, unknown
):
    assert unavailable(script, tracker, Answer(status, refused("busy"))).outcome_unknown is unknown


def test_a_read_never_has_an_unknown_outcome(script, tracker):
    script.say(GET, Answer(500))
    with pytest.raises(TrackerUnavailable) as caught:
        tracker.read(["VM-1"])
    assert not caught.value.outcome_unknown


def test_a_connection_lost_after_sending_leaves_the_outcome_unknown_and_sends_once(script, tracker):
    assert unavailable(script, tracker, Answer(silent=True)).outcome_unknown
    assert len(script.calls(COMMENT)) == 1


def test_an_answer_that_does_not_come_in_time_leaves_the_outcome_unknown(script, tracker):
    assert unavailable(script, tracker, Answer(hang=True)).outcome_unknown


def test_a_refused_connection_is_said_at_once_and_nothing_happened(settings):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        tracker = connect(replace(settings, url=f"http://127.0.0.1:{closed.getsockname()[1]}"))()
    start = time.monotonic()
    with pytest.raises(TrackerUnavailable, match="no connection to") as caught:
        tracker.comment("VM-1", "x")
    assert time.monotonic() - start < 2
    assert not caught.value.outcome_unknown


def test_a_host_that_does_not_exist_means_that_nothing_happened(settings):
    with pytest.raises(TrackerUnavailable) as caught:
        connect(replace(settings, url="http://jira.invalid"))().comment("VM-1", "x")
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_understood_as_seconds_and_as_a_date(script, tracker, as_date):
    value = format_datetime(datetime.now(UTC) + timedelta(seconds=100)) if as_date else "100"
    error = unavailable(script, tracker, Answer(429, headers={"Retry-After": value}))
    assert error.retry_after == pytest.approx(100, abs=20)


@pytest.mark.parametrize("value", ["", "soon", "-5", "9" * 400, "Tue, 99 Nov 2026 00:00:00 GMT"])
def test_a_retry_after_without_sense_does_no_harm(script, tracker, value):
    assert (unavailable(script, tracker, Answer(429, headers={"Retry-After": value})).retry_after or 0) <= 3600


def test_wrong_credentials_let_work_wait_and_are_not_tried_again_at_once(script, tracker):
    error = unavailable(script, tracker, Answer(401, b"Unauthorized", {"Content-Type": "text/plain"}))
    assert "JIRA_TOKEN" in str(error)
    assert "expire" in str(error)
    assert error.retry_after and not error.outcome_unknown
    with pytest.raises(TrackerUnavailable, match="JIRA_TOKEN"):
        tracker.comment("VM-2", "x")
    assert len(script.seen) == 1


def test_a_captcha_is_said_in_words(script, tracker):
    headers = {"X-Seraph-LoginReason": "AUTHENTICATION_DENIED", "X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE"}
    assert "CAPTCHA" in str(unavailable(script, tracker, Answer(403, b"<html>", headers)))


def test_an_empty_answer_to_a_caller_whom_jira_does_not_know_is_no_answer(script, tracker):
    script.say("POST .*/search/jql", Answer(200, {"issues": []}, {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}))
    with pytest.raises(TrackerUnavailable, match="credentials"):
        tracker.find("smb.boston.2026-W23")


def test_a_search_without_result_asks_jira_whether_it_knows_us(script, tracker):
    script.say("POST .*/search/jql", {"issues": []})
    script.say("GET .*/myself", Answer(401))
    with pytest.raises(TrackerUnavailable, match="credentials"):
        tracker.find("smb.boston.2026-W23")


def test_a_missing_ticket_is_not_believed_when_jira_does_not_know_us(script, tracker):
    script.say(GET, Answer(404, refused("Issue does not exist or you do not have permission to see it.")))
    script.say("GET .*/myself", Answer(401))
    with pytest.raises(TrackerUnavailable, match="credentials"):
        tracker.read(["VM-1"])


def test_one_ticket_that_we_may_not_see_is_left_out_and_a_site_that_shuts_us_out_is_an_error(script, tracker):
    script.say(GET, Answer(403, refused("no")))
    assert tracker.read(["VM-1"]) == {}
    script.say("GET .*/VM-2", Answer(403, refused("no")))
    script.say("GET .*/myself", Answer(403, b"<html>blocked by policy</html>", {"Content-Type": "text/html"}))
    tracker.client.site.memory.put("myself", None, seconds=0)
    with pytest.raises(TrackerRefused, match="403"):
        tracker.read(["VM-2"])


def test_a_ticket_that_is_gone_says_so_on_every_write(script, tracker):
    for request in (COMMENT, "PUT /rest/api/2/issue/VM-1", GET):
        script.say(request, Answer(404, refused("Issue does not exist")))
    with pytest.raises(TicketGone, match="VM-1: add a comment"):
        tracker.comment("VM-1", "x")
    with pytest.raises(TicketGone):
        tracker.edit("VM-1", summary="x")
    with pytest.raises(TicketGone):
        tracker.transition("VM-1", "close", TicketRules())


def test_a_refusal_keeps_jiras_words_with_the_names_of_fields(script, tracker):
    script.say(CREATE, Answer(400, refused("all wrong", issuetype="Specify a valid issue type")))
    with pytest.raises(TrackerRefused, match="all wrong; issuetype: Specify a valid issue type"):
        tracker.create(DRAFT)


def test_a_missing_permission_is_named(script, tracker):
    script.say(COMMENT, Answer(403, refused("You do not have the permission to comment on this issue.")))
    with pytest.raises(TrackerRefused, match=r"VM-1.*You do not have.*'Add Comments'"):
        tracker.comment("VM-1", "x")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(302, headers={"Location": "https://sso.example.com/login"}),
        Answer(200, b"<html>Please log in</html>", {"Content-Type": "text/html"}),
        Answer(200, [1, 2]),
        Answer(200, {"id": None}),
        Answer(201, "text"),
        Answer(400, ["not", "documented"]),
        Answer(400, b"\xff\xfe", {"Content-Type": "text/plain"}),
        Answer(404, {"timestamp": "2026", "status": 404, "error": "Not Found", "path": "/ex/jira/0/"}),
        Answer(418, {"errors": ["a", "list"], "errorMessages": "text"}),
    ],
)
def test_an_answer_that_is_not_jiras_is_an_error_in_our_words(script, tracker, answer):
    script.say(CREATE, answer)
    with pytest.raises((TrackerUnavailable, TrackerRefused), match="Jira"):
        tracker.create(DRAFT)
    assert len(script.calls(".*sso.*")) == 0


def test_a_created_ticket_whose_answer_is_spoilt_may_exist(script, tracker):
    script.say(CREATE, Answer(201, {"unexpected": 1}))
    with pytest.raises(TrackerUnavailable) as caught:
        tracker.create(DRAFT)
    assert caught.value.outcome_unknown


def test_a_redirect_is_not_followed_and_work_waits(script, tracker):
    script.say(COMMENT, Answer(302, headers={"Location": f"{script.url}/rest/api/2/myself"}))
    with pytest.raises(TrackerUnavailable, match="JIRA_URL"):
        tracker.comment("VM-1", "x")
    assert len(script.seen) == 1


@pytest.mark.parametrize("user", ["bot@example.com", ""])
def test_no_secret_is_in_any_error_even_if_the_server_echoes_it(script, settings, user):
    tracker = connect(replace(settings, user=user, webhook_secret=Secret("hook-secret")))()
    basic = b64encode(f"{user}:{TOKEN}".encode()).decode()
    script.say(COMMENT, Answer(400, refused(f"{TOKEN} {basic} hook-secret", field=TOKEN)))
    with pytest.raises(TrackerRefused) as caught:
        tracker.comment("VM-1", "x")
    shown = f"{caught.value} {caught.value!r} {vars(caught.value)} {settings} {tracker.client.site.settings!r}"
    assert "(hidden)" in shown
    assert TOKEN not in shown and basic not in shown and "hook-secret" not in shown


def test_hostile_words_stay_on_one_line_and_short(script, tracker):
    script.say(COMMENT, Answer(400, refused("a\n\x1b[31mred\u202e" + "x" * 100_000)))
    with pytest.raises(TrackerRefused) as caught:
        tracker.comment("VM-1", "x")
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value) and len(str(caught.value)) < 1500


def test_a_key_cannot_lead_to_another_address(script, tracker):
    script.say("GET .*", Answer(404, refused("no")), times=1)
    assert tracker.read(["VM-1/../../myself?x="]) == {}
    assert script.seen[0].path == "/rest/api/2/issue/VM-1%2F..%2F..%2Fmyself%3Fx%3D"


def test_a_file_over_the_limit_is_named_with_the_limit_on_both_flavours(script, tracker):
    for status in (413, 404):
        script.say(".*/attachments", Answer(status, refused("too large")))
        with pytest.raises(TrackerRefused, match=r"'big\.csv' \(2,000 bytes\)") as caught:
            tracker.attach("VM-1", [File("big.csv", b"x" * 2000, "text/csv"), File("tiny.csv", b"x", "text/csv")])
        assert "1,000 bytes" in str(caught.value) and "tiny" not in str(caught.value)


def test_a_missing_ticket_is_not_taken_for_a_file_that_is_too_large(script, tracker):
    script.say(".*/attachments", Answer(404, refused("Issue does not exist")))
    with pytest.raises(TicketGone):
        tracker.attach("VM-1", [File("small.csv", b"x", "text/csv")])


def test_sixty_files_are_one_call_and_more_are_two(script, tracker):
    made = [{"id": str(n), "filename": f"{n}.csv", "size": 1} for n in range(61)]
    script.say(".*/attachments", made[:60])
    script.say(".*/attachments", made[60:])
    files = [File(f"{n}.csv", b"x", "text/csv") for n in range(61)]
    assert [each.name for each in tracker.attach("VM-1", files)] == [each.name for each in files]
    assert len(script.calls(".*/attachments")) == 2


def test_a_large_file_may_take_longer_than_connecting(script, settings):
    tracker = connect(replace(settings, connect_timeout=0.1))()
    script.dawdle = 0.4
    script.say(".*/attachments", [{"id": "1", "filename": "a.csv", "size": 1}])
    assert tracker.attach("VM-1", [File("a.csv", bytes(20_000_000), "text/csv")])


def test_an_upload_that_is_not_answered_in_time_leaves_the_outcome_unknown(script, tracker):
    script.say(".*/attachments", Answer(hang=True))
    start = time.monotonic()
    with pytest.raises(TrackerUnavailable) as caught:
        tracker.attach("VM-1", [File("a.csv", b"x", "text/csv")])
    assert time.monotonic() - start < 5
    assert caught.value.outcome_unknown


def test_a_certificate_that_does_not_hold_means_that_nothing_happened(script, settings):
    with pytest.raises(TrackerUnavailable, match="REQUESTS_CA_BUNDLE") as caught:
        connect(replace(settings, url=script.url.replace("http:", "https:")))().comment("VM-1", "x")
    assert not caught.value.outcome_unknown


def test_a_forked_process_makes_its_own_connections(settings, monkeypatch):
    here = connect(settings)
    before = here()
    assert here() is before
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert here() is not before


def test_no_connection_is_made_before_the_first_call(settings):
    connect(replace(settings, url="http://jira.invalid"))()


@pytest.mark.parametrize("url", ["", "jira.example.com", "ftp://x", "https://u:pw@jira.example.com", "https://j/?a=b"])
def test_an_address_that_cannot_be_used_is_refused_without_showing_a_password(url):
    with pytest.raises(Exception, match="JIRA_URL") as caught:
        JiraSettings(url, Secret("t"))
    assert "pw" not in str(caught.value)
