"""REST: what hangs on tickets - comments and files."""

from __future__ import annotations

from pathlib import PurePath

from flask import Response, request
from werkzeug.datastructures import FileStorage

from vmjira.sandbox import rest
from vmjira.sandbox.errors import JiraError
from vmjira.sandbox.rest import Answer, desk, nothing, show
from vmjira.sandbox.shapes import Json

views = rest.blueprint("parts")
FILES_PER_CALL = 60


@views.get("/issue/<key>/comment")
def comments(key: str) -> Answer:
    return show(desk().shapes.comments(desk().find(key)))


@views.post("/issue/<key>/comment")
def add_comment(key: str) -> Answer:
    issue = desk().find(key)
    return show(desk().shapes.comment(desk().comment(issue, _text())), 201)


def _text() -> str:
    return rest.reader(rest.config().projects[0]).comment(rest.body("body", "visibility", "properties"))


@views.get("/issue/<key>/comment/<id_>")
def read_comment(key: str, id_: str) -> Answer:
    return show(desk().shapes.comment(desk().comment_row(desk().find(key), id_)))


@views.put("/issue/<key>/comment/<id_>")
def edit_comment(key: str, id_: str) -> Answer:
    return show(desk().shapes.comment(desk().edit_comment(desk().find(key), id_, _text())))


@views.delete("/issue/<key>/comment/<id_>")
def delete_comment(key: str, id_: str) -> Answer:
    desk().delete_comment(desk().find(key), id_)
    return nothing()


@views.get("/attachment/meta")
def limits() -> Answer:
    return show({"enabled": True, "uploadLimit": rest.config().attachment_limit})


@views.post("/issue/<key>/attachments")
def attach(key: str) -> Answer:
    """Several files in one call, or none of them."""
    cloud = rest.config().cloud
    if request.headers.get("X-Atlassian-Token", "").lower() not in {"no-check", "nocheck"}:
        raise JiraError(403 if cloud else 404, "XSRF check failed")
    issue = desk().find(key)
    if request.mimetype != "multipart/form-data":
        raise JiraError(415, "The attachment must be sent as multipart/form-data.")
    files = request.files.getlist("file")
    if not files:
        raise JiraError(400, "No part named 'file' was sent.")
    if len(files) > FILES_PER_CALL:
        raise JiraError(413, f"At most {FILES_PER_CALL} files may be sent in one call.")
    return show([_attach(issue.key, file) for file in files])


def _attach(key: str, file: FileStorage) -> Json:
    content = file.read()
    name = PurePath((file.filename or "file").replace("\\", "/")).name
    limit = rest.config().attachment_limit
    if len(content) > limit:
        text = f"The file '{name}' of {len(content)} bytes exceeds its maximum permitted size of {limit} bytes."
        raise JiraError(413 if rest.config().cloud else 404, text)
    row = desk().attach(desk().find(key), name, file.mimetype or "application/octet-stream", content)
    return desk().shapes.attachment(row)


@views.get("/attachment/<int:id_>")
def about(id_: int) -> Answer:
    shape = desk().shapes.attachment(desk().attachment(str(id_)))
    return show({**shape, "id": id_})


@views.get("/attachment/content/<int:id_>")
def content(id_: int) -> Answer:
    rest.only_on("cloud")
    return download(id_)


def download(id_: int) -> Response:
    """As a file to keep: what others have uploaded is never shown as a page of ours."""
    row = desk().attachment(str(id_))
    answer = Response(row["content"], mimetype=row["media_type"])
    answer.headers.set("Content-Disposition", "attachment", filename=row["filename"])
    return answer


@views.delete("/attachment/<int:id_>")
def detach(id_: int) -> Answer:
    desk().detach(str(id_))
    return nothing()
