"""The API of Qualys: Basic auth, its limits of calls, answers that continue at another address, the KnowledgeBase."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from lxml import etree

from vmjira.domain.rulebook import Scanner
from vmjira.errors import ScannerError, ScannerUnavailable, ScanUnreadable
from vmjira.scanners.content import Limits as ContentLimits
from vmjira.scanners.content import opened
from vmjira.scanners.format import Head
from vmjira.scanners.sources.http import Busy, Session, StatusRefused
from vmjira.scanners.sources.options import LIMITS, Limits
from vmjira.scanners.sources.remembered import Remembered
from vmjira.scanners.xmlstream import SAFE, EntityDeclared, elements

KNOWLEDGE = "/api/2.0/fo/knowledge_base/vuln/"
BATCH = 200  # QIDs in one question
REMEMBERED = Remembered()
DETECTION_ROOT = "HOST_LIST_VM_DETECTION_OUTPUT"
TEXT = re.compile(r"<TEXT>\s*(.*?)\s*</TEXT>", re.DOTALL)
CODE = re.compile(r"<CODE>\s*(\d+)\s*</CODE>")


class Api(Session):
    """Every failure is a ScannerError; a limit of calls is a ScannerUnavailable that says when to come again."""

    def __init__(self, scanner: Scanner, options: Mapping[str, Any], url: str, limits: Limits = LIMITS) -> None:
        super().__init__(scanner, options, url, limits)
        self.auth = requests.auth.HTTPBasicAuth(str(options["username"]), str(options["password"]))
        self.headers["X-Requested-With"] = "vmjira"  # without it Qualys refuses
        self.knowledge = Knowledge(self)

    def small(self, path: str, asked: Mapping[str, str], root: str) -> etree._Element:
        """An answer that fits into memory."""
        response = self.post(self.url + path, data=dict(asked))
        return self._parsed(response.content, root)

    def first_page(self, path: str, asked: Mapping[str, str]) -> etree._Element:
        return self.small(path, asked, DETECTION_ROOT)

    def pages(self, path: str, asked: Mapping[str, str], page: Path) -> Iterator[etree._Element]:
        """Each HOST of an answer and of its continuations, which go through the file `page` one by one."""
        response = self.post(self.url + path, data=dict(asked), stream=True)
        reached = 0
        while True:
            following: list[str] = []
            self.save(response, page, _silent)
            yield from self._hosts(page, following)
            if not following:
                return
            at = _continuation(urljoin(self.url, following[0]), path)
            if at <= reached:
                raise self.unexpected("says that there is more, but not where")
            reached = at
            response = self.get(urljoin(self.url, following[0]), stream=True)

    def _hosts(self, page: Path, following: list[str]) -> Iterator[etree._Element]:
        """What cannot be read is a broken answer: a later one may be whole."""
        try:
            for content in opened(page, limits=ContentLimits(bytes=self.limits.file)):
                outline = Head(content.head).xml
                if outline is None or outline.root != DETECTION_ROOT:
                    raise self._no_answer(content.head)
                for element in elements(content, ("HOST_LIST", "HOST"), ("RESPONSE", "WARNING")):
                    if element.tag == "HOST":
                        yield element
                    else:
                        following.append(self._next(element))
        except (ScanUnreadable, EntityDeclared) as error:
            raise self.unexpected(f"answers what cannot be read ({str(error).rpartition(': ')[2]})") from error

    def _next(self, warning: etree._Element) -> str:
        """Where the rest is. A warning without an address would leave a part, so it is not passed over."""
        if url := (warning.findtext("URL") or "").strip():
            return url
        raise ScannerUnavailable(f"{self.who}: warns: {self.masked(warning.findtext('TEXT') or '')}")

    def _parsed(self, content: bytes, root: str) -> etree._Element:
        try:
            found: etree._Element | None = etree.fromstring(content, etree.XMLParser(**SAFE))
        except (etree.XMLSyntaxError, ValueError):
            found = None
        if found is None or found.tag != root:
            raise self._no_answer(content)
        return found

    def _no_answer(self, content: bytes) -> ScannerError:
        """Qualys may refuse with status 200 and a SIMPLE_RETURN."""
        said = _said(content)
        return self.unexpected(f"answers: {said}" if said else "answers something that is not of Qualys")

    def _refused(self, response: requests.Response) -> ScannerError:
        error, said = super()._refused(response), self.masked(_said(response.content))
        text = f"{error}: {said}" if said else str(error)
        if isinstance(error, Busy):
            return Busy(text, error.status, _towait(response) or error.retry_after)
        return StatusRefused(text, response.status_code)


class Knowledge:
    """What the KnowledgeBase has of QIDs, as XML. Remembered for a day, since it hardly changes and calls are few."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def of(self, qids: Sequence[str]) -> Iterator[bytes]:
        """The VULN of each QID that it knows; in no certain order."""
        lacking = []
        for qid in qids:
            if known := REMEMBERED.get(self.api.url, qid):
                yield known
            else:
                lacking.append(qid)
        for at in range(0, len(lacking), BATCH):
            yield from self._asked(lacking[at : at + BATCH])

    def _asked(self, qids: Sequence[str]) -> Iterator[bytes]:
        asked = {"action": "list", "details": "All", "ids": ",".join(qids)}
        root = self.api.small(KNOWLEDGE, asked, "KNOWLEDGE_BASE_VULN_LIST_OUTPUT")
        for vuln in root.iterfind("RESPONSE/VULN_LIST/VULN"):
            text = etree.tostring(vuln, encoding="utf-8", xml_declaration=False, with_tail=False)
            REMEMBERED.put(self.api.url, (vuln.findtext("QID") or "").strip(), text)
            yield text


def _continuation(url: str, path: str) -> int:
    """The id from which an address continues; 0 if it is none of our question."""
    parts = urlsplit(url)
    written = parse_qs(parts.query).get("id_min", [""])[0]
    return int(written) if parts.path.rstrip("/") == path.rstrip("/") and written.isdigit() else 0


def _towait(response: requests.Response) -> float | None:
    """Seconds, as Qualys says in a header of its own."""
    text = response.headers.get("X-RateLimit-ToWait-Sec", "")
    return float(min(int(text), 86400)) if text.isdigit() and int(text) > 0 else None


def _said(content: bytes) -> str:
    text = content[:65536].decode("utf-8", errors="replace")
    said, code = TEXT.search(text), CODE.search(text)
    return f"{said[1]}{f' (code {code[1]})' if code else ''}" if said else ""


def _silent(done: int, total: int) -> None:
    """Progress of a page is no progress of the file that is made of it."""
