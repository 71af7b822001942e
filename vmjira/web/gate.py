"""Who is asking: by password or token of the users' file, by a header of a trusted proxy, or from this machine."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

import structlog
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.wrappers import Request

from vmjira.errors import SettingsInvalid
from vmjira.web.access import Networks, address_of, among, source_of
from vmjira.web.users import NAME, Role, User, UserFile

#: Headers that a proxy adds: a call with one of them does not come from this machine, whatever its address says.
PROXY_HEADERS = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host")
log = structlog.get_logger(__name__)


class Denied(Exception):
    """Who asks may not: the status to answer with, and why in words that give no secret away."""

    def __init__(self, status: int, why: str, *, challenge: bool = False, wait: int | None = None) -> None:
        super().__init__(why)
        self.status, self.why, self.wait = status, why, wait
        self.challenge = WWWAuthenticate("basic", {"realm": "vmjira", "charset": "UTF-8"}) if challenge else None


class Failures:
    """How often logging in failed from where; forgotten after `window` seconds. In this process only."""

    def __init__(self, allowed: int = 10, window: float = 600.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed, self._window, self._clock = allowed, window, clock
        self._seen: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, where: str) -> int | None:
        """Seconds until another try is looked at; None: now."""
        with self._lock:
            times = self._recent(where)
            return int(times[0] + self._window - self._clock()) + 1 if len(times) >= self._allowed else None

    def add(self, where: str) -> None:
        with self._lock:
            times = self._recent(where)
            self._seen[where] = [*times, self._clock()]
            self._seen.move_to_end(where)
            while len(self._seen) > 10_000:
                self._seen.popitem(last=False)

    def _recent(self, where: str) -> list[float]:
        since = self._clock() - self._window
        return [at for at in self._seen.get(where, []) if at > since]


@dataclass(frozen=True)
class Gate:
    """Without users and without a trusted header, only this machine itself may look, and it may act."""

    users: UserFile | None = None
    header: str = ""  # in which a trusted proxy names the user
    role_header: str = ""  # in which it names the user's roles or groups
    operators: frozenset[str] = frozenset()  # names (or, with `role_header`, groups) that may act
    proxies: Networks = ()
    failures: Failures = field(default_factory=Failures)

    def user(self, request: Request) -> User:
        """Who asks; Denied if nobody that may."""
        if self.users and (given := request.authorization):
            return self._by_login(self.users, request, given.type, given)
        if self.header:
            return self._by_header(request)
        if self.users:
            raise Denied(401, "Log in with your name and password, or send a token.", challenge=True)
        return _local(request)

    def _by_login(self, users: UserFile, request: Request, kind: str, given: object) -> User:
        where = _where(source_of(request.headers, request.remote_addr, self.proxies))
        if wait := self.failures.wait(where):
            raise Denied(429, f"Too many failed log-ins from {where}. Try again in {wait} seconds.", wait=wait)
        try:
            user = _known(users, kind, given)
        except SettingsInvalid as error:
            log.error("the users' file cannot be used", why=str(error))
            raise Denied(503, "The file of users has a problem; the log of the server says which.") from None
        if user is None:
            self.failures.add(where)
            log.warning("login failed", kind=kind, where=where)
            raise Denied(401, "Name, password or token is wrong.", challenge=True)
        return user

    def _by_header(self, request: Request) -> User:
        name = request.headers.get(self.header, "").strip()
        sender = address_of(request.remote_addr or "")
        trusted = sender is not None and among(sender, self.proxies)
        if not trusted and not self.users:
            raise Denied(403, "Come by way of the proxy that knows who you are: this address is not that of a proxy in "
                              "VMJIRA_TRUSTED_PROXIES.")  # fmt: skip
        if not trusted or not name:
            raise Denied(401, "Nobody said who you are: log in at the proxy.", challenge=self.users is not None)
        if not NAME.fullmatch(name):
            raise Denied(403, "The proxy gave a name that is none; allowed are letters, digits and . @ + - _")
        return User(name, self._role(request, name), "proxy")

    def _role(self, request: Request, name: str) -> Role:
        groups = re.split(r"[\s,;]+", request.headers.get(self.role_header, "")) if self.role_header else []
        acting = self.operators | ({"operator", "vmjira-operator"} if self.role_header else frozenset())
        return "operator" if acting & {name, *groups} else "viewer"


def _known(users: UserFile, kind: str, given: object) -> User | None:
    if kind == "bearer":
        return users.by_token(getattr(given, "token", None) or "")
    if kind == "basic":
        name, password = getattr(given, "username", None) or "", getattr(given, "password", None) or ""
        return users.by_password(name, password)
    return None


def _local(request: Request) -> User:
    sender = address_of(request.remote_addr or "")
    forwarded = any(name in request.headers for name in PROXY_HEADERS)
    if sender is None or not sender.is_loopback or forwarded:
        raise Denied(403, "Only this machine itself may look, because no users are set up. Name a file of users in "
                          "VMJIRA_USERS, or a proxy that logs people in: docs/access.md.")  # fmt: skip
    if not _names_this_machine(request.host):  # a page elsewhere whose name was bent to our address
        raise Denied(403, f"'{request.host[:100]}' is not this machine's own name; use 127.0.0.1 or localhost.")
    return User("local", "operator", "loopback")


def _names_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _where(source: IPv4Address | IPv6Address | None) -> str:
    """Whoever has one address of a /64 has them all."""
    if isinstance(source, IPv6Address):
        return str(ip_network((source, 64), strict=False))
    return str(source)
