"""The long-running processes: web server, worker, sandbox."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import structlog

from vmjira.bootstrap import Application
from vmjira.sandbox import wsgi
from vmjira.settings import Settings

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> None:
    """Become gunicorn, serving vmjira's pages and taking in the tracker's events."""
    settings.require_guarded_webhooks()  # said here, it needs no traceback of gunicorn's
    _gunicorn(settings.listen, "vmjira.webapp:web_app()")


def sandbox(listen: str, database: Path, flavour: str) -> None:
    """Become gunicorn, serving the stand-in for Jira."""
    database.parent.mkdir(parents=True, exist_ok=True)
    os.environ |= {wsgi.DATABASE: str(database), wsgi.FLAVOUR: flavour}
    print(f"sandbox Jira ({flavour}) on http://{listen}", file=sys.stderr, flush=True)  # noqa: T201  its address
    _gunicorn(listen, wsgi.SANDBOX)


def _gunicorn(listen: str, target: str) -> None:
    os.execv(sys.executable, gunicorn(listen, target))  # noqa: S606  our own interpreter, fixed arguments


def gunicorn(listen: str, target: str) -> list[str]:
    """The command that serves a WSGI application."""
    arguments = ["--bind", listen, "--workers", "1", "--threads", "32", "--log-level", "warning"]
    return [sys.executable, "-m", "gunicorn", *arguments, target]


def work(app: Application, threads: int) -> None:
    """Deliver until SIGTERM or SIGINT; what is under way is finished or taken up by the next worker."""
    app.settings.require_jira()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if app.settings.metrics:
        app.tracker_calls.serve(app.settings.metrics)
    with app.worker(threads=threads) as slot, app.clock().running():
        log.info("worker ready", slot=slot, tracker=app.settings.jira_url)
        stop.wait()
    log.info("worker stopped", slot=slot)
