"""What a sandbox Jira is made of: its flavour, people, projects, workflows and limits, as frozen values."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from vmjira.errors import SettingsInvalid
from vmjira.sandbox import seed
from vmjira.sandbox.workflow import Status, Workflow

Flavour = Literal["cloud", "datacenter"]


@dataclass(frozen=True)
class User:
    name: str
    display: str
    email: str = ""
    active: bool = True
    assignable: bool = True
    admin: bool = False

    accounts: str = ""

    @cached_property
    def account_id(self) -> str:
        return "5b10" + hashlib.sha256(f"{self.accounts}{self.name}".encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Project:
    id: str
    key: str
    name: str
    workflow: str = "simple"
    issue_types: tuple[str, ...] = ("Task", "Bug", "Story")
    components: tuple[str, ...] = ()


@dataclass(frozen=True)
class CustomField:
    id: str  # customfield_10100
    name: str
    type: Literal["string", "number", "array"] = "string"


@dataclass(frozen=True)
class LinkType:
    name: str
    inward: str
    outward: str


When = Literal["before", "after"]


@dataclass(frozen=True)
class Fault:
    """What befalls REST calls whose method and path (a regular expression) match, after letting `skip` of them pass.

    `after`: the write has happened, only the answer is lost. `drop` cuts the line instead of answering with `status`.
    With `status` 0 the call is only delayed.
    """

    path: str = ""
    method: str = ""
    status: int = 0
    when: When = "before"
    times: int = 1
    skip: int = 0
    delay: float = 0.0  # seconds
    drop: bool = False
    retry_after: float | None = None
    reason: str = "jira-burst-based"

    def __post_init__(self) -> None:
        if self.when not in get_args(When):
            raise ValueError(f"when {self.when!r}; one of {', '.join(get_args(When))}")
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"path {self.path!r} is no regular expression: {error}") from None


@dataclass(frozen=True)
class Config:
    """Everything that does not change while a sandbox runs."""

    flavour: Flavour = "cloud"
    version: str = "10.3.24"  # of a Data Center; 8.x and 9.x register webhooks in another way
    base_url: str = ""  # as others reach it; empty: as the request says
    server_id: str = seed.SERVER_ID  # cloud id, or the id of a Data Center; an import elsewhere has another
    accounts: str = ""  # another text, other account ids of the same people
    tokens: Mapping[str, str] = field(default_factory=lambda: dict(seed.TOKENS), repr=False)  # by user name
    users: tuple[User, ...] = tuple(User(**row) for row in seed.USERS)
    projects: tuple[Project, ...] = tuple(Project(**row) for row in seed.PROJECTS)
    workflows: Mapping[str, Workflow] = field(
        default_factory=lambda: {name: Workflow.build(rows) for name, rows in seed.WORKFLOWS.items()}
    )
    custom_fields: tuple[CustomField, ...] = tuple(CustomField(**row) for row in seed.CUSTOM_FIELDS)
    link_types: tuple[LinkType, ...] = tuple(LinkType(*row) for row in seed.LINK_TYPES)
    priorities: tuple[str, ...] = seed.PRIORITIES
    resolutions: tuple[str, ...] = seed.RESOLUTIONS
    denied: tuple[str, ...] = ()  # permissions that nobody but an admin has, by Jira's key
    attachment_limit: int = 10 * 1024 * 1024  # bytes
    text_limit: int = 32_767  # characters
    index_lag: float = 0.0  # seconds until a write is seen by search (Cloud)
    webhook_retry: float = 5.0  # seconds between attempts; Cloud itself waits 5 to 15 minutes
    webhook_timeout: float = 20.0
    faults: tuple[Fault, ...] = ()  # that wait from the start
    record_bodies: bool = False  # keep the JSON bodies of calls in the call log

    @property
    def cloud(self) -> bool:
        return self.flavour == "cloud"

    @property
    def version_numbers(self) -> list[int]:
        return [1001, 0, 0] if self.cloud else [int(part) for part in self.version.split(".")]

    @cached_property
    def statuses(self) -> dict[str, Status]:
        """Every status by id; one name has one id in all workflows, as in Jira."""
        found: dict[str, str] = {}
        for workflow in self.workflows.values():
            found |= {name: category for name, category in workflow.categories.items() if name not in found}
        return {str(10_000 + n): Status(str(10_000 + n), name, found[name]) for n, name in enumerate(found)}

    @cached_property
    def status_ids(self) -> dict[str, str]:
        return {status.name: id_ for id_, status in self.statuses.items()}

    @cached_property
    def issue_types(self) -> dict[str, str]:
        """Name by id."""
        names = dict.fromkeys(name for project in self.projects for name in project.issue_types)
        return {str(10_000 + n): name for n, name in enumerate(names, 1)}

    @cached_property
    def components(self) -> dict[str, tuple[str, str]]:
        """Project key and name by id."""
        pairs = [(project.key, name) for project in self.projects for name in project.components]
        return {str(10_000 + n): pair for n, pair in enumerate(pairs)}

    def workflow_of(self, project: str) -> Workflow:
        return self.workflows[self.project_of(project).workflow]

    def project_of(self, key: str) -> Project:
        return next(project for project in self.projects if project.key == key)

    def user(self, name: str) -> User | None:
        return next((user for user in self.users if user.name == name), None)


def id_of(names: Iterable[str], name: str) -> str:
    """The id of a priority or resolution: its place in the list, from 1."""
    return str(list(names).index(name) + 1)


def load(path: Path | None, **settings: Any) -> Config:
    """The configuration in a JSON file, over the default seed; `settings` win over the file."""
    document: Any = {}
    if path is not None:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsInvalid(f"{path}: cannot be read as JSON: {error}") from None
    try:
        config = Config(**{**_typed(document), **settings})
        if config.accounts:
            config = replace(config, users=tuple(replace(user, accounts=config.accounts) for user in config.users))
        _check(config)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise SettingsInvalid(f"{path or 'sandbox'}: {error}; allowed: {', '.join(_names(Config))}") from None
    return config


def _typed(document: Mapping[str, Any]) -> dict[str, Any]:
    kinds: dict[str, type[Any]] = {"users": User, "projects": Project, "custom_fields": CustomField, "faults": Fault}
    values: dict[str, Any] = {}
    for name, value in document.items():
        if name in kinds:
            values[name] = tuple(kinds[name](**_frozen(row)) for row in value)
        elif name == "link_types":
            values[name] = tuple(LinkType(**row) for row in value)
        elif name == "workflows":
            values[name] = {key: Workflow.build(rows) for key, rows in value.items()}
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    return values


def _frozen(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


def _names(kind: type[Any]) -> list[str]:
    return [item.name for item in fields(kind)]


def _check(config: Config) -> None:
    if config.flavour not in get_args(Flavour):
        raise ValueError(f"flavour {config.flavour!r}: one of {', '.join(get_args(Flavour))}")
    for project in config.projects:
        if project.workflow not in config.workflows:
            raise ValueError(f"project {project.key!r}: no workflow {project.workflow!r}")
    for name in config.tokens:
        if config.user(name) is None:
            raise ValueError(f"a token for {name!r}, who is no user")
