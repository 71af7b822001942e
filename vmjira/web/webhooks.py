"""Where Jira sends its webhooks: checked, stored, queued, answered. What follows is decided later, by the worker."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import Blueprint, Response, jsonify, request
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge

from vmjira.errors import VmjiraError
from vmjira.flows.events import KINDS, EventUnreadable, document, event_of
from vmjira.flows.rows import DeliveryRow
from vmjira.web.access import Access, Refusal

ADDRESS = "/webhooks/jira"
LARGEST = 10 * 1024 * 1024
#: Cloud: the same for every attempt to deliver one event.
IDENTIFIER = "X-Atlassian-Webhook-Identifier"
#: All that is kept of the headers; a signature or a cookie is nobody's business later.
KEPT = (IDENTIFIER, "X-Atlassian-Webhook-Retry", "X-Atlassian-Webhook-Flow", "User-Agent", "Content-Type")
log = structlog.get_logger(__name__)

#: True if the delivery is new; VmjiraError if it could not be stored.
Receive = Callable[[DeliveryRow], bool]


class BodySchema(Schema):
    """The outer shape of what Jira sends. It may send more at any time, and leaves out most of it here and there."""

    class Meta:
        unknown = EXCLUDE

    kind = fields.String(data_key="webhookEvent", required=True, validate=validate.Length(1, 200))
    issue = fields.Dict(allow_none=True)
    comment = fields.Dict(allow_none=True)
    user = fields.Dict(allow_none=True)
    changelog = fields.Dict(allow_none=True)
    link = fields.Dict(data_key="issueLink", allow_none=True)


SCHEMA = BodySchema()


def webhooks(receive: Receive, access: Access) -> Blueprint:
    """The two addresses: for a Jira that signs, and for one that does not."""
    views = Blueprint("webhooks", __name__)

    @views.post(ADDRESS)
    def signed() -> Response:
        body = _body()
        access.check(body, request.headers, request.remote_addr)
        return answer(body)

    @views.post(f"{ADDRESS}/<segment>")
    def unsigned(segment: str) -> Response:
        request.path = ADDRESS  # a fault of ours would be logged with it
        access.check_path(segment, request.headers, request.remote_addr)
        return answer(_body())

    def answer(body: bytes) -> Response:
        delivery = delivery_of(body, request.headers)
        try:
            new = receive(delivery)
        except VmjiraError as error:
            log.error("webhook not stored", delivery=delivery.id, why=str(error))
            raise Refusal(503, "the event could not be stored; send it again later") from error
        log.debug("webhook", delivery=delivery.id, issue=delivery.issue, state=delivery.state, new=new)
        return jsonify(delivery=delivery.id, state=delivery.state if new else "known")

    @views.errorhandler(Refusal)
    def refuse(refusal: Refusal) -> tuple[Response, int]:
        log.warning("webhook refused", status=refusal.status, why=refusal.why, sender=request.remote_addr)
        return jsonify(error=refusal.why), refusal.status

    return views


def _body() -> bytes:
    request.max_content_length = LARGEST + 1  # of a body that comes in chunks no more is read, and nothing said
    with suppress(RequestEntityTooLarge):
        if len(body := request.get_data(cache=False)) <= LARGEST:
            return body
    raise Refusal(413, f"the body has more than {LARGEST // 1024**2} MB")


def delivery_of(body: bytes, headers: Headers) -> DeliveryRow:
    """What is to be stored of a delivery; Refusal, with the reason in words, if it is no webhook of Jira's."""
    try:
        content = document(body)
        SCHEMA.load(content)
    except EventUnreadable as error:
        raise Refusal(400, str(error)) from None
    except ValidationError as error:
        raise Refusal(400, _in_words(error.messages_dict)) from None
    event = event_of(content)
    unknown = "" if event.kind in KINDS else "events of this kind are of no use to us"
    reason = unknown or ("" if event.issue else "the event names no issue")
    return DeliveryRow(
        id=_id(body, headers.get(IDENTIFIER, "")),
        received_at=datetime.now(UTC),
        headers={name: headers[name][:200] for name in KEPT if name in headers},
        body=body,
        issue=event.issue,
        state="ignored" if reason else "queued",
        answer=reason,
    )


def _id(body: bytes, identifier: str) -> str:
    """The sender's own; else the body's digest: with the event's time in it, only the same event has the same one."""
    if re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", identifier):
        return identifier
    return f"sha256-{hashlib.sha256(body).hexdigest()}"


def _in_words(problems: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {' '.join(map(str, why))}" for name, why in sorted(problems.items()))
