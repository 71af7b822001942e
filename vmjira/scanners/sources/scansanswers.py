"""The answers of the API below `/scans`, as far as we need them; null stands in them where one would not expect it."""

from __future__ import annotations

from marshmallow import fields

from vmjira.scanners.sources.tenableclient import Answer


class Folder(Answer):
    id = fields.Integer(required=True)
    name = fields.String(required=True)
    type = fields.String(load_default="", allow_none=True)


class Scan(Answer):
    id = fields.Integer(required=True)
    name = fields.String(required=True)
    status = fields.String(load_default="", allow_none=True)
    type = fields.String(load_default="", allow_none=True)
    folder_id = fields.Integer(load_default=None, allow_none=True)
    control = fields.Boolean(load_default=True, allow_none=True)
    user_permissions = fields.Integer(load_default=None, allow_none=True)


class Scans(Answer):
    folders = fields.List(fields.Nested(Folder), load_default=list, allow_none=True)
    scans = fields.List(fields.Nested(Scan), required=True, allow_none=True)  # null: there is none


class Info(Answer):
    uuid = fields.String(load_default="", allow_none=True)
    name = fields.String(load_default="", allow_none=True)
    status = fields.String(load_default="", allow_none=True)
    targets = fields.String(load_default="", allow_none=True)
    scan_end = fields.Integer(load_default=None, allow_none=True)
    alt_targets_used = fields.Boolean(load_default=False, allow_none=True)


class Host(Answer):
    hostname = fields.String(load_default="", allow_none=True)


class PastRun(Answer):
    """An element of `history` in the details of a scan."""

    history_id = fields.Integer(required=True)
    uuid = fields.String(load_default="", allow_none=True)
    status = fields.String(load_default="", allow_none=True)
    last_modification_date = fields.Integer(load_default=None, allow_none=True)
    alt_targets_used = fields.Boolean(load_default=False, allow_none=True)


class Details(Answer):
    info = fields.Nested(Info, required=True)
    hosts = fields.List(fields.Nested(Host), load_default=list, allow_none=True)
    history = fields.List(fields.Nested(PastRun), load_default=list, allow_none=True)


class Targets(Answer):
    custom = fields.Boolean(load_default=False, allow_none=True)


class CloudRun(Answer):
    """An element of the cloud's `/scans/ID/history`."""

    id = fields.Integer(required=True)
    scan_uuid = fields.String(load_default="", allow_none=True)
    status = fields.String(load_default="", allow_none=True)
    time_end = fields.Integer(load_default=None, allow_none=True)
    targets = fields.Nested(Targets, load_default=dict, allow_none=True)


class Pagination(Answer):
    total = fields.Integer(required=True)


class CloudHistory(Answer):
    pagination = fields.Nested(Pagination, required=True)
    history = fields.List(fields.Nested(CloudRun), required=True, allow_none=True)


class Export(Answer):
    """Nessus gives a file and a token for it, the cloud a file."""

    file = fields.Raw(load_default=None, allow_none=True)
    token = fields.Raw(load_default=None, allow_none=True)


class Status(Answer):
    status = fields.String(required=True)


class Launched(Answer):
    scan_uuid = fields.String(required=True)


class Features(Answer):
    scan_api = fields.Boolean(load_default=None, allow_none=True)


class License(Answer):
    features = fields.Nested(Features, load_default=dict, allow_none=True)


class Properties(Answer):
    """`/server/properties`; which of these there are depends on the version."""

    nessus_type = fields.String(load_default="", allow_none=True)
    server_version = fields.String(load_default="", allow_none=True)
    license = fields.Nested(License, load_default=dict, allow_none=True)
    features = fields.Nested(Features, load_default=dict, allow_none=True)
