"""Who calls: API tokens over Basic on Cloud, personal access tokens as Bearer on a Data Center."""

from __future__ import annotations

import hmac

from flask import Request

from vmjira.sandbox.config import Config, User

BASIC_ENDED = 11  # "Basic auth is disabled in Jira 11"


def caller(request: Request, config: Config) -> User | None:
    """The person of the request's credentials; None without any, or with wrong ones."""
    credentials = request.authorization
    if credentials is None:
        return None
    if credentials.type == "bearer" and not config.cloud:
        return _owner(credentials.token or "", config)
    if credentials.type == "basic" and (config.cloud or config.version_numbers[0] < BASIC_ENDED):
        user = _named(credentials.username or "", config)
        return user if user and user == _owner(credentials.password or "", config) else None
    return None


def _owner(token: str, config: Config) -> User | None:
    for name, known in config.tokens.items():
        if hmac.compare_digest(token.encode(), known.encode()):
            user = config.user(name)
            return user if user and user.active else None
    return None


def _named(name: str, config: Config) -> User | None:
    return next((user for user in config.users if name and name in {user.name, user.email}), None)
