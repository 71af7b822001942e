"""The web server, wired: pages, API, webhooks and uploads with what they may touch; for processes that serve."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from flask import Flask

from vmjira.bootstrap import Application, configure_logging
from vmjira.domain.frames import Scan
from vmjira.flows import deleted
from vmjira.flows.ingest import ingest, settle
from vmjira.flows.receive import Receiver
from vmjira.flows.uploads import remember, sender
from vmjira.scanners.summary import summary
from vmjira.scheduling import next_due
from vmjira.settings import Settings, load_settings
from vmjira.web import create_app
from vmjira.web.access import Access
from vmjira.web.gate import Gate
from vmjira.web.site import Parts
from vmjira.web.uploads import Taken, Tokens, uploads
from vmjira.web.users import UserFile
from vmjira.web.webhooks import webhooks


def web_app() -> Flask:
    """The WSGI application, by the settings of the environment."""
    settings = load_settings()
    configure_logging(settings.log)
    return web_app_of(Application(settings))


def web_app_of(application: Application) -> Flask:
    """The pages, and where the tracker sends its events. SettingsInvalid if anybody could send some."""
    settings = application.settings
    settings.require_guarded_webhooks()
    app = create_app(
        lambda: application.store,
        application.rules_in_force,
        browse_url=settings.jira_browse_url,
        gate=_gate(settings),
        parts=_parts(application),
    )
    receiver = Receiver(lambda: application.outside)
    app.register_blueprint(webhooks(receiver.receive, _access(settings)))
    app.register_blueprint(
        uploads(
            lambda files, holder: _upload(application, files, holder),
            Tokens(settings.upload_tokens),
            settings.upload_limit,
        )
    )
    return app


def _upload(application: Application, files: Sequence[Path], holder: str) -> Taken:
    """Ingest what the holder of a token uploaded; what was read, in the order in which it was folded in."""
    found: list[tuple[datetime, dict[str, Any]]] = []
    scanner = sender(application.tools.rules(), holder)
    with application.reader(timezone=scanner.timezone if scanner else None) as reader:

        def read(file: Path) -> list[Scan]:
            scans = reader(file)
            found.extend((scan.finished_at, summary(scan, Path(file.name))) for scan in scans)
            return scans

        report = ingest(application.outside, files, read, application.load_rules)
    if scanner:
        remember(application.outside, scanner, report)
    told = [each for _, each in sorted(found, key=lambda each: each[0])]
    return Taken(
        read=[{**each, "outcome": scan["outcome"]} for each, scan in zip(told, report.scans, strict=True)],
        refused=[each["reason"].replace(f"{Path(each['path']).parent}{os.sep}", "") for each in report.refused],
        new=any(scan["outcome"] == "folded" or scan.get("new") for scan in report.scans),
        operations=len(report.operations),
        rules=report.rules,
    )


def _gate(settings: Settings) -> Gate:
    """SettingsInvalid if the file of users has a problem: said at the start, not at the first log-in."""
    users = UserFile(settings.users) if settings.users else None
    if users:
        users.users()
    return Gate(
        users=users,
        header=settings.trusted_header,
        role_header=settings.trusted_role_header,
        operators=settings.operators,
        proxies=settings.trusted_proxies,
    )


def _parts(application: Application) -> Parts:

    settling = ThreadPoolExecutor(max_workers=1, thread_name_prefix="settle")  # folding scans takes longer than a click

    def work() -> None:
        try:
            settle(application.outside)
            deleted.settle(application.outside)
        except Exception as error:  # the next ingest settles it
            structlog.get_logger(__name__).error("what was released does not count yet", why=str(error))

    def settled() -> None:
        settling.submit(work)

    return Parts(
        outside=lambda: application.outside,
        problems=application.rule_problems,
        settled=settled,
        next_due=next_due,
    )


def _access(settings: Settings) -> Access:
    return Access(
        secret=settings.webhook_secret,
        path_secret=settings.webhook_path_secret,
        networks=settings.webhook_networks,
        proxies=settings.trusted_proxies,
    )
