"""Who may look and who may act: a file of users with hashed passwords and tokens, one a line.

    # name:role:hash
    jane:operator:scrypt:32768:8:1$…
    dashboard:viewer:token$…

Roles: `viewer` looks, `operator` also retries, drops and releases. `vmjira users hash` writes such a line.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from werkzeug.security import check_password_hash, generate_password_hash

from vmjira.errors import SettingsInvalid

Role = Literal["viewer", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)
NAME = re.compile(r"[\w.@+-]{1,100}")
_PASSWORD = re.compile(r"(scrypt:\d+:\d+:\d+|pbkdf2:sha\d+:\d+)\$[^$]+\$[0-9a-f]+")
_TOKEN = re.compile(r"token\$([0-9a-f]{64})")
#: Seconds for which a password that was right need not be computed again: that takes a twentieth of a second.
REMEMBERED = 300.0
LARGEST = 1_000_000


@dataclass(frozen=True)
class User:
    name: str
    role: Role
    via: str  # password, token, proxy, loopback

    @property
    def may_act(self) -> bool:
        return self.role == "operator"


@dataclass(frozen=True)
class Users:
    """The users of a file as it was read."""

    passwords: Mapping[str, tuple[Role, str]] = field(default_factory=dict)  # name → role, hash
    tokens: Mapping[str, User] = field(default_factory=dict)  # SHA-256 of the token → user


def password_line(name: str, role: Role, password: str) -> str:
    return f"{name}:{role}:{generate_password_hash(password)}"


def token_line(name: str, role: Role) -> tuple[str, str]:
    """A new token, and the line that lets it in. A token is long and random, so its hash need not be slow."""
    token = secrets.token_urlsafe(32)
    return token, f"{name}:{role}:token${_digest(token)}"


def read_users(path: Path) -> Users:
    """SettingsInvalid with every problem of the file; no hash is ever shown."""
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(LARGEST)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsInvalid(f"VMJIRA_USERS: '{path}' cannot be read: {why}") from error
    problems: list[str] = []
    passwords: dict[str, tuple[Role, str]] = {}
    tokens: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        role, _, hashed = rest.partition(":")
        if problem := _wrong(name, role, hashed, {*passwords, *(user.name for user in tokens.values())}):
            problems.append(f"{path}:{number}: {problem}")
        elif token := _TOKEN.fullmatch(hashed):
            tokens[token[1]] = User(name, _role(role), "token")
        else:
            passwords[name] = _role(role), hashed
    if not passwords and not tokens and not problems:
        problems.append(f"{path}:1: there are no users in it; `vmjira users hash` writes a line")
    if problems:
        raise SettingsInvalid("\n".join(problems))
    return Users(passwords, tokens)


def _wrong(name: str, role: str, hashed: str, known: set[str]) -> str:
    if not NAME.fullmatch(name):
        return f"'{name[:40]}' is no name of a user; allowed are letters, digits and . @ + - _"
    if name in known:
        return f"the user '{name}' stands there twice"
    if role not in ROLES:
        return f"'{role[:40]}' is no role; allowed are {', '.join(ROLES)}; a line is name:role:hash"
    if not (_PASSWORD.fullmatch(hashed) or _TOKEN.fullmatch(hashed)):
        return f"what stands for '{name}' is no hash; `vmjira users hash` writes one"
    return ""


def _role(text: str) -> Role:
    return "operator" if text == "operator" else "viewer"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class UserFile:
    """The users of a file as it is now: read again whenever it has changed. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._users = Users()
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, float] = {}  # what was right before, and until when that is remembered

    def users(self) -> Users:
        """SettingsInvalid as long as the file has a problem: better nobody comes in than somebody who was removed."""
        with self._lock:
            stamp = self._now()
            if stamp is None or stamp != self._stamp:
                self._right.clear()
                self._stamp = None
                self._users = read_users(self._path)
                self._stamp = stamp
            return self._users

    def by_token(self, token: str) -> User | None:
        return self.users().tokens.get(_digest(token))

    def by_password(self, name: str, password: str) -> User | None:
        """Takes as long for names that do not exist as for wrong passwords."""
        role, hashed = self.users().passwords.get(name, ("viewer", _NOBODY))
        seal = hmac.digest(self._key, f"{name}\0{hashed}\0{password}".encode(), "sha256")
        if self._right.get(seal, 0.0) > time.monotonic():
            return User(name, role, "password")
        with _ONE_AT_A_TIME:  # each takes 32 MB
            if not check_password_hash(hashed, password):
                return None
        with self._lock:
            now = time.monotonic()
            self._right = {each: until for each, until in self._right.items() if until > now}
            self._right[seal] = now + REMEMBERED
        return User(name, role, "password")

    def _now(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


#: A hash that no password has, as slow as real ones.
_NOBODY = f"scrypt:32768:8:1${secrets.token_hex(8)}${'0' * 128}"
_ONE_AT_A_TIME = threading.Semaphore(2)
