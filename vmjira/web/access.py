"""Who may send webhooks: a Jira that signs them, or one that knows a secret address and calls from a known network."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from werkzeug.datastructures import Headers

#: WebSub names more methods; what is not in here can be forged, or nobody uses it.
METHODS = ("sha256", "sha384", "sha512")
SIGNATURE = "X-Hub-Signature"
FORWARDED = "X-Forwarded-For"
Networks = tuple[IPv4Network | IPv6Network, ...]


class Refusal(Exception):
    """A delivery that is not taken: the status to answer with, and why in words that give no secret away."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


@dataclass(frozen=True)
class Access:
    """Without any secret only this machine itself may send."""

    secret: str = field(default="", repr=False)
    path_secret: str = field(default="", repr=False)
    networks: Networks = ()
    proxies: Networks = ()

    def check(self, body: bytes, headers: Headers, sender: str | None) -> None:
        """Refusal unless the body is signed as it should be."""
        if self.secret:
            return check_signature(self.secret, body, headers.get(SIGNATURE, ""))
        if self.path_secret:
            raise Refusal(403, "events are taken only at the address that ends in JIRA_WEBHOOK_PATH_SECRET")
        source = address_of(sender or "")
        if source is None or not source.is_loopback or FORWARDED in headers:
            raise Refusal(403, "events from other machines need JIRA_WEBHOOK_SECRET")
        return None

    def check_path(self, segment: str, headers: Headers, sender: str | None) -> None:
        """Refusal unless the end of the address is the secret one, and the call comes from an allowed network."""
        if not self.path_secret or not hmac.compare_digest(segment.encode(), self.path_secret.encode()):
            raise Refusal(403, "the end of the address is not JIRA_WEBHOOK_PATH_SECRET")
        source = source_of(headers, sender, self.proxies)
        if source is None or not among(source, self.networks):
            raise Refusal(
                403,
                f"the call comes from {source or 'an unknown address'}, which is not in JIRA_WEBHOOK_NETWORKS; "
                "if that is a proxy of yours, name it in VMJIRA_TRUSTED_PROXIES",
            )


def source_of(headers: Headers, sender: str | None, proxies: Networks) -> IPv4Address | IPv6Address | None:
    """The last address on the way to us that is no trusted proxy: anybody may have written what stands before."""
    way = [*headers.get(FORWARDED, "").split(","), sender or ""]
    while source := address_of(way.pop()):
        if not way or not among(source, proxies):
            return source
    return None


def check_signature(secret: str, body: bytes, signature: str) -> None:
    """Refusal unless `signature`, `method=hex`, is that of the body (WebSub, part 7)."""
    method, _, given = signature.partition("=")
    if not signature:
        raise Refusal(401, f"{SIGNATURE}: is missing; give the webhook in Jira the secret JIRA_WEBHOOK_SECRET")
    if method not in METHODS:
        raise Refusal(401, f"{SIGNATURE}: method {method[:20]!r} is not taken; allowed are {', '.join(METHODS)}")
    expected = hmac.new(secret.encode(), body, method).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.lower().encode()):
        raise Refusal(403, f"{SIGNATURE}: is not that of the body; is Jira's secret the same as JIRA_WEBHOOK_SECRET?")


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def among(address: IPv4Address | IPv6Address, networks: Networks) -> bool:
    return any(address in network for network in networks)
