"""The bytes of a catalogue, from a file or over https, unpacked; everything about them has a limit."""

from __future__ import annotations

import gzip
import io
import re
import time
import zlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
from urllib3.exceptions import HTTPError

from vmjira.errors import CatalogueUnreadable

#: Both catalogues are ten times smaller.
PACKED, UNPACKED = 32 << 20, 128 << 20
#: Seconds to connect, between two pieces, and for all of it.
CONNECT, SILENCE, ALTOGETHER = 10.0, 30.0, 300.0
REDIRECTS = 5
_PIECE = 64 << 10
_GZIP = b"\x1f\x8b"
_LAYERS = 2  # a .gz that a server packs again on its way


def content(source: str) -> bytes:
    """What lies at an https address or a path. CatalogueUnreadable if it cannot be had whole, or is too large."""
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=://)", source)
    kind = scheme[0].lower() if scheme else "file"
    if kind == "https":
        packed = _fetched(source)
    elif kind == "file":
        packed = _read(Path(unquote(urlsplit(source).path) if scheme else source))
    else:
        raise _refused(source, f"'{kind}://' is not possible; give an https address or the path of a file")
    for _ in range(_LAYERS):
        if packed.startswith(_GZIP):
            packed = _unpacked(source, packed)
    if not packed.strip():
        raise _refused(source, "is empty; fetch or copy it again")
    return packed


def shown(source: str) -> str:
    """The source without what may be a secret: user, password, query."""
    if not source.lower().startswith("https://"):
        return source
    parts = urlsplit(source)
    return f"https://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _refused(source: str, why: str) -> CatalogueUnreadable:
    return CatalogueUnreadable(f"{shown(source)}: {why}")


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            why = "is no plain file" if path.exists() else "is not there"
            raise _refused(str(path), f"{why}; give the path of the file as the publisher offers it")
        with path.open("rb") as file:
            found = file.read(PACKED + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _refused(str(path), f"cannot be read ({reason}); check the path and its rights") from error
    if len(found) > PACKED:
        raise _refused(str(path), f"has more than {PACKED:,} bytes, which no such catalogue has; check the path")
    return found


def _fetched(source: str) -> bytes:
    """Certificates are always checked; proxies and further authorities come from the usual environment."""
    ends = time.monotonic() + ALTOGETHER
    with requests.Session() as session:
        session.adapters.pop("http://")  # so that a redirect cannot leave https
        session.max_redirects = REDIRECTS
        session.headers["Accept-Encoding"] = "identity"
        try:
            with session.get(source, stream=True, timeout=(CONNECT, SILENCE)) as response:
                if response.status_code != requests.codes.ok:
                    raise _refused(source, f"the server answers {response.status_code}; check the address")
                if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", "gzip", "x-gzip"):
                    raise _refused(source, "is packed in a way that was not asked for; fetch it by hand, give the file")
                return _pieces(source, response, ends)
        except requests.exceptions.InvalidSchema as error:
            raise _refused(source, "leads to an address that is not https; give the one it leads to") from error
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            why = _why(error)
            raise _refused(source, f"cannot be fetched: {why}; the last good one stays, try again later") from error


def _pieces(source: str, response: requests.Response, ends: float) -> bytes:
    found = bytearray()
    while piece := response.raw.read1(_PIECE, decode_content=False):
        found += piece
        if len(found) > PACKED:
            raise _refused(source, f"sends more than {PACKED:,} bytes, which no such catalogue has; check the address")
        if time.monotonic() > ends:
            raise _refused(source, f"takes more than {ALTOGETHER:.0f} seconds; fetch it by hand and give the file")
    return bytes(found)


def _why(error: Exception) -> str:
    """The kind of trouble; the library's own words may hold the whole address."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted (a further authority: REQUESTS_CA_BUNDLE=file)"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy (HTTPS_PROXY) does not let us through"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return f"it leads on more than {REDIRECTS} times"
    return "no connection, or it broke off"


def _unpacked(source: str, packed: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            found = file.read(UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(source, f"the packed file is damaged or incomplete ({error}); fetch or copy it again") from error
    if len(found) > UNPACKED:
        raise _refused(source, f"unpacks to more than {UNPACKED:,} bytes, which no such catalogue does; check it")
    return found
