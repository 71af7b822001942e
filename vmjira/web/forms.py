"""Forms that only our own pages can send: a token bound to the user and to a cookie, and the sender's origin."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from flask import Response, g, request

from vmjira.flows.ports import Store
from vmjira.flows.rows import Mark
from vmjira.web.access import Networks, address_of, among
from vmjira.web.gate import Denied
from vmjira.web.users import User

COOKIE, FIELD = "vmjira_form", "form_token"
#: The mark that holds the key of all processes: whoever reads the database may do everything anyway.
MARK = "form key"


@dataclass(frozen=True)
class Forms:
    key: Callable[[], bytes]
    proxies: Networks = ()

    def token(self, user: User) -> str:
        """For a hidden field; the answer gets the cookie that it needs."""
        cookie = request.cookies.get(COOKIE, "")
        if len(cookie) < 40:
            cookie = g.setdefault("form_cookie", secrets.token_urlsafe(32))
        return self._seal(cookie, user)

    def check(self, user: User) -> None:
        """Denied unless one of our own pages sent this, to the same user."""
        self._check_origin()
        cookie, given = request.cookies.get(COOKIE, ""), request.form.get(FIELD, "")
        if not cookie or not hmac.compare_digest(self._seal(cookie, user).encode(), given.encode()):
            raise Denied(403, "This form is too old, or not ours. Go back, load the page again, and send it again.")

    def set_cookie(self, response: Response) -> None:
        if cookie := g.get("form_cookie"):
            secure = request.is_secure or self._forwarded("X-Forwarded-Proto") == "https"
            response.set_cookie(COOKIE, cookie, secure=secure, httponly=True, samesite="Strict")

    def _seal(self, cookie: str, user: User) -> str:
        return hmac.new(self.key(), f"{cookie}\0{user.via}\0{user.name}".encode(), "sha256").hexdigest()

    def _check_origin(self) -> None:
        site, origin = request.headers.get("Sec-Fetch-Site", "same-origin"), request.headers.get("Origin")
        ours = {request.host, self._forwarded("X-Forwarded-Host")} - {""}
        if site not in ("same-origin", "none") or (origin and urlsplit(origin).netloc not in ours):
            raise Denied(403, "Another site sent this. If a proxy stands between, let it pass the header Host on.")

    def _forwarded(self, name: str) -> str:
        sender = address_of(request.remote_addr or "")
        return request.headers.get(name, "") if sender and among(sender, self.proxies) else ""


def key_of(store: Callable[[], Store], now: Callable[[], datetime]) -> Callable[[], bytes]:
    """The key of all processes, made by whoever needs it first."""
    known: list[bytes] = []

    def key() -> bytes:
        if not known:
            with store().begin() as unit:
                mark = unit.mark(MARK)
                if mark is None:
                    mark = Mark(MARK, now(), {"key": secrets.token_hex(32)})
                    unit.put_mark(mark)
            known.append(bytes.fromhex(mark.details["key"]))
        return known[0]

    return key
