"""Who may look and who may act: this machine, users with passwords and tokens, and whom a trusted proxy names."""

from __future__ import annotations

import base64
import hashlib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from vmjira.cli import main
from vmjira.domain.rulebook import Rulebook
from vmjira.errors import SettingsInvalid
from vmjira.settings import load_settings
from vmjira.web import create_app
from vmjira.web.gate import Failures, Gate
from vmjira.web.users import User, UserFile, password_line, read_users, token_line

ELSEWHERE, PROXY = "10.9.9.9", "192.0.2.1"
TOKEN = "t" * 43
LINES = f"""
# who may come in
jane:operator:{password_line("jane", "operator", "correct horse").split(":", 2)[2]}
vic:viewer:{password_line("vic", "viewer", "battery staple").split(":", 2)[2]}
robot:viewer:token${hashlib.sha256(TOKEN.encode()).hexdigest()}
"""


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "users"
    file.write_text(LINES)
    return file


def site(gate: Gate | None = None) -> Flask:
    """A server that shows who asks, and has nothing else to show."""

    def never() -> Any:
        raise AssertionError("nobody gets that far")

    app = create_app(never, Rulebook, browse_url="", gate=gate)
    app.add_url_rule("/who", "who", lambda: "{0.name} {0.role} {0.via}".format(_asking()))
    return app


def _asking() -> User:
    from flask import g

    user: User = g.user
    return user


def who(gate: Gate | None, headers: dict[str, str] | None = None, sender: str = "127.0.0.1", **further: Any) -> Any:
    return site(gate).test_client().get(
        "/who", headers=headers, environ_overrides={"REMOTE_ADDR": sender}, **further
    )  # fmt: skip


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


# --- without users: this machine only


@pytest.mark.parametrize("sender", ["127.0.0.1", "127.3.4.5", "::1", "::ffff:127.0.0.1"])
def test_without_users_this_machine_may_look_and_act(sender: str):
    assert who(None, sender=sender).text == "local operator loopback"


@pytest.mark.parametrize("sender", [ELSEWHERE, "::ffff:10.9.9.9", "2001:db8::1", ""])
def test_without_users_nobody_else_may(sender: str):
    answer = who(None, sender=sender)
    assert answer.status_code == 403 and "VMJIRA_USERS" in answer.text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host"])
