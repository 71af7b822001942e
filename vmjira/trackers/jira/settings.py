"""Where Jira is and who we are there; given by bootstrap, never read from the environment here."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from vmjira.errors import SettingsInvalid


class Secret:
    """Text that never shows itself; only `reveal` gives it."""

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(hidden)"


@dataclass(frozen=True)
class JiraSettings:
    """`url` is where calls go (perhaps the gateway), `browse_url` where people go. With `user` Basic, else Bearer."""

    url: str
    token: Secret
    user: str = ""
    browse_url: str = ""
    webhook_secret: Secret = field(default_factory=Secret)
    connect_timeout: float = 3.05
    read_timeout: float = 30.0
    patience: float = 10.0  # seconds that a call may wait for a limit of Jira's before it gives up
    search_lag: float | None = None  # None: by flavour

    def __post_init__(self) -> None:
        problems = [*_problems("JIRA_URL", self.url), *(_problems("JIRA_BROWSE_URL", self.browse_url or self.url))]
        if not self.token:
            problems.append("JIRA_TOKEN: missing; make an API token (Cloud) or a personal access token (Data Center)")
        if problems:
            raise SettingsInvalid("\n".join(dict.fromkeys(problems)))

    def issue_url(self, key: str) -> str:
        return f"{(self.browse_url or self.url).rstrip('/')}/browse/{key}"

    def redact(self, text: str) -> str:
        """`text` without any of our secrets, whoever wrote it."""
        token = self.token.reveal()
        basic = b64encode(f"{self.user}:{token}".encode()).decode()
        for secret in (basic, token, self.webhook_secret.reveal()):
            if secret:
                text = text.replace(secret, "(hidden)")
        return text


def _problems(name: str, url: str) -> list[str]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return [f"{name}: {_without_user(url)!r} is no address; give one like 'https://example.atlassian.net'"]
    if parts.username or parts.password:
        return [f"{name}: must not hold credentials; give them as JIRA_USER and JIRA_TOKEN"]
    if parts.query or parts.fragment:
        return [f"{name}: {url!r} must end before '?' and '#'"]
    return []


def _without_user(url: str) -> str:
    return url.rpartition("@")[2]
