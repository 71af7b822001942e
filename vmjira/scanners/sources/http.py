"""HTTP to scanners: one hardened session, whose every failure is a ScannerError in our words.

What it promises to those who use it, libraries included:
- certificates are checked, by `ca_file` or the system's authorities, unless the rule says `verify: false`, loudly;
- credentials go nowhere but to the rule's own address: redirects are followed only there, and only for GET;
- nothing waits for ever, no answer fills the memory, and only a GET is ever tried again;
- a status of 400 and above is raised, with the scanner's own words, never with a secret in it.
"""

from __future__ import annotations

import json
import ssl
import time
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import structlog
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, InsecureRequestWarning
from urllib3.util.retry import Retry

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerRefused, ScannerUnavailable
from vmjira.flows.sources import Check, Progress
from vmjira.scanners.sources.files import keep
from vmjira.scanners.sources.options import LIMITS, Limits, secrets

CHUNK = 1 << 20
REDIRECTS = 5
PASSING = {408, 409, 423, 425, 429}  # and all from 500 on: a later try may find it otherwise
log = structlog.get_logger(__name__)


class StatusRefused(ScannerRefused):
    """The scanner answered with a status that no later try will change."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Busy(ScannerUnavailable):
    """The scanner answered with a status that a later try may change."""

    def __init__(self, message: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.status = status


class Session(requests.Session):
    """A session with one scanner. `get`, `post`, … raise only ScannerErrors."""

    def __init__(self, scanner: Scanner, options: Mapping[str, Any], url: str, limits: Limits = LIMITS) -> None:
        """ScannerRefused if the address is not encrypted, or there is no `ca_file`. Connects to nothing."""
        super().__init__()
        self.url, self.limits = url.rstrip("/"), limits
        self.origin = _origin(urlsplit(url))
        self.who = f"{scanner.id} ({urlsplit(url).netloc})"
        self.checked = options.get("verify", True)
        self._verify = _authorities(scanner, options)
        self._secrets = secrets(scanner, options)
        self.auth = _as_it_is  # else the library would look for credentials in ~/.netrc
        self.headers["User-Agent"] = "vmjira"
        retry = Retry(
            total=2, connect=2, read=1, status=2, other=0, redirect=False, backoff_factor=0.3,
            allowed_methods=frozenset({"GET"}), status_forcelist=(502, 503, 504),
            respect_retry_after_header=False, raise_on_status=False,
        )  # fmt: skip
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(max_retries=retry))
        self._warn(scanner)

    def _warn(self, scanner: Scanner) -> None:
        if self.checked and (self.origin[0] == "https" or _loopback(self.origin[1])):
            return
        if self.checked:
            raise ScannerRefused(
                f"{scanner.id}: url: '{self.url}' is not encrypted, so anybody on the way could read the credentials; "
                "write https://, or verify: false if you must"
            )
        log.warning(
            "THE CERTIFICATE OF A SCANNER IS NOT CHECKED: anybody on the way can read its credentials and forge its "
            "results; give its authority as ca_file instead of verify: false",
            scanner=scanner.id,
        )

    def certificate(self) -> list[Check]:
        """What `check` of a source has to say if the connection is not safe."""
        if self.checked:
            return []
        how = "save the scanner's certificate authority into a file, name it as ca_file, and remove verify: false"
        return [Check(False, "the certificate of the scanner is not checked (verify: false)", how)]

    # --- what requests calls ------------------------------------------------------------------------------------------

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None  # `send` follows them itself

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        whole = not kwargs.get("stream")
        kwargs |= {"stream": True, "verify": self._verify, "timeout": (self.limits.connect, self.limits.read)}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InsecureRequestWarning)  # it was said once, loudly
                response = self._arrive(request, kwargs)
            if whole or response.status_code >= 400:
                self._read(response)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise self._failed(error) from error
        if response.status_code >= 400:
            raise self._refused(response)
        return response

    def _arrive(self, request: requests.PreparedRequest, kwargs: dict[str, Any]) -> requests.Response:
        for _ in range(REDIRECTS):
            if _origin(urlsplit(request.url or "")) != self.origin:
                raise ScannerRefused(f"{self.who}: sends us to another address, which gets no credentials; {_MOVED}")
            response = super().send(request, **kwargs)
            if not response.is_redirect:
                return response
            response.close()
            if request.method != "GET":
                raise ScannerRefused(f"{self.who}: does not take what is sent to it, but redirects; {_MOVED}")
            request = request.copy()
            request.url = urljoin(request.url or "", response.headers["location"])
        raise ScannerRefused(f"{self.who}: redirects without end; {_MOVED}")

    def _read(self, response: requests.Response) -> None:
        """The whole answer into memory, if it is not too large for that and does not take for ever."""
        content, deadline = bytearray(), time.monotonic() + 5 * self.limits.read
        for chunk in pieces(response):
            content += chunk
            if len(content) > self.limits.answer:
                response.close()
                raise ScannerUnavailable(f"{self.who}: an answer has more than {self.limits.answer:,} bytes")
            if time.monotonic() > deadline:
                response.close()
                raise ScannerUnavailable(f"{self.who}: an answer does not come to its end")
        response._content = bytes(content)
        response._content_consumed = True  # type: ignore[attr-defined]  # as requests itself does it
        response.close()

    # --- files --------------------------------------------------------------------------------------------------------

    def save(self, response: requests.Response, file: Path, progress: Progress) -> Path:
        """Stream the body (of a call with `stream=True`) into `file`: whole or not at all, within the limits.

        Raises ScannerUnavailable if it is too large, too slow, or cut off.
        """
        announced = response.headers.get("Content-Length", "")
        total = int(announced) if announced.isdigit() and "Content-Encoding" not in response.headers else 0
        try:
            chunks = self._whole(response, total)
            return keep(chunks, file, who=self.who, limits=self.limits, total=total, progress=progress)
        finally:
            response.close()

    def _whole(self, response: requests.Response, total: int) -> Iterator[bytes]:
        done = 0
        try:
            for piece in pieces(response):
                done += len(piece)
                yield piece
        except (HTTPError, requests.RequestException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            raise self.truncated() from error
        if done < total:
            raise self.truncated()

    def document(self, response: requests.Response) -> Any:
        """The JSON of an answer; ScannerUnavailable if it is none."""
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError) as error:
            raise self.unexpected("answers something that is no JSON") from error

    # --- in our words -------------------------------------------------------------------------------------------------

    def masked(self, text: str) -> str:
        """Text of others, on one line, short, without our secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())[:300]

    def _failed(self, error: Exception) -> ScannerError:
        text = str(error)
        if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text:
            why = text[text.find("CERTIFICATE_VERIFY_FAILED") :].removeprefix("CERTIFICATE_VERIFY_FAILED] ")
            why = self.masked(why.partition(" (_ssl")[0].removeprefix("certificate verify failed: "))
            return ScannerRefused(f"{self.who}: its certificate is not trusted ({why}); name its authority as ca_file")
        if isinstance(error, requests.ConnectTimeout):
            return ScannerUnavailable(f"{self.who}: cannot be reached within {self.limits.connect:g} s")
        if isinstance(error, requests.Timeout) or "timed out" in text:
            return ScannerUnavailable(f"{self.who}: has been silent for {self.limits.read:g} s")
        if "Name or service not known" in text or "NameResolution" in text:
            return ScannerUnavailable(f"{self.who}: there is no such host; check url, and the name service")
        if "refused" in text:
            return ScannerUnavailable(f"{self.who}: nobody listens there; is the scanner running?")
        return ScannerUnavailable(f"{self.who}: the connection was lost ({type(error).__name__})")

    def _refused(self, response: requests.Response) -> ScannerError:
        status, said = response.status_code, self.masked(own_words(response))
        text = f"{self.who}: answers {status}{f': {said}' if said else f' {_phrase(status)}'}"
        if status in PASSING or status >= 500:
            return Busy(text, status, retry_after(response))
        how = {401: "; check the credentials in scanners.yaml", 403: "; the account needs more rights"}.get(status, "")
        return StatusRefused(text + how, status)

    def truncated(self) -> ScannerUnavailable:
        return ScannerUnavailable(f"{self.who}: the download broke off; what had come is not kept")

    def unexpected(self, what: str) -> ScannerUnavailable:
        return ScannerUnavailable(f"{self.who}: {self.masked(what)}; is url the address of its API?")


