"""Finished files and their thumbnails."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from pydantic import Field

from sdrest.core.errors import NotFound
from sdrest.core.files import existing
from sdrest.outputs.pictures import THUMBNAIL_DEFAULT_PX, THUMBNAIL_MAX_PX
from sdrest.web.http.bodies import Body, parse_query
from sdrest.web.http.keys import JOBS, PRINCIPAL, SETTINGS, THUMBNAILS
from sdrest.web.http.operations import Reply, operation
from sdrest.web.http.routing import Route

#: A finished file never changes: a job tried again writes the same bytes.
_CACHE_CONTROL: Final = "private, max-age=31536000, immutable"


class OutputQuery(Body):
    """How to send an output."""

    thumb: bool = Field(False, description="A small JPEG of it instead of the file.")
    size: int = Field(
        THUMBNAIL_DEFAULT_PX, ge=16, le=THUMBNAIL_MAX_PX, description="Longest side of the small JPEG in pixels."
    )
    expires: str = Field("", max_length=20, description="End of a signed address, in seconds since 1970.")
    signature: str = Field("", max_length=100, description="Stands in for credentials; part of a signed address.")


@operation("outputs", query=OutputQuery, reply=Reply(None, "*/*", "The file"))
async def output(request: web.Request) -> web.StreamResponse:
    """A file of a job, or with ``?thumb=1&size=200`` a small JPEG of it."""
    query = parse_query(OutputQuery, request)
    job = await request.app[JOBS].get(request.match_info["job_id"], request[PRINCIPAL])
    file = request.match_info["filename"]
    known = {item.file: item for item in job.outputs}
    if file not in known:
        raise NotFound(f"job {job.id} has no output {file!r}")
    path = await asyncio.to_thread(existing, request.app[SETTINGS].output_dir, job.id, file)
    if query.thumb:
        data = await asyncio.to_thread(request.app[THUMBNAILS].jpeg, path, query.size)
        return web.Response(body=data, content_type="image/jpeg", headers={"Cache-Control": _CACHE_CONTROL})
    return web.FileResponse(path, headers={"Cache-Control": _CACHE_CONTROL, "Content-Type": known[file].media_type})


@operation("outputs", reply=Reply(None, "image/jpeg", "The preview"))
async def preview(request: web.Request) -> web.Response:
    """The newest preview of a running job; 404 while there is none. Headers tell its size and step."""
    jobs = request.app[JOBS]
    job = await jobs.get(request.match_info["job_id"], request[PRINCIPAL])
    newest = jobs.preview(job)
    if newest is None:
        raise NotFound(f"job {job.id} has no preview")
    headers = {
        "X-Preview-Width": str(newest.width),
        "X-Preview-Height": str(newest.height),
        "X-Preview-Step": str(newest.step),
        "Cache-Control": "no-store",
    }
    return web.Response(body=newest.jpeg, content_type="image/jpeg", headers=headers)


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/queue/job/{job_id}/output/{filename}", output),
    ("GET", "/jobs/{job_id}/output/{filename}", output),
    ("GET", "/jobs/{job_id}/preview", preview),
)
