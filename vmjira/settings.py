"""Settings from the environment (or `.env`): read once, checked all at once, secrets hidden."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from vmjira.errors import SettingsInvalid

#: Every setting that the environment may give.
NAMES = (
    "VMJIRA_DATA", "VMJIRA_DATABASE_URL", "VMJIRA_RULES", "VMJIRA_LISTEN", "VMJIRA_LOG", "VMJIRA_METRICS",
    "VMJIRA_TRUSTED_PROXIES", "VMJIRA_UPLOAD_TOKENS", "VMJIRA_UPLOAD_LIMIT",
    "VMJIRA_USERS", "VMJIRA_OPERATORS", "VMJIRA_TRUSTED_HEADER", "VMJIRA_TRUSTED_ROLE_HEADER",
    "JIRA_URL", "JIRA_BROWSE_URL", "JIRA_USER", "JIRA_TOKEN", "JIRA_SEARCH_LAG",
    "JIRA_WEBHOOK_SECRET", "JIRA_WEBHOOK_PATH_SECRET", "JIRA_WEBHOOK_NETWORKS",
)  # fmt: skip
LOG_LEVELS = ("debug", "info", "warning", "error")
Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True)
class Settings:
    """What the environment says. Token and secrets are never shown."""

    data: str = "var"
    database_url: str = ""
    rules: Path = Path("rules")
    jira_url: str = ""
    jira_browse_url: str = ""
    jira_user: str = ""
    jira_token: str = field(default="", repr=False)
    webhook_secret: str = field(default="", repr=False)  # what Jira signs with
    webhook_path_secret: str = field(default="", repr=False)  # for a Jira that does not sign: the end of the address,
    webhook_networks: Networks = ()  # and where it may call from
    trusted_proxies: Networks = ()  # whose X-Forwarded-For is believed
    upload_tokens: Mapping[str, str] = field(default_factory=dict, repr=False)  # SHA-256 of a token → its name
    upload_limit: int = 2048 << 20  # bytes of one upload
    listen: str = "127.0.0.1:8600"
    log: str = "info"
    metrics: str = ""  # where a worker serves its metrics; empty: nowhere
    search_lag: float | None = None
    users: Path | None = None  # file of users with hashed passwords and tokens
    trusted_header: str = ""  # in which a trusted proxy names the user,
    trusted_role_header: str = ""  # and the user's roles or groups
    operators: frozenset[str] = frozenset()  # who may act, of those whom a proxy names
    #: Everything that environment and `.env` say: what `${NAMES}` of rule files stand for.
    environ: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def require_jira(self) -> None:
        """Raise SettingsInvalid unless a tracker is configured."""
        missing = [
            f"{name}: is not set; {what}"
            for name, value, what in [
                ("JIRA_URL", self.jira_url, "the address of your Jira, e.g. https://example.atlassian.net"),
                ("JIRA_TOKEN", self.jira_token, "an API token (Cloud, with JIRA_USER) or a personal access token"),
            ]
            if not value
        ]
        if missing:
            raise SettingsInvalid("\n".join([*missing, "put them into the environment or into a file .env"]))

    def require_guarded_webhooks(self) -> None:
        """Raise SettingsInvalid if anybody who reaches the server could send events."""
        if not (self.webhook_secret or self.webhook_path_secret or _loopback(self.listen.rpartition(":")[0])):
            raise SettingsInvalid(
                f"JIRA_WEBHOOK_SECRET: is not set, and others can reach VMJIRA_LISTEN '{self.listen}': anybody could "
                "send events; set it to a long random text and give that to Jira's webhook as its secret, or set "
                "JIRA_WEBHOOK_PATH_SECRET and JIRA_WEBHOOK_NETWORKS for a Jira that does not sign (before 10), "
                "or listen on 127.0.0.1"
            )


def load_settings(environ: Mapping[str, str] | None = None, dotenv: Path = Path(".env")) -> Settings:
    """Settings of the environment over those of `.env`; every problem in one SettingsInvalid."""
    given = {**{key: value or "" for key, value in dotenv_values(dotenv).items()}, **(environ or os.environ)}
    value = {key: text.strip() for key, text in given.items()}
    data = value.get("VMJIRA_DATA") or "var"
    problems: list[str] = []
    database = value.get("VMJIRA_DATABASE_URL", "")
    if not database and data.startswith("s3://"):
        problems.append(
            f"VMJIRA_DATABASE_URL: must be set when VMJIRA_DATA is '{data}'; e.g. postgresql+psycopg://user@host/vmjira"
        )
    if database and not database.startswith(("sqlite:///", "postgresql+psycopg://")):
        problems.append(
            f"VMJIRA_DATABASE_URL: '{database.split('://')[0]}://…' is not supported; "
            "allowed are sqlite:///FILE and postgresql+psycopg://USER@HOST/NAME"
        )
    for name in ("JIRA_URL", "JIRA_BROWSE_URL"):
        if (text := value.get(name, "")) and urlsplit(text).scheme not in ("http", "https"):
            problems.append(f"{name}: '{text}' is no address; it must begin with https:// (or http://)")
    log = (value.get("VMJIRA_LOG") or "info").lower()
    if log not in LOG_LEVELS:
        problems.append(f"VMJIRA_LOG: '{log}' is unknown; allowed are {', '.join(LOG_LEVELS)}")
    listen = value.get("VMJIRA_LISTEN") or "127.0.0.1:8600"
    if not listen.rpartition(":")[2].isdigit():
        problems.append(f"VMJIRA_LISTEN: '{listen}' has no port; e.g. 127.0.0.1:8600")
    metrics = value.get("VMJIRA_METRICS", "")
    if metrics and not metrics.rpartition(":")[2].isdigit():
        problems.append(f"VMJIRA_METRICS: '{metrics}' has no port; e.g. 127.0.0.1:8602")
    lag = value.get("JIRA_SEARCH_LAG", "")
    if lag and not lag.replace(".", "", 1).isdigit():
        problems.append(f"JIRA_SEARCH_LAG: '{lag}' is no number of seconds")
    tokens = _tokens(value.get("VMJIRA_UPLOAD_TOKENS", ""), problems)
    limit = value.get("VMJIRA_UPLOAD_LIMIT") or "2048"
    if not limit.isdigit() or not int(limit):
        problems.append(f"VMJIRA_UPLOAD_LIMIT: '{limit}' is no number of megabytes; e.g. 2048")
    path_secret, networks = value.get("JIRA_WEBHOOK_PATH_SECRET", ""), value.get("JIRA_WEBHOOK_NETWORKS", "")
    if path_secret and not re.fullmatch(r"[A-Za-z0-9_-]{20,200}", path_secret):
        problems.append(
            "JIRA_WEBHOOK_PATH_SECRET: must be 20 to 200 letters, digits, '-' or '_'; e.g. openssl rand -hex 32"
        )
    allowed = _networks("JIRA_WEBHOOK_NETWORKS", networks, problems)
    proxies = _networks("VMJIRA_TRUSTED_PROXIES", value.get("VMJIRA_TRUSTED_PROXIES", ""), problems)
    header, role_header = (value.get(f"VMJIRA_TRUSTED_{name}", "") for name in ("HEADER", "ROLE_HEADER"))
    operators = frozenset(value.get("VMJIRA_OPERATORS", "").replace(",", " ").split())
    problems += _header_problems(header, role_header, operators, proxies)
    if bool(path_secret) != bool(networks):
        problems.append("JIRA_WEBHOOK_PATH_SECRET and JIRA_WEBHOOK_NETWORKS: one needs the other; set both or none")
    if problems:
        raise SettingsInvalid("\n".join(problems))
    jira = value.get("JIRA_URL", "").rstrip("/")
    return Settings(
        data=data,
        database_url=database or f"sqlite:///{Path(data).resolve() / 'vmjira.db'}",
        rules=Path(value.get("VMJIRA_RULES") or "rules"),
        jira_url=jira,
        jira_browse_url=value.get("JIRA_BROWSE_URL", "").rstrip("/") or jira,
        jira_user=value.get("JIRA_USER", ""),
        jira_token=value.get("JIRA_TOKEN", ""),
        webhook_secret=value.get("JIRA_WEBHOOK_SECRET", ""),
        webhook_path_secret=path_secret,
        webhook_networks=allowed,
        trusted_proxies=proxies,
        upload_tokens=tokens,
        upload_limit=int(limit) << 20,
        listen=listen,
        log=log,
        metrics=metrics,
        search_lag=float(lag) if lag else None,
        users=Path(value["VMJIRA_USERS"]) if value.get("VMJIRA_USERS") else None,
        trusted_header=header,
        trusted_role_header=role_header,
        operators=operators,
        environ=given,
    )


def _header_problems(header: str, role_header: str, operators: frozenset[str], proxies: Networks) -> list[str]:
    problems = [
        f"VMJIRA_TRUSTED_{name}: '{text}' is no name of a header; e.g. X-Forwarded-{example}"
        for name, text, example in (("HEADER", header, "User"), ("ROLE_HEADER", role_header, "Groups"))
        if text and not re.fullmatch(r"[A-Za-z0-9-]{1,100}", text)
    ]
    if header and not proxies:
        problems.append("VMJIRA_TRUSTED_HEADER: needs VMJIRA_TRUSTED_PROXIES, else anybody could send that header")
    if not header and (role_header or operators):
        name = "VMJIRA_TRUSTED_ROLE_HEADER" if role_header else "VMJIRA_OPERATORS"
        problems.append(f"{name}: is of use only with VMJIRA_TRUSTED_HEADER; set that, or leave this empty")
    return problems


def _networks(name: str, text: str, problems: list[str]) -> Networks:
    """Networks separated by commas or blanks; what is none goes to `problems`."""
    found = []
    for each in text.replace(",", " ").split():
        try:
            found.append(ip_network(each))
        except ValueError as error:
            problems.append(f"{name}: {error}; write networks as 10.1.0.0/16, single addresses as 10.1.2.3")
    return tuple(found)


def _tokens(text: str, problems: list[str]) -> dict[str, str]:
    """Digests of tokens, separated by commas or blanks, each perhaps as `name:digest`. None is ever repeated."""
    found = {}
    for number, each in enumerate(text.replace(",", " ").split(), 1):
        name, _, digest = each.rpartition(":")
        if re.fullmatch(r"[0-9a-fA-F]{64}", digest) and re.fullmatch(r"[A-Za-z0-9._-]{0,40}", name):
            found[digest.lower()] = name or f"token {number}"
        else:
            problems.append(
                f"VMJIRA_UPLOAD_TOKENS: entry {number} is no SHA-256 in hex (64 digits), perhaps with a name before it "
                "as in ci:<digest>; make one with printf %s TOKEN | sha256sum, and never put the token itself there"
            )
    return found


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
