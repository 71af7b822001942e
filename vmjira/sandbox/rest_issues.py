"""REST: tickets themselves - create, read, edit, move through the workflow, delete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import request

from vmjira.sandbox import rest
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.fields import Wishes, Wrong
from vmjira.sandbox.rest import Answer, desk, nothing, show
from vmjira.sandbox.rest_properties import put_property
from vmjira.sandbox.shapes import Json, Page
from vmjira.sandbox.store import Issue
from vmjira.sandbox.workflow import Transition

views = rest.blueprint("issues")
BULK_CREATE, BULK_FETCH = 50, 100
MEMBERS = ("fields", "update", "properties", "transition", "historyMetadata")


@views.post("/issue")
def create() -> Answer:
    return show(_create(rest.body(*MEMBERS)), 201)


@views.post("/issue/bulk")
def create_many() -> Answer:
    """201 as soon as one of them succeeds; the others are told in `errors`."""
    updates = rest.body("issueUpdates").get("issueUpdates")
    if not isinstance(updates, list) or not updates:
        raise JiraError(400, "At least one issue update is required.")
    if rest.config().cloud and len(updates) > BULK_CREATE:
        raise JiraError(400, f"The number of issues to create is above the limit of {BULK_CREATE}.")
    made: list[Json] = []
    failed: list[Json] = []
    for place, update in enumerate(updates):
        try:
            with desk().tx.attempt():
                made.append(_create(update if isinstance(update, dict) else {}))
        except JiraError as error:
            failed.append({"status": error.status, "elementErrors": error.body(), "failedElementNumber": place})
    return show({"issues": made, "errors": failed}, 201 if made else 400)


def _create(body: Mapping[str, Any]) -> Json:
    project = rest.project_named((body.get("fields") or {}).get("project"))
    issue = desk().create(project.key, rest.reader(project).read(body))
    for row in body.get("properties") or ():
        put_property(issue, row.get("key", ""), row.get("value"))
    return {"id": str(issue.id), "key": issue.key, "self": desk().shapes.url(f"issue/{issue.id}")}


@views.get("/issue/<key>")
def read(key: str) -> Answer:
    issue = desk().find(key)
    return show(_shape(issue, rest.fields("*all"), request.args.get("expand", ""), request.args.get("properties", "")))


def _shape(issue: Issue, fields: list[str], expand: str, properties: str = "") -> Json:
    shape = desk().shapes.issue(issue, fields=fields, expand=expand)
    if properties:
        rows = desk().tx.rows("SELECT name, value FROM properties WHERE issue = ?", issue.id)
        wanted = properties.split(",")
        shape["properties"] = {
            row["name"]: json.loads(row["value"]) for row in rows if row["name"] in wanted or "*all" in wanted
        }
    return shape


@views.post("/issue/bulkfetch")
def read_many() -> Answer:
    """Several at once; those that do not exist are told in `issueErrors`."""
    rest.only_on("cloud")
    body = rest.body("issueIdsOrKeys", "fields", "expand", "properties", "fieldsByKeys")
    keys = body.get("issueIdsOrKeys")
    if not isinstance(keys, list) or not 0 < len(keys) <= BULK_FETCH:
        raise JiraError(400, f"Between 1 and {BULK_FETCH} issue ids or keys are needed.")
    found = {key: desk().tx.issue(str(key)) for key in keys}
    expand = ",".join(body.get("expand") or [])
    fields = body.get("fields") or ["*navigable"]
    issues = [_shape(issue, fields, expand) for issue in found.values() if issue]
    missing = [{"id": str(key), "errorMessage": "Issue does not exist."} for key, issue in found.items() if not issue]
    return show({"issues": issues, "issueErrors": missing})


@views.put("/issue/<key>")
def edit(key: str) -> Answer:
    issue = desk().find(key)
    # Without admin rights Cloud ignores the wish, a Data Center refuses.
    if not rest.flag("notifyUsers", default=True) and not rest.config().cloud and not desk().actor.admin:
        raise JiraError(403, "To discard the user notification either admin or project admin permissions are required.")
    body = rest.body(*MEMBERS)
    desk().edit(issue, _wishes(issue, body))
    for row in body.get("properties") or ():
        put_property(issue, row.get("key", ""), row.get("value"))
    if rest.config().cloud and rest.flag("returnIssue", default=False):
        return show(_shape(issue, ["*all"], ""))
    return nothing()


def _wishes(issue: Issue, body: Mapping[str, Any]) -> Wishes:
    return rest.reader(rest.config().project_of(issue.project)).read(body)


@views.delete("/issue/<key>")
def delete(key: str) -> Answer:
    desk().delete(desk().find(key))
    return nothing()


@views.put("/issue/<key>/assignee")
def assign(key: str) -> Answer:
    issue = desk().find(key)
    member = "accountId" if rest.config().cloud else "name"
    value = rest.body("accountId", "name").get(member)
    reader = rest.reader(rest.config().project_of(issue.project))
    try:
        name = reader.assignee(None if value is None else {member: value})
    except Wrong as wrong:
        raise JiraError(400, errors={"assignee": str(wrong)}) from None
    desk().require("ASSIGN_ISSUES")
    desk().change(issue, {"assignee": name})
    return nothing()


@views.get("/issue/<key>/transitions")
def transitions(key: str) -> Answer:
    """None at all where the caller may not use them, as Jira answers."""
    issue = desk().find(key)
    wanted = request.args.get("transitionId")
    denied = "TRANSITION_ISSUES" in rest.config().denied and not desk().actor.admin
    steps = [] if denied else rest.config().workflow_of(issue.project).possible(issue.status)
    detailed = "transitions.fields" in request.args.get("expand", "")
    shapes = [desk().shapes.transition(s, with_fields=detailed) for s in steps if wanted in (None, s.id)]
    return show({"expand": "transitions", "transitions": shapes})


@views.post("/issue/<key>/transitions")
def transit(key: str) -> Answer:
    issue = desk().find(key)
    body = rest.body(*MEMBERS)
    step = _step(issue, body.get("transition"))
    fields = body.get("fields") or {}
    rest_of_it = {"update": body.get("update") or {}}
    wishes = rest.reader(rest.config().project_of(issue.project)).read(rest_of_it)
    if wishes.errors:
        raise JiraError(400, errors=wishes.errors)
    desk().transition(issue, step, fields)
    for text in wishes.comments:
        desk().comment(issue, text)
    return nothing()


def _step(issue: Issue, wish: Any) -> Transition:
    id_ = wish.get("id") if isinstance(wish, dict) else None
    if id_ is None:
        raise JiraError(400, "Missing 'transition' identifier")
    if not isinstance(id_, str):
        raise JiraError(400, f"'transition.id' must be a string, not {id_!r}")
    workflow = rest.config().workflow_of(issue.project)
    for step in workflow.possible(issue.status):
        if step.id == id_:
            return step
    if rest.config().cloud:
        raise JiraError(400, f"Transition id '{id_}' is not valid for this issue.")
    known = next((step.name for step in workflow.transitions if step.id == id_), None)
    if known is None:
        raise JiraError(500, "Internal server error")
    raise JiraError(
        400,
        f"It seems that you have tried to perform a workflow operation ({known}) that is not valid for the current"
        f" state of this issue ({issue.key}). The likely cause is that somebody has changed the issue recently.",
    )


@views.get("/issue/<key>/changelog")
def changelog(key: str) -> Answer:
    """Oldest first, in pages; Cloud only."""
    rest.only_on("cloud")
    histories = desk().shapes.histories(desk().find(key))
    page = Page(histories, start=rest.number("startAt", 0, top=10**9), limit=rest.number("maxResults", 100, top=100))
    address = desk().shapes.url(f"issue/{key}/changelog")
    return show({"self": address, **page.is_last, "values": page.items})


@views.get("/issue/<key>/watchers")
def watchers(key: str) -> Answer:
    issue = desk().find(key)
    shape = desk().shapes.watches(issue)
    return show({**shape, "watchers": [desk().shapes.user(name) for name in issue.watchers]})


@views.post("/issue/<key>/watchers")
def watch(key: str) -> Answer:
    """The body is just the person, as a JSON string; without one it is the caller."""
    issue = desk().find(key)
    config = rest.config()
    own = {user.account_id if config.cloud else user.name: user for user in config.users}
    wanted = request.get_json(silent=True)
    user = desk().actor if wanted in (None, "") else own.get(wanted) if isinstance(wanted, str) else None
    if user is None:
        raise JiraError(400 if config.cloud else 404, f"The user '{wanted}' does not exist.")
    desk().watch(issue, user.name)
    return nothing()


@views.delete("/issue/<key>/watchers")
def unwatch(key: str) -> Answer:
    """The person is in the query."""
    issue = desk().find(key)
    config = rest.config()
    own = {user.account_id if config.cloud else user.name: user for user in config.users}
    wanted = request.args.get("accountId" if config.cloud else "username", "")
    if wanted not in own:
        raise JiraError(400 if config.cloud else 404, f"The user '{wanted}' does not exist.")
    desk().unwatch(issue, own[wanted].name)
    return nothing()
