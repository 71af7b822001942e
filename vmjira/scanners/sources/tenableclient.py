"""pyTenable, used over our own session.

The session raises ScannerErrors before pyTenable sees a failure, so its retries (of launches too), its logs of bodies
and its waits never come into play. What it asks of the environment is given to it, or kept from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import requests
from marshmallow import EXCLUDE, Schema, ValidationError, fields
from tenable.base.platform import APIPlatform
from tenable.errors import APIError, RestflyException

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.scanners.sources.http import Session, own_words

Client = TypeVar("Client", bound=APIPlatform)
Loaded = dict[str, Any]


class Answer(Schema):
    """What we need of an answer; scanners may say more."""

    class Meta:
        unknown = EXCLUDE


class Word(fields.String):
    """A text, of which some versions make a number."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        return super()._deserialize(text, attr, data, **kwargs)


def credentials(scanner: Scanner, options: Mapping[str, Any], *, keys_only: bool = False) -> dict[str, str]:
    """Keys, else user and password; ScannerRefused if neither is whole."""
    for names in (("access_key", "secret_key"), ("username", "password")):
        given = {name: str(options[name]) for name in names if options.get(name)}
        if len(given) == 2:
            if "username" in given and keys_only:
                break
            return given
    either = "" if keys_only else ", or username and password"
    raise ScannerRefused(f"{scanner.id}: access_key and secret_key{either} must be in scanners.yaml, as ${{NAME}}")


@contextmanager
def client(kind: type[Client], session: Session, given: Mapping[str, str]) -> Iterator[Client]:
    """Logged in; logged out at the end, since scanners limit how many sessions there may be."""
    mechanism = "key" if "access_key" in given else "session"
    # Not what the environment may hold besides: the library would prefer it.
    only: Any = type("Client", (kind,), {"_allowed_auth_mech_priority": [mechanism]})
    with understood(session):
        api = only(url=session.url, session=session, retries=0, ssl_verify=True, **given)
        try:
            yield api
        finally:
            with suppress(ScannerError, RestflyException, requests.RequestException, KeyError):
                api._deauthenticate()


@contextmanager
def understood(session: Session) -> Iterator[None]:
    """Whatever pyTenable makes of an answer that it does not understand is ScannerUnavailable."""
    try:
        yield
    except APIError as error:  # Security Center says no with status 200
        raise ScannerUnavailable(f"{session.who}: answers: {session.masked(own_words(error.response))}") from error
    except (RestflyException, requests.RequestException, ValueError, KeyError, AttributeError, TypeError) as error:
        raise session.unexpected(f"answers something that is not understood ({type(error).__name__})") from error


def ask(session: Session, api: APIPlatform, path: str, schema: Schema, **params: Any) -> Loaded:
    """The answer to a GET, in the shape that is expected; else ScannerUnavailable."""
    return shaped(session, api.get(path, params=params, box=False, conv_json=False), schema)


def shaped(session: Session, response: Any, schema: Schema) -> Loaded:
    content = session.document(response)
    try:
        loaded: Loaded = schema.load(content)
    except ValidationError as error:
        raise session.unexpected(f"answers something unexpected: {error.messages}") from error
    return loaded
