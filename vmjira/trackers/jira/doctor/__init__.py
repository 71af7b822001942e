"""Checks whether Jira lets us do what the rules ask for, and says how to mend what it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from vmjira.domain.rulebook import Rulebook
from vmjira.errors import TrackerError, TrackerRefused
from vmjira.trackers.jira.calls import understood
from vmjira.trackers.jira.doctor import project, site
from vmjira.trackers.jira.doctor.asked import Asked, asked
from vmjira.trackers.jira.doctor.check import Check, Where, named
from vmjira.trackers.jira.doctor.known import Known
from vmjira.trackers.jira.tracker import JiraTracker

__all__ = ["Check", "diagnose"]


def diagnose(tracker: JiraTracker, rulebook: Rulebook, where: Where = lambda places: "") -> list[Check]:
    """All checks; after one that makes the others pointless (no connection, no credentials) none follows.

    `where`: file and line of a rule, from the places where it may be written.
    """
    checks: list[Check] = []
    tracker = tracker.aside()  # deliveries go on, whatever is met here
    try:
        for group in _groups(Known(tracker), asked(rulebook), where):
            checks += _told(group)
    except TrackerError as error:
        checks.append(Check(False, str(error), "mend this first; the checks after it were not made"))
    return list(dict.fromkeys(checks))  # what several projects have in common is said once


Group = Callable[[], Iterable[Check]]


def _told(group: Group) -> list[Check]:
    """What a group of checks says; a question that Jira refuses is a finding, and the other groups go on."""
    checks: list[Check] = []
    try:
        with understood("check the site"):
            checks.extend(group())  # those before a refusal count
    except TrackerRefused as error:
        checks.append(Check(False, f"could not be checked: {error}", "mend that, then ask again"))
    return checks


def _groups(known: Known, wishes: Sequence[Asked], where: Where) -> Iterator[Group]:
    projects = sorted({each.name for each in wishes if each.kind == "project"})
    yield partial(site.connection, known)
    yield partial(site.token, known)
    yield partial(site.webhooks, known, projects)
    yield partial(_site_wide, known, wishes, where)
    for name in projects:
        mine = [each for each in wishes if each.rules.project == name]
        check = _place(project.visible(known, name), next(each for each in mine if each.kind == "project"), where)
        yield partial(list, [check])
        if check.ok:
            yield from _of_project(known, name, mine, where)


def _of_project(known: Known, name: str, wishes: Sequence[Asked], where: Where) -> Iterator[Group]:
    yield partial(project.permissions, known, name, wishes)
    for each in wishes:
        yield partial(_wish, known, each, where)
    for issue_type in sorted({each.rules.issue_type for each in wishes}):
        yield partial(project.screen, known, name, issue_type, wishes)
    yield partial(project.transitions, known, name, wishes)


def _wish(known: Known, each: Asked, where: Where) -> Iterator[Check]:
    return (_place(check, each, where) for check in project.wish(known, each))


def _site_wide(known: Known, wishes: Sequence[Asked], where: Where) -> Iterator[Check]:
    """What is the same in all projects."""
    once = {(each.kind, each.name): each for each in reversed(wishes)}
    for each in once.values():
        if each.kind == "link_type":
            yield _place(named(each.name, known.link_types, "link type"), each, where)
        if each.kind == "resolution":
            yield _place(named(each.name, known.resolutions, "resolution"), each, where)


def _place(check: Check, each: Asked, where: Where) -> Check:
    return replace(check, where=where(each.places))
