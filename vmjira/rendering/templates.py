"""Templates: ours, any of them overridden by a file of the same name in the rules; every value escaped by default."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, Template, TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vmjira.domain.ticket import Source
from vmjira.errors import Problem, RulesInvalid
from vmjira.rendering.wiki import Wiki, escape

SHIPPED = Path(__file__).parent / "templates"
OURS = "shipped/"  # `{% extends "shipped/description.j2" %}` reaches our own template from an override

#: What an expression in a template can raise, beside Jinja's own errors.
_FAULTS = (TemplateError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, OSError)


class Templates:
    """Renders by name. Changed files take effect at the next rendering."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        # `finalize` instead of Jinja's autoescape: that one knows HTML only, and escapes what it joins as HTML.
        self._environment = ImmutableSandboxedEnvironment(
            loader=FunctionLoader(self._load),
            autoescape=False,
            finalize=escape,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["as_markup"] = Wiki
        self._environment.globals["count"] = count
        self._environment.globals["credentials"] = credentials
        self._plain = ImmutableSandboxedEnvironment(autoescape=False, undefined=StrictUndefined)

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """Raises RulesInvalid with file and line if an override is at fault."""
        try:
            template: Template = self._environment.get_template(name)
            return template.render(values)
        except _FAULTS as error:
            problem = self._problem(name, error)
            if problem is None:
                raise
            raise RulesInvalid([problem]) from error

    def text(self, source: str, values: Mapping[str, Any]) -> str:
        """A short template from policy.yaml, which checks that it compiles; plain text, nothing is escaped."""
        try:
            return self._plain.from_string(source).render(values)
        except _FAULTS as error:
            raise RulesInvalid([Problem("policy.yaml", 1, 1, f"fields: {source!r}: {_words(error)}")]) from error

    def _path(self, name: str) -> Path | None:
        if name.startswith(OURS):
            return _inside(SHIPPED, name.removeprefix(OURS))
        return (_inside(self._folder, name) if self._folder else None) or _inside(SHIPPED, name)

    def _load(self, name: str) -> tuple[str, str, Callable[[], bool]] | None:
        path = self._path(name)
        if path is None:
            return None
        stamp = _stamp(path)
        return path.read_text(encoding="utf-8"), str(path), lambda: _stamp(self._path(name)) == stamp

    def _problem(self, name: str, error: Exception) -> Problem | None:
        """Where in an override `error` happened; None if it is not an override's."""
        places = [(frame.filename, frame.lineno or 1) for frame in traceback.extract_tb(error.__traceback__)]
        if isinstance(error, TemplateSyntaxError):
            places.append((error.filename or "", error.lineno))
        if isinstance(error, UnicodeDecodeError | OSError):
            places.append((str(self._path(name)), 1))
        found = [(file, line) for file, line in places if self._folder and Path(file).is_relative_to(self._folder)]
        if not found:
            return None
        file, line = found[-1]
        return Problem(f"templates/{Path(file).name}", line, 1, _words(error))


def check_templates(folder: Path) -> list[Problem]:
    """Problems of the overrides in `folder`, each rendered with samples of what it will meet."""
    from vmjira.rendering.sample import render_samples  # noqa: PLC0415 - it renders through this module

    problems = []
    known = sorted(path.name for path in SHIPPED.glob("[!_]*.j2"))
    for path in sorted(folder.glob("*.j2")) if folder.is_dir() else ():
        if path.name in known:
            problems += render_samples(Templates(folder), path.name)
        elif not path.name.startswith("_"):  # parts that other templates include
            problems.append(Problem(f"templates/{path.name}", 1, 1, _unknown(path.name, known)))
    return sorted(set(problems))


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def credentials(source: Source) -> str:
    """How the hosts of a scan were scanned, to stand behind their number."""
    if source.hosts in (source.authenticated, source.without):
        return "with credentials" if source.authenticated else "without credentials"
    if source.hosts == source.unknown:
        return "the scan does not say whether credentials worked"
    said = [f"{source.authenticated} with credentials", f"{source.without} without" if source.without else ""]
    told = ", ".join(filter(None, said))
    if not source.unknown:
        return told
    return f"{told}; {count(source.unknown, 'host')}: the scan does not say whether credentials worked"


def _unknown(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"no template is called {name!r}{hint} Known: {', '.join(known)}; a part to include starts with '_'"


def _words(error: Exception) -> str:
    if isinstance(error, TemplateNotFound):
        return f"no template is called {error.name!r}; ours are reached as '{OURS}NAME.j2'"
    return f"the template fails: {error} ({type(error).__name__})"


def _inside(folder: Path, name: str) -> Path | None:
    path = folder / name
    return path if Path(name).name == name and path.is_file() else None


def _stamp(path: Path | None) -> tuple[Path, int, int] | None:
    if path is None:
        return None
    status = path.stat()
    return path, status.st_mtime_ns, status.st_size
