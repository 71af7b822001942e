"""Checks of one project against all that the rules want to do there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from vmjira.domain.ticket import LABEL
from vmjira.trackers.jira.calls import Call, Refusal
from vmjira.trackers.jira.doctor.asked import Asked, Kind
from vmjira.trackers.jira.doctor.check import Check, choice, named
from vmjira.trackers.jira.doctor.known import Known
from vmjira.trackers.jira.fields import category, issue
from vmjira.trackers.jira.tracker import quoted

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
    "EDIT_OWN_COMMENTS": "a closed ticket does not tell how its verification goes on",
    "ADMINISTER_PROJECTS": "each update of a ticket sends a mail to its watchers",
}
#: What is always set, and what the rules may ask for, as Jira calls it on a screen.
ALWAYS = ("summary", "description", "labels", "issuelinks")
ON_SCREEN: Mapping[Kind, str] = {
    "component": "components",
    "assignee": "assignee",
    "priority": "priority",
    "due": "duedate",
}
GIVEN = {"project", "issuetype", "reporter", *ALWAYS, *ON_SCREEN.values()}
GOAL = {"close": ("done",), "reopen": ("new", "indeterminate")}


def permissions(known: Known, project: str, wishes: Sequence[Asked]) -> Iterator[Check]:
    secured = any(each.kind == "field" and each.name == "security" for each in wishes)
    wanted = NEEDED | WANTED | ({"SET_ISSUE_SECURITY": "no ticket can be made"} if secured else {})
    found = known.permissions(project, list(wanted))
    for name, without in wanted.items():
        about = found.get(name) or {}
        title, have = about.get("name") or name, bool(about.get("havePermission"))
        what = f"permission {title!r} in {project!r}" + ("" if have else f" is missing: {without}")
        yield Check(have, what, f"grant {title!r} to our account in the permission scheme of {project!r}")


def transitions(known: Known, project: str, wishes: Sequence[Asked]) -> Iterator[Check]:
    """The way itself: only a ticket shows it, so there is nothing to check before the first."""
    tracker = known.tracker
    found = tracker.search(f"project = {quoted(project)} AND labels = {LABEL} ORDER BY created DESC", 1)
    if not found:
        return
    example = issue(found[0])
    call = Call("GET", "/rest/api/2/issue/{}/transitions", "read the transitions", subject=example.key)
    ways = tracker.client.send(call)["transitions"]
    wanted = "reopen" if example.status_category == "done" else "close"
    name = next((each.rules.transitions.get(wanted) for each in wishes if each.kind == "project"), None)
    good = [each for each in ways if _leads(each, name, wanted)]
    names = ", ".join(f"{each['name']} (to {each['to']['name']})" for each in ways) or "none"
    goal = f"to {name!r}" if name else f"that would {wanted} it"
    what = f"{example.key} is {example.status!r} and has {'a' if good else 'no direct'} transition {goal}"
    how = f"possible: {names}; set `transitions.{wanted}` in the rules, or leave it if the way has several steps"
    yield Check(bool(good), what, how)
    if not name and wanted == "close" and len(good) > 1:
        what = f"{example.key} may be closed as {' or '.join(each['to']['name'] for each in good)}; the first is taken"
        yield Check(False, what, "name the right one in `transitions.close` in the rules")


def _leads(transition: Mapping[str, Any], name: str | None, wanted: str) -> bool:
    if name:
        return name.casefold() in (transition["to"]["name"].casefold(), transition["name"].casefold())
    return (category(transition["to"]) == "done") == (wanted == "close")


def screen(known: Known, project: str, issue_type: str, wishes: Sequence[Asked]) -> Iterator[Check]:
    """What has to be on the create screen, and what Jira demands there and the rules do not give."""
    if issue_type not in known.issue_types(project):
        return
    there = known.screen(project, issue_type)
    place = f"the create screen of {issue_type!r} in {project!r}"
    how = f"put it on {place} (Project settings → Screens)"
    missing = [name for name in ALWAYS if name not in there]
    what = f"{place} lacks {', '.join(missing)}" if missing else f"{place} has {', '.join(ALWAYS)}"
    yield Check(not missing, what, how)
    given = GIVEN | {each.name for each in wishes if each.kind == "field"}
    for name, about in there.items():
        if about.get("required") and not about.get("hasDefaultValue") and name not in given:
            what = f"{place} demands the field {about.get('name') or name!r}, and the rules do not set it"
            yield Check(False, what, f"set `fields: {{{name}: …}}` in the rules, or make it optional in Jira")


# --- one value of the rules -------------------------------------------------------------------------------------------


def wish(known: Known, each: Asked) -> Iterator[Check]:
    """Whether it exists there, and may be set; nothing of what is the same on the whole site."""
    if check := _WISHES.get(each.kind):
        yield from check(known, each)


def _issue_type(known: Known, each: Asked) -> Iterator[Check]:
    yield named(each.name, list(known.issue_types(each.rules.project)), f"issue type in {each.rules.project!r}:")


def _component(known: Known, each: Asked) -> Iterator[Check]:
    yield named(each.name, known.components(each.rules.project), f"component in {each.rules.project!r}:")
    yield from _on_screen(known, each)


def _assignee(known: Known, each: Asked) -> Iterator[Check]:
    found = known.tracker.people.assignable(each.name, each.rules.project) is not None
    what = f"assignee {each.name!r} in {each.rules.project!r}"
    how = "check the name, and the permissions 'Assignable User' and 'Browse users and groups'"
    yield Check(found, what if found else f"{what} is not found, so tickets stay without", how)
    yield from _on_screen(known, each)


def _watcher(known: Known, each: Asked) -> Iterator[Check]:
    found = known.tracker.people.exists(each.name)
    how = "check the name (account id, e-mail or full name), and the permission 'Browse users and groups'"
    yield Check(found, f"watcher {each.name!r}" + ("" if found else " is not found, so nobody is told"), how)


def _label(known: Known, each: Asked) -> Iterator[Check]:
    fits = len(each.name) <= 255 and not any(letter.isspace() for letter in each.name)
    yield Check(
        fits, f"label {each.name!r}" + ("" if fits else " is refused by Jira"), "no blanks, 255 letters at most"
    )


def _priority(known: Known, each: Asked) -> Iterator[Check]:
    yield named(each.name, known.priorities, "priority")
    about = _about(known, each, "priority")
    allowed = [str(value.get("name")) for value in (about or {}).get("allowedValues") or ()]
    if each.name in known.priorities and allowed and each.name not in allowed:
        what = f"priority {each.name!r} is not in the scheme of {each.rules.project!r}"
        yield Check(False, what, choice("priority", each.name, allowed))
    yield from _on_screen(known, each)


def _field(known: Known, each: Asked) -> Iterator[Check]:
    yield _known_field(known, each)
    about = _about(known, each, each.name)
    if each.name in known.fields and about is None:
        yield _not_on_screen(each, each.name)
    allowed = [str(value.get("name") or value.get("value")) for value in (about or {}).get("allowedValues") or ()]
    wanted = _chosen(each.value)
    if allowed and wanted and wanted not in allowed:
        what = f"field {each.name!r}: value {wanted!r} is not allowed in {each.rules.project!r}"
        yield Check(False, what, choice("value", wanted, allowed))


def _transition_field(known: Known, each: Asked) -> Iterator[Check]:
    yield _known_field(known, each)
    if each.name == "resolution" and (wanted := _chosen(each.value)):
        yield named(wanted, known.resolutions, "resolution")


def _known_field(known: Known, each: Asked) -> Check:
    by_name = [id_ for id_, title in known.fields.items() if title.casefold() == each.name.casefold()]
    how = f"write its id {by_name[0]!r}" if by_name else choice("field", each.name, list(known.fields))
    there = each.name in known.fields
    return Check(there, f"field {each.name!r}" + ("" if there else " does not exist"), how)


def _status(known: Known, each: Asked) -> Iterator[Check]:
    """A status of the workflow, of the right category; or a transition's own name, which only a ticket shows."""
    statuses = known.statuses(each.rules.project, each.rules.issue_type)
    if not statuses:
        return
    found = next((name for name in statuses if name.casefold() == each.name.casefold()), None)
    if found is None:
        what = f"`transitions.{each.kind}`: {each.rules.project!r} has no status {each.name!r}"
        yield Check(False, what, choice("status", each.name, list(statuses)))
    else:
        right = statuses[found] in GOAL[each.kind]
        what = f"`transitions.{each.kind}`: status {each.name!r} in {each.rules.project!r}"
        good = [name for name, kind in statuses.items() if kind in GOAL[each.kind]]
        state = "closed" if each.kind == "close" else "open"
        about = f" is of category {statuses[found]!r}, so Jira does not count it as {state}"
        yield Check(right, what + ("" if right else about), f"choose one of {', '.join(good) or 'none'}")