_MOVED = "write the address where it really is into url"


def pieces(response: requests.Response) -> Iterator[bytes]:
    """The body as it comes, each piece what one read gave; raises what urllib3 raises, also when it is cut off."""
    while piece := response.raw.read1(CHUNK, decode_content=True):
        yield piece


def own_words(response: requests.Response) -> str:
    """What a scanner says of its refusal; empty if it says it in no way that we know."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return ""
    said = body if isinstance(body, dict) else {}
    return next((str(said[key]) for key in ("error_msg", "message", "error") if said.get(key)), "")


def retry_after(response: requests.Response) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3); None if the scanner did not say."""
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(min(int(text), 86400))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), 86400.0)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _authorities(scanner: Scanner, options: Mapping[str, Any]) -> str | bool:
    """As requests wants it: a file of authorities, True (those that come with the library), or False."""
    if not options.get("verify", True):
        return False
    if named := options.get("ca_file"):
        if not Path(named).is_file():
            raise ScannerRefused(f"{scanner.id}: ca_file: there is no file '{named}'")
        try:
            ssl.create_default_context(cafile=str(named))
        except (ssl.SSLError, OSError) as error:
            raise ScannerRefused(f"{scanner.id}: ca_file: '{named}' holds no certificate in PEM format") from error
        return str(named)
    system = ssl.get_default_verify_paths().cafile
    return system if system and Path(system).is_file() else True


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(no known status)"
