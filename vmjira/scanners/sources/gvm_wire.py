"""The way to gvmd: TLS, SSH or a socket, with time-outs and limits, and answers that need not fit into memory.

python-gvm makes the commands and reads the small answers. It keeps every answer whole, as text and as a tree, which a
report of hundreds of megabytes must not be: `Wire.postponed` and `Wire.pieces` let such an answer go by piece by piece.
Its own TLS connection checks no certificate, and its SSH connection asks at the terminal, so both are ours here.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, unquote

import paramiko
from gvm.connections import GvmConnection, SSHConnection
from gvm.errors import GvmError, GvmResponseError, GvmServerError
from lxml import etree

from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.scanners.sources.gvm_answer import Answer
from vmjira.scanners.sources.options import Limits

BUFFER = 64 * 1024
GMP_PORT, SSH_PORT = 9390, 22
TRIES = "write tls://host:9390, ssh://user@host or unix:///run/gvmd/gvmd.sock"
SILENCES: Mapping[type[Exception], str] = {
    TimeoutError: "was silent for too long",
    ConnectionRefusedError: "nobody listens there; is gvmd running?",
    FileNotFoundError: "there is no such socket; is gvmd running?",
    socket.gaierror: "there is no such host; check url, and the name service",
}
Failures = (GvmError, OSError, etree.LxmlError, paramiko.SSHException, ValueError)


class HostKeyUnknown(GvmError):
    """The SSH server is not in the file of known hosts."""


class Stream:
    """A connection by a socket of Python, as python-gvm wants it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._socket: socket.socket | None = None

    def connect(self) -> None:
        self._socket = self.opened()
        self._socket.settimeout(self.limits.read)

    def opened(self) -> socket.socket:
        raise NotImplementedError

    def disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def send(self, data: bytes) -> None:
        self._connected().sendall(data)

    def read(self) -> bytes:
        return self._connected().recv(BUFFER)

    def finish_send(self) -> None:
        self._connected().shutdown(socket.SHUT_WR)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise GvmError("is not connected")
        return self._socket


