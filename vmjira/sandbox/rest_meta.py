"""REST: what the site is made of - server, projects, fields, people, permissions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import request

from vmjira.sandbox import rest
from vmjira.sandbox.config import Project, User
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.rest import Answer, desk, show
from vmjira.sandbox.shapes import Json, Page, custom_schema, stamp

views = rest.blueprint("meta")

PERMISSIONS = {
    "ADMINISTER": "Administer Jira", "ADMINISTER_PROJECTS": "Administer Projects", "BROWSE_PROJECTS": "Browse Projects",
    "CREATE_ISSUES": "Create Issues", "EDIT_ISSUES": "Edit Issues", "DELETE_ISSUES": "Delete Issues",
    "TRANSITION_ISSUES": "Transition Issues", "ASSIGN_ISSUES": "Assign Issues", "LINK_ISSUES": "Link Issues",
    "RESOLVE_ISSUES": "Resolve Issues", "CLOSE_ISSUES": "Close Issues", "SCHEDULE_ISSUES": "Schedule Issues",
    "ADD_COMMENTS": "Add Comments", "EDIT_OWN_COMMENTS": "Edit Own Comments",
    "CREATE_ATTACHMENTS": "Create Attachments",
    "DELETE_OWN_ATTACHMENTS": "Delete Own Attachments", "DELETE_ALL_ATTACHMENTS": "Delete All Attachments",
    "MANAGE_WATCHERS": "Manage Watchers",
}  # fmt: skip
_ADMIN_ONLY = {"ADMINISTER", "ADMINISTER_PROJECTS"}
#: Fields on the screens: name, type, items of an array, operations.
_FIELDS: dict[str, tuple[str, str, str | None]] = {
    "summary": ("Summary", "string", None), "description": ("Description", "string", None),
    "issuetype": ("Issue Type", "issuetype", None), "project": ("Project", "project", None),
    "priority": ("Priority", "priority", None), "assignee": ("Assignee", "user", None),
    "reporter": ("Reporter", "user", None), "labels": ("Labels", "array", "string"),
    "components": ("Components", "array", "component"), "duedate": ("Due date", "date", None),
    "issuelinks": ("Linked Issues", "array", "issuelinks"),
}  # fmt: skip
_SHOWN = {
    "status": ("Status", "status"), "resolution": ("Resolution", "resolution"), "created": ("Created", "datetime"),
    "updated": ("Updated", "datetime"), "attachment": ("Attachment", "array"), "comment": ("Comment", "comments-page"),
}  # fmt: skip


@views.get("/serverInfo")
def server_info() -> Answer:
    config = rest.config()
    return show({
        "baseUrl": desk().shapes.url("").partition("/rest/")[0],
        "version": "1001.0.0-SNAPSHOT" if config.cloud else config.version,
        "versionNumbers": config.version_numbers,
        "deploymentType": "Cloud" if config.cloud else "Server",
        "buildNumber": 100_000,
        "buildDate": "2026-01-01T00:00:00.000+0000",
        "serverTime": stamp(desk().tx.now()),
        "scmInfo": "sandbox",
        "serverTitle": "Sandbox",
    })  # fmt: skip


@views.get("/myself")
def myself() -> Answer:
    return show(desk().shapes.person(desk().actor))


@views.get("/mypermissions")
def permissions() -> Answer:
    """Cloud wants to be asked for each by name, a Data Center tells all."""
    asked = [name for name in request.args.get("permissions", "").split(",") if name]
    if rest.config().cloud and not asked:
        raise JiraError(400, "The 'permissions' query parameter is required.")
    for name in asked:
        if name not in PERMISSIONS:
            raise JiraError(400, f"Unrecognized permission: {name}")
    if "projectKey" in request.args:
        rest.project_at(request.args["projectKey"])
    return show({"permissions": {name: _permission(name) for name in asked or PERMISSIONS}})


def _permission(name: str) -> Json:
    actor = desk().actor
    may = actor.admin or (name not in _ADMIN_ONLY and name not in rest.config().denied)
    kind = "GLOBAL" if name == "ADMINISTER" else "PROJECT"
    id_ = str(list(PERMISSIONS).index(name))
    return {"id": id_, "key": name, "name": PERMISSIONS[name], "type": kind, "description": "", "havePermission": may}


@views.get("/project")
def projects() -> Answer:
    return show([desk().shapes.project(project) for project in rest.config().projects])


@views.get("/project/search")
def search_projects() -> Answer:
    rest.only_on("cloud")
    page = Page(rest.config().projects, start=rest.number("startAt", 0), limit=rest.number("maxResults", 50))
    return show({**page.is_last, "values": [desk().shapes.project(project) for project in page.items]})


@views.get("/project/<key>")
def project(key: str) -> Answer:
    found = rest.project_at(key)
    more = {"issueTypes": _issue_types(found), "components": _components(found), "versions": [], "description": ""}
    return show({**desk().shapes.project(found), **more})


@views.get("/project/<key>/components")
def components(key: str) -> Answer:
    return show(_components(rest.project_at(key)))


def _components(project: Project) -> list[Json]:
    own = [id_ for id_, (key, _) in rest.config().components.items() if key == project.key]
    more = {"project": project.key, "projectId": int(project.id), "isAssigneeTypeValid": False}
    return [{**desk().shapes.component(id_), **more} for id_ in own]


@views.get("/project/<key>/statuses")
def statuses_of(key: str) -> Answer:
    found = rest.project_at(key)
    shapes = [desk().shapes.status_named(name) for name in rest.config().workflow_of(found.key).categories]
    kinds = _issue_types(found)
    return show([
        {"self": kind["self"], "id": kind["id"], "name": kind["name"], "subtask": False, "statuses": shapes}
        for kind in kinds
    ])  # fmt: skip


def _issue_types(project: Project) -> list[Json]:
    known = rest.config().issue_types
    return [desk().shapes.issue_type(id_) for id_, name in known.items() if name in project.issue_types]


@views.get("/issuetype")
def issue_types() -> Answer:
    return show([desk().shapes.issue_type(id_) for id_ in rest.config().issue_types])


@views.get("/issue/createmeta/<key>/issuetypes")
def create_types(key: str) -> Answer:
    return _createmeta("issueTypes", _issue_types(rest.project_at(key)))


@views.get("/issue/createmeta/<key>/issuetypes/<id_>")
def create_fields(key: str, id_: str) -> Answer:
    found = rest.project_at(key)
    if id_ not in {kind["id"] for kind in _issue_types(found)}:
        raise JiraError(404, f"No issue type with id '{id_}' in project '{found.key}'.")
    custom = [_field_meta(c.id, c.name, custom_schema(c)) for c in rest.config().custom_fields]
    system = [_field_meta(name, label, _schema(name)) for name, (label, _, _) in _FIELDS.items()]
    for field in system:
        if field["fieldId"] in _ALLOWED:
            field["allowedValues"] = _ALLOWED[field["fieldId"]](found)
    return _createmeta("fields", system + custom)


def _createmeta(member: str, items: list[Json]) -> Answer:
    """Cloud names the list by what is in it, a Data Center `values`."""
    page = Page(items, start=rest.number("startAt", 0), limit=rest.number("maxResults", 50))
    if rest.config().cloud:
        return show({**page.frame, member: page.items})
    return show({**page.is_last, "values": page.items})


_ALLOWED: dict[str, Callable[[Project], list[Any]]] = {
    "issuetype": _issue_types,
    "components": _components,
    "project": lambda project: [desk().shapes.project(project)],
    "priority": lambda _: [desk().shapes.priority(name) for name in rest.config().priorities],
}


def _field_meta(id_: str, name: str, schema: Json) -> Json:
    operations = ["add", "set", "remove"] if schema["type"] == "array" else ["set"]
    known = {"fieldId": id_, **({"key": id_} if rest.config().cloud else {})}
    required = id_ in {"summary", "issuetype", "project"}
    return {**known, "name": name, "required": required, "schema": schema, "operations": operations}


def _schema(name: str) -> Json:
    _, kind, items = _FIELDS[name]
    return {"type": kind, **({"items": items} if items else {}), "system": name}


@views.get("/field")
def fields() -> Answer:
    shown = {name: (label, {"type": kind, "system": name}) for name, (label, kind) in _SHOWN.items()}
    system = {name: (label, _schema(name)) for name, (label, _, _) in _FIELDS.items()}
    custom = {c.id: (c.name, custom_schema(c)) for c in rest.config().custom_fields}
    everything = {**system, **shown, **custom}
    return show([_field(name, label, schema) for name, (label, schema) in everything.items()])


def _field(name: str, label: str, schema: Json) -> Json:
    known = {"id": name, **({"key": name} if rest.config().cloud else {}), "name": label}
    clauses = [name if "custom" not in schema else f"cf[{schema['customId']}]"]
    traits = {"custom": "custom" in schema, "orderable": name in _FIELDS, "navigable": True, "searchable": True}
    return {**known, **traits, "clauseNames": clauses, "schema": schema}


@views.get("/priority")
def priorities() -> Answer:
    return show([desk().shapes.priority(name) for name in rest.config().priorities])


@views.get("/resolution")
def resolutions() -> Answer:
    return show([desk().shapes.resolution(name) for name in rest.config().resolutions])


@views.get("/status")
def statuses() -> Answer:
    return show([desk().shapes.status(status) for status in rest.config().statuses.values()])


@views.get("/user")
def user() -> Answer:
    cloud = rest.config().cloud
    wanted = request.args.get("accountId" if cloud else "username", "")
    for known in rest.config().users:
        if wanted == (known.account_id if cloud else known.name):
            return show(desk().shapes.person(known))
    raise JiraError(404, f"The user '{wanted}' does not exist")


@views.get("/user/search")
def search_users() -> Answer:
    return _people(_wanted_people(required=True))


@views.get("/user/assignable/search")
def assignable_users() -> Answer:
    """Of a project, or of the project of an issue."""
    if "issueKey" in request.args:
        desk().find(request.args["issueKey"])
    elif "project" in request.args:
        rest.project_at(request.args["project"])
    else:
        raise JiraError(400, "Either 'project' or 'issueKey' is needed.")
    return _people([person for person in _wanted_people(required=False) if person.assignable and person.active])


def _wanted_people(*, required: bool) -> list[User]:
    """Cloud searches by `query`, a Data Center by `username`, where a dot means everybody."""
    member = "query" if rest.config().cloud else "username"
    text = request.args.get(member, "").lower()
    if required and not text:
        raise JiraError(400, f"The {member} query parameter was not provided")
    everybody = text == "." and not rest.config().cloud
    return [
        person
        for person in rest.config().users
        if everybody or any(text in value.lower() for value in (person.name, person.display, person.email))
    ]


def _people(found: list[User]) -> Answer:
    page = Page(found, start=rest.number("startAt", 0), limit=rest.number("maxResults", 50))
    return show([desk().shapes.person(person) for person in page.items])
