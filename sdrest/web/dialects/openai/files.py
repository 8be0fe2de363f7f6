"""Pictures as files with an id, which later requests may name instead of sending the picture: those that users have uploaded, and
those that jobs have made. The id of the latter has the picture's number in its job at the end.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import Conflict, InvalidInput, NotFound
from sdrest.core.files import existing
from sdrest.core.job import Job, Output
from sdrest.outputs.pictures import picture_size
from sdrest.outputs.sent_files import SentFile, SentFiles
from sdrest.web.dialects.openai.bodies import FileForm, FileQuery
from sdrest.web.http.bodies import parse_query, read_file, read_parts, validate
from sdrest.web.http.keys import HELD, JOBS, PRINCIPAL, SETTINGS
from sdrest.web.http.operations import FORM, Reply, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.pictures import Sent
from sdrest.web.requests.results import pictures_of

SENT_FILES: Final = web.AppKey("sent_files", SentFiles)

_SENT: Final = re.compile(r"file-([0-9a-f]{32})")
_MADE: Final = re.compile(r"file-([0-9a-f]{32})-(\d{1,3})")
_NAME_CHARACTERS: Final = 255
_ERROR: Final = dict[str, dict[str, Any]]


def file_id(job: Job, index: int) -> str:
    """The id of a finished picture."""
    return f"file-{uuid.UUID(job.id).hex}-{index}"


async def with_files(request: web.Request, sent: Iterable[Sent], field: str) -> list[Sent]:
    """Pictures as they were sent, ids of files replaced by what :mod:`sdrest.web.requests.pictures` reads.

    Raises:
        InvalidInput: there is no such file.
        TooManyRequests: the server works on as many bodies as it may.
    """
    found: list[Sent] = []
    for item in sent:
        if isinstance(item, str) and item.startswith("file-"):
            try:
                found.append(await _as_sent(request, item))
            except NotFound as error:
                raise InvalidInput(error.message, field=field) from None
        else:
            found.append(item)
    return found


async def _as_sent(request: web.Request, name: str) -> Sent:
    if _SENT.fullmatch(name) is None:
        job, output = await _made(request, name)
        return f"job:{job.id}/{output.file}"
    file, path = await _sent(request, name)
    request[HELD].take_bytes(file.size_bytes)
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError:  # deleted in this moment
        raise NotFound(f"no file {name}") from None


async def _sent(request: web.Request, name: str) -> tuple[SentFile, Path]:
    """An uploaded file, and where its data lies.

    Raises:
        NotFound: the caller has none of that id.
    """
    if (match := _SENT.fullmatch(name)) is not None:
        try:
            return await asyncio.to_thread(request.app[SENT_FILES].get, request[PRINCIPAL].name, match[1])
        except NotFound:
            pass
    raise NotFound(f"no file {name}")


async def _made(request: web.Request, name: str) -> tuple[Job, Output]:
    """The job that made a picture, and the picture.

    Raises:
        NotFound: there is none of that id that the caller may see.
    """
    if (match := _MADE.fullmatch(name)) is not None:
        job = await request.app[JOBS].get(str(uuid.UUID(match[1])), request[PRINCIPAL])
        pictures = pictures_of(job)
        if int(match[2]) < len(pictures):
            return job, pictures[int(match[2])]
    raise NotFound(f"no file {name}")


@operation(
    "OpenAI",
    reply=dict[str, Any],
    body=FileForm,
    body_type=FORM,
    files=("file",),
    errors=(413, 507),
    error_schema=_ERROR,
)
async def upload(request: web.Request) -> web.Response:
    """Keep a picture, to be named by its id in later requests of the same user."""
    parts = await read_parts(request)
    form = validate(FileForm, {name: value for name, value in parts.items() if isinstance(value, str)})
    part = parts.get("file")
    if not isinstance(part, web.FileField):
        raise InvalidInput("a picture file is needed", field="file")
    data = await read_file(request, part)
    owner, name = request[PRINCIPAL].name, _plain_name(part.filename)
    files, max_pixels = request.app[SENT_FILES], request.app[SETTINGS].max_image_pixels

    def keep() -> SentFile:
        picture_size(data, field="file", max_pixels=max_pixels)
        return files.add(owner, data, name=name, purpose=form.purpose, expires_seconds=form.expires_seconds)

    return json_reply(_view(await asyncio.to_thread(keep)))


def _plain_name(name: str) -> str:
    """The last part of a file's name, whatever system it comes from, as it may be shown."""
    plain = "".join(letter for letter in PureWindowsPath(name).name if letter.isprintable())
    return plain[-_NAME_CHARACTERS:] or "picture"


