"""A small real JQL: parsed, checked as Jira checks it, and compiled to SQL with parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from vmjira.sandbox.config import Config, User
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.jqlfields import Condition, Context, Term, compile_clause, order_by

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<operator>!=|!~|>=|<=|[=~<>!(),])
    | (?P<word>[^\s()"',=!<>~]+)
    )""",
    re.VERBOSE,
)
_WORDS = {"and", "or", "not", "in", "is", "order", "by", "empty", "null", "asc", "desc"}


@dataclass(frozen=True)
class Query:
    """SQL over the columns of `issues`."""

    where: str
    parameters: tuple[object, ...]
    order: str
    bounded: bool


@dataclass(frozen=True)
class Token:
    kind: str  # text, operator, word, end
    value: str
    at: int

    def says(self, *words: str) -> bool:
        return self.kind in {"word", "operator"} and self.value.lower() in words


def compile_query(
    text: str,
    config: Config,
    *,
    actor: User,
    now: float,
    find: Callable[[str], int | None] = lambda _: None,
    strict: bool = True,
) -> Query:
    """Raise JiraError 400 for what Jira would refuse. `find` gives the id of an issue by its key."""
    context = Context(config, actor, now, find, strict)
    return _Parser(text, context).query()


class _Parser:
    def __init__(self, text: str, context: Context) -> None:
        self._tokens = _tokens(text)
        self._context = context
        self._at = 0

    def query(self) -> Query:
        ordered = self._peek.says("order")
        condition = ("1", ()) if ordered or self._peek.kind == "end" else self._either()
        order = self._order() if self._peek.says("order") else "id DESC"
        if self._peek.kind != "end":
            self._complain("Expecting either 'OR' or 'AND' but got")
        return Query(condition[0], tuple(condition[1]), order, bounded=condition[0] != "1")

    @property
    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, *words: str) -> bool:
        if self._peek.says(*words):
            self._at += 1
            return True
        return False

    def _complain(self, expected: str) -> NoReturn:
        token = self._peek
        got = "the end of the query" if token.kind == "end" else f"'{token.value}'"
        raise JiraError(400, f"Error in the JQL Query: {expected} {got}. (line 1, character {token.at + 1})")

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return _join(" OR ", parts)

    def _both(self) -> Condition:
        parts = [self._single()]
        while self._take("and"):
            parts.append(self._single())
        return _join(" AND ", parts)

    def _single(self) -> Condition:
        if self._take("not", "!"):
            sql, parameters = self._single()
            return f"NOT COALESCE(({sql}), 0)", parameters
        if self._take("("):
            condition = self._either()
            if not self._take(")"):
                self._complain("Expecting ')' but got")
            return condition
        return self._clause()

    def _clause(self) -> Condition:
        if self._peek.kind not in {"word", "text"} or (self._peek.kind == "word" and self._peek.says(*_WORDS)):
            self._complain("Expecting a field name but got")
        field = self._next().value
        operator = self._operator()
        terms = self._terms() if operator in {"in", "not in"} else [self._term()]
        return compile_clause(field, operator, terms, self._context)

    def _operator(self) -> str:
        if self._take("not"):
            if not self._take("in"):
                self._complain("Expecting 'IN' but got")
            return "not in"
        if self._take("is"):
            return "is not" if self._take("not") else "is"
        if self._take("in"):
            return "in"
        if self._peek.kind == "operator" and self._peek.value not in "(),!":
            return self._next().value
        return self._complain("Expecting an operator but got")

    def _terms(self) -> list[Term]:
        if not self._take("("):
            self._complain("Expecting '(' but got")
        terms = [self._term()]
        while self._take(","):
            terms.append(self._term())
        if not self._take(")"):
            self._complain("Expecting ')' but got")
        return terms

    def _term(self) -> Term:
        token = self._peek
        if token.kind == "text":
            return Term("text", self._next().value)
        if token.says("empty", "null"):
            self._next()
            return Term("empty", "")
        if token.kind != "word" or token.says(*_WORDS):
            self._complain("Expecting a value but got")
        self._next()
        if self._take("("):
            if not self._take(")"):
                self._complain("Expecting ')' but got")
            return Term("function", token.value)
        return Term("text", token.value)

    def _order(self) -> str:
        self._next()
        if not self._take("by"):
            self._complain("Expecting 'BY' but got")
        parts = []
        while True:
            name = self._next().value
            direction = "DESC" if self._take("desc") else "ASC"
            self._take("asc")
            parts.append(order_by(name, direction))
            if not self._take(","):
                return ", ".join([*parts, "id ASC"])


def _join(word: str, parts: list[Condition]) -> Condition:
    if len(parts) == 1:
        return parts[0]
    return word.join(f"({sql})" for sql, _ in parts), tuple(value for _, values in parts for value in values)


def _tokens(text: str) -> list[Token]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            message = (
                f"Error in the JQL Query: The quoted string or character at {at + 1} is not closed or not allowed."
            )
            raise JiraError(400, message)
        kind = str(match.lastgroup)
        value = match[kind]
        tokens.append(Token(kind, _unquote(value) if kind == "text" else value, match.start(kind)))
        at = match.end()
    return [*tokens, Token("end", "", at)]


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])
