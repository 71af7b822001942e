"""Checks of the site as a whole: connection, clock, token, search, webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from vmjira.errors import TrackerUnavailable
from vmjira.trackers.jira.calls import Call, Refusal, http_date
from vmjira.trackers.jira.doctor.check import Check
from vmjira.trackers.jira.doctor.known import Known
from vmjira.trackers.jira.watching import EVENTS, NAME

CLOCK_TOLERANCE = 30.0  # seconds
SOON = timedelta(days=14)


def connection(known: Known) -> Iterator[Check]:
    tracker = known.tracker
    info = tracker.client.server_info()
    flavour = "Cloud" if tracker.client.cloud else "Data Center"
    yield Check(True, f"{tracker.client.site.settings.url} is Jira {flavour} {info.get('version', '')}".rstrip())
    yield _clock(tracker.client.date)
    me = tracker.client.myself()
    yield Check(True, f"we are {me.get('displayName') or me.get('name')!r}")
    limit = tracker.upload_limit()
    how = "raise it in Jira (System → Attachments) to at least 1 MB"
    yield Check(limit >= 1_000_000, f"one attachment may have {limit:,} bytes", how)
    yield Check(True, f"a search is trusted to know what was written {tracker.search_lag:.0f} s before")


def _clock(date: str) -> Check:
    theirs = http_date(date)
    if theirs is None:
        return Check(True, "Jira does not say what time it is")
    difference = (datetime.now(UTC) - theirs).total_seconds()
    how = "set the clock of this machine by NTP: a closing is compared with times of scans"
    return Check(abs(difference) <= CLOCK_TOLERANCE, f"our clock differs from Jira's by {difference:.0f} s", how)


def token(known: Known) -> Iterator[Check]:
    """A Data Center tells when our own personal access tokens end, but not which one we use; Cloud tells nothing."""
    tracker = known.tracker
    if tracker.client.cloud or tracker.client.site.settings.user:
        yield Check(True, "Jira does not tell when our token expires: on Cloud after a year at the latest")
        return
    try:
        found = tracker.client.send(Call("GET", "/rest/pat/latest/tokens", "read our tokens", guarded=True))
    except (Refusal, TrackerUnavailable):
        yield Check(True, "this version of Jira does not tell when our token expires: by default after a year")
        return
    ends = [(_moment(each["expiringAt"]), str(each.get("name"))) for each in found if each.get("expiringAt")]
    for end, name in sorted(ends):
        how = f"make a new one (Profile → Personal Access Tokens), set JIRA_TOKEN, then delete {name!r}"
        yield Check(end - datetime.now(UTC) > SOON, f"our token {name!r} expires at {end:%Y-%m-%d %H:%M} UTC", how)


def _moment(value: Any) -> datetime:
    """Jira gives milliseconds or ISO 8601, by version."""
    return datetime.fromtimestamp(value / 1000, UTC) if isinstance(value, int) else datetime.fromisoformat(value)


def webhooks(known: Known, projects: list[str]) -> Iterator[Check]:
    try:
        found = [each for each in known.tracker.webhooks() if each.name == NAME]
    except Refusal as refusal:
        yield Check(True, f"whether our webhook is registered is not known: {refusal.words or 'we may not look'}")
        return
    command = "run `vmjira webhook register https://…/webhooks/jira` with an administrator's JIRA_USER and JIRA_TOKEN"
    if not found:
        what = f"no webhook named {NAME!r} is registered, so closings are noticed by `vmjira reconcile` only"
        yield Check(False, what, command)
    for each in found:
        missing = [name for name in EVENTS if name not in each.events]
        unheard = [project for project in projects if each.jql and f'"{project}"' not in each.jql]
        about = [f"lacks the events {', '.join(missing)}"] if missing else []
        about += [f"does not cover the project {', '.join(unheard)}"] if unheard else []
        yield Check(not about, f"webhook {each.id} " + (" and ".join(about) or "is registered"), command)
