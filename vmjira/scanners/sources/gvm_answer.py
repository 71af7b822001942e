"""An answer of gvmd as it goes by: nothing of it is kept but what tells whether a report is whole."""

from __future__ import annotations

from pyexpat import ExpatError, ParserCreate

from gvm.errors import GvmError

#: What is looked at in <get_reports_response><report><report>, by path.
COUNTED = {("results", "result"), ("host",)}
TEXTS = {("scan_run_status",), ("scan_end",), ("result_count", "filtered"), ("hosts", "count"), ("filters", "term")}
ABOVE = 3  # get_reports_response, report, report
DEEP = ABOVE + 2


class Answer:
    """Feed it with what comes. It refuses declarations, as GMP has none and attacks on parsers need them."""

    def __init__(self) -> None:
        self.size = 0
        self.whole = False  # the root has ended
        self.status = self.status_text = ""
        self.counts: dict[str, int] = {}
        self.texts: dict[str, str] = {}
        self.pages = "-1"  # max of <results>: how many were asked for
        self._path: list[str] = []
        self._text: list[str] | None = None
        self._parser = ParserCreate()
        self._parser.buffer_text = True
        if hasattr(self._parser, "SetReparseDeferralEnabled"):
            self._parser.SetReparseDeferralEnabled(False)  # expat 2.6 might keep the end of an answer for later
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._declared

    def feed(self, piece: bytes) -> None:
        """GvmError if it is no XML."""
        self.size += len(piece)
        try:
            self._parser.Parse(piece, False)
        except ExpatError as error:
            raise GvmError(f"Cannot parse: {error}") from error

    def number(self, path: str) -> int | None:
        """An integer that the answer has there."""
        text = self.texts.get(path, "")
        return int(text) if text.isascii() and text.isdigit() else None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        depth = len(self._path)
        self._path.append(name)
        if depth == 0:
            self.status, self.status_text = attributes.get("status", ""), attributes.get("status_text", "")
        elif depth == 1 and name == "report":
            self.counts["report"] = self.counts.get("report", 0) + 1
        elif ABOVE <= depth < DEEP:
            self._look(tuple(self._path[ABOVE:]), attributes)

    def _look(self, path: tuple[str, ...], attributes: dict[str, str]) -> None:
        if path in COUNTED:
            self.counts["/".join(path)] = self.counts.get("/".join(path), 0) + 1
        elif path in TEXTS:
            self._text = []
        elif path == ("results",):
            self.pages = attributes.get("max", self.pages)

    def _end(self, _: str) -> None:
        if self._text is not None:
            self.texts["/".join(self._path[ABOVE:])] = "".join(self._text).strip()
            self._text = None
        self._path.pop()
        self.whole = not self._path

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _declared(self, *_: object) -> None:
        raise GvmError("Cannot parse: declares a document type, which GMP never does")
