"""The web server: pages to look at, health, metrics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask, Response

from vmjira.domain.rulebook import Rulebook
from vmjira.flows.ports import Store
from vmjira.web.health import health
from vmjira.web.metrics import metrics
from vmjira.web.pages import pages

#: Everything comes from here, nothing runs: pages are plain HTML.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def create_app(
    store: Callable[[], Store], rulebook: Callable[[], Rulebook | None] = lambda: None, *, browse_url: str
) -> Flask:
    """The WSGI application. `store` is asked for at the first request; `rulebook` gives the rules in force, if any are;
    `browse_url` is where people see tickets."""
    app = Flask(__name__)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.register_blueprint(pages(store, rulebook, browse_url, _now))
    app.register_blueprint(health(store, rulebook, _now))
    app.register_blueprint(metrics(store, _now))

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    return app


def _now() -> datetime:
    return datetime.now(UTC)