class Tls(Stream):
    """Certificate and name are checked; only `verify: false` in the rules ends that."""

    def __init__(self, address: SplitResult, ca_file: str | None, *, verify: bool, limits: Limits) -> None:
        super().__init__(limits)
        self.host, self.port = address.hostname or "", address.port or GMP_PORT
        self.ca_file, self.verify = ca_file, verify

    def opened(self) -> socket.socket:
        context = ssl.create_default_context(cafile=self.ca_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection((self.host, self.port), timeout=self.limits.connect)
        try:
            return context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


class Local(Stream):
    """The socket of a gvmd on this machine."""

    def __init__(self, path: str, limits: Limits) -> None:
        super().__init__(limits)
        self.path = path

    def opened(self) -> socket.socket:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        found.settimeout(self.limits.connect)
        try:
            found.connect(self.path)
        except BaseException:
            found.close()
            raise
        return found


class Ssh(SSHConnection):
    """Only to hosts whose keys are known; `known_hosts` names the file, by default that of the user."""

    def __init__(self, address: SplitResult, password: str, known_hosts: str | None, limits: Limits) -> None:
        super().__init__(
            hostname=address.hostname, port=address.port or SSH_PORT, username=unquote(address.username or "gmp"),
            password=password, known_hosts_file=known_hosts, timeout=limits.connect,
            file=io.StringIO(), input=lambda: "no", exit=_unknown_host,
        )  # fmt: skip
        self.limits = limits

    def connect(self) -> None:
        super().connect()
        self._stdout.channel.settimeout(self.limits.read)  # python-gvm would wait for ever

    def read(self) -> bytes:
        return self._read()

    def disconnect(self) -> None:
        if self._client is not None:  # python-gvm's own fails where connecting had failed
            self._client.close()
        self._client = None


def _unknown_host(_: str) -> NoReturn:
    raise HostKeyUnknown("unknown host key")


def connection(
    address: SplitResult, *, ca_file: str | None, ssh_password: str, verify: bool, limits: Limits
) -> GvmConnection:
    """By the scheme of the address; ValueError, in words, if it is none of ours. Nothing connects yet."""
    if address.scheme == "tls" and address.hostname:
        return Tls(address, ca_file, verify=verify, limits=limits)
    if address.scheme == "ssh" and address.hostname:
        return Ssh(address, ssh_password, ca_file, limits)
    if address.scheme == "unix" and address.path.startswith("/") and not address.netloc:
        return Local(unquote(address.path), limits)
    raise ValueError(TRIES)


class Wire:
    """Between python-gvm and a connection: watches what comes, and lets go by what is too large to be kept."""

    def __init__(self, inner: GvmConnection, who: str, limits: Limits) -> None:
        self.inner, self.who, self.limits = inner, who, limits
        self._answer = Answer()
        self._deadline = 0.0
        self._postponed = False

    def connect(self) -> None:
        self.inner.connect()

    def disconnect(self) -> None:
        self.inner.disconnect()

    def finish_send(self) -> None:
        """We never do: the connection is for more than one command."""

    def send(self, data: bytes) -> None:
        self._answer, self._deadline = Answer(), time.monotonic() + 5 * self.limits.read
        self.inner.send(data)

    def read(self) -> bytes:
        if self._postponed:
            return b'<postponed status="200"/>'
        piece = self._take(self._answer)
        if self._answer.size > self.limits.answer:
            raise ScannerUnavailable(f"{self.who}: an answer has more than {self.limits.answer:,} bytes")
        if time.monotonic() > self._deadline:
            raise ScannerUnavailable(f"{self.who}: an answer does not come to its end")
        return piece

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """The command that is given meanwhile is sent, and its answer left for `pieces`."""
        self._postponed = True
        try:
            yield
        finally:
            self._postponed = False

    def pieces(self, answer: Answer) -> Iterator[bytes]:
        """The postponed answer, as it comes, until it is whole; `answer` looks at it. Raises ScannerErrors."""
        with in_our_words(self.who):
            while not answer.whole:
                yield self._take(answer)

    def _take(self, answer: Answer) -> bytes:
        piece = self.inner.read()
        if not piece:
            raise ScannerUnavailable(f"{self.who}: the connection broke off in the middle of an answer")
        answer.feed(piece)
        return piece


@contextmanager
def in_our_words(who: str, hidden: tuple[str, ...] = ()) -> Iterator[None]:
    """Every failure of the outside as a ScannerError, without the texts in `hidden`."""
    try:
        yield
    except ScannerError:
        raise
    except Failures as error:
        raise _ours(who, error, hidden) from error


def _ours(who: str, error: Exception, hidden: tuple[str, ...]) -> ScannerError:
    if isinstance(error, GvmResponseError | GvmServerError):
        return refused(who, error.status or "", error.message or "", hidden)
    if why := _needs_a_person(error):
        return ScannerRefused(f"{who}: {why}")
    return ScannerUnavailable(f"{who}: {_silence(error, hidden)}")


def _needs_a_person(error: Exception) -> str:
    """Why no later try will help; empty if one may. python-gvm hides what SSH said in the context."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); name its authority as ca_file"
    if isinstance(error, HostKeyUnknown):
        return "its host key is not known; get it by ssh-keyscan, compare it, and add it to known_hosts"
    if isinstance(error.__context__, paramiko.BadHostKeyException):
        return "has another host key than the known one; was it replaced, and by whom?"
    if isinstance(error.__context__, paramiko.AuthenticationException):
        return "refuses the login by SSH; check the user in url, and ssh_password"
    if isinstance(error, PermissionError):
        return "we may not use that socket; put our user into its group"
    return ""


def _silence(error: Exception, hidden: tuple[str, ...]) -> str:
    if isinstance(error, GvmError | OSError) and not str(error).startswith("Cannot parse"):
        said = next((text for kind, text in SILENCES.items() if isinstance(error, kind)), "")
        return said or f"the connection failed ({_short(str(error), hidden)})"
    return "answers something that is no GMP; is that the address of gvmd?"


def refused(who: str, status: str, said: str, hidden: tuple[str, ...] = ()) -> ScannerError:
    """What an answer with a status of 4xx or 5xx means. gvmd says 400 for much that is not our fault."""
    text = f"{who}: answers {status} {_short(said, hidden)}"
    if status.startswith("5") or "temporarily" in said.lower():
        return ScannerUnavailable(text)
    if "authentication failed" in said.lower():
        return ScannerRefused(f"{text}; check username and password in scanners.yaml")
    if status == "403" or "permission denied" in said.lower():
        return ScannerRefused(f"{text}; the account needs more rights, see the page on gvm in the documentation")
    return ScannerRefused(text)


def _short(text: str, hidden: tuple[str, ...]) -> str:
    for secret in hidden:
        text = text.replace(secret, "***")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:200]


def known_file(who: str, name: Any) -> str | None:
    """ScannerRefused if a file is named that is none."""
    if name and not Path(name).is_file():
        raise ScannerRefused(f"{who}: ca_file: there is no file '{name}'")
    return str(name) if name else None
