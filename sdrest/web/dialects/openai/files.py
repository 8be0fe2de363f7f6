"""Finished pictures as files with an id, which later requests may name instead of sending the picture. There is no uploading."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

from sdrest.core.errors import InvalidInput, NotFound
from sdrest.core.files import existing
from sdrest.core.job import Job, Output
from sdrest.web.http.keys import JOBS, PRINCIPAL, SETTINGS
from sdrest.web.http.operations import Reply, operation
from sdrest.web.http.replies import json_reply
from sdrest.web.http.routing import Route
from sdrest.web.requests.pictures import Sent
from sdrest.web.requests.results import pictures_of

_ID: Final = re.compile(r"file-([0-9a-f]{32})-(\d{1,3})")
_ERROR: Final = dict[str, dict[str, Any]]


def file_id(job: Job, index: int) -> str:
    """The id of a finished picture."""
    return f"file-{uuid.UUID(job.id).hex}-{index}"


async def _found(request: web.Request, name: str) -> tuple[Job, Output]:
    """The job that made a file, and the file.

    Raises:
        NotFound: there is none of that id that the caller may see.
    """
    if (match := _ID.fullmatch(name)) is not None:
        job = await request.app[JOBS].get(str(uuid.UUID(match[1])), request[PRINCIPAL])
        pictures = pictures_of(job)
        if int(match[2]) < len(pictures):
            return job, pictures[int(match[2])]
    raise NotFound(f"no file {name}")


async def with_files(request: web.Request, sent: Iterable[Sent], field: str) -> list[Sent]:
    """Pictures as they were sent, ids of files replaced by what :mod:`sdrest.web.requests.pictures` reads.

    Raises:
        InvalidInput: there is no such file.
    """
    found: list[Sent] = []
    for item in sent:
        if isinstance(item, str) and item.startswith("file-"):
            try:
                job, output = await _found(request, item)
            except NotFound as error:
                raise InvalidInput(error.message, field=field) from None
            found.append(f"job:{job.id}/{output.file}")
        else:
            found.append(item)
    return found


@operation("OpenAI", reply=dict[str, Any], error_schema=_ERROR)
async def file(request: web.Request) -> web.Response:
    """A finished picture."""
    name = request.match_info["file_id"]
    job, output = await _found(request, name)
    made_at = int((job.finished_at or job.created_at).timestamp())
    view = {"id": name, "object": "file", "bytes": output.size_bytes, "created_at": made_at, "filename": output.file}
    return json_reply({**view, "purpose": "vision", "status": "processed", "expires_at": None})


@operation("OpenAI", reply=Reply(None, "image/png", "The picture"), error_schema=_ERROR)
async def content(request: web.Request) -> web.StreamResponse:
    """The bytes of a finished picture."""
    job, output = await _found(request, request.match_info["file_id"])
    path = await asyncio.to_thread(existing, request.app[SETTINGS].output_dir, job.id, output.file)
    return web.FileResponse(path, headers={"Content-Type": output.media_type})


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/v1/files/{file_id}", file),
    ("GET", "/v1/files/{file_id}/content", content),
)
