"""Checks whether Jira lets us do what the rules ask for, and says how to mend what it does not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vmjira.domain.rulebook import Rulebook, TicketRules
from vmjira.domain.ticket import LABEL
from vmjira.errors import TrackerError
from vmjira.trackers.jira.calls import Call, http_date, understood
from vmjira.trackers.jira.fields import category, issue
from vmjira.trackers.jira.tracker import JiraTracker, quoted

#: Permission → what does not work without it. The second group is only wanted for comfort.
NEEDED = {
    "BROWSE_PROJECTS": "tickets cannot be read",
    "CREATE_ISSUES": "no ticket can be made",
    "EDIT_ISSUES": "numbers in the description stay old",
    "CREATE_ATTACHMENTS": "the lists of hosts cannot be attached",
    "DELETE_OWN_ATTACHMENTS": "old lists stay beside the new ones",
    "ADD_COMMENTS": "evidence and refutations cannot be written",
    "TRANSITION_ISSUES": "tickets can be neither closed nor reopened",
    "LINK_ISSUES": "tickets are not linked with the one before",
}
WANTED = {
    "ASSIGN_ISSUES": "tickets stay without assignee",
    "SCHEDULE_ISSUES": "tickets stay without due date",
    "MANAGE_WATCHERS": "watchers are not added",
    "ADMINISTER_PROJECTS": "each update of a ticket sends a mail to its watchers",
}
CLOCK_TOLERANCE = 30.0  # seconds


@dataclass(frozen=True)
class Check:
    ok: bool
    what: str
    how: str = ""  # to mend it


def diagnose(tracker: JiraTracker, rulebook: Rulebook) -> list[Check]:
    """All checks; after one that makes the others pointless (no connection, no credentials) none follows."""
    checks: list[Check] = []
    try:
        with understood("check the site"):
            checks += _connection(tracker)
            checks += _link_types(tracker, rulebook)
            checks += _priorities(tracker, rulebook)
            checks += _fields(tracker, rulebook)
            for rules in _distinct(rulebook):
                checks += _project(tracker, rules)
    except TrackerError as error:
        checks.append(Check(False, str(error), "mend this first; the checks after it were not made"))
    return checks


def _get(tracker: JiraTracker, path: str, doing: str, **params: str) -> Any:
    return tracker.client.send(Call("GET", f"/rest/api/2/{path}", doing, params=params))


def _connection(tracker: JiraTracker) -> Iterator[Check]:
    info = tracker.client.server_info()
    flavour = "Cloud" if tracker.client.cloud else "Data Center"
    yield Check(True, f"{tracker.client.site.settings.url} is Jira {flavour} {info.get('version', '')}".rstrip())
    yield _clock(tracker.client.date)
    me = tracker.client.myself()
    yield Check(True, f"we are {me.get('displayName') or me.get('name')!r}")
    limit = tracker.upload_limit()
    how = "raise it in Jira (System → Attachments) to at least 1 MB"
    yield Check(limit >= 1_000_000, f"one attachment may have {limit:,} bytes", how)


def _clock(date: str) -> Check:
    theirs = http_date(date)
    if theirs is None:
        return Check(True, "Jira does not say what time it is")
    difference = (datetime.now(UTC) - theirs).total_seconds()
    how = "set the clock of this machine by NTP: a closing is compared with times of scans"
    return Check(abs(difference) <= CLOCK_TOLERANCE, f"our clock differs from Jira's by {difference:.0f} s", how)


def _link_types(tracker: JiraTracker, rulebook: Rulebook) -> Iterator[Check]:
    known = [each["name"] for each in _get(tracker, "issueLinkType", "read the link types")["issueLinkTypes"]]
    for name in sorted({rules.link_type for rules in _distinct(rulebook)}):
        yield _named(name, known, "link type", "`link_type`")


def _priorities(tracker: JiraTracker, rulebook: Rulebook) -> Iterator[Check]:
    known = [each["name"] for each in _get(tracker, "priority", "read the priorities")]
    wanted = {each.priority for each in rulebook.categories} | {rulebook.policy.escalation.priority}
    for name in sorted(filter(None, wanted)):
        yield _named(name, known, "priority", "`priority`")


def _fields(tracker: JiraTracker, rulebook: Rulebook) -> Iterator[Check]:
    wanted = {name for rules in _distinct(rulebook) for name in (*rules.fields, *rules.transition_fields)}
    known = {each["id"]: each["name"] for each in _get(tracker, "field", "read the fields")} if wanted else {}
    for name in sorted(wanted):
        by_name = [id_ for id_, title in known.items() if title.casefold() == name.casefold()]
        how = f"write its id {by_name[0]!r} in the rules" if by_name else _choice("fields", name, list(known))
        yield Check(name in known, f"field {name!r} of the rules" + ("" if name in known else " does not exist"), how)


def _project(tracker: JiraTracker, rules: TicketRules) -> Iterator[Check]:
    project = rules.project
    try:
        _get(tracker, f"project/{project}", f"read the project {project!r}")
    except TrackerError as error:
        how = "check `project` in the rules, and that our account may browse it"
        yield Check(False, str(error), how)
        return
    yield Check(True, f"project {project!r} exists")
    yield from _permissions(tracker, rules)
    yield _issue_type(tracker, rules)
    if rules.assignee:
        yield _assignee(tracker, rules)
    yield from _transitions(tracker, rules)


def _permissions(tracker: JiraTracker, rules: TicketRules) -> Iterator[Check]:
    wanted = NEEDED | WANTED | ({"SET_ISSUE_SECURITY": "no ticket can be made"} if "security" in rules.fields else {})
    asked = {"permissions": ",".join(wanted)} if tracker.client.cloud else {}  # Data Center always tells all
    doing = f"read our permissions in {rules.project!r}"
    answer = _get(tracker, "mypermissions", doing, projectKey=rules.project, **asked)
    for name, without in wanted.items():
        about = answer["permissions"].get(name) or {}
        title = about.get("name") or name
        have = bool(about.get("havePermission"))
        what = f"permission {title!r} in {rules.project!r}" + ("" if have else f" is missing: {without}")
        yield Check(have, what, f"grant {title!r} to our account in the permission scheme of {rules.project!r}")


def _issue_type(tracker: JiraTracker, rules: TicketRules) -> Check:
    path = f"issue/createmeta/{rules.project}/issuetypes"
    answer = _get(tracker, path, f"read the issue types of {rules.project!r}", maxResults="200")
    known = [each["name"] for each in answer.get("issueTypes") or answer.get("values") or ()]  # Cloud, Data Center
    return _named(rules.issue_type, known, f"issue type in {rules.project!r}", "`issue_type`")


def _assignee(tracker: JiraTracker, rules: TicketRules) -> Check:
    found = tracker.people.assignable(rules.assignee or "", rules.project) is not None
    what = f"assignee {rules.assignee!r} in {rules.project!r}"
    how = "check `assignee` in the rules, and the permissions 'Assignable User' and 'Browse users and groups'"
    return Check(found, what if found else f"{what} is not found, so tickets stay without", how)


def _transitions(tracker: JiraTracker, rules: TicketRules) -> Iterator[Check]:
    """Only a ticket shows its workflow, so there is nothing to check before the first."""
    found = tracker.search(f"project = {quoted(rules.project)} AND labels = {LABEL} ORDER BY created DESC", 1)
    if not found:
        return
    example = issue(found[0])
    call = Call("GET", "/rest/api/2/issue/{}/transitions", "read the transitions", subject=example.key)
    ways = tracker.client.send(call)["transitions"]
    wanted = "reopen" if example.status_category == "done" else "close"
    named = rules.transitions.get(wanted)
    good = [each for each in ways if _leads(each, named, wanted)]
    names = ", ".join(f"{each['name']} (to {each['to']['name']})" for each in ways) or "none"
    goal = f"to {named!r}" if named else f"that would {wanted} it"
    what = f"{example.key} is {example.status!r} and has {'a' if good else 'no direct'} transition {goal}"
    how = f"possible: {names}; set `transitions.{wanted}` in the rules, or leave it if the way has several steps"
    yield Check(bool(good), what, how)
    if not named and wanted == "close" and len(good) > 1:
        what = f"{example.key} may be closed as {' or '.join(each['to']['name'] for each in good)}; the first is taken"
        yield Check(False, what, "name the right one in `transitions.close` in the rules")


def _leads(transition: Mapping[str, Any], named: str | None, wanted: str) -> bool:
    if named:
        return named.casefold() in (transition["to"]["name"].casefold(), transition["name"].casefold())
    return (category(transition["to"]) == "done") == (wanted == "close")


def _named(name: str, known: Sequence[str], kind: str, key: str) -> Check:
    if name in known:
        return Check(True, f"{kind} {name!r} exists")
    return Check(False, f"{kind} {name!r} does not exist", f"correct {key} in the rules: {_choice(kind, name, known)}")


def _choice(kind: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"{guess}{kind}: {', '.join(known[:20])}" if len(known) <= 40 else guess or f"see the list of {kind} in Jira"


def _distinct(rulebook: Rulebook) -> list[TicketRules]:
    rules: Iterable[TicketRules] = [each.ticket for each in rulebook.ranges] or [rulebook.policy.ticket]
    return list({(each.project, each.issue_type, each.assignee, each.link_type): each for each in rules}.values())
