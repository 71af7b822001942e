"""The commands about the tracker itself: doctor, reconcile, webhook."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, replace

import click

from vmjira.bootstrap import Application
from vmjira.cliparts import JSON, err, out, pass_app, print_json
from vmjira.flows.tracking import WebhookRegistration
from vmjira.shown import show_drift, show_findings, show_webhooks


@click.command()
@JSON
@pass_app
def doctor(app: Application, as_json: bool) -> None:
    """Check the tracker against all that the rules name, and say how to mend what is wrong."""
    findings = app.diagnose(app.load_rules())
    if as_json:
        print_json([asdict(each) for each in findings])
    else:
        show_findings(out, findings)
    if not all(each.ok for each in findings):
        sys.exit(1)


@click.command()
@JSON
@pass_app
def reconcile(app: Application, as_json: bool) -> None:
    """Compare every living ticket with the tracker: what webhooks missed is brought back, or listed."""
    from vmjira.flows.reconcile import reconcile as flow

    app.settings.require_jira()
    report = flow(app.outside, everything=True)
    print_json(report.as_json()) if as_json else show_drift(out, report)


@click.group()
def webhook() -> None:
    """Jira's webhooks; they belong to its administrators."""


@webhook.command("register")
@click.argument("url")
@pass_app
def webhook_register(app: Application, url: str) -> None:
    """Have Jira send its events to URL, the server's /webhooks/jira as Jira reaches it.

    Signed with JIRA_WEBHOOK_SECRET. A registration of the same URL is replaced.
    """
    from vmjira.flows.webhooks import register

    done = register(app.tracker(), app.load_rules(), url, app.settings.webhook_secret)
    for note in done.notes:
        err.print(note, style="yellow", markup=False, highlight=False, soft_wrap=True)
    old = f", in place of {', '.join(each.id for each in done.replaced)}" if done.replaced else ""
    out.print(f"webhook {done.webhook.id} is registered{old}: {done.webhook.jql}", markup=False, highlight=False)


@webhook.command("list")
@JSON
@pass_app
def webhook_list(app: Application, as_json: bool) -> None:
    """The webhooks that Jira has."""
    found = [_shown(each) for each in app.tracker().webhooks()]
    print_json([asdict(each) for each in found]) if as_json else show_webhooks(out, found)


@webhook.command("remove")
@click.argument("which")
@pass_app
def webhook_remove(app: Application, which: str) -> None:
    """Remove a webhook by its id, or all with this URL."""
    from vmjira.flows.webhooks import remove

    done = remove(app.tracker(), which)
    out.print(f"removed: {', '.join(each.id for each in done)}", highlight=False)


def _shown(each: WebhookRegistration) -> WebhookRegistration:
    """The end of an address for a Jira that does not sign is a secret."""
    return replace(each, url=re.sub(r"(/webhooks/jira/)[^/?#]+", r"\1(hidden)", each.url))
