"""The web server: pages to look at and to act on, the read API, health, metrics; who may come in, and how."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

from flask import Blueprint, Flask, Response, g, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from vmjira.domain.rulebook import Rulebook
from vmjira.errors import StoreUnavailable, Unknown, VmjiraError
from vmjira.flows.ports import Store
from vmjira.web import pictures
from vmjira.web.api import api
from vmjira.web.deleted import add_deleted, deciding
from vmjira.web.finding import add_finding
from vmjira.web.forms import Forms, key_of
from vmjira.web.gate import Denied, Gate
from vmjira.web.health import health
from vmjira.web.metrics import metrics
from vmjira.web.pages import add_pages, with_args
from vmjira.web.ruling import add_ruling
from vmjira.web.scans import add_scans
from vmjira.web.site import Parts, Site, asking
from vmjira.web.work import add_work

#: Everything comes from here, nothing runs: pages are plain HTML.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
#: Who may use these is decided by themselves: webhooks are signed, health and metrics are for monitoring. Style sheets
#: and icons are no secret.
OPEN = frozenset({"webhooks", "uploads", "health", "metrics"})
#: Paths whose answers are for programs.
FOR_PROGRAMS = ("/api/", "/webhooks/", "/healthz", "/readyz", "/metrics")


def create_app(
    store: Callable[[], Store],
    rulebook: Callable[[], Rulebook | None] = lambda: None,
    *,
    browse_url: str,
    gate: Gate | None = None,
    parts: Parts | None = None,
) -> Flask:
    """The WSGI application. `store` is asked for at the first request; `rulebook` gives the rules in force, if any are;
    `browse_url` is where people see tickets; without a `gate` only this machine itself may look."""
    app = Flask(__name__)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.url_map.merge_slashes = False  # names of hosts may hold anything
    parts, gate = parts or Parts(), gate or Gate()
    site = Site(store=store, rulebook=rulebook, browse_url=browse_url, **vars(parts))
    clock = site.clock
    forms = Forms(key_of(store, clock), gate.proxies)
    views = Blueprint("pages", __name__)
    for add in (add_pages, add_finding, add_ruling, add_deleted):
        add(views, site)
    add_work(views, site, forms)
    add_scans(views, site)
    app.register_blueprint(views)
    app.register_blueprint(api(site))
    app.register_blueprint(deciding(site))
    app.register_blueprint(health(store, rulebook, clock))
    app.register_blueprint(metrics(store, clock))
    _words(app, site)
    _guard(app, gate, forms)
    _errors(app)
    return app


def _words(app: Flask, site: Site) -> None:
    """What templates may say."""

    def when(at: datetime | str | None, seconds: bool = False) -> str:
        at = datetime.fromisoformat(at) if isinstance(at, str) else at
        form = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
        return at.astimezone(site.rules().policy.timezone).strftime(form) if at else ""

    app.jinja_env.filters |= {"when": when, "percent": lambda share: "–" if share is None else f"{share:.0%}"}
    app.jinja_env.globals |= {
        "browse": lambda key: f"{site.browse_url}/browse/{quote(key)}",
        "named": lambda id: site.titles().get(id, id),
        "pictures": pictures,
        "with_args": with_args,
        "me": lambda: g.get("user"),
    }


def _guard(app: Flask, gate: Gate, forms: Forms) -> None:
    @app.before_request
    def let_in() -> None:
        if request.blueprint in OPEN or request.endpoint == "static":
            return
        g.user = gate.user(request)
        if request.method in ("GET", "HEAD", "OPTIONS") or request.endpoint is None:
            return
        if not asking().may_act:
            raise Denied(403, f"'{asking().name}' may look, but not act: that takes the role operator.")
        if asking().via != "token":  # a token is never sent by a browser on its own
            forms.check(asking())

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.update(HEADERS)
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        forms.set_cookie(response)
        return response


def _errors(app: Flask) -> None:
    def answer(status: int, title: str, why: str) -> Response:
        if request.path.startswith(FOR_PROGRAMS):
            response = jsonify(error=why)
        else:
            response = Response(render_template("wrong.html", title=title, why=why), content_type="text/html")
        response.status_code = status
        return response

    @app.errorhandler(Denied)
    def denied(error: Denied) -> Response:
        response = answer(error.status, "Not allowed", error.why)
        if error.challenge:
            response.headers["WWW-Authenticate"] = str(error.challenge)
        if error.wait:
            response.headers["Retry-After"] = str(error.wait)
        return response

    @app.errorhandler(VmjiraError)
    def failed(error: VmjiraError) -> Response:
        if isinstance(error, Unknown):
            return answer(404, "Not found", str(error))
        if isinstance(error, StoreUnavailable):
            app.logger.error("%s", error)  # the words may name hosts and accounts
            return answer(503, "Not now", "The database cannot be read; the reason is in the log of the server.")
        return answer(409, "This cannot be done", str(error))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        response = answer(error.code or 500, error.name, error.description or error.name)
        for name, value in error.get_headers():
            if name in ("Allow", "Location"):
                response.headers[name] = value
        return response
