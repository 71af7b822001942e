"""The tracker as flows see it: what is sent there and what it answers, in our words (errors: `vmjira.errors`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

from vmjira.domain.rulebook import TicketRules
from vmjira.domain.ticket import StatusCategory


@dataclass(frozen=True)
class Draft:
    """A ticket to be made. `identifier` becomes the label `vm.<identifier>` and an issue property."""

    identifier: str
    summary: str
    description: str
    rules: TicketRules
    priority: str | None = None
    due: date | None = None
    links: tuple[str, ...] = ()  # keys to link with, by rules.link_type, in the same call


@dataclass(frozen=True)
class Attachment:
    id: str
    name: str
    size: int


@dataclass(frozen=True)
class Issue:
    """A ticket as the tracker has it."""

    id: str
    key: str
    summary: str
    description: str
    status: str
    status_category: StatusCategory
    resolution: str | None
    labels: tuple[str, ...]
    attachments: tuple[Attachment, ...]
    links: tuple[str, ...]  # keys of linked issues
    created: datetime | None
    updated: datetime | None
    project: str = ""


@dataclass(frozen=True)
class StatusChange:
    """A change of status in the tracker's own history."""

    at: datetime  # the tracker's own time
    actor: str  # accountId (Cloud) or name (Data Center)
    status: str
    done: bool  # whether the new status is of the category "done"
    resolution: str | None  # as of now


@dataclass(frozen=True)
class Comment:
    id: str
    body: str


@dataclass(frozen=True)
class WebhookRegistration:
    id: str
    name: str
    url: str
    events: tuple[str, ...]
    jql: str
    signed: bool


@dataclass(frozen=True)
class Created:
    id: str
    key: str
    notes: tuple[str, ...] = ()  # what could not be done as the rules say, in words for a comment


@dataclass(frozen=True)
class File:
    name: str
    content: bytes
    media_type: str


class Tracker(Protocol):
    """One issue tracker. Every method raises only `vmjira.errors.TrackerError`s, and never retries by itself."""

    shows_pictures: bool  # whether `!name.png!` in a description is safe
    search_lag: float  # seconds after which a search surely finds what was written before

    def create(self, draft: Draft) -> Created: ...
    def find(self, identifier: str) -> list[Issue]:
        """Issues that carry the identifier's label, oldest first. May lag behind by `search_lag`."""

    def read(self, keys: Sequence[str]) -> dict[str, Issue]:
        """Fresh state, by the key asked for (a moved issue answers with its new key); gone ones are missing."""

    def edit(
        self,
        key: str,
        *,
        description: str | None = None,
        summary: str | None = None,
        priority: str | None = None,
        labels: Sequence[str] = (),
        labels_off: Sequence[str] = (),
    ) -> None:
        """Give what is named its value; `labels` are added and `labels_off` removed, no other is touched."""

    def name(self, key: str, identifier: str) -> None:
        """Let the ticket's property say that this is its identifier, as it does when it is made."""

    def watch(self, key: str, who: str) -> None:
        """Add a watcher, by what the rules call them."""

    def attach(self, key: str, files: Sequence[File]) -> list[Attachment]:
        """All files in one call."""

    def detach(self, attachment_id: str) -> None:
        """Already gone is done."""

    def link(self, key: str, other: str, link_type: str) -> None: ...
    def comment(self, key: str, body: str) -> str:
        """Add a comment; its id."""

    def edit_comment(self, key: str, id: str, body: str) -> bool:
        """Give a comment another text; False if it is not there any more."""

    def comments(self, key: str) -> list[Comment]:
        """The ticket's newest comments, to see whether one of ours got through before a crash."""

    def transition(self, key: str, wanted: Literal["close", "reopen"], rules: TicketRules) -> str:
        """Bring it to done / not done, over several transitions if need be; the new status' name."""

    def myself(self) -> str:
        """The account we are: accountId (Cloud) or name (Data Center)."""

    def last_status_change(self, key: str) -> StatusChange | None:
        """From the ticket's history; None if its status never changed."""

    def described_by(self, key: str) -> str | None:
        """The account that changed the description last; None if nobody did since the ticket was made."""

    def changed_since(self, moment: datetime | None) -> Iterator[Issue]:
        """Tickets with the label `vmjira` that were updated since then, by search; may lag behind by `search_lag`.

        None: all. One may come twice."""

    def sees(self, project: str) -> bool:
        """Whether we may browse the project: else its tickets only seem to be deleted."""

    @property
    def signs_webhooks(self) -> bool:
        """Whether the tracker signs the webhooks that it sends."""

    def webhooks(self) -> list[WebhookRegistration]: ...
    def register_webhook(self, url: str, secret: str, jql: str) -> WebhookRegistration: ...
    def remove_webhook(self, id: str) -> None: ...
    def upload_limit(self) -> int:
        """Bytes that one attachment may have."""
