"""Telling the tracker where to send its events, once, and taking that back."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from vmjira.domain.rulebook import Rulebook
from vmjira.domain.ticket import LABEL
from vmjira.errors import SettingsInvalid, VmjiraError
from vmjira.flows.tracking import Tracker, WebhookRegistration


@dataclass(frozen=True)
class Registered:
    """A new registration, and those of the same address whose place it took."""

    webhook: WebhookRegistration
    replaced: tuple[WebhookRegistration, ...]
    notes: tuple[str, ...]


def register(tracker: Tracker, rulebook: Rulebook, url: str, secret: str) -> Registered:
    """Have events of our tickets sent to `url`, signed with `secret` where the tracker can sign.

    The secret of a registration cannot be read back, so one with the same address is replaced: the new one is made
    first, then the old one removed, so that nothing is lost between; what comes from both does no harm.
    """
    notes = _checked(url, secret, signed=tracker.signs_webhooks)
    old = [each for each in tracker.webhooks() if _same(each.url, url)]
    made = tracker.register_webhook(url, secret, filter_of(rulebook))
    for each in old:
        tracker.remove_webhook(each.id)
    return Registered(made, tuple(old), notes)


def remove(tracker: Tracker, which: str) -> list[WebhookRegistration]:
    """Remove by id, or all with this address; those that were removed. VmjiraError if there is none."""
    known = tracker.webhooks()
    chosen = [each for each in known if which == each.id or _same(each.url, which)]
    if not chosen:
        ids = ", ".join(each.id for each in known) or "none"
        raise VmjiraError(f"webhook '{which}': there is none with this id or address (ids: {ids}); see `webhook list`")
    for each in chosen:
        tracker.remove_webhook(each.id)
    return chosen


def filter_of(rulebook: Rulebook) -> str:
    """JQL: the projects that the rules name, and our tickets wherever somebody moves them."""
    projects = sorted({each.ticket.project for each in rulebook.ranges} | {rulebook.policy.ticket.project} - {""})
    named = ", ".join(f'"{project}"' for project in projects if project)
    return f"project in ({named}) OR labels = {LABEL}" if named else f"labels = {LABEL}"


def _checked(url: str, secret: str, *, signed: bool) -> tuple[str, ...]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
        raise VmjiraError(
            f"'{url.rpartition('@')[2]}' is no address for webhooks; give the server's own, as Jira reaches it, e.g. "
            "https://vmjira.example.com/webhooks/jira"
        )
    if signed and not secret:
        raise SettingsInvalid(
            "JIRA_WEBHOOK_SECRET: is not set, and without it anybody could send us events; set it to a long random "
            "text (e.g. openssl rand -hex 32), here and for the server"
        )
    notes = []
    if not signed:
        notes.append(
            "this version of Jira does not sign its webhooks: the address must end with JIRA_WEBHOOK_PATH_SECRET, and "
            "the server accepts events from JIRA_WEBHOOK_NETWORKS only"
        )
    if parts.scheme == "http":
        notes.append("the address is not HTTPS: Jira Cloud refuses that, and others on the way can read the events")
    return tuple(notes)


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