def test_what_came_by_a_proxy_is_not_from_this_machine(header: str):
    assert who(None, {header: "127.0.0.1"}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example.com", "evil.example.com:8600", "127.0.0.1.evil.example.com", "["])
def test_a_name_that_was_bent_to_this_machine_is_refused(host: str):
    answer = who(None, {"Host": host})
    assert answer.status_code in (400, 403)
    assert who(None, {"Host": "[::1]:8600"}).status_code == 200


# --- users with passwords and tokens


def test_a_user_logs_in_by_password_or_token(users: Path):
    gate = Gate(users=UserFile(users))
    assert who(gate, basic("jane", "correct horse"), ELSEWHERE).text == "jane operator password"
    assert who(gate, basic("vic", "battery staple"), ELSEWHERE).text == "vic viewer password"
    assert who(gate, {"Authorization": f"Bearer {TOKEN}"}, ELSEWHERE).text == "robot viewer token"


@pytest.mark.parametrize(
    "headers",
    [
        {}, basic("jane", "wrong"), basic("nobody", "correct horse"), basic("robot", TOKEN), basic("jane", ""),
        {"Authorization": "Bearer x"}, {"Authorization": "Bearer"}, {"Authorization": "Digest a=b"},
        {"Authorization": "Basic !!!"}, {"Authorization": "Bearer " + hashlib.sha256(TOKEN.encode()).hexdigest()},
    ],
)  # fmt: skip
def test_nobody_else_comes_in_not_even_from_this_machine(users: Path, headers: dict[str, str]):
    answer = who(Gate(users=UserFile(users)), headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_a_user_who_is_removed_is_out_at_once_and_a_broken_file_lets_nobody_in(users: Path):
    client = site(Gate(users=UserFile(users))).test_client()
    jane = basic("jane", "correct horse")
    assert client.get("/who", headers=jane).status_code == 200
    users.write_text(LINES.replace("jane:", "june:"))
    assert client.get("/who", headers=jane).status_code == 401
    users.write_text(LINES + "oops\n")
    answer = client.get("/who", headers=jane)
    assert answer.status_code == 503 and "oops" not in answer.text
    users.write_text(LINES)
    assert client.get("/who", headers=jane).status_code == 200


def test_after_ten_failures_from_one_place_nobody_there_is_asked_for_a_while(users: Path):
    now = [0.0]
    gate = Gate(users=UserFile(users), failures=Failures(clock=lambda: now[0]))
    client, wrong = site(gate).test_client(), {"Authorization": "Bearer wrong"}
    there, other = {"REMOTE_ADDR": "2001:db8::1"}, {"REMOTE_ADDR": "2001:db8:1::1"}
    said = [client.get("/who", headers=wrong, environ_overrides=there).status_code for _ in range(11)]
    assert said == [401] * 10 + [429]
    same_64 = {"REMOTE_ADDR": "2001:db8::abcd"}
    answer = client.get("/who", headers=basic("jane", "correct horse"), environ_overrides=same_64)
    assert answer.status_code == 429 and 0 < int(answer.headers["Retry-After"]) <= 601
    assert client.get("/who", headers=basic("jane", "correct horse"), environ_overrides=other).status_code == 200
    now[0] = 601.0
    assert client.get("/who", headers=basic("jane", "correct horse"), environ_overrides=there).status_code == 200


def test_failures_count_where_they_come_from_not_at_the_proxy(users: Path):
    gate = Gate(users=UserFile(users), proxies=(ip_network(PROXY),))
    client = site(gate).test_client()

    def ask(source: str, headers: dict[str, str]) -> int:
        told = {**headers, "X-Forwarded-For": f"127.0.0.1, {source}"}
        return client.get("/who", headers=told, environ_overrides={"REMOTE_ADDR": PROXY}).status_code

    assert [ask("10.0.0.1", {"Authorization": "Bearer x"}) for _ in range(11)][-1] == 429
    assert ask("10.0.0.2", basic("jane", "correct horse")) == 200


def test_what_is_remembered_of_failures_has_an_end():
    failures = Failures(allowed=2)
    for number in range(10_050):
        failures.add(str(number))
    failures.add("10049")
    assert failures.wait("10049") and failures.wait("0") is None
    assert len(failures._seen) == 10_000


# --- a proxy that logs people in

HEADER = Gate(
    header="X-Forwarded-User", role_header="X-Forwarded-Groups", operators=frozenset({"jane", "soc"}),
    proxies=(ip_network(PROXY),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "seen"),
    [
        ({"X-Forwarded-User": "jane"}, "jane operator proxy"),
        ({"X-Forwarded-User": "vic@example.com"}, "vic@example.com viewer proxy"),
        ({"X-Forwarded-User": "vic", "X-Forwarded-Groups": "staff,soc"}, "vic operator proxy"),
        ({"X-Forwarded-User": "vic", "X-Forwarded-Groups": "vmjira-operator"}, "vic operator proxy"),
        ({"X-Forwarded-User": "vic", "X-Forwarded-Groups": "not-soc operators"}, "vic viewer proxy"),
    ],
)
def test_a_trusted_proxy_names_the_user_and_the_role(headers: dict[str, str], seen: str):
    assert who(HEADER, headers, PROXY).text == seen


@pytest.mark.parametrize("sender", [ELSEWHERE, "127.0.0.1"])
def test_whoever_is_not_the_proxy_may_not_name_users(sender: str):
    answer = who(HEADER, {"X-Forwarded-User": "jane"}, sender)
    assert answer.status_code == 403 and "VMJIRA_TRUSTED_PROXIES" in answer.text


@pytest.mark.parametrize(
    ("name", "status"), [("", 401), (" ", 401), ("jane, vic", 403), ("<b>", 403), ("a" * 101, 403)]
)
def test_a_proxy_that_names_nobody_lets_nobody_in(name: str, status: int):
    assert who(HEADER, {"X-Forwarded-User": name}, PROXY).status_code == status


def test_beside_a_proxy_programs_may_use_tokens(users: Path):
    gate = Gate(users=UserFile(users), header="X-Forwarded-User", proxies=(ip_network(PROXY),))
    assert who(gate, {"Authorization": f"Bearer {TOKEN}"}, ELSEWHERE).text == "robot viewer token"
    assert who(gate, {"X-Forwarded-User": "jane"}, ELSEWHERE).status_code == 401
    assert who(gate, {"X-Forwarded-User": "jane"}, PROXY).text == "jane viewer proxy"


# --- what the gate is in front of


def test_everything_but_health_and_style_is_behind_the_gate(users: Path):
    app = site(Gate(users=UserFile(users)))
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<kind>.csv", "own.csv")
        for part in rule.arguments:
            path = path.replace(f"<path:{part}>", "x").replace(f"<{part}>", "x")
        method = "GET" if "GET" in (rule.methods or ()) else "POST"
        if not path.startswith(("/static", "/healthz", "/readyz", "/metrics")):
            assert client.open(path, method=method).status_code == 401, path
    for path in ("/healthz", "/static/vmjira.css"):
        assert client.get(path).status_code == 200
    assert client.get("/nowhere").status_code == 401


def test_the_api_refuses_in_json(users: Path):
    answer = site(Gate(users=UserFile(users))).test_client().get("/api/tickets")
    assert answer.status_code == 401 and "Log in" in answer.json["error"]


# --- settings and the file


def test_settings_of_access_are_checked_together(tmp_path: Path):
    given = {
        "VMJIRA_TRUSTED_HEADER": "X User", "VMJIRA_TRUSTED_ROLE_HEADER": "Rôle", "VMJIRA_OPERATORS": "jane, joe",
    }  # fmt: skip
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(given, tmp_path / "none")
    assert str(caught.value).splitlines() == [
        "VMJIRA_TRUSTED_HEADER: 'X User' is no name of a header; e.g. X-Forwarded-User",
        "VMJIRA_TRUSTED_ROLE_HEADER: 'Rôle' is no name of a header; e.g. X-Forwarded-Groups",
        "VMJIRA_TRUSTED_HEADER: needs VMJIRA_TRUSTED_PROXIES, else anybody could send that header",
    ]
    with pytest.raises(SettingsInvalid, match="VMJIRA_OPERATORS: is of use only with"):
        load_settings({"VMJIRA_OPERATORS": "jane"}, tmp_path / "none")
    good = load_settings(
        {"VMJIRA_TRUSTED_HEADER": "X-User", "VMJIRA_TRUSTED_PROXIES": PROXY, "VMJIRA_OPERATORS": "jane, joe",
         "VMJIRA_USERS": "users"}, tmp_path / "none")  # fmt: skip
    assert good.operators == {"jane", "joe"} and good.users == Path("users")


def test_every_problem_of_the_file_is_told_and_no_hash(tmp_path: Path):
    file = tmp_path / "users"
    file.write_text("jane:boss:scrypt:secret\n a b:viewer:x\nvic:viewer:plaintext\n" + LINES + "vic:viewer:x\n")
    with pytest.raises(SettingsInvalid) as caught:
        read_users(file)
    said = str(caught.value)
    assert "users:1: 'boss' is no role; allowed are viewer, operator" in said
    assert "users:2: 'a b' is no name" in said and "users:3: what stands for 'vic' is no hash" in said
    assert "users:9: the user 'vic' stands there twice" in said
    assert "secret" not in said and "plaintext" not in said
    file.write_text("# nobody\n")
    with pytest.raises(SettingsInvalid, match="there are no users in it"):
        read_users(file)
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        read_users(tmp_path / "none")


def test_the_commands_write_lines_that_let_people_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    typed = "correct horse\ncorrect horse\n"
    line = run.invoke(main, ["users", "hash", "jane", "--role", "operator"], input=typed).stdout
    told = run.invoke(main, ["users", "token", "robot"])
    token = told.stderr.strip().splitlines()[-1]
    (tmp_path / "users").write_text(line + told.stdout)
    users = UserFile(tmp_path / "users")
    assert users.by_password("jane", "correct horse") == User("jane", "operator", "password")
    assert users.by_token(token) == User("robot", "viewer", "token")
    assert "correct horse" not in line and token not in told.stdout
    for wrong in (["users", "hash", "a:b"], ["users", "token", "<b>"]):
        assert run.invoke(main, wrong).exit_code == 1
    assert run.invoke(main, ["users", "hash", "jane"], input="short\nshort\n").exit_code == 1


def test_a_token_is_never_kept():
    token, line = token_line("robot", "viewer")
    assert token not in line and len(token) >= 43