@operation("OpenAI", reply=dict[str, Any], query=FileQuery, error_schema=_ERROR)
async def files(request: web.Request) -> web.Response:
    """The files that the caller has uploaded."""
    asked = parse_query(FileQuery, request)
    found = await asyncio.to_thread(request.app[SENT_FILES].all, request[PRINCIPAL].name)
    views = [_view(item) for item in found if asked.purpose in {"", item.purpose}]
    if asked.order == "desc":
        views.reverse()
    ids = [view["id"] for view in views]
    start = ids.index(asked.after) + 1 if asked.after in ids else 0
    page = views[start : start + asked.limit]
    return json_reply(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": start + len(page) < len(views),
        }
    )


@operation("OpenAI", reply=dict[str, Any], error_schema=_ERROR)
async def file(request: web.Request) -> web.Response:
    """What is known of an uploaded file, or of a finished picture."""
    name = request.match_info["file_id"]
    if _SENT.fullmatch(name) is not None:
        return json_reply(_view((await _sent(request, name))[0]))
    job, output = await _made(request, name)
    made_at = int((job.finished_at or job.created_at).timestamp())
    return json_reply(_as_file(name, output.file, output.size_bytes, made_at))


@operation("OpenAI", reply=Reply(None, "image/png", "The picture"), error_schema=_ERROR)
async def content(request: web.Request) -> web.StreamResponse:
    """The bytes of an uploaded file, or of a finished picture."""
    name = request.match_info["file_id"]
    if _SENT.fullmatch(name) is not None:
        known, path = await _sent(request, name)
        return web.FileResponse(path, headers={"Content-Type": known.media_type})
    job, output = await _made(request, name)
    path = await asyncio.to_thread(existing, request.app[SETTINGS].output_dir, job.id, output.file)
    return web.FileResponse(path, headers={"Content-Type": output.media_type})


@operation("OpenAI", reply=dict[str, Any], errors=(409,), error_schema=_ERROR)
async def delete(request: web.Request) -> web.Response:
    """Delete an uploaded file. What was made of it stays."""
    name = request.match_info["file_id"]
    if _MADE.fullmatch(name) is not None:
        job, _ = await _made(request, name)
        raise Conflict(f"{name} is a picture of the job {job.id} and goes with it: DELETE /api/jobs/{job.id}")
    known, _ = await _sent(request, name)
    await asyncio.to_thread(request.app[SENT_FILES].remove, request[PRINCIPAL].name, known.id)
    return json_reply({"id": name, "object": "file", "deleted": True})


def _view(known: SentFile) -> dict[str, Any]:
    view = _as_file(f"file-{known.id}", known.name, known.size_bytes, known.created_at)
    return {**view, "purpose": known.purpose, "expires_at": known.expires_at or None}


def _as_file(name: str, file_name: str, size_bytes: int, created_at: int) -> dict[str, Any]:
    return {
        "id": name,
        "object": "file",
        "bytes": size_bytes,
        "created_at": created_at,
        "expires_at": None,
        "filename": file_name,
        "purpose": "vision",
        "status": "processed",
        "status_details": None,
    }


ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/v1/files", upload),
    ("GET", "/v1/files", files),
    ("GET", "/v1/files/{file_id}", file),
    ("GET", "/v1/files/{file_id}/content", content),
    ("DELETE", "/v1/files/{file_id}", delete),
)
