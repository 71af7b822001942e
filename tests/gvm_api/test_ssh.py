"""GMP through a real SSH server, as Greenbone's appliances offer it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import paramiko
import pytest

from tests.gvm_api.conftest import IMPATIENT
from tests.gvm_api.gmp_server import Conversation, Gvmd, Report, result
from vmjira.errors import ScannerRefused, ScannerUnavailable
from vmjira.scanners.sources.gvm import Gvm


class Shell(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        good = (username, password) == ("gmp", "ssh-opens")
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        return True


@pytest.fixture(scope="session")
def key() -> paramiko.PKey:
    return paramiko.RSAKey.generate(2048)


@pytest.fixture
def ssh_port(gvmd: Gvmd, key: paramiko.PKey) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    made: list[paramiko.Transport] = []

    def hold() -> None:
        while True:
            try:
                line, _ = listener.accept()
                transport = paramiko.Transport(line)
                transport.add_server_key(key)
                made.append(transport)
                transport.start_server(server=Shell())
                threading.Thread(target=talk, args=(transport,), daemon=True).start()
            except (OSError, paramiko.SSHException, EOFError):
                if listener.fileno() < 0:
                    return

    def talk(transport: paramiko.Transport) -> None:
        channel = transport.accept(5)
        if channel is not None:
            with suppress(EOFError, OSError):  # the other side may be gone already
                Conversation(gvmd, channel.recv, channel.sendall).hold()
                channel.close()

    threading.Thread(target=hold, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()
    for transport in made:
        transport.close()


@pytest.fixture
def known(ssh_port: int, key: paramiko.PKey, tmp_path: Path) -> Path:
    file = tmp_path / "known_hosts"
    file.write_text(f"[localhost]:{ssh_port} {key.get_name()} {key.get_base64()}\n")
    return file


@pytest.fixture
def ssh(source, ssh_port: int, known: Path, monkeypatch: pytest.MonkeyPatch):
    def configured(known_hosts: Path = known, password: str = "ssh-opens") -> Gvm:
        return source(url=f"ssh://gmp@localhost:{ssh_port}", ca_file=str(known_hosts), ssh_password=password)

    return configured


def test_a_report_comes_through_ssh(gvmd, ssh, tmp_path):
    gvmd.scans("Weekly", "10.1.2.0/24", Report("", hosts={"10.1.2.3": ""}, results=[result("10.1.2.3")]))
    (offered,) = ssh().listing().scans
    assert ssh().download(offered, tmp_path, lambda done, total: None).stat().st_size > 1000


def test_an_unknown_host_key_is_refused_and_nobody_is_asked(ssh, tmp_path):
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(ScannerRefused, match="its host key is not known; get it by ssh-keyscan"):
        ssh(empty).listing()
    assert empty.read_text() == ""


def test_another_host_key_than_the_known_one_is_refused(ssh, ssh_port, tmp_path):
    other, file = paramiko.RSAKey.generate(2048), tmp_path / "other"
    file.write_text(f"[localhost]:{ssh_port} {other.get_name()} {other.get_base64()}\n")
    with pytest.raises(ScannerRefused, match="has another host key than the known one"):
        ssh(file).listing()


def test_a_wrong_ssh_password_is_refused_without_being_repeated(ssh):
    with pytest.raises(ScannerRefused, match="refuses the login by SSH") as told:
        ssh(password="not-this-one").listing()
    assert "not-this-one" not in str(told.value)


def test_silence_over_ssh_ends_too(gvmd, ssh):
    held = threading.Event()

    def silence(conversation: Conversation) -> bool:
        held.wait(5)
        return False

    gvmd.faults["get_tasks"] = silence
    gvm = ssh()
    gvm.limits = IMPATIENT
    with pytest.raises(ScannerUnavailable, match="was silent for too long"):
        gvm.listing()
    held.set()
