"""Who may send events, and that nobody else may."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.webhooks.conftest import BY_PATH, PATH_SECRET, SECRET, SIGNED, Server, event, signature
from vmjira.errors import SettingsInvalid
from vmjira.settings import Settings, load_settings
from vmjira.web.access import Refusal, check_signature


def test_jiras_own_example_of_a_signature_is_right():
    told = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    check_signature(SECRET, b"Hello World!", told)
    with pytest.raises(Refusal):
        check_signature(SECRET, b"Hello World?", told)


@pytest.mark.parametrize("method", ["sha256", "sha384", "sha512"])
def test_a_signature_may_be_made_by_any_safe_method(server: Server, method: str):
    body = event()
    assert server.post(body, {"X-Hub-Signature": signature(body, method=method)}).status_code == 200


@pytest.mark.parametrize(
    ("header", "status", "why"),
    [
        ("", 401, "X-Hub-Signature: is missing"),
        (signature(event(), method="sha1"), 401, "method 'sha1' is not taken; allowed are sha256, sha384, sha512"),
        (signature(event(), method="md5"), 401, "method 'md5'"),
        ("none=", 401, "method 'none'"),
        ("pbkdf2_hmac=00", 401, "is not taken"),
        (signature(event()).partition("=")[2], 401, "is not taken"),
        ("sha256=", 403, "is not that of the body"),
        ("sha256=00", 403, "is not that of the body"),
        ("sha256=ü", 403, "is not that of the body"),
        (signature(event(), secret="another"), 403, "is Jira's secret the same as JIRA_WEBHOOK_SECRET?"),
        (signature(event() + b" "), 403, "is not that of the body"),
    ],
)
def test_without_the_right_signature_nothing_is_kept(server: Server, header: str, status: int, why: str):
    answer = server.client.post("/webhooks/jira", data=event(), headers={"X-Hub-Signature": header} if header else {})
    assert answer.status_code == status
    assert why in answer.get_json()["error"]
    assert server.kept == server.queued == []


def test_the_secret_address_takes_unsigned_events_from_allowed_networks(serve: Callable[..., Server]):
    server = serve(**BY_PATH)
    assert server.post_to(PATH_SECRET, event(timestamp=1), "10.1.2.3").status_code == 200
    assert server.post_to(PATH_SECRET, event(timestamp=2), "::ffff:192.0.2.7").status_code == 200
    assert len(server.kept) == len(server.queued) == 2


@pytest.mark.parametrize(
    ("segment", "sender", "headers", "why"),
    [
        ("wrong", "10.1.2.3", {}, "the end of the address is not JIRA_WEBHOOK_PATH_SECRET"),
        (PATH_SECRET[:-1], "10.1.2.3", {}, "is not JIRA_WEBHOOK_PATH_SECRET"),
        (PATH_SECRET, "10.2.0.1", {}, "comes from 10.2.0.1, which is not in JIRA_WEBHOOK_NETWORKS"),
        (PATH_SECRET, "10.2.0.1", {"X-Forwarded-For": "10.1.2.3"}, "comes from 10.2.0.1"),
        (PATH_SECRET, "127.0.0.1", {}, "name it in VMJIRA_TRUSTED_PROXIES"),
        (PATH_SECRET, "", {}, "comes from an unknown address"),
    ],
)
def test_the_secret_address_takes_nothing_else(
    serve: Callable[..., Server], segment: str, sender: str, headers: dict[str, str], why: str
):
    server = serve(**BY_PATH)
    answer = server.post_to(segment, event(), sender, headers)
    assert answer.status_code == 403
    assert why in answer.get_json()["error"]
    assert server.kept == []


@pytest.mark.parametrize(
    ("way", "status"),
    [
        ("10.1.2.3", 200),
        ("10.1.2.3, 172.16.0.9", 200),
        ("10.1.2.3, 203.0.113.5", 403),  # whoever stands at 203.0.113.5 wrote the rest himself
        ("10.1.2.3, unknown", 403),
        ("", 403),
    ],
)
def test_behind_a_trusted_proxy_the_address_that_it_saw_counts(serve: Callable[..., Server], way: str, status: int):
    server = serve(**BY_PATH, VMJIRA_TRUSTED_PROXIES="172.16.0.0/24")
    assert server.post_to(PATH_SECRET, event(), "172.16.0.1", {"X-Forwarded-For": way}).status_code == status


def test_where_only_the_secret_address_is_set_up_the_plain_one_takes_nothing(serve: Callable[..., Server]):
    server = serve(**BY_PATH)
    assert server.client.post("/webhooks/jira", data=event()).status_code == 403
    assert server.kept == []


def test_where_jira_signs_there_is_no_secret_address(server: Server):
    assert server.post_to("anything", event(), "127.0.0.1").status_code == 403


@pytest.mark.parametrize(
    ("sender", "headers", "status"),
    [("127.0.0.1", {}, 200), ("10.1.2.3", {}, 403), ("127.0.0.1", {"X-Forwarded-For": "203.0.113.5"}, 403)],
)
def test_without_any_secret_only_this_machine_may_send(
    serve: Callable[..., Server], sender: str, headers: dict[str, str], status: int
):
    client = serve().client
    answer = client.post("/webhooks/jira", data=event(), headers=headers, environ_base={"REMOTE_ADDR": sender})
    assert answer.status_code == status


@pytest.mark.parametrize("listen", ["0.0.0.0:8600", "[::]:8600", "10.1.2.3:80", ":8600", "vmjira.example.com:8600"])
def test_an_open_endpoint_does_not_start(serve: Callable[..., Server], listen: str):
    with pytest.raises(SettingsInvalid) as refused:
        serve(VMJIRA_LISTEN=listen)
    assert f"JIRA_WEBHOOK_SECRET: is not set, and others can reach VMJIRA_LISTEN '{listen}'" in str(refused.value)


@pytest.mark.parametrize("environ", [SIGNED, BY_PATH])
def test_a_guarded_endpoint_may_listen_anywhere(serve: Callable[..., Server], environ: dict[str, str]):
    assert serve(VMJIRA_LISTEN="0.0.0.0:8600", **environ).client.get("/healthz").status_code == 200


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1"])
def test_on_loopback_no_secret_is_needed(listen: str):
    Settings(listen=listen).require_guarded_webhooks()


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"JIRA_WEBHOOK_PATH_SECRET": PATH_SECRET}, "one needs the other"),
        ({"JIRA_WEBHOOK_NETWORKS": "10.0.0.0/8"}, "one needs the other"),
        ({**BY_PATH, "JIRA_WEBHOOK_PATH_SECRET": "short"}, "20 to 200 letters, digits, '-' or '_'"),
        ({**BY_PATH, "JIRA_WEBHOOK_PATH_SECRET": "a/b" * 20}, "20 to 200 letters, digits, '-' or '_'"),
        ({**BY_PATH, "JIRA_WEBHOOK_NETWORKS": "10.1.2.3/16"}, "JIRA_WEBHOOK_NETWORKS: 10.1.2.3/16 has host bits set"),
        ({"VMJIRA_TRUSTED_PROXIES": "proxy"}, "VMJIRA_TRUSTED_PROXIES: 'proxy' does not appear to be"),
    ],
)
def test_settings_that_guard_nothing_are_refused(tmp_path, environ: dict[str, str], why: str):
    with pytest.raises(SettingsInvalid) as refused:
        load_settings(environ, dotenv=tmp_path / "none")
    assert why in str(refused.value)
    assert environ.get("JIRA_WEBHOOK_PATH_SECRET", "short") not in str(refused.value).replace("shorter", "")


def test_secrets_are_not_shown(tmp_path):
    settings = load_settings({**SIGNED, **BY_PATH}, dotenv=tmp_path / "none")
    assert settings.webhook_secret == SECRET
    assert SECRET not in repr(settings)
    assert PATH_SECRET not in repr(settings)