def _on_screen(known: Known, each: Asked) -> Iterator[Check]:
    name = ON_SCREEN[each.kind]
    if each.rules.issue_type in known.issue_types(each.rules.project) and _about(known, each, name) is None:
        yield _not_on_screen(each, name)


def _not_on_screen(each: Asked, name: str) -> Check:
    place = f"the create screen of {each.rules.issue_type!r} in {each.rules.project!r}"
    return Check(
        False, f"field {name!r} is not on {place}, so it stays empty", f"put it there, or take {each.name!r} out"
    )


def _about(known: Known, each: Asked, field: str) -> Mapping[str, Any] | None:
    """What the create screen says of a field."""
    project, issue_type = each.rules.project, each.rules.issue_type
    return known.screen(project, issue_type).get(field) if issue_type in known.issue_types(project) else None


def _chosen(value: Any) -> str:
    """The name in a value like {name: Done}; nothing for a template, which is filled in later."""
    text = (value.get("name") or value.get("value")) if isinstance(value, Mapping) else None
    return text if isinstance(text, str) and "{" not in text else ""


_WISHES: Mapping[Kind, Callable[[Known, Asked], Iterable[Check]]] = {
    "issue_type": _issue_type,
    "component": _component,
    "assignee": _assignee,
    "watcher": _watcher,
    "label": _label,
    "priority": _priority,
    "due": _on_screen,
    "field": _field,
    "transition_field": _transition_field,
    "close": _status,
    "reopen": _status,
}


def visible(known: Known, project: str) -> Check:
    try:
        known.components(project)
    except Refusal as refusal:
        how = "check the key, and that our account may browse it"
        return Check(False, f"project {project!r} cannot be read: {refusal.words or refusal.status}", how)
    return Check(True, f"project {project!r} exists")
